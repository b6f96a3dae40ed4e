"""The question in a request: what the model is asked, in one form for both APIs, so that it can be found again.

Ids, statuses, reasoning and the parameters of sampling are left out. A call and its output are named by the place of
the call, since ids differ from run to run; arguments are compared as JSON. Instructions are a system message.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from antiphon.core.commands import CallModel
from antiphon.core.compacting import INSTRUCTIONS
from antiphon.core.json_values import is_array, is_object
from antiphon.core.wire import JsonObject, decode_json

_DROPPED = frozenset({"id", "status", "phase", "created_by", "caller", "prompt_cache_breakpoint"})
_UNASKED = frozenset({"model", "user", "encoding_format"})
_TEXTS = frozenset({"input_text", "output_text", "text", "refusal"})
_ROLES = {"developer": "system", "function": "tool"}
_SORTED = msgspec.json.Encoder(order="sorted")


def key_of(question: JsonObject) -> str:
    """A hash of a question; the order of keys does not matter."""
    return hashlib.blake2s(_SORTED.encode(question), digest_size=16).hexdigest()


def question_of_call(call: CallModel) -> JsonObject:
    """The question of one step of a response."""
    request = call.request
    instructions = call.transcript.instructions
    items = [{"role": "system", "content": instructions}] if instructions else []
    items += _plain(call.transcript.all_items())
    text_format = _plain(request.text).get("format") if request.text is not None else None
    return _question(
        messages=list(_messages(items)),
        tools=[_tool(tool) for tool in _plain(request.tools or [])],
        choice=_choice(_plain(call.tool_choice)),
        format=_format(text_format),
    )


def asks_for_summary(question: JsonObject) -> bool:
    """Whether a context is to be compacted by it."""
    messages: list[JsonObject] = question.get("messages") or [{}]
    told = messages[0]
    return told.get("role") == "system" and str(told.get("content")).startswith(INSTRUCTIONS)


def question_of_chat(body: JsonObject) -> JsonObject:
    """The question of a chat completion, or of a text completion by its `prompt`."""
    if "prompt" in body:
        return {"messages": [{"role": "user", "content": body["prompt"]}]}
    functions: list[Any] = body.get("functions") or []
    tools: list[Any] = body.get("tools") or [{"function": one} for one in functions]
    return _question(
        messages=list(_messages(_chat_items(body.get("messages") or []))),
        tools=[_tool(tool) for tool in tools],
        choice=_choice(body.get("tool_choice") or body.get("function_call")),
        format=_format(body.get("response_format")),
    )


def question_of_body(path: str, body: JsonObject) -> JsonObject:
    """The question of a request that is passed on, by its path. The form of vectors is no part of it."""
    if path in ("/chat/completions", "/completions"):
        return question_of_chat(body)
    return {name: value for name, value in body.items() if name not in _UNASKED and value is not None}


def _question(**parts: Any) -> JsonObject:
    """What is empty or the default is left out, so that both ways of saying it are one."""
    return {name: value for name, value in parts.items() if name == "messages" or value}


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value)


def _chat_items(messages: list[JsonObject]) -> Iterator[JsonObject]:
    """Chat messages as items: a call for each of `tool_calls`."""
    for message in messages:
        role = _ROLES.get(str(message.get("role")), message.get("role"))
        if role == "tool":
            output = message.get("content")
            yield {"type": "function_call_output", "call_id": message.get("tool_call_id"), "output": output}
            continue
        if message.get("content") not in (None, "", []):
            yield {"role": role, "content": message["content"]}
        calls: list[JsonObject] = message.get("tool_calls") or []
        yield from (_chat_call(call) for call in calls)


def _chat_call(call: JsonObject) -> JsonObject:
    inner: JsonObject = call.get("function") or call.get("custom") or {}
    arguments = inner.get("arguments", inner.get("input"))
    return {
        "type": "function_call",
        "call_id": call.get("id"),
        "name": inner.get("name"),
        "arguments": arguments,
    }


def _messages(items: Any) -> Iterator[JsonObject]:
    places: dict[str, int] = {}
    for item in items:
        kind = item.get("type", "message")
        call_id = str(item.get("call_id"))
        if kind == "reasoning":
            continue
        if kind == "message":
            role = _ROLES.get(item["role"], item["role"])
            yield {"role": role, "content": _content(item["content"])}
        elif kind in ("function_call", "custom_tool_call"):
            place = places.setdefault(call_id, len(places))
            arguments = _arguments(item.get("arguments", item.get("input")))
            yield {"call": place, "name": item.get("name"), "arguments": arguments}
        elif kind in ("function_call_output", "custom_tool_call_output"):
            place = places.setdefault(call_id, len(places))
            yield {"output_of": place, "output": _content(item.get("output"))}
        else:
            yield {name: value for name, value in item.items() if name not in _DROPPED}


def _content(content: Any) -> Any:
    """Text where there is nothing but text, else the list of parts."""
    if not is_array(content):
        return content or ""
    if all(is_object(part) and part.get("type") in _TEXTS for part in content):
        return "".join(str(part.get("text") or part.get("refusal") or "") for part in content)
    return [_part(part) for part in content]


def _part(part: Any) -> Any:
    if not is_object(part):
        return part
    if part.get("type") in _TEXTS:
        return {"type": "text", "text": part.get("text") or part.get("refusal") or ""}
    if part.get("type") in ("input_image", "image_url"):
        url = part.get("image_url")
        return {"type": "image", "url": url.get("url") if is_object(url) else url}
    return {name: value for name, value in part.items() if name not in _DROPPED and value is not None}


def _arguments(arguments: Any) -> Any:
    if not isinstance(arguments, str):
        return arguments
    try:
        return decode_json(arguments)
    except (ValueError, RecursionError):
        return arguments


def _tool(tool: Any) -> Any:
    """Both APIs' tools in the flat form, without what says nothing."""
    inner = tool.get("function") or tool.get("custom") or tool
    kind = tool.get("type", "function")
    dropped = {"type", "strict"}
    kept = {
        name: value for name, value in inner.items() if value not in (None, False) and name not in dropped
    }
    return kept if kind == "function" else {"type": kind, **kept}


def _choice(choice: Any) -> Any:
    if choice in (None, "auto"):
        return None
    if is_object(choice) and is_object(choice.get("function")):
        return {"type": "function", "name": choice["function"].get("name")}
    return choice


def _format(asked: Any) -> Any:
    if not is_object(asked) or asked.get("type") == "text":
        return None
    inner = asked.get("json_schema") if is_object(asked.get("json_schema")) else asked
    return {"type": asked["type"], "schema": inner.get("schema")} if is_object(inner) else asked
