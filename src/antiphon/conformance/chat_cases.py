"""The cases of `/v1/models` and `/v1/chat/completions`."""

import json
from typing import Annotated, Literal, cast
from urllib.parse import quote

import msgspec
from msgspec import Meta

from antiphon.chat.answers import ChatCompletion, ChatCompletionChunk
from antiphon.conformance.response_cases import ASK_WEATHER, HELLO, WEATHER
from antiphon.conformance.server import NOT_BUILT, NotSupported, Server, expect
from antiphon.conformance.shapes import violation
from antiphon.conformance.stream import Json, frames

TOOL: Json = {
    "type": "function",
    "function": {key: WEATHER[key] for key in ("name", "description", "parameters")},
}
_COMPLETIONS = "/chat/completions"
_ENDS = ("stop", "length")


class ListedModel(msgspec.Struct):
    """`Model` of the official OpenAPI; servers add much to it."""

    id: Annotated[str, Meta(min_length=1)]
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(msgspec.Struct):
    object: Literal["list"]
    data: list[ListedModel]


class CompletionList(msgspec.Struct):
    object: Literal["list"]
    data: list[ChatCompletion]
    first_id: str | None
    last_id: str | None
    has_more: bool


def models_list(server: Server) -> None:
    page = server.get("/models", ModelList, optional=True)
    ids = [model["id"] for model in page["data"]]
    expect(ids, "no model is listed")
    expect(len(set(ids)) == len(ids), "a model is listed twice")


def models_retrieve(server: Server) -> None:
    listed: list[Json] = server.get("/models", ModelList, optional=True)["data"]
    expect(listed, "no model is listed")
    path = f"/models/{quote(listed[0]['id'], safe='/:')}"
    answer = server.client.send("GET", path)
    if answer.status in NOT_BUILT:
        raise NotSupported(f"GET {path} answered {answer.status}")
    found = server.json(answer, f"GET {path}", ListedModel)
    expect(found["id"] == listed[0]["id"], f"GET {path} answered with the model {found['id']}")


def models_unknown(server: Server) -> None:
    models_retrieve(server)
    server.refused("GET", "/models/no-such-model-here", None, (404,))


def _ask(server: Server, words: str = HELLO, **more: object) -> Json:
    return {"model": server.model, "messages": [{"role": "user", "content": words}], **more}


def _completion(server: Server, body: Json) -> Json:
    answer = server.client.send("POST", _COMPLETIONS, body)
    if answer.status in NOT_BUILT:
        raise NotSupported(f"POST {_COMPLETIONS} answered {answer.status}")
    completion = server.json(answer, f"POST {_COMPLETIONS}", ChatCompletion)
    expect(completion["choices"], "the completion has no choice")
    return completion


def basic(server: Server) -> None:
    completion = _completion(server, _ask(server))
    choice = completion["choices"][0]
    expect(choice["message"]["content"], "the completion has no text")
    expect(choice["finish_reason"] in _ENDS, f"finish_reason is {choice['finish_reason']!r}")
    expect(completion.get("usage"), "the completion has no usage")


def _chunks(server: Server, body: Json) -> list[Json]:
    """The chunks of a stream that is framed and ended as clients expect."""
    answer = server.client.send("POST", _COMPLETIONS, {**body, "stream": True})
    if answer.status in NOT_BUILT:
        raise NotSupported(f"POST {_COMPLETIONS} answered {answer.status}")
    expect(answer.status == 200, f"POST {_COMPLETIONS} with stream answered {answer.status}")
    expect(answer.media == "text/event-stream", f"a stream has content-type {answer.media!r}")
    data = [line for frame in frames(answer.body.replace(b"\r\n", b"\n")) for line in frame.data]
    expect(data and data[-1] == "[DONE]", "the stream does not end with data: [DONE]")
    chunks: list[Json] = []
    for line in data[:-1]:
        try:
            chunk = json.loads(line)
        except ValueError:
            chunk = None
        expect(isinstance(chunk, dict), f"a chunk is no JSON object: {line[:200]}")
        wrong = violation(chunk, ChatCompletionChunk)
        expect(wrong is None, f"a chunk: {wrong}: {line[:200]}")
        chunks.append(cast("Json", chunk))
    ids = {chunk["id"] for chunk in chunks}
    expect(len(ids) == 1, f"the chunks of one completion have the ids {sorted(ids)}")
    return chunks


def _choices(chunks: list[Json]) -> list[Json]:
    return [choice for chunk in chunks for choice in chunk["choices"]]


