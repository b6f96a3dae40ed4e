"""A server with Anthropic's Messages API, on a real socket and in a thread of its own.

The model's name says what it does. Each request is held to `anthropic_rules`, and refused as the API would refuse it;
thinking is taken back only as it was given out. What was sent before a cache breakpoint is cached.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from aiohttp import web

from tests.threaded_server import ThreadedServer
from tests.wire.anthropic_rules import Json, Model, Refused, cacheable, check

KEY = "sk-ant-secret-0123"
THOUGHT = "The user said something. I answer."
PAGE_SIZE = 7
FAILURES: dict[str, tuple[int, str, str, dict[str, str]]] = {
    "fails-400": (400, "invalid_request_error", "messages.0.content.0: image exceeds 5 MB maximum", {}),
    "fails-context": (
        400,
        "invalid_request_error",
        "prompt is too long: 210000 tokens > 200000 maximum",
        {},
    ),
    "fails-401": (401, "authentication_error", f"invalid x-api-key {KEY}", {}),
    "fails-404": (404, "not_found_error", "model: fails-404", {}),
    "fails-413": (413, "request_too_large", "Request exceeds the maximum size", {}),
    "fails-429": (
        429,
        "rate_limit_error",
        "This request would exceed your rate limit",
        {"retry-after": "41", "anthropic-ratelimit-requests-remaining": "0"},
    ),
    "fails-529": (529, "overloaded_error", "Overloaded", {"retry-after": "40"}),
}
MODELS: dict[str, Model] = {
    **dict.fromkeys(
        ("echo", "thinker", "omits", "redacted", "caller", "parallel", "patcher", "json", "json-late"),
        Model(),
    ),
    **dict.fromkeys(
        ("assistant", "refuser", "cut", "stopper", "overfull", "endless", "breaks", "errs"), Model()
    ),
    "old": Model(adaptive=False, budget=True, efforts=(), max_tokens=8192),
    "middle": Model(efforts=("low", "medium", "high", "max")),
    "unstoppable": Model(disabled=False),
    **dict.fromkeys(FAILURES, Model()),
    "gone": Model(),
}
RETIRED = frozenset({"gone"})
THINKERS = frozenset({"thinker", "omits", "redacted", "caller", "old"})


@dataclass(slots=True)
class Seen:
    """What the server observed. Guarded by the condition of `FakeAnthropic`."""

    requests: list[Json] = field(default_factory=list[Json])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    refused: list[str] = field(default_factory=list[str])
    chats: list[tuple[str, Json]] = field(default_factory=list[tuple[str, Json]])
    pages: list[str] = field(default_factory=list[str])
    closed_by_client: int = 0


@dataclass(slots=True)
class Answer:
    blocks: list[Json]
    stop_reason: str = "end_turn"
    stop_sequence: str | None = None
    explanation: str | None = None


def answer_to(body: Json) -> Answer:
    """What the model says to a request that was taken."""
    model, last = body["model"], body["messages"][-1]["content"]
    thoughts = _thoughts(body) if model in THINKERS else []
    text = f"You said: {last_text(last)}"
    if (model in ("caller", "parallel", "assistant") or (model == "old" and body.get("tools"))) and _may_call(
        body
    ):
        tools = body["tools"] if model == "parallel" and _in_parallel(body) else body["tools"][:1]
        calls = [
            _call(body, tool["name"], {"city": city}) for tool, city in zip(tools, _CITIES, strict=False)
        ]
        said = [_text("Let me look.")] if model == "parallel" else []
        return Answer([*thoughts, *said, *calls], "tool_use")
    if model == "patcher" and (_may_call(body) or "does not match the grammar" in text):
        told = "does not match" in text
        written = "1+2" if told else last_text(body["messages"][0]["content"])
        return Answer([_call(body, body["tools"][0]["name"], {"input": written})], "tool_use")
    if model in ("json", "json-late") or (model == "assistant" and "output_config" in body):
        bound = (
            "format" in body.get("output_config", {})
            or model in ("json", "assistant")
            or len(body["messages"]) > 1
        )
        return Answer([_text('{"city":"Paris","degrees":21}' if bound else "It is warm.")])
    match model:
        case "refuser":
            return Answer([_text("Well, ")], "refusal", explanation="This could do harm.")
        case "cut":
            return Answer([_text(text)], "max_tokens")
        case "stopper":
            return Answer([_text(text)], "stop_sequence", body.get("stop_sequences", ["END"])[0])
        case "overfull":
            return Answer([_text(text)], "model_context_window_exceeded")
        case _:
            return Answer([*thoughts, _text(text)])


_CITIES = ("Paris", "Rome", "Oslo")


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _call(body: Json, name: str, given: Json) -> Json:
    used = json.dumps([len(body["messages"]), name, given])
    return {"type": "tool_use", "id": f"toolu_{_digest(used)[:24]}", "name": name, "input": given}


def _thoughts(body: Json) -> list[Json]:
    thinking: Json = body.get("thinking", {"type": "disabled"})
    if thinking["type"] == "disabled":
        return []
    number = str(len(body["messages"]))
    if body["model"] == "redacted":
        return [{"type": "redacted_thinking", "data": "redacted" + _digest(number)}]
    usual = "omitted" if body["model"] == "omits" else "summarized"
    shown = thinking.get("display", usual) == "summarized"
    return [
        {
            "type": "thinking",
            "thinking": THOUGHT if shown else "",
            "signature": "Eq" + _digest(THOUGHT + number),
        }
    ]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def last_text(content: list[Json]) -> str:
    """The texts of a message, results included."""
    found: list[str] = []
    for block in content:
        inner: str | list[Json] = block.get("content", "")
        told = inner if isinstance(inner, str) else last_text(inner)
        found.append(block.get("text") or told or block["type"])
    return " ".join(found)


def _may_call(body: Json) -> bool:
    answered = body["messages"][-1]["content"][0]["type"] == "tool_result"
    return not answered and bool(body.get("tools")) and body.get("tool_choice", {}).get("type") != "none"


def _in_parallel(body: Json) -> bool:
    return not body.get("tool_choice", {}).get("disable_parallel_tool_use", False)


class FakeAnthropic(ThreadedServer[Seen]):
    """The server. `url` is its base URL with `/v1`; used as a context manager."""

    max_body = 32 * 1024 * 1024

    def __init__(self) -> None:
        super().__init__(Seen())
        self._issued: set[str] = set()
        self._cached: set[str] = set()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/models", self._models),
            web.post("/v1/chat/completions", self._chat),
            web.post("/v1/messages", self._create),
        ]

    # --- routes ---------------------------------------------------------------------------------------------
    async def _models(self, request: web.Request) -> web.Response:
        """Pages of a few, whatever limit is asked for, so that paging is needed."""
        if (wrong := _unwelcome(request)) is not None:
            return wrong
        after = request.query.get("after_id", "")
        self._note(lambda seen: seen.pages.append(after))
        names = list(MODELS)
        start = names.index(after) + 1 if after else 0
        page = names[start : start + min(PAGE_SIZE, int(request.query.get("limit", "20")))]
        return web.json_response(
            {
                "data": [_listed(name, MODELS[name]) for name in page],
                "first_id": page[0],
                "last_id": page[-1],
                "has_more": names[-1] not in page,
            }
        )

    async def _chat(self, request: web.Request) -> web.Response:
        """The compatible route, which takes the key as a bearer."""
        body = await request.json()
        self._note(lambda seen: seen.chats.append((request.headers.get("authorization", ""), body)))
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return _error(401, "authentication_error", "invalid bearer token")
        said = {"role": "assistant", "content": "by chat", "refusal": None}
        choice = {"index": 0, "message": said, "finish_reason": "stop", "logprobs": None}
        head = {"id": "msg_1", "object": "chat.completion", "created": 1, "model": body["model"]}
        return web.json_response({**head, "choices": [choice]})

    async def _create(self, request: web.Request) -> web.StreamResponse:
        if (wrong := _unwelcome(request)) is not None:
            return wrong
        body = await request.json()
        headers = {name.lower(): value for name, value in request.headers.items()}

        def note(seen: Seen) -> None:
            seen.requests.append(body)
            seen.headers.append(headers)

        self._note(note)
        try:
            self._check(body)
        except Refused as refused:
            said = refused.message
            self._note(lambda seen: seen.refused.append(said))
            return _error(refused.status, refused.kind, refused.message)
        if body["model"] in FAILURES:
            status, kind, message, headers = FAILURES[body["model"]]
            return _error(status, kind, message, headers)
        answer = answer_to(body)
        self._issued |= {
            json.dumps(block, sort_keys=True) for block in answer.blocks if "thinking" in block["type"]
        }
        usage = self._usage(body, answer)
        if body.get("stream"):
            return await self._stream(request, body, answer, usage)
        details = {"type": "refusal", "category": None, "explanation": answer.explanation}
        return web.json_response(
            {
                **_head(body, usage),
                "content": answer.blocks,
                "stop_reason": answer.stop_reason,
                "stop_sequence": answer.stop_sequence,
                "stop_details": details if answer.explanation else None,
            }
        )

    def _check(self, body: Json) -> None:
        if body.get("model") not in MODELS:
            raise Refused(f"model: {body.get('model')}", "not_found_error", 404)
        check(body, MODELS[body["model"]], lambda block: json.dumps(block, sort_keys=True) in self._issued)

    def _usage(self, body: Json, answer: Answer) -> Json:
        """Each block counts 10 tokens. A prefix is written at a breakpoint, and read up to 20 blocks before one."""
        blocks = list(cacheable(body))
        bare = [json.dumps({key: one[key] for key in one if key != "cache_control"}) for one in blocks]
        ends = [at + 1 for at, block in enumerate(blocks) if "cache_control" in block]
        prefixes = {at: body["model"] + _digest("".join(bare[:at])) for at in range(1, len(blocks) + 1)}
        reach = {at for end in ends for at in range(max(1, end - 20), end + 1)}
        read = max((at for at in reach if prefixes[at] in self._cached), default=0)
        self._cached |= {prefixes[end] for end in ends}
        written = max(ends, default=0) - read
        thought = any("thinking" in block["type"] for block in answer.blocks)
        return {
            "input_tokens": 10 * (len(blocks) - max(ends, default=0)) + 1,
            "cache_read_input_tokens": 10 * read,
            "cache_creation_input_tokens": 10 * written,
            "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 4 if thought else 0},
            "service_tier": "standard",
            "speed": body.get("speed", "standard"),
        }

    # --- streams --------------------------------------------------------------------------------------------
    async def _stream(
        self, request: web.Request, body: Json, answer: Answer, usage: Json
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        try:
            async for event in self._events(body, answer, usage):
                data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
                await response.write(data.encode())
        except (ConnectionError, asyncio.CancelledError):
            self._note(lambda seen: setattr(seen, "closed_by_client", seen.closed_by_client + 1))
            raise
        if body["model"] == "breaks" and request.transport is not None:
            request.transport.abort()
        return response

    async def _events(self, body: Json, answer: Answer, usage: Json) -> AsyncIterator[Json]:
        for event in stream_of(body, answer, usage):
            if event["type"] == "content_block_stop":
                match body["model"]:
                    case "errs":
                        yield {
                            "type": "error",
                            "error": {"type": "overloaded_error", "message": "Overloaded"},
                        }
                        return
                    case "breaks":
                        return
                    case "endless":
                        await asyncio.Event().wait()
                    case _:
                        pass
            yield event


def stream_of(body: Json, answer: Answer, usage: Json) -> Iterator[Json]:
    """The events of an answer, text and JSON in pieces of a few characters."""
    first = {**usage, "output_tokens": 1, "output_tokens_details": None}
    yield {"type": "message_start", "message": {**_head(body, first), "content": [], "stop_reason": None}}
    for index, block in enumerate(answer.blocks):
        yield from _block_events(index, block)
        if index == 0:
            yield {"type": "ping"}
    details = {"type": "refusal", "category": None, "explanation": answer.explanation}
    delta: Json = {"stop_reason": answer.stop_reason, "stop_sequence": answer.stop_sequence}
    if answer.explanation:
        delta["stop_details"] = details
    whole = {key: value for key, value in usage.items() if key not in ("service_tier", "speed")}
    yield {"type": "message_delta", "delta": delta, "usage": whole}
    yield {"type": "message_stop"}


def _block_events(index: int, block: Json) -> Iterator[Json]:
    start, deltas = _written(block)
    yield {"type": "content_block_start", "index": index, "content_block": start}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _written(block: Json) -> tuple[Json, list[Json]]:
    """A block as it begins, and the deltas that complete it."""
    match block["type"]:
        case "text":
            pieces = _pieces(block["text"])
            return _text(""), [{"type": "text_delta", "text": piece} for piece in pieces]
        case "thinking":
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"])]
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed]
        case "tool_use":
            # An empty piece first, as the API sends it.
            pieces = ["", *_pieces(json.dumps(block["input"]))] if block["input"] else [""]
            return {**block, "input": {}}, [
                {"type": "input_json_delta", "partial_json": piece} for piece in pieces
            ]
        case _:
            return block, []


def _pieces(text: str) -> list[str]:
    return [text[at : at + 6] for at in range(0, len(text), 6)]


def _head(body: Json, usage: Json) -> Json:
    return {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "stop_sequence": None,
        "usage": usage,
    }


def _listed(name: str, model: Model) -> Json:
    def can(yes: bool) -> Json:
        return {"supported": yes}

    levels = ("low", "medium", "high", "xhigh", "max")
    return {
        "type": "model",
        "id": name,
        "display_name": name.title(),
        "created_at": "2026-02-04T00:00:00Z",
        "lifecycle": "retired" if name in RETIRED else "active",
        "max_tokens": model.max_tokens,
        "max_input_tokens": 200_000,
        "capabilities": {
            "thinking": {
                "supported": model.adaptive or model.budget,
                "types": {
                    "adaptive": can(model.adaptive),
                    "enabled": can(model.budget),
                    "disabled": can(model.disabled),
                },
            },
            "effort": {
                "supported": bool(model.efforts),
                **{level: can(level in model.efforts) for level in levels},
            },
        },
    }


def _unwelcome(request: web.Request) -> web.Response | None:
    """The reference names `x-api-key`; the official client since 2.0 sends the key as a bearer."""
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    if request.headers.get("x-api-key", bearer) != KEY:
        return _error(401, "authentication_error", "invalid x-api-key")
    if "anthropic-version" not in request.headers:
        return _error(400, "invalid_request_error", "anthropic-version: header is required")
    return None


def _error(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_011"}
    return web.json_response(body, status=status, headers=headers)
