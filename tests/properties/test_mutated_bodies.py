"""Whatever is wrong with a body: each route answers it, or says in the envelope what is wrong. None fails itself."""

import asyncio
import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from antiphon.app import serve, services_for
from antiphon.config.settings import Settings
from antiphon.core.json_values import is_array, is_object
from antiphon.models.catalog import Catalog
from antiphon.ports import ITEMS as ITEMS_ADDED
from antiphon.ports import StoredChat, StoredConversation, StoredPrompt, StoredResponse
from antiphon.providers.upstream import UpstreamClient
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, FakeIds, PlainSealer, scripted_model
from antiphon.testing.simulation import Answer, exchange
from antiphon.web.auth import ANONYMOUS

FUNCTION: dict[str, Any] = {
    "name": "f",
    "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
}
SCHEMA: dict[str, Any] = {"name": "n", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}
GRAMMAR: dict[str, Any] = {"type": "grammar", "syntax": "regex", "definition": "a+"}
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": [{"type": "text", "text": "use f"}]},
    {
        "role": "assistant",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c", "content": "done"},
]
IMAGE: dict[str, Any] = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
PROMPT = StoredPrompt(
    "pmpt_1", 1, 0, is_default=True, body=b'{"prompt":"{{ a }} {{ c }}","variables":["a","c"]}'
)
ITEMS: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "input_text", "text": "use f and g"}]},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "content": []},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "done"},
    {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "aa"},
    {"type": "custom_tool_call_output", "call_id": "d", "output": [{"type": "input_text", "text": "done"}]},
]
MACHINE_TOOLS: list[dict[str, Any]] = [
    {"type": "computer_use_preview", "environment": "mac", "display_width": 800, "display_height": 600},
    {"type": "local_shell"},
    {
        "type": "shell",
        "environment": {"type": "local", "skills": [{"name": "s", "description": "d", "path": "/s"}]},
    },
    {"type": "apply_patch"},
    {
        "type": "namespace",
        "name": "crm",
        "description": "Customers",
        "tools": [{"type": "function", **FUNCTION}, {"type": "custom", "name": "g", "format": GRAMMAR}],
    },
    {"type": "tool_search", "execution": "server"},
    {"type": "function", **FUNCTION, "defer_loading": True},
]
SHELL_ACTION: dict[str, Any] = {"commands": ["ls"], "timeout_ms": 5, "max_output_length": None}
MACHINE_CALLS: list[dict[str, Any]] = [
    {"role": "user", "content": "work"},
    {
        "type": "computer_call",
        "id": "cu",
        "call_id": "c",
        "pending_safety_checks": [{"id": "s"}],
        "status": "completed",
        "action": {"type": "drag", "path": [{"x": 1, "y": 2}]},
    },
    {
        "type": "computer_call_output",
        "call_id": "c",
        "output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,AAAA"},
    },
    {
        "type": "local_shell_call",
        "id": "l",
        "call_id": "d",
        "status": "completed",
        "action": {"type": "exec", "command": ["ls"], "env": {"A": "b"}},
    },
    {"type": "local_shell_call_output", "id": "d", "output": "x"},
    {"type": "shell_call", "call_id": "e", "action": SHELL_ACTION, "status": "completed"},
    {
        "type": "shell_call_output",
        "call_id": "e",
        "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
    },
    {
        "type": "apply_patch_call",
        "call_id": "f",
        "status": "completed",
        "operation": {"type": "update_file", "path": "a", "diff": "+a"},
    },
    {"type": "apply_patch_call_output", "call_id": "f", "status": "failed", "output": "no"},
    {"type": "tool_search_call", "call_id": None, "execution": "server", "arguments": {"query": "x"}},
    {
        "type": "tool_search_output",
        "call_id": None,
        "execution": "server",
        "tools": [{"type": "function", "name": "found", "parameters": {}, "strict": False}],
    },
    {"type": "additional_tools", "role": "developer", "tools": MACHINE_TOOLS[4:5]},
    {"type": "function_call", "call_id": "g", "name": "f", "namespace": "crm", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "g", "output": "done"},
]
MACHINE: dict[str, Any] = {
    "input": MACHINE_CALLS,
    "tools": MACHINE_TOOLS,
    "tool_choice": {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "shell"}, {"type": "namespace", "name": "crm"}],
    },
}
LONG: list[dict[str, Any]] = [
    {"role": "user", "content": "remember the lighthouse " * 400},
    {"role": "assistant", "content": "yes"},
    {"role": "user", "content": "what was it?"},
]
FULL: list[dict[str, Any]] = [{"type": "compaction", "compact_threshold": 1000}]
CONVERSATION = StoredConversation("conv_1", 0, b"{}", "resp_1")
ADDED = StoredResponse(
    "resp_1",
    None,
    ITEMS_ADDED,
    "",
    0,
    b"{}",
    b'[{"type":"message","id":"msg_1","role":"user","status":"completed","content":[{"type":"input_text","text":"hi"}]}]',
    b"[]",
)
CHAT = StoredChat(
    "chatcmpl-1", "demo", 0, b"{}", b'{"id":"chatcmpl-1","object":"chat.completion","choices":[]}', b"[]"
)
MODELLESS = ("/v1/conversations", "/v1/prompts/", "/v1/chat/completions/")
"""The beginnings of paths whose bodies name no model."""
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/responses", MACHINE),
    ("/v1/responses", {"input": MACHINE_CALLS[:1], "tools": MACHINE_TOOLS, "tool_choice": {"type": "shell"}}),
    ("/v1/responses", {"input": MACHINE_CALLS, "stream": True}),
    ("/v1/responses/input_tokens", MACHINE),
    ("/v1/conversations", {"items": MACHINE_CALLS}),
    ("/v1/conversations", {"items": ITEMS, "metadata": {"team": "blue"}}),
    ("/v1/conversations/conv_1", {"metadata": {"team": "blue"}}),
    ("/v1/conversations/conv_1/items", {"items": ITEMS}),
    ("/v1/responses", {"input": "hi", "conversation": {"id": "conv_1"}, "store": True}),
    ("/v1/responses", {"input": [{"type": "item_reference", "id": "msg_1"}], "conversation": "conv_1"}),
    ("/v1/responses", {"input": [*LONG, {"type": "compaction_trigger"}], "stream": True}),
    ("/v1/responses", {"input": LONG, "context_management": FULL, "store": False}),
    ("/v1/responses/compact", {"input": ITEMS, "instructions": "Be kind.", "prompt_cache_key": "k"}),
    ("/v1/responses/input_tokens", {"input": LONG, "conversation": "conv_1"}),
    ("/v1/prompts/pmpt_1", {"prompt": "Be {{ a }}.", "variables": ["a"], "version": 1}),
    ("/v1/prompts/pmpt_1/set-default-version", {"version": 1}),
    ("/v1/chat/completions/chatcmpl-1", {"metadata": {"team": "blue"}}),
    (
        "/v1/responses",
        {
            "input": ITEMS,
            "tools": [{"type": "function", **FUNCTION}, {"type": "custom", "name": "g", "format": GRAMMAR}],
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "custom", "name": "g"}],
            },
        },
    ),
    (
        "/v1/responses",
        {
            "input": "hi",
            "stream": True,
            "text": {"format": {"type": "json_schema", "strict": True, **SCHEMA}, "verbosity": "low"},
            "reasoning": {"effort": "low", "summary": "auto"},
            "include": ["reasoning.encrypted_content"],
            "metadata": {"team": "blue"},
            "temperature": 0.5,
            "max_output_tokens": 64,
            "max_tool_calls": 3,
        },
    ),
    ("/v1/chat/completions", {"messages": MESSAGES, "tools": [{"type": "function", "function": FUNCTION}]}),
    (
        "/v1/chat/completions",
        {
            "messages": MESSAGES[:2],
            "stream": True,
            "stream_options": {"include_usage": True},
            "response_format": {"type": "json_schema", "json_schema": SCHEMA},
        },
    ),
    ("/v1/chat/completions", {"messages": MESSAGES, "store": True, "metadata": {"team": "blue"}}),
    ("/v1/chat/completions", {"messages": MESSAGES[:2], "stream": True, "store": True}),
    ("/v1/responses", {"prompt": {"id": "pmpt_1", "version": "1", "variables": {"a": "b", "c": IMAGE}}}),
    ("/v1/prompts", {"prompt": "Be {{ a }} or {{ b }}.", "variables": ["a", "b"], "model": "demo"}),
    ("/v1/completions", {"prompt": "hi", "max_tokens": 5, "stop": ["x"]}),
    ("/v1/embeddings", {"input": ["a", "b"], "dimensions": 4, "encoding_format": "base64"}),
    ("/v1/embeddings", {"input": [[1, 2], [3]]}),
    ("/v1/rerank", {"query": "a", "documents": ["a", {"text": "b"}], "top_n": 1, "return_documents": True}),
    (
        "/v1alpha/inference/rerank",
        {"query": {"type": "text", "text": "a"}, "items": ["a"], "max_num_results": 1},
    ),
]
ODD: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        2**63,
        1.5,
        1e308,
        "",
        " ",
        "\0",
        "x",
        "none",
        "required",
        "é" * 3000,
    ),
    *(
        [],
        [[]],
        [None],
        {},
        {"": 1},
        {"type": "x"},
        {"type": None},
        {"$ref": "#"},
        {"pattern": "("},
        {"minimum": "x"},
    ),
    *(
        "data:,",
        "http://127.0.0.1:1/x",
        "resp_1",
        {"type": "function", "name": "f"},
        {"minItems": 10**9},
        "start: (",
    ),
]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each container of a JSON value with each of its keys."""
    if is_object(value):
        for key in list(value):
            yield value, key
            yield from places(value[key])
    elif is_array(value):
        for at in range(len(value)):
            yield value, at
            yield from places(value[at])


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    path, valid = draw(st.sampled_from(BODIES))
    body = copy.deepcopy(valid) if path.startswith(MODELLESS) else {"model": "demo", **copy.deepcopy(valid)}
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        found = list(places(body))
        if not found:
            break
        holder, key = draw(st.sampled_from(found))
        match draw(st.sampled_from(["replace", "replace", "replace", "remove", "add", "wrap"])):
            case "remove":
                del holder[key]
            case "add" if is_object(holder):
                name = draw(st.sampled_from(["type", "id", "name", "text", "other"]))
                holder[name] = copy.deepcopy(draw(st.sampled_from(ODD)))
            case "wrap":
                holder[key] = [holder[key]]
            case _:
                holder[key] = copy.deepcopy(draw(st.sampled_from(ODD)))
    return path, body


async def ask(path: str, body: dict[str, Any]) -> Answer:
    clock, ids = FakeClock(), FakeIds()
    client = UpstreamClient(clock)
    catalog = Catalog({"demo": scripted_model()}, clock=clock)
    store = MemoryStore()
    await store.prompts.create_prompt(ANONYMOUS, PROMPT)
    await store.conversations.create(ANONYMOUS, CONVERSATION, ADDED)
    await store.chats.add_chat(ANONYMOUS, CHAT)
    services = services_for(Settings(), catalog, store, client, clock, ids, sealer=PlainSealer())
    return await exchange(serve(services, ids), "POST", path, body)


@settings(max_examples=600, deadline=None)
@given(mutated())
def test_a_mutated_body_is_answered_or_refused(made: tuple[str, dict[str, Any]]) -> None:
    path, body = made
    got = asyncio.run(ask(path, body))
    event(f"{path} {got.status}")
    assert got.ended
    assert got.status in (200, 400, 404, 409)
    if got.status != 200:
        assert set(got.json) == {"error"}
        assert set(got.json["error"]) == {"message", "type", "param", "code"}
    elif path == "/v1/responses" and body.get("stream") is True:
        assert [one["sequence_number"] for one in got.events] == list(range(len(got.events)))
        assert got.events[-1]["type"] in ("response.completed", "response.incomplete", "response.failed")