def stream(server: Server) -> None:
    chunks = _chunks(server, _ask(server))
    text = "".join(choice["delta"].get("content") or "" for choice in _choices(chunks))
    expect(text, "the stream has no text")
    reasons = [choice["finish_reason"] for choice in _choices(chunks) if choice["finish_reason"]]
    expect(len(reasons) == 1 and reasons[0] in _ENDS, f"finish_reason is {reasons}, expected one: stop")


def stream_usage(server: Server) -> None:
    chunks = _chunks(server, _ask(server, stream_options={"include_usage": True}))
    expect(chunks[-1].get("usage"), "the last chunk has no usage, include_usage asks for it")
    expect(not chunks[-1]["choices"], "the chunk with the usage has choices")


def tool_call(server: Server) -> None:
    body = _ask(server, ASK_WEATHER, tools=[TOOL], tool_choice="required")
    choice = _completion(server, body)["choices"][0]
    calls: list[Json] = choice["message"].get("tool_calls") or []
    expect(calls, "the tool was required and is not called")
    expect(calls[0]["function"]["name"] == "get_weather", f"the call is of {calls[0]['function']['name']}")
    _arguments(calls[0]["function"]["arguments"])


def tool_call_stream(server: Server) -> None:
    chunks = _chunks(server, _ask(server, ASK_WEATHER, tools=[TOOL], tool_choice="required"))
    pieces = [piece for choice in _choices(chunks) for piece in choice["delta"].get("tool_calls") or ()]
    expect(pieces, "the tool was required and is not called")
    first = pieces[0]
    expect(first.get("id"), "the first piece of a call has no id")
    expect(first.get("type") == "function", "the first piece of a call has no type: function")
    expect(first["function"].get("name") == "get_weather", "the first piece of a call has no name")
    expect(all("index" in piece for piece in pieces), "a piece of a call has no index")
    _arguments("".join(piece["function"].get("arguments") or "" for piece in pieces if piece["index"] == 0))


def tool_result(server: Server) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    body = _ask(server, ASK_WEATHER, tools=[TOOL], tool_choice="none")
    body["messages"] += [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees, clear"},
    ]
    expect(_completion(server, body)["choices"][0]["message"]["content"], "the completion has no text")


def wrong_type(server: Server) -> None:
    _completion(server, _ask(server))
    error = server.refused("POST", _COMPLETIONS, {"model": server.model, "messages": 12}, (400,))
    found = error.get("param")
    expect(str(found).startswith("messages"), f"`param` is {found!r}, at fault is messages")


def unknown_model(server: Server) -> None:
    _completion(server, _ask(server))
    body = {**_ask(server), "model": "no-such-model-here"}
    server.refused("POST", _COMPLETIONS, body, (400, 404))


def _kept(server: Server, completion_id: str) -> Json:
    """The stored completion. Raises NotSupported when the server has none: not every server stores completions."""
    path = f"{_COMPLETIONS}/{completion_id}"
    answer = server.client.send("GET", path)
    if answer.status in NOT_BUILT:
        raise NotSupported(f"GET {path} answered {answer.status}")
    return server.json(answer, f"GET {path}", ChatCompletion)


def stored(server: Server) -> None:
    completion = _completion(server, _ask(server, store=True, metadata={"case": "stored"}))
    kept = _kept(server, completion["id"])
    for key in ("id", "model", "choices"):
        was, now = completion[key], kept[key]
        expect(was == now, f"`{key}` was {was!r} and is stored as {now!r}")
    listed = server.get(f"{_COMPLETIONS}?limit=1&order=desc&metadata[case]=stored", CompletionList)
    ids = [one["id"] for one in listed["data"]]
    expect(ids == [completion["id"]], f"the newest stored completion is not listed, but {ids}")


def stored_stream(server: Server) -> None:
    chunks = _chunks(server, _ask(server, store=True))
    said = "".join(choice["delta"].get("content") or "" for choice in _choices(chunks))
    kept = _kept(server, chunks[0]["id"])["choices"][0]["message"]["content"]
    expect(kept == said, f"the stream said {said[:100]!r} and is stored as {str(kept)[:100]!r}")


def stored_delete(server: Server) -> None:
    completion_id = _completion(server, _ask(server, store=True))["id"]
    _kept(server, completion_id)
    path = f"{_COMPLETIONS}/{completion_id}"
    gone = server.json(server.client.send("DELETE", path), f"DELETE {path}")
    expect(gone.get("deleted") is True, f"DELETE {path} answered `deleted`: {gone.get('deleted')!r}")
    server.refused("GET", path, None, (404,))


def _arguments(text: str) -> None:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    expect(isinstance(value, dict), f"the arguments are no JSON object: {text[:200]}")
