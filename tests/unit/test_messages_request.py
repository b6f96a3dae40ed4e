"""Messages bodies: what the engine is asked for them, and how a bad one is refused."""

import hashlib
from typing import Any

import pytest

from antiphon.core.body import FormatJsonSchema
from antiphon.core.effort import BUDGETS, effort_of
from antiphon.core.errors import InvalidRequest, UnsupportedParameter
from antiphon.core.items import (
    FunctionCall,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputText,
    Message,
    OutputText,
    Reasoning,
)
from antiphon.core.request import ResponseRequest
from antiphon.core.tools import ChooseFunction, FunctionTool
from antiphon.core.wire import UNSET, encode
from antiphon.messages.refused import BLOCKS, FIELDS
from antiphon.messages.request import parse_count, parse_messages, thoughts_wanted, to_response

Json = dict[str, Any]
SEALED = "sealed-by-us"
EPHEMERAL: Json = {"type": "ephemeral"}
TOOL: Json = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
USE: Json = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}}
RESULT: Json = {"type": "tool_result", "tool_use_id": "t1", "content": "21"}
HI: Json = {"role": "user", "content": "hi"}


def body(**fields: Any) -> bytes:
    whole = {"model": "m", "max_tokens": 9, "messages": [HI], **fields}
    return encode({name: value for name, value in whole.items() if value is not ...})


def asked(left_out: list[str] | None = None, /, **fields: Any) -> ResponseRequest:
    request, _ = to_response(
        parse_messages(body(**fields)), SEALED.__eq__, left_out if left_out is not None else []
    )
    return request


def items(*messages: Json, left_out: list[str] | None = None, **fields: Any) -> list[Any]:
    found = asked(left_out, messages=list(messages), **fields).input
    assert isinstance(found, list)
    return list(found)


def user(*blocks: Json) -> Json:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Json) -> Json:
    return {"role": "assistant", "content": list(blocks)}


def text(said: str, **more: Any) -> Json:
    return {"type": "text", "text": said, **more}


def test_a_turn_of_either_role_is_one_message() -> None:
    found = items(
        HI, user(text("there")), assistant(text("yes"), text("?")), {"role": "assistant", "content": "!"}, HI
    )
    assert [item.role for item in found] == ["user", "assistant", "user"]
    assert found[0].content == [InputText(text="hi"), InputText(text="there")]
    assert [part.text for part in found[1].content if isinstance(part, OutputText)] == ["yes", "?", "!"]


def test_calls_and_results_become_items_in_their_order() -> None:
    image: Json = {"type": "image", "source": {"type": "base64", "media_type": "image/PNG", "data": "aGk="}}
    second = {**USE, "id": "t2"}
    answers = [
        {**RESULT, "content": [text("21"), image]},
        {**RESULT, "tool_use_id": "t2", "content": [text("8")]},
    ]
    found = items(HI, assistant(text("Let me look."), USE, second), user(*answers, text("so?")))
    assert [type(item) for item in found] == [
        *(Message, Message, FunctionCall, FunctionCall),
        *(FunctionCallOutput, FunctionCallOutput, Message),
    ]
    assert found[2] == FunctionCall(call_id="t1", name="weather", arguments='{"city":"Oslo"}')
    assert found[4].output == [
        InputText(text="21"),
        InputImage(image_url="data:image/png;base64,aGk=", detail="auto"),
    ]
    assert found[5].output == "8"


@pytest.mark.parametrize(
    ("result", "output"),
    [
        ({}, "21"),
        ({"content": None}, ""),
        ({"content": []}, ""),
        ({"is_error": True}, "Error: 21"),
        ({"is_error": True, "content": ""}, "Error:"),
        (
            {"is_error": True, "content": "<tool_use_error>no</tool_use_error>"},
            "<tool_use_error>no</tool_use_error>",
        ),
        ({"is_error": True, "content": [text("ERROR 5")]}, "ERROR 5"),
        ({"is_error": True, "content": [text("no")]}, [InputText(text="Error:"), InputText(text="no")]),
    ],
)
def test_a_result_that_failed_says_so(result: Json, output: object) -> None:
    assert items(HI, assistant(USE), user({**RESULT, **result}))[-1].output == output


