"""Whatever is wrong with a body of the Messages API: it is answered, or its own envelope says what is wrong."""

import asyncio
import copy
import re
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.properties.test_mutated_bodies import ODD, ask, places

PATH = re.compile(r"[\w.-]*\Z")
TURNS: list[dict[str, Any]] = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "use f", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
            },
            {
                "type": "document",
                "title": "t",
                "source": {"type": "text", "media_type": "text/plain", "data": "x"},
            },
            {
                "type": "search_result",
                "source": "s",
                "title": "t",
                "content": [{"type": "text", "text": "x"}],
            },
        ],
    },
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "redacted_thinking", "data": "d"},
            {"type": "text", "text": "yes"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": "b"}},
        ],
    },
    {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "x"}]}],
    },
    {"role": "system", "content": "late"},
]
TOOL: dict[str, Any] = {
    "name": "f",
    "description": "d",
    "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}},
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
PROMPT: dict[str, Any] = {
    "model": "demo",
    "system": [{"type": "text", "text": "be kind"}],
    "messages": TURNS,
    "tools": [TOOL, {"type": "bash_20250124", "name": "bash"}],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 2048, "display": "summarized"},
    "context_management": {
        "edits": [{"type": "clear_thinking_20251015", "keep": {"type": "thinking_turns", "value": 1}}]
    },
}
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/messages", {**PROMPT, "max_tokens": 9, "metadata": {"user_id": "u"}, "top_k": 3}),
    (
        "/v1/messages",
        {**PROMPT, "max_tokens": 9, "stream": True, "temperature": 0.5, "stop_sequences": ["x"]},
    ),
    (
        "/v1/messages",
        {
            "model": "demo",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "hi"}],
            "output_config": {
                "effort": "low",
                "format": {"type": "json_schema", "schema": SCHEMA},
            },
        },
    ),
    ("/v1/messages/count_tokens", PROMPT),
]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    path, valid = draw(st.sampled_from(BODIES))
    body = copy.deepcopy(valid)
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
        holder, key = draw(st.sampled_from(list(places(body)) or [(body, "model")]))
        match draw(st.sampled_from(["replace", "replace", "replace", "remove", "wrap"])):
            case "remove" if key in holder or isinstance(key, int):
                del holder[key]
            case "wrap":
                holder[key] = [holder[key]] if isinstance(key, int) or key in holder else []
            case _:
                holder[key] = copy.deepcopy(draw(st.sampled_from(ODD)))
    return path, body


@settings(max_examples=300, deadline=None)
@given(mutated())
def test_a_mutated_body_is_answered_or_refused(made: tuple[str, dict[str, Any]]) -> None:
    path, body = made
    got = asyncio.run(ask(path, body))
    event(f"{path} {got.status}")
    assert got.ended
    if got.status == 500:  # no value fits that schema
        assert got.json["error"]["message"].startswith("the model was asked twice")
    elif got.status != 200:
        assert got.status in (400, 404)
        assert set(got.json) == {"type", "error", "request_id"}
        assert got.json["error"]["type"] in ("invalid_request_error", "not_found_error")
        assert "[" not in "".join(re.findall(r"^`([^`]*)`:", got.json["error"]["message"]))
    elif body.get("stream") is True:
        assert got.events[0]["type"] == "message_start"
        assert got.events[-1]["type"] in ("message_stop", "error")
