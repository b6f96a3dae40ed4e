"""A chat completions upstream that the tests control and watch.

It runs in a thread; the model name says what it does. Waits are for states (`wait_for`), never for a time.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.integration import attentive
from tests.integration.obedient import obeyed
from tests.threaded_server import ThreadedServer

Json = dict[str, Any]
FLOOD_CHUNK = "x" * 8192
FLOOD_CHUNKS = 12_000
USAGE: Json = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
FAILURES: dict[str, tuple[int, Json, dict[str, str]]] = {
    "fails-401": (401, {"message": "Incorrect API key: sk-upstream-secret", "code": "invalid_api_key"}, {}),
    "fails-403": (403, {"message": "key sk-upstream-secret may not", "code": "forbidden"}, {}),
    "fails-429": (429, {"message": "slow down", "code": "rate_limit_exceeded"}, {"retry-after": "0"}),
    "fails-500": (500, {"message": "oh no", "code": None}, {}),
    "fails-400": (400, {"message": "temperature is no good", "param": "temperature", "code": None}, {}),
    "fails-context": (
        400,
        {
            "message": "This model's maximum context length is 128 tokens.",
            "param": "messages",
            "code": "context_length_exceeded",
        },
        {},
    ),
}
MODELS = (
    "echo",
    "caller",
    "gpt-assistant",
    "obedient",
    *attentive.MODELS,
    "patcher",
    "stubborn",
    "parallel",
    "thinker",
    "muser",
    "probable",
    "json",
    "json-late",
    "not-json",
    "cut",
    "filtered",
    "refuser",
    "endless",
    "endless-whole",
    "flood",
    "breaks",
    *FAILURES,
)


@dataclass(slots=True)
class Seen:
    """What the upstream observed. Guarded by the condition of `Upstream`."""

    requests: list[Json] = field(default_factory=list[Json])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    closed_by_client: int = 0
    flood_sent: int = 0


def _last_text(body: Json) -> str:
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", f"<{part['type']}>") for part in content)


def _tool(body: Json, at: int = 0) -> str:
    """The tool to call: the one that was chosen, else the one at this place."""
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] == "function":
        return str(choice["function"]["name"])  # pyright: ignore[reportUnknownArgumentType] JSON of a known shape
    return str(body["tools"][at % len(body["tools"])]["function"]["name"])


def _call(index: int, name: str, arguments: str) -> Json:
    function = {"name": name, "arguments": arguments}
    return {"index": index, "id": f"call_up_{index}", "type": "function", "function": function}


def _answered(body: Json) -> bool:
    return body["messages"][-1]["role"] == "tool" or not body.get("tools")


def _is_satisfied(body: Json) -> bool:
    """Whether the last tool answered something other than that its input was wrong."""
    return _answered(body) and "does not match the grammar" not in _last_text(body)


def deltas(body: Json) -> tuple[list[Json], str]:
    """The message deltas of the answer, and its finish reason."""
    model = body["model"]
    text = f"You said: {_last_text(body)}"
    if model == "obedient":
        return obeyed(body)
    if model in attentive.MODELS:
        return attentive.attended(body)
    if model in {"caller", "gpt-assistant"} and not _answered(body):
        call = _call(0, _tool(body), "")
        parts = ['{"city":', '"Paris"}']
        more = [{"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in parts]
        return [{"tool_calls": [call]}, *more], "tool_calls"
    if model in {"patcher", "stubborn"} and not _is_satisfied(body):
        told = body["messages"][-1]["role"] == "tool"
        written = "1+2" if told and model == "patcher" else body["messages"][0]["content"]
        arguments = json.dumps({"input": written})
        halves = [arguments[:14], arguments[14:]]
        more = [{"tool_calls": [{"index": 0, "function": {"arguments": half}}]} for half in halves]
        return [{"tool_calls": [_call(0, _tool(body), "")]}, *more], "tool_calls"
    if model == "parallel" and not _answered(body):
        calls = [_call(0, _tool(body, 0), '{"city":'), _call(1, _tool(body, 1), '{"city":')]
        ends = [
            {"index": at, "function": {"arguments": f'"{city}"}}'}}
            for at, city in enumerate(("Paris", "Rome"))
        ]
        both: list[Json] = [{"content": "Let me look."}, {"tool_calls": calls}]
        return [*both, *({"tool_calls": [end]} for end in ends)], "tool_calls"
    if model in {"thinker", "muser"}:
        return [{"reasoning_content": "Let me "}, {"reasoning_content": "think."}, {"content": text}], "stop"
    formed = model == "gpt-assistant" and "response_format" in body
    if model == "json" or formed or (model == "json-late" and _is_repeat(body)):
        return [{"content": '{"city":"Paris",'}, {"content": '"degrees":21}'}], "stop"
    if model in {"not-json", "json-late"}:
        return [{"content": "It is warm."}], "stop"
    if model == "refuser":
        return [{"refusal": "I will "}, {"refusal": "not."}], "stop"
    words = [{"content": word} for word in text.replace(" ", " \0").split("\0")]
    return words, {"cut": "length", "filtered": "content_filter"}.get(model, "stop")


def _is_repeat(body: Json) -> bool:
    """Whether this is a second try: the first answer, or a remark on it, is in there."""
    return len(body["messages"]) > 1


def _logprobs(text: str) -> Json:
    token: Json = {"token": text, "logprob": -0.25, "bytes": list(text.encode())}
    return {"content": [{**token, "top_logprobs": [token]}], "refusal": None}


def _whole(body: Json) -> Json:
    message: Json = {"role": "assistant", "content": None}
    calls: dict[int, Json] = {}
    parts, finish = deltas(body)
    for part in parts:
        for key, value in part.items():
            if key != "tool_calls":
                message[key] = (message.get(key) or "") + value
                continue
            for piece in value:
                if "id" in piece:
                    calls[piece["index"]] = {name: piece[name] for name in ("id", "type", "function")}
                else:
                    function = calls[piece["index"]]["function"]
                    function["arguments"] += piece["function"]["arguments"]
    if calls:
        message["tool_calls"] = [calls[at] for at in sorted(calls)]
    choice: Json = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    if body.get("logprobs"):
        choice["logprobs"] = _logprobs(message["content"])
    return {**_head(body, "chat.completion"), "choices": [choice], "usage": USAGE}


def _head(body: Json, kind: str) -> Json:
    return {"id": "chatcmpl-up", "object": kind, "created": 1_760_000_000, "model": body["model"]}


def _chunk(body: Json, delta: Json | None, finish: str | None = None) -> bytes:
    chunk = _head(body, "chat.completion.chunk")
    if delta is None:
        chunk |= {"choices": [], "usage": USAGE}
    else:
        choice: Json = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        if body.get("logprobs") and delta.get("content"):
            choice["logprobs"] = _logprobs(delta["content"])
        chunk["choices"] = [choice]
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


class Upstream(ThreadedServer[Seen]):
    """The server. `url` is its base URL with `/v1`; `seen` what it observed; used as a context manager."""

    max_body = 64 * 1024 * 1024

    def __init__(self) -> None:
        super().__init__(Seen())
        self._together = asyncio.Barrier(attentive.AT_ONCE)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/models", self._models),
            web.post("/v1/chat/completions", self._chat),
            web.post("/v1/completions", self._complete),
        ]

    def _count(self, sent: int) -> None:
        def add(seen: Seen) -> None:
            seen.flood_sent += sent

        self._note(add)

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "object": "list",
                "data": [{"id": name, "object": "model", "owned_by": "tests"} for name in MODELS],
            }
        )

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        headers = {name.lower(): value for name, value in request.headers.items()}

        def note(seen: Seen) -> None:
            seen.requests.append(body)
            seen.headers.append(headers)

        self._note(note)
        if body["model"] in FAILURES:
            status, error, extra = FAILURES[body["model"]]
            return web.json_response({"error": {"type": "upstream", **error}}, status=status, headers=extra)
        if body["model"] == "endless-whole":
            await self._never()
        if body["model"] == "in-fours":
            await self._together.wait()
        if not body.get("stream"):
            return web.json_response(_whole(body))
        return await self._stream(request, body)

    async def _never(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self._note(lambda seen: setattr(seen, "closed_by_client", seen.closed_by_client + 1))
            raise

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        """The older text completions: one piece, streamed or not."""
        body = await request.json()
        choice = {
            "index": 0,
            "text": f"You said: {body['prompt']}",
            "finish_reason": "stop",
            "logprobs": None,
        }
        whole = {**_head(body, "text_completion"), "choices": [choice], "usage": USAGE}
        if not body.get("stream"):
            return web.json_response(whole)
        del whole["usage"]
        text = f"data: {json.dumps(whole)}\n\ndata: [DONE]\n\n"
        return web.Response(text=text, content_type="text/event-stream")

    async def _stream(self, request: web.Request, body: Json) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        try:
            async for data in self._chunks(body):
                await response.write(data)
                if body["model"] == "flood":
                    self._count(len(data))
        except (ConnectionError, asyncio.CancelledError):
            self._note(lambda seen: setattr(seen, "closed_by_client", seen.closed_by_client + 1))
            raise
        if body["model"] == "breaks" and request.transport is not None:
            request.transport.abort()
        return response

    async def _chunks(self, body: Json) -> AsyncIterator[bytes]:
        yield _chunk(body, {"role": "assistant", "content": ""})
        if body["model"] == "endless":
            yield _chunk(body, {"content": "once upon a time "})
            await asyncio.Event().wait()
        if body["model"] == "flood":
            for _ in range(FLOOD_CHUNKS):
                yield _chunk(body, {"content": FLOOD_CHUNK})
        parts, finish = deltas(body)
        for part in parts:
            yield _chunk(body, part)
        if body["model"] == "breaks":
            return
        yield _chunk(body, {}, finish)
        if "stream_options" in body and body["stream_options"]["include_usage"]:
            yield _chunk(body, None)
        yield b"data: [DONE]\n\n"