def test_system_blocks_are_instructions_and_later_ones_part_of_the_users_turn() -> None:
    early: Json = {"role": "system", "content": "Be early."}
    late: Json = {"role": "system", "content": [text("Be late.", cache_control=EPHEMERAL)]}
    request = asked(system=[text("Be nice.", cache_control=EPHEMERAL), text(" ")], messages=[early, HI, late])
    assert request.instructions == "Be nice.\n\nBe early."
    assert isinstance(request.input, list)
    [message] = request.input
    assert isinstance(message, Message)
    told = message.content[1]
    assert isinstance(told, InputText)
    assert (told.text, bool(told.prompt_cache_breakpoint)) == ("<system>\nBe late.\n</system>", True)
    assert asked(system="Be.").instructions == "Be."


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        (text("a", citations=None), [InputText(text="a")]),
        (text(""), []),
        (
            {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}},
            [InputImage(image_url="https://x/a.png", detail="auto")],
        ),
        (
            {
                "type": "document",
                "title": "a.pdf",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            },
            [InputFile(filename="a.pdf", file_data="data:application/pdf;base64,JVBERi0=")],
        ),
        (
            {
                "type": "document",
                "title": "Notes",
                "source": {"type": "text", "media_type": "text/plain", "data": "x"},
                "citations": {"enabled": False},
            },
            [InputText(text="<document>\nNotes\nx\n</document>")],
        ),
        (
            {"type": "document", "source": {"type": "content", "content": [text("x")]}},
            [InputText(text="x")],
        ),
        (
            {"type": "search_result", "source": "https://x", "title": "X", "content": [text("a"), text("b")]},
            [InputText(text="<search_result>\nX\nhttps://x\n\na\n\nb\n</search_result>")],
        ),
    ],
)
def test_each_block_of_the_user_is_shown_as_parts(block: Json, parts: list[object]) -> None:
    assert items(user(block, text("end")))[0].content == [*parts, InputText(text="end")]


def test_a_thought_that_we_sealed_is_restored_and_another_one_keeps_its_text() -> None:
    left_out: list[str] = []
    ours: Json = {"type": "thinking", "thinking": "hm", "signature": SEALED}
    theirs: Json = {"type": "thinking", "thinking": "ah", "signature": "EqQB"}
    hidden: Json = {"type": "redacted_thinking", "data": "foreign"}
    kept: Json = {"type": "redacted_thinking", "data": SEALED}
    turn = assistant(ours, theirs, hidden, kept, text("yes"))
    found = items(HI, turn, HI, left_out=left_out)
    thoughts = [item for item in found if isinstance(item, Reasoning)]
    assert [(one.encrypted_content or None, bool(one.content)) for one in thoughts] == [
        (SEALED, False),
        (None, True),
        (SEALED, False),
    ]
    assert left_out == ["messages.1.content.1.signature", "messages.1.content.2.data"]


@pytest.mark.parametrize(
    ("keep", "kept"), [("all", 2), ({"type": "thinking_turns", "value": 1}, 1), (None, 2)]
)
def test_thoughts_of_earlier_turns_are_cleared_as_asked(keep: object, kept: int) -> None:
    turn = assistant({"type": "thinking", "thinking": "hm", "signature": SEALED}, text("yes"))
    management = {"edits": [{"type": "clear_thinking_20251015", "keep": keep}]}
    found = items(HI, turn, HI, turn, HI, context_management=management)
    assert sum(isinstance(item, Reasoning) for item in found) == kept


