"""A model server with `/v1/responses`, built from the official document, on a real socket and in a thread of its own.

The model's name says what it does. Every request is held to `CreateResponse` and every event and answer that it sends
to `ResponseStreamEvent` and `Response`: what breaks them is in `violations`. It stores nothing, and takes encrypted
reasoning back only as it gave it out, under the id that it had.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.conformance import official
from tests.threaded_server import ThreadedServer

Json = dict[str, Any]
USAGE: Json = {
    "input_tokens": 11,
    "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 18,
}
ENCRYPTED = "reasoning.encrypted_content"
FAILURES: dict[str, tuple[int, Json, dict[str, str]]] = {
    "limited": (
        429,
        {"message": "slow down", "type": "requests", "param": None, "code": "rate_limit_exceeded"},
        {"retry-after": "7"},
    ),
    "rejects": (
        400,
        {
            "message": "Invalid image.",
            "type": "invalid_request_error",
            "param": "input[3].content[0]",
            "code": "invalid_value",
        },
        {},
    ),
    "picky": (
        400,
        {
            "message": "Unsupported value: 'top_p' is not supported. In the Responses API leave it out.",
            "type": "invalid_request_error",
            "param": "top_p",
            "code": "unsupported_value",
        },
        {},
    ),
    "chat-only": (
        400,
        {
            "message": "The requested model 'chat-only' cannot be used with the Responses API.",
            "type": "invalid_request_error",
            "param": "model",
            "code": "unsupported_model",
        },
        {},
    ),
}
MODELS = (
    "echo",
    "thinker",
    "caller",
    "parallel",
    "patcher",
    "json",
    "cut",
    "filtered",
    "refuser",
    "fails",
    "errors",
    "breaks",
    "endless",
    "phased",
    "cited",
    "probable",
    "plain",
    *FAILURES,
)


@dataclass(slots=True)
class Seen:
    requests: list[Json] = field(default_factory=list[Json])
    chats: list[Json] = field(default_factory=list[Json])
    probes: int = 0
    closed_by_client: int = 0
    violations: list[str] = field(default_factory=list[str])


def _last(body: Json) -> Json:
    item: Json = body["input"][-1]
    return item


def _last_text(body: Json) -> str:
    said = [item["content"] for item in body["input"] if item.get("role") == "user"]
    content: Any = said[-1] if said else ""
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def message(number: int, text: str, **more: Any) -> Json:
    part: Json = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item: Json = {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed"}
    return {**item, "content": [part], **more}


def reasoning(number: int, *summary: str) -> Json:
    parts = [{"type": "summary_text", "text": text} for text in summary]
    blob = f"blob-{number}"
    return {"type": "reasoning", "id": f"rs_{number}", "summary": parts, "encrypted_content": blob}


def call(number: int, name: str, arguments: str) -> Json:
    item: Json = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "name": name}
    return {**item, "arguments": arguments, "status": "completed"}


def custom(number: int, name: str, text: str) -> Json:
    item: Json = {"type": "custom_tool_call", "id": f"ctc_{number}", "call_id": f"call_{number}"}
    return {**item, "name": name, "input": text}


def output_of(body: Json, number: int) -> list[Json]:
    """The items of the answer, whole."""
    model, text = body["model"], f"You said: {_last_text(body)}"
    thought = reasoning(number, *(["I look.", "Then I speak."] if _wants_summary(body) else []))
    answered = _last(body)["type"].endswith("_output")
    match model:
        case "thinker":
            return [thought, message(number, text)]
        case "caller" if not answered:
            return [thought, call(number, body["tools"][0]["name"], '{"city":"Paris"}')]
        case "parallel" if not answered:
            cities = enumerate(("Paris", "Rome"))
            return [call(number * 10 + at, "weather", f'{{"city":"{city}"}}') for at, city in cities]
        case "patcher" if not answered:
            return [thought, custom(number, body["tools"][0]["name"], "abc")]
        case "json":
            return [message(number, '{"city":"Paris","degrees":21}')]
        case "refuser":
            return [message(number, "", content=[{"type": "refusal", "refusal": "I will not."}])]
        case "phased":
            first = message(number * 10, "Let me see.", phase="commentary")
            return [first, message(number * 10 + 1, text, phase="final_answer")]
        case "cited":
            return [_cited(number)]
        case "probable":
            return [_probable(number)]
        case _:
            return [message(number, text)]


def _wants_summary(body: Json) -> bool:
    asked: Json = body.get("reasoning") or {}
    return bool(asked.get("summary"))


def _cited(number: int) -> Json:
    """Two parts, the second with a citation."""
    note = {"type": "url_citation", "url": "https://x.test/", "title": "X", "start_index": 0, "end_index": 3}
    parts: list[Json] = [
        {"type": "output_text", "text": "First. ", "annotations": [], "logprobs": []},
        {"type": "output_text", "text": "see this", "annotations": [note], "logprobs": []},
    ]
    return message(number, "", content=parts)


def _probable(number: int) -> Json:
    token: Json = {"token": "hm", "logprob": -0.25, "bytes": [104, 109]}
    part: Json = {"type": "output_text", "text": "hm", "annotations": []}
    return message(number, "", content=[{**part, "logprobs": [{**token, "top_logprobs": [token]}]}])


def response_of(body: Json, number: int, status: str, output: list[Json], **more: Any) -> Json:
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_760_000_000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "model": body["model"],
        "tools": body.get("tools", []),
        "output": output,
        "parallel_tool_calls": True,
        "metadata": {},
        "tool_choice": body.get("tool_choice", "auto"),
        "temperature": 1.0,
        "top_p": 1.0,
        "service_tier": "default",
        **more,
    }


def ended(body: Json, number: int, output: list[Json]) -> Json:
    """The response at its end."""
    model = body["model"]
    if model in {"cut", "filtered"}:
        reason = {"cut": "max_output_tokens", "filtered": "content_filter"}[model]
        details = {"incomplete_details": {"reason": reason}, "usage": USAGE}
        output[-1]["status"] = "incomplete"
        return response_of(body, number, "incomplete", output, **details)
    if model == "fails":
        error = {"code": "server_error", "message": "The model fell over."}
        return response_of(body, number, "failed", output, error=error)
    return response_of(body, number, "completed", output, usage=USAGE)


def _pieces(text: str) -> list[str]:
    return re.findall("[^ ]* |[^ ]+", text)


def item_events(at: int, item: Json) -> Iterator[Json]:
    """The events of one item, without their numbers."""
    place: Json = {"item_id": item["id"], "output_index": at}
    yield {"type": "response.output_item.added", "output_index": at, "item": _begun(item)}
    match item["type"]:
        case "message":
            for index, part in enumerate(item["content"]):
                yield from _part_events({**place, "content_index": index}, part)
        case "reasoning":
            for index, part in enumerate(item["summary"]):
                yield from _summary_events({**place, "summary_index": index}, part)
            for index, part in enumerate(item.get("content", [])):
                yield from _thought_events({**place, "content_index": index}, part)
        case "function_call":
            for piece in _halves(item["arguments"]):
                yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}
            done = {"arguments": item["arguments"], "name": item["name"]}
            yield {"type": "response.function_call_arguments.done", **place, **done}
        case _:
            for piece in _halves(item["input"]):
                yield {"type": "response.custom_tool_call_input.delta", **place, "delta": piece}
            yield {"type": "response.custom_tool_call_input.done", **place, "input": item["input"]}
    yield {"type": "response.output_item.done", "output_index": at, "item": item}


def _begun(item: Json) -> Json:
    """The item as `output_item.added` has it."""
    nothing: dict[str, Json] = {
        "message": {"content": [], "status": "in_progress"},
        "reasoning": {"summary": [], "encrypted_content": "a part of it"},
        "function_call": {"arguments": "", "status": "in_progress"},
        "custom_tool_call": {"input": ""},
    }
    return item | nothing[item["type"]]


def _halves(text: str) -> tuple[str, str]:
    middle = len(text) // 2
    return text[:middle], text[middle:]


def _part_events(place: Json, part: Json) -> Iterator[Json]:
    if part["type"] == "refusal":
        yield {"type": "response.content_part.added", **place, "part": {"type": "refusal", "refusal": ""}}
        for piece in _pieces(part["refusal"]):
            yield {"type": "response.refusal.delta", **place, "delta": piece}
        yield {"type": "response.refusal.done", **place, "refusal": part["refusal"]}
        yield {"type": "response.content_part.done", **place, "part": part}
        return
    empty: Json = part | {"text": "", "annotations": [], "logprobs": []}
    yield {"type": "response.content_part.added", **place, "part": empty}
    logprobs = part["logprobs"]
    for piece in _pieces(part["text"]):
        yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": logprobs}
    for number, note in enumerate(part["annotations"]):
        found = {"annotation_index": number, "annotation": note}
        yield {"type": "response.output_text.annotation.added", **place, **found}
    yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": logprobs}
    yield {"type": "response.content_part.done", **place, "part": part}


def _summary_events(place: Json, part: Json) -> Iterator[Json]:
    empty = {"type": "summary_text", "text": ""}
    yield {"type": "response.reasoning_summary_part.added", **place, "part": empty}
    for piece in _pieces(part["text"]):
        yield {"type": "response.reasoning_summary_text.delta", **place, "delta": piece}
    yield {"type": "response.reasoning_summary_text.done", **place, "text": part["text"]}
    yield {"type": "response.reasoning_summary_part.done", **place, "part": part}


def _thought_events(place: Json, part: Json) -> Iterator[Json]:
    empty = {"type": "reasoning_text", "text": ""}
    yield {"type": "response.content_part.added", **place, "part": empty}
    for piece in _pieces(part["text"]):
        yield {"type": "response.reasoning_text.delta", **place, "delta": piece}
    yield {"type": "response.reasoning_text.done", **place, "text": part["text"]}
    yield {"type": "response.content_part.done", **place, "part": part}


def events_of(body: Json, number: int) -> Iterator[Json]:
    """The whole stream of an answer, numbered."""
    for sequence, event in enumerate(_events_of(body, number)):
        yield {**event, "sequence_number": sequence}


def _events_of(body: Json, number: int) -> Iterator[Json]:
    begun = response_of(body, number, "in_progress", [])
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    output = output_of(body, number)
    if body["model"] in {"cut", "filtered"}:
        output[-1]["status"] = "incomplete"
    streams = [item_events(at, item) for at, item in enumerate(output)]
    if body["model"] == "parallel":
        yield from _interleaved(streams)
    else:
        for stream in streams:
            yield from stream
    if body["model"] == "errors":
        yield {"type": "error", "code": "server_error", "message": "It broke.", "param": None}
    final = ended(body, number, output)
    yield {"type": f"response.{final['status']}", "response": final}


def _interleaved(streams: list[Iterator[Json]]) -> Iterator[Json]:
    while streams:
        for stream in list(streams):
            event = next(stream, None)
            if event is None:
                streams.remove(stream)
            else:
                yield event


class FakeResponses(ThreadedServer[Seen]):
    """The server. `url` is its base URL with `/v1`; used as a context manager."""

    def __init__(self, *, has_responses: bool = True) -> None:
        super().__init__(Seen())
        self._has_responses = has_responses
        self._blobs: dict[str, str] = {}
        self._answers = 0

    def routes(self) -> list[web.RouteDef]:
        found = [web.get("/v1/models", self._models), web.post("/v1/chat/completions", self._chat)]
        return [*found, web.post("/v1/responses", self._create)] if self._has_responses else found

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": name} for name in MODELS]})

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._note(lambda seen: seen.chats.append(body))
        said = {"role": "assistant", "content": "by chat"}
        choice = {"index": 0, "message": {**said, "refusal": None}, "finish_reason": "stop", "logprobs": None}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"]}
        return web.json_response({**head, "choices": [choice]})

    async def _create(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if not body:
            self._note(lambda seen: setattr(seen, "probes", seen.probes + 1))
            return _refusal(400, {"message": "Missing required parameter: 'model'.", "param": "model"})
        self._note(lambda seen: seen.requests.append(body))
        self._hold_to("CreateResponse", body)
        wrong = self._fault(body)
        if wrong is not None:
            return wrong
        self._answers += 1
        number = self._answers
        if body.get("stream"):
            return await self._stream(request, body, number)
        output = self._remembered(output_of(body, number))
        answer = ended(body, number, output)
        self._hold_to("Response", answer)
        return web.json_response(answer)

    def _fault(self, body: Json) -> web.Response | None:
        """What a real server would refuse."""
        if body["model"] in FAILURES:
            status, error, headers = FAILURES[body["model"]]
            return _refusal(status, error, headers)
        if body["model"] == "plain" and ENCRYPTED in body.get("include", []):
            return _refusal(
                400, {"message": "Encrypted content is not supported with this model.", "param": "include"}
            )
        led_to = False
        for item in reversed(body["input"]):
            if item["type"] == "reasoning":
                if self._blobs.get(item.get("id", "")) != item.get("encrypted_content"):
                    return _refusal(400, {"message": "The encrypted content could not be verified."})
                if not led_to:
                    return _refusal(400, {"message": "reasoning without its required following item"})
            led_to = item["type"] in ("function_call", "custom_tool_call") or item.get("role") == "assistant"
        return None

    def _remembered(self, output: list[Json]) -> list[Json]:
        for item in output:
            if item["type"] == "reasoning":
                self._blobs[item["id"]] = item["encrypted_content"]
        return output

    async def _stream(self, request: web.Request, body: Json, number: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        try:
            async for event in self._events(body, number):
                self._hold_event(event)
                data = json.dumps(event, ensure_ascii=False)
                await response.write(f"event: {event['type']}\ndata: {data}\n\n".encode())
        except (ConnectionError, asyncio.CancelledError):
            self._note(lambda seen: setattr(seen, "closed_by_client", seen.closed_by_client + 1))
            raise
        if body["model"] == "breaks" and request.transport is not None:
            request.transport.abort()
        return response

    async def _events(self, body: Json, number: int) -> AsyncIterator[Json]:
        for event in events_of(body, number):
            if event["type"] == "response.output_item.done":
                self._remembered([event["item"]])
            if event["type"] == "response.completed" and body["model"] == "breaks":
                return
            yield event
            if event["type"] == "response.output_text.delta" and body["model"] == "endless":
                await asyncio.Event().wait()

    # --- the document ---------------------------------------------------------------------------------------
    def _hold_to(self, schema: str, value: Json) -> None:
        if official.available():
            errors = official.openai().errors(schema, value)
            self._note(lambda seen: seen.violations.extend(errors))

    def _hold_event(self, event: Json) -> None:
        if official.available():
            errors = official.openai().event_errors(event)
            self._note(lambda seen: seen.violations.extend(errors))


def _refusal(status: int, error: Json, headers: dict[str, str] | None = None) -> web.Response:
    whole = {"type": "invalid_request_error", "param": None, "code": None, **error}
    return web.json_response({"error": whole}, status=status, headers=headers)
