"""A server that behaves as Text Generation Inference documents its Messages API (docs/openapi.json of 3.3).

It is strict where TGI's types are: a `stop` that is no list, a `top_p` of 1 or a format beside tools is refused with
422 and TGI's own envelope, `{"error", "error_type"}`. What TGI has no field for it skips unseen; `skipped` tells.
"""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.wire.fake_upstream import Exchange

Json = dict[str, Any]
MODEL = "Qwen/Qwen3-8B"
MAX_TOTAL_TOKENS = 64
FIELDS = frozenset(
    {
        "model", "messages", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "max_tokens",
        "max_completion_tokens", "n", "presence_penalty", "stop", "stream", "seed", "temperature", "top_p", "tools",
        "tool_prompt", "tool_choice", "response_format", "stream_options",
    }
)  # fmt: skip
USAGE: Json = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


class Refused(Exception):
    def __init__(self, error: str, kind: str = "validation", status: int = 422) -> None:
        super().__init__(error)
        self.body = {"error": error, "error_type": kind}
        self.status = status


@dataclass(slots=True)
class TextGenerationInference:
    """`old`: as before 3.2, which gave a call's arguments as an object, and streamed a call as the text of its grammar:
    without a list, and without a name.
    """

    old: bool = False
    busy: int = 0
    """How many requests are refused because the queue is full."""
    dead: bool = False
    seen: list[Json] = field(default_factory=list[Json])
    skipped: list[str] = field(default_factory=list[str])

    async def __call__(self, exchange: Exchange) -> None:
        match exchange.target.partition("?")[0]:
            case "/v1/models":
                model = {"id": MODEL, "object": "model", "created": 0, "owned_by": MODEL}
                await self._json(exchange, 200, {"object": "list", "data": [model]})
            case "/v1/chat/completions":
                await self._chat(exchange, json.loads(exchange.body))
            case _:
                await exchange.reply(404, b"", content_type="text/plain")

    async def _chat(self, exchange: Exchange, body: Json) -> None:
        self.seen.append(body)
        self.skipped += sorted(set(body) - FIELDS)
        try:
            self._validate(body)
        except Refused as refused:
            await self._json(exchange, refused.status, refused.body)
            return
        if not body.get("stream"):
            await self._json(exchange, 200, self._whole(body))
            return
        await exchange.begin_stream()
        async for data in self._chunks(body):
            await exchange.chunk(data)
        await exchange.end_stream()

    @staticmethod
    async def _json(exchange: Exchange, status: int, body: Json) -> None:
        await exchange.reply(status, json.dumps(body).encode())

    # --- what it takes --------------------------------------------------------------------------------------
    def _validate(self, body: Json) -> None:
        if self.busy:
            self.busy -= 1
            raise Refused("Model is overloaded", "overloaded", 429)
        if self.dead:
            raise Refused("Request failed during generation: Server error: out of memory", "generation", 424)
        stop: Any = body.get("stop", [])
        if not isinstance(stop, list):
            raise Refused(
                "Failed to deserialize the JSON body: stop: invalid type: string, expected a sequence"
            )
        if len(body.get("stop", ())) > 4:
            raise Refused("Input validation error: `stop` supports up to 4 stop sequences. Given: 5")
        if "top_p" in body and not 0 < body["top_p"] < 1:
            raise Refused("Input validation error: `top_p` must be > 0.0 and < 1.0")
        if "seed" in body and body["seed"] < 0:
            raise Refused("Failed to deserialize the JSON body: seed: invalid value, expected u64")
        if body.get("response_format") is not None:
            self._grammar(body)
        if body.get("max_tokens", 0) > MAX_TOTAL_TOKENS:
            said = f"`inputs` tokens + `max_new_tokens` must be <= {MAX_TOTAL_TOKENS}."
            raise Refused(f"Input validation error: {said} Given: 9 `inputs` tokens and {body['max_tokens']}")

    @staticmethod
    def _grammar(body: Json) -> None:
        """`GrammarType`: a tag `type` and its `value`; it excludes tools."""
        grammar = body["response_format"]
        if body.get("tools"):
            raise Refused("Tool error: Grammar and tools are mutually exclusive", "tool_error")
        if (
            grammar.get("type") not in {"json", "json_object", "json_schema", "regex"}
            or "value" not in grammar
        ):
            raise Refused("Failed to deserialize the JSON body: response_format: missing field `value`")

    # --- what it answers ------------------------------------------------------------------------------------
    def _call(self, body: Json) -> Json | None:
        """The function it calls: the chosen one, or the first; none once a result is there or none is wanted."""
        tools, choice = body.get("tools"), body.get("tool_choice", "auto")
        last = body["messages"][-1]
        answered = last["role"] == "tool" or "Answer again" in json.dumps(last)
        if not tools or choice == "none" or answered:
            return None
        name = tools[0]["function"]["name"]
        if isinstance(choice, dict):
            name = choice["function"]["name"]  # pyright: ignore[reportUnknownVariableType] JSON of a known shape
        return {"name": name, "arguments": {"city": "Paris"}}

    def _text(self, body: Json) -> str:
        return '{"city": "Paris"}' if body.get("response_format") else "Bonjour !"

    def _head(self, kind: str) -> Json:
        return {
            "id": "",
            "object": kind,
            "created": 1_760_000_000,
            "model": MODEL,
            "system_fingerprint": "3.3.7",
        }

    def _whole(self, body: Json) -> Json:
        call = self._call(body)
        message: Json = {"role": "assistant", "content": self._text(body)}
        if call is not None:
            arguments = call["arguments"] if self.old else json.dumps(call["arguments"])
            function = {"description": None, "name": call["name"], "arguments": arguments}
            message = {
                "role": "assistant",
                "tool_calls": [{"id": "0", "type": "function", "function": function}],
            }
        choice: Json = {
            "index": 0,
            "message": message,
            "logprobs": self._logprobs(body, self._text(body)) if call is None else None,
            "finish_reason": self._finish(body),
        }
        return {**self._head("chat.completion"), "choices": [choice], "usage": USAGE}

    def _finish(self, body: Json) -> str:
        """`eos_token` was said before 2.2; a stop sequence and the limit have their own words."""
        if body.get("stop"):
            return "stop_sequence"
        if body.get("max_tokens", 99) < 32:
            return "length"
        return "eos_token" if self.old else "stop"

    @staticmethod
    def _logprobs(body: Json, text: str) -> Json | None:
        if not body.get("logprobs"):
            return None
        top = [{"token": text, "logprob": -0.5}] if body.get("top_logprobs") else []
        return {"content": [{"token": text, "logprob": -0.5, "top_logprobs": top}]}

    async def _chunks(self, body: Json) -> AsyncIterator[bytes]:
        call = self._call(body)
        if call is not None:
            for delta in self._old_call(call) if self.old else self._new_call(call):
                yield self._chunk({"role": "assistant", "tool_calls": delta})
        else:
            for part in self._text(body).replace(" ", " \0").split("\0"):
                logprobs = self._logprobs(body, part)
                yield self._chunk({"role": "assistant", "content": part}, logprobs=logprobs)
        if any("crash" in str(message.get("content")) for message in body["messages"]):
            error = {
                "message": "Request failed during generation: Server error: crashed",
                "http_status_code": 422,
            }
            yield self._event({"error": error})
            return
        yield self._chunk({"role": "assistant", "content": ""}, self._finish(body))
        if body.get("stream_options", {"include_usage": False})["include_usage"]:
            yield self._event({**self._head("chat.completion.chunk"), "choices": [], "usage": USAGE})
        yield b"data: [DONE]\n\n"

    @staticmethod
    def _new_call(call: Json) -> Iterator[list[Json]]:
        arguments = json.dumps(call["arguments"])
        for name, part in ((call["name"], ""), (None, arguments[:6]), (None, arguments[6:])):
            yield [{"index": 0, "id": "0", "type": "function", "function": {"name": name, "arguments": part}}]

    @staticmethod
    def _old_call(call: Json) -> Iterator[Json]:
        text = json.dumps({"function": {"_name": call["name"], **call["arguments"]}})
        for part in (text[:20], text[20:]):
            yield {"index": 0, "id": "", "type": "function", "function": {"name": None, "arguments": part}}

    def _chunk(self, delta: Json, finish: str | None = None, logprobs: Json | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return self._event({**self._head("chat.completion.chunk"), "choices": [choice], "usage": None})

    @staticmethod
    def _event(data: Json) -> bytes:
        return b"data:" + json.dumps(data).encode() + b"\n\n"