def test_settings_get_the_names_of_the_engine() -> None:
    schema: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
    request = asked(
        stream=True,
        stop_sequences=["END"],
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        metadata={"user_id": "u1"},
        service_tier="standard_only",
        output_config={"effort": "xhigh", "format": {"type": "json_schema", "schema": schema}},
        tools=[
            {
                **TOOL,
                "type": "custom",
                "description": "The weather.",
                "strict": True,
                "cache_control": EPHEMERAL,
            }
        ],
        tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
    )
    assert (request.store, request.stream, request.stop, request.max_output_tokens) == (
        False,
        True,
        ["END"],
        9,
    )
    assert (request.temperature, request.top_p, request.top_k) == (0.5, 0.9, 4)
    assert (request.safety_identifier, request.service_tier) == ("u1", "default")
    assert request.text is not None
    assert isinstance(request.text.format, FormatJsonSchema)
    assert request.text.format.schema == schema
    assert request.tools == [
        FunctionTool(name="weather", parameters=TOOL["input_schema"], strict=True, description="The weather.")
    ]
    assert request.tool_choice == ChooseFunction(name="weather")
    assert request.parallel_tool_calls is False
    assert asked(speed="fast").service_tier == "fast"
    assert asked(output_format={"type": "json_schema", "schema": schema}).text == request.text


CLOSED: Json = {
    "type": "object",
    "properties": {"a": {}},
    "required": ["a"],
    "additionalProperties": False,
}
SCHEMAS: list[tuple[Json, object]] = [
    (CLOSED, True),
    ({"type": "string"}, True),
    ({**CLOSED, "required": []}, UNSET),
    ({**CLOSED, "additionalProperties": True}, UNSET),
    ({"anyOf": [{"type": "object", "properties": {"a": {}}}]}, UNSET),
    ({"$defs": {"a": CLOSED, "b": {"properties": {"c": {}}}}}, UNSET),
]


@pytest.mark.parametrize(("schema", "strict"), SCHEMAS)
def test_a_format_is_strict_where_every_server_can_be_strict_about_it(schema: Json, strict: object) -> None:
    text_config = asked(output_config={"format": {"type": "json_schema", "schema": schema}}).text
    assert text_config is not None
    assert isinstance(text_config.format, FormatJsonSchema)
    assert text_config.format.strict is strict


def test_a_format_that_is_nested_too_deep_is_refused() -> None:
    schema: Json = {}
    for _ in range(300):
        schema = {"items": schema}
    with pytest.raises(InvalidRequest) as refused:
        asked(output_config={"format": {"type": "json_schema", "schema": schema}})
    assert refused.value.param == "output_config.format.schema"


def test_the_smallest_request_of_all_passes() -> None:
    request = asked(max_tokens=1)
    assert (request.max_output_tokens, request.reasoning, request.tools, request.tool_choice) == (
        1,
        None,
        None,
        None,
    )


def test_a_long_user_id_is_hashed() -> None:
    long = '{"device_id":"' + "0" * 64 + '","account_uuid":"","session_id":"1"}'
    assert asked(metadata={"user_id": long}).safety_identifier == hashlib.sha256(long.encode()).hexdigest()


@pytest.mark.parametrize(
    ("fields", "effort", "summary", "shown"),
    [
        ({}, None, None, "none"),
        ({"thinking": {"type": "adaptive"}}, UNSET, "auto", "shown"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10_000}}, "medium", "auto", "shown"),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"}},
            "low",
            UNSET,
            "sealed",
        ),
        ({"thinking": {"type": "disabled"}}, "none", UNSET, "none"),
        ({"thinking": {"type": "between_tools"}, "output_config": {"effort": "low"}}, "none", UNSET, "none"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "max", "auto", "shown"),
        ({"output_config": {"effort": "low"}}, "low", UNSET, "none"),
    ],
)
def test_thinking_is_an_effort_and_a_summary(
    fields: Json, effort: object, summary: object, shown: str
) -> None:
    reasoning = asked(**fields).reasoning
    if effort is None:
        assert reasoning is None
    else:
        assert reasoning is not None
        assert (reasoning.effort, reasoning.summary) == (effort, summary)
    assert thoughts_wanted(parse_messages(body(**fields))) == shown


def test_a_budget_becomes_an_effort_that_keeps_within_it() -> None:
    assert [effort_of(tokens) for tokens in (1024, 8191, 8192, 16383, 16384, 100_000)] == [
        *("low", "low", "medium", "medium", "high", "high")
    ]
    assert all(
        effort_of(tokens) == level for level, tokens in BUDGETS.items() if level in ("low", "medium", "high")
    )


