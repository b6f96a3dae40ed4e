"""A chat completions upstream that knows text alone: it refuses tools, and calls in words, in the form it was told."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.threaded_server import ThreadedServer

Json = dict[str, Any]
USAGE: Json = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
CALLS = {
    '{"type": "function", "name"': (
        'One moment.\n\n{"type": "function", "name": "weather", "parameters": {"city": "Paris"}}\n'
        '{"type": "function", "name": "weather", "parameters": {"city": "Rome \\u00e9"}}<|eom_id|>'
    ),
    "<function=name": (
        'One moment.\n\n<function=weather>{"city": "Paris"}</function>\n<function=weather>{"city": "Rome é"}</function>'
    ),
    "[name_of_a_function(": 'One moment.\n\n[weather(city="Paris"), weather(city="Rome é")]',
}
"""By a piece of the instructions."""
BROKEN = '{"type": "function", "name": "weather", "parameters": {"city": '


@dataclass(slots=True)
class Seen:
    requests: list[Json] = field(default_factory=list[Json])


def _answer(body: Json) -> str:
    """A call of `weather` where there is something to call, then what it returned; `broken` never ends its call."""
    messages: list[Json] = body["messages"]
    told = messages[0]["content"] if messages[0]["role"] == "system" else ""
    last = messages[-1]["content"]
    if body["model"] == "broken":
        return BROKEN
    if body["model"] == "formatted":
        return '{"city": "Paris"}' if last.startswith("Your answer does not match") else "Paris"
    if "<result" in last or "Call no function" in told:
        return f"It says: {last}"
    return next((calls for piece, calls in CALLS.items() if piece in told), f"You said: {last}")


def _head(body: Json, kind: str) -> Json:
    return {"id": "chatcmpl-text", "object": kind, "created": 1_760_000_000, "model": body["model"]}


class Texting(ThreadedServer[Seen]):
    def __init__(self) -> None:
        super().__init__(Seen())

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/models", self._models), web.post("/v1/chat/completions", self._chat)]

    async def _models(self, _: web.Request) -> web.Response:
        names = ("texting", "broken", "formatted")
        return web.json_response(
            {"object": "list", "data": [{"id": one, "object": "model"} for one in names]}
        )

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body: Json = await request.json()
        self._note(lambda seen: seen.requests.append(body))
        foreign = {"tools", "tool_choice", "parallel_tool_calls"} & set(body)
        foreign |= {one["role"] for one in body["messages"]} - {"system", "user", "assistant"}
        if foreign or any("tool_calls" in one for one in body["messages"]):
            return web.json_response({"error": {"message": f"unknown here: {foreign}"}}, status=400)
        text = _answer(body)
        if not body.get("stream"):
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return web.json_response({**_head(body, "chat.completion"), "choices": [choice], "usage": USAGE})
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        async for data in self._chunks(body, text):
            await response.write(data)
        return response

    async def _chunks(self, body: Json, text: str) -> AsyncIterator[bytes]:
        deltas: list[Json] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": text[at : at + 5]} for at in range(0, len(text), 5)]
        head = _head(body, "chat.completion.chunk")
        for at, delta in enumerate([*deltas, {}]):
            choice = {"index": 0, "delta": delta, "finish_reason": "stop" if at == len(deltas) else None}
            yield b"data: %b\n\n" % json.dumps({**head, "choices": [choice]}).encode()
        yield b"data: %b\n\n" % json.dumps({**head, "choices": [], "usage": USAGE}).encode()
        yield b"data: [DONE]\n\n"
