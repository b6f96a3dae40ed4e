"""A model server that costs almost nothing: a raw asyncio protocol and pre-encoded bytes.

`python -m bench.fake_upstream` serves on a free loopback port and prints `listening on http://127.0.0.1:PORT`.
The model name chooses the behaviour (`MODELS`); every behaviour answers plain and streamed requests, on
`/v1/chat/completions` and on `/v1/responses`. Those of `CALLERS`, which call whatever tool a request offers first, know
chat alone.
"""

import asyncio
import re
from functools import cache

import msgspec
import uvloop

from bench.fake_responses import ResponsesAnswers
from bench.raw_http import RawConnection, json_reply, serve

CHUNKS = 100
WORD = "token "
TEXT = WORD * CHUNKS

PACED: dict[bytes, tuple[int, float]] = {
    b"fake-paced": (200, 0.010),
    b"fake-slow": (60, 0.200),
}
"""Model name → chunks of its stream, seconds between two of them."""

MODELS: tuple[str, ...] = ("fake", "fake-tools", "fake-paced", "fake-slow")
CALL_ARGUMENTS = '{"city":"Paris"}'
WAIT_ARGUMENTS = '{"ms":100}'

CALLERS: dict[bytes, tuple[int, str]] = {
    b"fake-call": (1, CALL_ARGUMENTS),
    b"fake-calls": (8, CALL_ARGUMENTS),
    b"fake-waits": (8, WAIT_ARGUMENTS),
}
"""Model name → how often it calls the first tool of a request at once, and with which arguments."""
_FIRST_TOOL = re.compile(rb'"tools":.*?"name": ?"([^"]+)"', re.DOTALL)

_DONE = b"data: [DONE]\n\n"
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_LAST_CHUNK = b"0\r\n\r\n"


def _usage(tokens: int) -> dict[str, object]:
    return {
        "prompt_tokens": 12,
        "completion_tokens": tokens,
        "total_tokens": 12 + tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _completion(message: dict[str, object], finish: str, model: str) -> bytes:
    body = msgspec.json.encode(
        {
            "id": "chatcmpl-0123456789abcdef",
            "object": "chat.completion",
            "created": 1_760_000_000,
            "model": model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
            "usage": _usage(CHUNKS),
            "system_fingerprint": None,
        }
    )
    return json_reply(body)


def _event(model: str, choices: list[dict[str, object]], **more: object) -> bytes:
    body = msgspec.json.encode(
        {
            "id": "chatcmpl-0123456789abcdef",
            "object": "chat.completion.chunk",
            "created": 1_760_000_000,
            "model": model,
            "choices": choices,
            **more,
        }
    )
    return _http_chunk(b"data: " + body + b"\n\n")


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _delta(model: str, delta: dict[str, object], finish: str | None = None) -> bytes:
    return _event(model, [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}])


class Answers:
    """The bytes of one model's answers, encoded once."""

    def __init__(self, model: str, chunks: int) -> None:
        call = {"id": "call_0001", "type": "function"}
        function: dict[str, object] = {"name": "get_weather", "arguments": CALL_ARGUMENTS}
        first: dict[str, object] = {"role": "assistant", "content": ""}
        self.text = _completion({"role": "assistant", "content": TEXT, "refusal": None}, "stop", model)
        self.call = _completion(
            {"role": "assistant", "content": None, "tool_calls": [{**call, "function": function}]},
            "tool_calls",
            model,
        )
        self.first = _delta(model, first)
        self.token = _delta(model, {"content": WORD})
        self.stop = _delta(model, {}, "stop")
        self.usage = _event(model, [], usage=_usage(chunks))
        self.end = _http_chunk(_DONE) + _LAST_CHUNK
        self.chunks = chunks
        self.call_stream = (
            self.first
            + _delta(model, {"tool_calls": [{"index": 0, **call, "function": {**function, "arguments": ""}}]})
            + _delta(model, {"tool_calls": [{"index": 0, "function": {"arguments": CALL_ARGUMENTS}}]})
            + _delta(model, {}, "tool_calls")
        )
        self.burst = self.first + self.token * chunks + self.stop