@pytest.mark.parametrize(
    ("kind", "name", "commands"),
    [
        ("bash_20250124", "bash", None),
        ("text_editor_20250124", "str_replace_editor", "undo_edit"),
        ("text_editor_20250728", "str_replace_based_edit_tool", "insert"),
        ("memory_20250818", "memory", "rename"),
    ],
)
def test_tools_that_clients_run_are_shown_as_functions(kind: str, name: str, commands: str | None) -> None:
    [tool] = asked(tools=[{"type": kind, "name": name, "input_examples": [{"command": "x"}]}]).tools or []
    assert isinstance(tool, FunctionTool)
    assert (tool.name, tool.strict) == (name, False)
    assert tool.parameters is not None
    assert 'Example of an input: {"command":"x"}' in str(tool.description)
    if commands is None:
        assert set(tool.parameters["properties"]) == {"command", "restart"}
    else:
        assert tool.parameters["properties"]["command"]["enum"][-1] == commands
    undo = kind == "text_editor_20250124"
    assert undo == ("undo_edit" in str(tool.parameters))


FAULTS: list[tuple[Json, str]] = [
    ({"model": ...}, "model"),
    ({"model": ""}, "model"),
    ({"messages": ...}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": [user()]}, "messages"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
    ({"messages": [{"role": "user"}]}, "messages.0.content"),
    (
        {"messages": [user({"type": "image", "source": {"type": "base64"}})]},
        "messages.0.content.0.source.media_type",
    ),
    (
        {
            "messages": [
                user({"type": "image", "source": {"type": "base64", "media_type": "image/tiff", "data": ""}})
            ]
        },
        "messages.0.content.0.source.media_type",
    ),
    (
        {"messages": [user(text("a"), {"type": "image", "source": {"type": "file", "file_id": ""}})]},
        "messages.0.content.1.source.file_id",
    ),
    (
        {
            "messages": [
                user({"type": "document", "source": {"type": "base64", "media_type": "a/b", "data": ""}})
            ]
        },
        "messages.0.content.0.source.media_type",
    ),
    (
        {
            "messages": [
                user(
                    {
                        "type": "document",
                        "source": {"type": "text", "media_type": "text/plain", "data": "x"},
                        "citations": {"enabled": True},
                    }
                )
            ]
        },
        "messages.0.content.0.citations.enabled",
    ),
    ({"messages": [user({"type": "video"})]}, "messages.0.content.0.type"),
    ({"messages": [user(USE)]}, "messages.0.content.0"),
    ({"messages": [HI, assistant(RESULT), HI]}, "messages.1.content.0"),
    ({"messages": [{"role": "system", "content": [USE]}, HI]}, "messages.0.content.0"),
    ({"messages": [HI, assistant(text("x"))]}, "messages.1"),
    ({"messages": [user(RESULT)]}, "messages.0.content.0.tool_use_id"),
    ({"messages": [HI, assistant(USE), user(RESULT, RESULT)]}, "messages.2.content.1.tool_use_id"),
    ({"messages": [HI, assistant(USE), HI]}, "messages.1.content.0"),
    ({"messages": [HI, assistant(text("x"), USE), HI, assistant(text("y")), HI]}, "messages.1.content.1"),
    ({"messages": [HI, assistant(USE, USE), user(RESULT)]}, "messages.1.content.1.id"),
    ({"messages": [HI, assistant({**USE, "input": "x"}), user(RESULT)]}, "messages.1.content.0.input"),
    ({"max_tokens": ...}, "max_tokens"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": "9"}, "max_tokens"),
    ({"temperature": 1.5}, "temperature"),
    ({"top_p": 2}, "top_p"),
    ({"top_k": -1}, "top_k"),
    ({"stop_sequences": "END"}, "stop_sequences"),
    ({"system": [{"type": "image"}]}, "system.0.type"),
    ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
    ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "thinking.budget_tokens"),
    ({"output_config": {"effort": "enormous"}}, "output_config.effort"),
    (
        {
            "output_config": {"format": {"type": "json_schema", "schema": {}}},
            "output_format": {"type": "json_schema", "schema": {}},
        },
        "output_format",
    ),
    (
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": 5}}}},
        "output_config.format.schema.type",
    ),
    ({"tools": [{"name": "weather"}]}, "tools.0.input_schema"),
    ({"tools": [{"name": "the weather", "input_schema": {}}]}, "tools.0.name"),
    ({"tools": [TOOL, TOOL]}, "tools.1.name"),
    ({"tools": [{**TOOL, "input_schema": {"type": "string"}}]}, "tools.0.input_schema.type"),
    ({"tools": [{**TOOL, "max_characters": 5}]}, "tools.0.max_characters"),
    ({"tools": [{**TOOL, "defer_loading": True}]}, "tools.0.defer_loading"),
    ({"tools": [{**TOOL, "allowed_callers": ["code_execution_20250825"]}]}, "tools.0.allowed_callers"),
    ({"tools": [{**TOOL, "type": "bash_20250124"}]}, "tools.0.type"),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]}, "tools.0.type"),
    ({"tools": [{"type": "computer_20250124", "name": "computer"}]}, "tools.0.type"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "time"}}, "tool_choice.name"),
    ({"tool_choice": {"type": "any"}}, "tool_choice"),
    ({"tool_choice": "auto"}, "tool_choice"),
    ({"service_tier": "priority"}, "service_tier"),
    ({"metadata": {"user": "x"}}, "metadata.user"),
    ({"unheard_of": 1}, "unheard_of"),
    ({"messages": [user(text("a", colour="red"))]}, "messages.0.content.0.colour"),
    (
        {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
        "context_management.edits.0.type",
    ),
]