@cache
def _calls(model: str, tool: str, times: int, arguments: str) -> tuple[bytes, bytes]:
    """Several calls of a tool, as a whole answer and as a stream without its usage."""
    function = {"name": tool, "arguments": arguments}
    calls = [{"id": f"call_{at:04}", "type": "function", "function": function} for at in range(times)]
    whole = _completion({"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls", model)
    deltas = [_delta(model, {"tool_calls": [{"index": at, **call}]}) for at, call in enumerate(calls)]
    first = _delta(model, {"role": "assistant", "content": ""})
    return whole, first + b"".join(deltas) + _delta(model, {}, "tool_calls")


def _responses_of(name: str) -> ResponsesAnswers:
    return ResponsesAnswers(name, WORD, PACED.get(name.encode(), (CHUNKS, 0.0))[0], CALL_ARGUMENTS)


_RESPONSES = {name.encode(): _responses_of(name) for name in MODELS}
_CHAT_MODELS = (*MODELS, *(name.decode() for name in CALLERS))
_ANSWERS = {name.encode(): Answers(name, PACED.get(name.encode(), (CHUNKS, 0.0))[0]) for name in _CHAT_MODELS}
_MODEL_LIST = json_reply(
    msgspec.json.encode(
        {
            "object": "list",
            "data": [
                {"id": name, "object": "model", "created": 0, "owned_by": "bench"} for name in _CHAT_MODELS
            ],
        }
    )
)
_NOT_FOUND = json_reply(
    b'{"error":{"message":"no such model or route","type":"not_found"}}', b"404 Not Found"
)


def _flag(body: bytes, name: bytes) -> bool:
    """Whether a boolean of a request is true. Quotes inside JSON strings are escaped: no text matches."""
    return b'"%b":true' % name in body or b'"%b": true' % name in body


def _model(body: bytes) -> bytes:
    at = body.find(b'"model":')
    start = body.find(b'"', at + 8) + 1
    return body[start : body.find(b'"', start)]


def _call_of(model: bytes, body: bytes, answers: Answers) -> tuple[bytes, bytes] | None:
    """The calls with which a request for chat is answered, whole and as a stream; None where none is made."""
    if b'"tools":' not in body or b'"tool_call_id":' in body:
        return None
    if model == b"fake-tools":
        return answers.call, answers.call_stream
    tool = _FIRST_TOOL.search(body) if model in CALLERS else None
    return _calls(model.decode(), tool[1].decode(), *CALLERS[model]) if tool is not None else None


class FakeUpstream(RawConnection):
    """One connection. Answers in order; a client that leaves stops the stream it was getting."""

    def __init__(self) -> None:
        super().__init__()
        self._timer: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def answer(self, head: bytes, body: bytes) -> None:
        assert self.transport is not None
        if head.startswith(b"get /v1/models"):
            self.transport.write(_MODEL_LIST)
            return
        model = _model(body)
        if head.startswith(b"post /v1/responses") and model in _RESPONSES:
            self._respond(_RESPONSES[model], model, body)
            return
        answers = _ANSWERS.get(model)
        if answers is None or not head.startswith(b"post /v1/chat/completions"):
            self.transport.write(_NOT_FOUND)
            return
        call = _call_of(model, body, answers)
        if not _flag(body, b"stream"):
            self.transport.write(answers.text if call is None else call[0])
            return
        tail = answers.usage + answers.end if _flag(body, b"include_usage") else answers.end
        if call is not None:
            self.transport.write(_STREAM_HEAD + call[1] + tail)
        elif model in PACED:
            self.transport.write(_STREAM_HEAD + answers.first)
            self._pace([answers.token] * answers.chunks, PACED[model][1], answers.stop + tail)
        else:
            self.transport.write(_STREAM_HEAD + answers.burst + tail)

    def _respond(self, answers: ResponsesAnswers, model: bytes, body: bytes) -> None:
        assert self.transport is not None
        called = model == b"fake-tools" and b'"tools":' in body and b'"function_call_output"' not in body
        if not _flag(body, b"stream"):
            self.transport.write(json_reply(answers.call_whole if called else answers.whole))
        elif called:
            self.transport.write(_STREAM_HEAD + answers.call_stream + _LAST_CHUNK)
        elif model in PACED:
            self.transport.write(_STREAM_HEAD + answers.first)
            self._pace(answers.tokens, PACED[model][1], answers.end + _LAST_CHUNK)
        else:
            self.transport.write(_STREAM_HEAD + answers.burst + answers.end + _LAST_CHUNK)

    def _pace(self, tokens: list[bytes], interval: float, tail: bytes) -> None:
        """Send one token now and then one each `interval` seconds, on an absolute schedule."""
        loop = asyncio.get_running_loop()
        start = loop.time()

        def tick(sent: int) -> None:
            if self.transport is None:
                return
            if sent == len(tokens):
                self.transport.write(tail)
                return
            self.transport.write(tokens[sent])
            self._timer = loop.call_at(start + (sent + 1) * interval, tick, sent + 1)

        tick(0)


if __name__ == "__main__":
    uvloop.run(serve(FakeUpstream))