@pytest.mark.parametrize(("fields", "path"), FAULTS, ids=[path for _, path in FAULTS])
def test_a_bad_request_is_refused_with_the_path(fields: Json, path: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asked(**fields)
    assert refused.value.param == path
    assert f"`{path}`" in refused.value.message


@pytest.mark.parametrize("name", FIELDS)
def test_what_is_not_there_is_refused_by_name_and_asking_for_nothing_passes(name: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        parse_messages(body(**{name: {"a": 1}}))
    assert refused.value.param == name
    parse_messages(body(**{name: None}))


@pytest.mark.parametrize("kind", BLOCKS)
def test_blocks_of_tools_that_are_not_run_here_are_refused_by_name(kind: str) -> None:
    for content, path in (
        ([{"type": kind}], "messages.0.content.0"),
        ([{**RESULT, "content": [{"type": kind}]}], "messages.0.content.0.content.0"),
    ):
        with pytest.raises(UnsupportedParameter) as refused:
            parse_messages(body(messages=[user(*content)]))
        assert refused.value.param == path


def test_a_lenient_server_leaves_unknown_fields_out_and_says_which() -> None:
    left_out: list[str] = []
    assert parse_messages(body(unheard_of=1, max_tokens=5), left_out).max_tokens == 5
    assert left_out == ["unheard_of"]
    with pytest.raises(InvalidRequest):
        parse_messages(body(unheard_of=1, max_tokens=0), [])


def test_counting_takes_no_settings_of_an_answer_and_any_end() -> None:
    fields = {
        "model": "m",
        "messages": [HI, assistant(text("x"))],
        "thinking": {"type": "adaptive"},
        "tools": [TOOL],
    }
    request, _ = to_response(parse_count(encode(fields)), SEALED.__eq__, [])
    assert request.max_output_tokens is None
    assert len(request.input or ()) == 2
    with pytest.raises(InvalidRequest) as refused:
        parse_count(encode({**fields, "max_tokens": 5}))
    assert refused.value.param == "max_tokens"


@pytest.mark.parametrize("broken", [b"", b"[]", b"{", b'{"model": "\xff"}', b'{"a":' * 3000])
def test_what_is_no_json_object_is_refused(broken: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_messages(broken)
