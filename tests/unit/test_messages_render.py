"""Conversations and settings as the Messages API gets them."""

import json
from typing import Any

import pytest

from antiphon.core.commands import CallModel
from antiphon.core.errors import UnsupportedParameter
from antiphon.core.items import (
    CustomToolCall,
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
from antiphon.core.transcript import PastTurn, Transcript, TranscriptItem
from antiphon.core.wire import encode
from antiphon.providers.messages_config import MessagesCapabilities, MessagesConfig
from antiphon.providers.messages_models import PAGE, ModelFacts, facts_of, made_at
from antiphon.providers.messages_render import MessagesRenderer
from antiphon.providers.messages_schemas import bindable
from tests.wire.anthropic_rules import Json, Model, check

CALL = FunctionCall(call_id="c1", name="f", arguments='{"a":1}')
RESULT = FunctionCallOutput(call_id="c1", output="done")
BLOCK = {"type": "thinking", "thinking": "hm", "signature": "s"}
THOUGHT = Reasoning(encrypted_content=f"up:{json.dumps(BLOCK)}")
F: Json = {"type": "function", "name": "f"}
OLD = ModelFacts(max_tokens=8192, adaptive=False, budget=True, efforts=frozenset())


def user(text: str = "hi") -> Message:
    return Message(role="user", content=[InputText(text=text)])


def bot(text: str = "yes") -> Message:
    return Message(role="assistant", content=[OutputText(text=text)])


def system(text: str) -> Message:
    return Message(role="developer", content=text)


def sent(
    *items: TranscriptItem,
    history: tuple[PastTurn, ...] = (),
    facts: ModelFacts | None = None,
    can: MessagesCapabilities | None = None,
    lenient: bool = False,
    left: int | None = None,
    **request: Any,
) -> Json:
    """The body, which keeps to the rules of the API."""
    asked = ResponseRequest.parse(json.dumps({"model": "m", "input": "hi", **request}).encode())
    config = MessagesConfig(api_key="key", capabilities=can or MessagesCapabilities())
    renderer = MessagesRenderer("up", config, lenient=lenient, facts={"m": facts} if facts else {})
    transcript = Transcript(asked.instructions, history, items or (user(),))
    limit = left if left is not None else asked.max_output_tokens
    call = CallModel(asked, transcript, asked.tool_choice or "auto", limit)
    body: Json = json.loads(renderer.render("m", call))
    check(body, Model(budget=True), lambda _: True)
    return body


def shown(body: Json) -> list[tuple[str, list[str]]]:
    """Each message's role, and of each block its text or its type; the marks are taken off."""
    return [
        (one["role"], [block.get("text", block["type"]) for block in one["content"]])
        for one in body["messages"]
    ]


# --- conversations --------------------------------------------------------------------------------------------


def test_neighbours_of_one_role_are_one_message() -> None:
    assert shown(sent(user("a"), user("b"), bot("c"), bot("d"), user("e"))) == [
        ("user", ["a", "b"]),
        ("assistant", ["c", "d"]),
        ("user", ["e"]),
    ]


def test_results_come_first_and_thoughts_stay_in_their_place() -> None:
    items = (user(), THOUGHT, bot("so"), CALL, RESULT, user("and?"))
    assert shown(sent(*items)) == [
        ("user", ["hi"]),
        ("assistant", ["thinking", "so", "tool_use"]),
        ("user", ["tool_result", "and?"]),
    ]


def test_a_remark_before_the_result_goes_behind_it() -> None:
    turn = PastTurn("r1", encode([user()]), encode([CALL]))
    assert shown(sent(user("wait"), RESULT, history=(turn,)))[-1] == ("user", ["tool_result", "wait"])


def test_turns_that_do_not_alternate_are_put_together() -> None:
    first = PastTurn("r1", encode([user("a")]), encode([bot("b")]))
    second = PastTurn("r2", encode([]), encode([bot("c")]))
    third = PastTurn("r3", encode([user("d")]), encode([]))
    assert shown(sent(user("e"), history=(first, second, third))) == [
        ("user", ["a"]),
        ("assistant", ["b", "c"]),
        ("user", ["d", "e"]),
    ]


def test_a_result_that_comes_late_is_put_behind_its_call() -> None:
    turn = PastTurn("r1", encode([user("a")]), encode([CALL]))
    assert shown(sent(user("wait"), bot("well"), RESULT, user("b"), history=(turn,))) == [
        ("user", ["a"]),
        ("assistant", ["tool_use"]),
        ("user", ["tool_result", "wait"]),
        ("assistant", ["well"]),
        ("user", ["b"]),
    ]


@pytest.mark.parametrize(
    "items",
    [
        (user(), THOUGHT, user("again")),
        (user(), THOUGHT, bot("  "), user("again")),
        (user(), Reasoning(encrypted_content="other:{}"), user("again")),
    ],
)
def test_a_thought_that_led_to_nothing_is_left_out(items: tuple[TranscriptItem, ...]) -> None:
    assert shown(sent(*items)) == [("user", ["hi", "again"])]


def test_only_the_first_instructions_are_the_system() -> None:
    later = PastTurn("r2", encode([system("c"), user("two")]), encode([bot()]))
    first = PastTurn("r1", encode([system("b"), user("one"), system("mid")]), encode([bot()]))
    body = sent(system("d"), user("three"), history=(first, later), instructions="a")
    assert [block["text"] for block in body["system"]] == ["a", "b"]
    assert shown(body)[0] == ("user", ["one", "<system>\nmid\n</system>"])
    assert shown(body)[2] == ("user", ["<system>\nc\n</system>", "two"])
    assert shown(body)[4] == ("user", ["<system>\nd\n</system>", "three"])


def test_a_conversation_begins_and_ends_with_the_user() -> None:
    assert [role for role, _ in shown(sent(bot()))] == ["user", "assistant", "user"]
    body = sent(system("one"), system("two"))
    assert [block["text"] for block in body["system"]] == ["one"]
    assert shown(body) == [("user", ["<system>\ntwo\n</system>"])]
    assert len(sent(user("  "))["messages"]) == 1


def test_ids_and_arguments_that_the_wire_does_not_take_are_made_fit() -> None:
    odd = FunctionCall(call_id="call:é/1", name="f", arguments="not json")
    answer = FunctionCallOutput(call_id="call:é/1", output="  ")
    custom = CustomToolCall(call_id="c2", name="p", input="x")
    told = FunctionCallOutput(call_id="c2", output=[InputText(text=" ")])
    body = sent(user(), odd, answer, custom, told)
    use, result = body["messages"][1]["content"][0], body["messages"][2]["content"][0]
    assert use["id"] == result["tool_use_id"]
    assert use["input"] == {"arguments": "not json"}
    assert "content" not in result
    assert body["messages"][3]["content"][0]["input"] == {"input": "x"}


def test_a_turn_is_rendered_once() -> None:
    turns = tuple(PastTurn(f"r{at}", encode([user(f"{at}")]), encode([bot()])) for at in range(3))
    renderer = MessagesRenderer("up", MessagesConfig(api_key="key"))
    asked = ResponseRequest(model="m", input="hi")

    def body(history: tuple[PastTurn, ...]) -> bytes:
        return renderer.render("m", CallModel(asked, Transcript(None, history, (user(),)), "auto"))

    first = body(turns)
    kept = renderer.kept_bytes
    broken = tuple(PastTurn(turn.id, b"not looked at", b"again") for turn in turns)
    assert body(broken) == first
    assert renderer.kept_bytes == kept > 0


def test_a_thought_goes_to_nothing_but_what_it_led_to() -> None:
    assert shown(sent(user(), THOUGHT, user("again"), bot("x"), user("y")))[1] == ("assistant", ["x"])


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (InputImage(image_url="data:image/tiff;base64,AAAA"), "image/png"),
        (InputImage(image_url="file:///etc/passwd"), "http"),
        (InputImage(), "image_url"),
        (InputFile(), "file_data"),
        (InputFile(file_data="data:application/zip;base64,AAAA"), "application/zip"),
        (InputFile(file_data="data:text/plain;base64,/////w=="), "UTF-8"),
        (InputFile(file_data="data:text/plain;base64,IA=="), "empty"),
    ],
)
def test_content_that_the_wire_cannot_carry_is_refused_by_name(part: Any, why: str) -> None:
    with pytest.raises(UnsupportedParameter, match=why) as caught:
        sent(Message(role="user", content=[part]))
    assert caught.value.param == "input"
    with pytest.raises(UnsupportedParameter, match="user messages"):
        sent(user(), Message(role="assistant", content=[part]))


def test_files_without_a_type_are_told_by_their_beginning() -> None:
    pdf, text = InputFile(file_data="JVBERi0xLjQK"), InputFile(file_data="SGkh", filename="a.txt")
    content = sent(Message(role="user", content=[pdf, text]))["messages"][0]["content"]
    assert [block["source"]["media_type"] for block in content] == ["application/pdf", "text/plain"]
    assert content[1]["source"]["data"] == "Hi!"


# --- settings -------------------------------------------------------------------------------------------------


def test_what_asks_for_nothing_is_not_sent() -> None:
    body = sent(stop=[], top_k=-1, service_tier=None, reasoning={"effort": None})
    assert set(body) == {"model", "max_tokens", "stream", "messages"}


def test_users_are_named_shortly() -> None:
    assert sent(user="u" * 300)["metadata"]["user_id"] != sent(user="v" * 300)["metadata"]["user_id"]
    assert sent(user="u", safety_identifier="s")["metadata"] == {"user_id": "s"}


def test_the_fast_tier_is_a_speed() -> None:
    body = sent(service_tier="fast")
    assert (body["speed"], "service_tier" in body) == ("fast", False)


def test_a_tool_without_parameters_takes_an_object() -> None:
    described = {"type": "object", "properties": {"a": {"minimum": 1}}}
    tools = [
        {**F, "strict": True},
        {**F, "name": "g", "parameters": described, "strict": True, "description": " "},
    ]
    first, second = sent(tools=tools)["tools"]
    assert first == {"name": "f", "input_schema": {"type": "object"}}
    assert second["input_schema"] == described
    assert {"strict", "description"} & set(second) == set()


def test_only_so_many_tools_are_strict() -> None:
    parameters: Json = {"type": "object", "properties": {}, "additionalProperties": False}
    tools: list[Json] = [
        {**F, "name": f"f{at}", "strict": True, "parameters": parameters} for at in range(25)
    ]
    assert sum(tool.get("strict", False) for tool in sent(tools=tools)["tools"]) == 20
    never = MessagesCapabilities(strict_tools=False)
    assert not any("strict" in tool for tool in sent(tools=tools, can=never)["tools"])


def test_the_default_limit_is_no_more_than_the_model_has() -> None:
    assert sent()["max_tokens"] == 32_000
    assert sent(facts=OLD)["max_tokens"] == 8192


# --- reasoning ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effort", "limit", "budget"), [("minimal", None, 1024), ("high", None, 6144), ("high", 2000, 1500)]
)
def test_a_budget_leaves_room_for_the_answer(effort: str, limit: int | None, budget: int) -> None:
    body = sent(facts=OLD, reasoning={"effort": effort}, max_output_tokens=limit)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}


def test_the_rest_of_a_limit_may_be_too_little_to_think() -> None:
    asking: Any = {"facts": OLD, "reasoning": {"effort": "low"}, "max_output_tokens": 4000}
    assert "thinking" in sent(**asking)
    assert "thinking" not in sent(**asking, left=900)


def test_thinking_does_not_begin_among_calls_where_a_budget_is_given() -> None:
    asking: Any = {"facts": OLD, "reasoning": {"effort": "low"}, "tools": [F]}
    assert "thinking" not in sent(user(), CALL, RESULT, **asking)
    assert "thinking" not in sent(user(), CALL, RESULT, system("hurry"), **asking)
    assert "thinking" in sent(user(), THOUGHT, CALL, RESULT, **asking)
    assert "thinking" in sent(user(), CALL, RESULT, bot(), user("new"), **asking)
    second = FunctionCall(call_id="c2", name="f", arguments="{}"), FunctionCallOutput(call_id="c2", output="")
    assert "thinking" in sent(user(), THOUGHT, CALL, RESULT, *second, **asking)


@pytest.mark.parametrize(
    ("facts", "request_", "param"),
    [
        (OLD, {"reasoning": {"effort": "low"}, "tool_choice": "required", "tools": [F]}, "reasoning.effort"),
        (OLD, {"reasoning": {"effort": "low"}, "max_output_tokens": 1024}, "reasoning.effort"),
        (ModelFacts(adaptive=False, budget=False), {"reasoning": {"effort": "low"}}, "reasoning.effort"),
        (ModelFacts(can_stop_thinking=False), {"reasoning": {"effort": "none"}}, "reasoning.effort"),
        (None, {"reasoning": {"effort": "low"}, "temperature": 0.5}, "temperature"),
        (None, {"reasoning": {"effort": "low"}, "top_k": 5}, "top_k"),
        (None, {"reasoning": {"effort": "low"}, "top_p": 0.5}, "top_p"),
        (None, {"temperature": 1.5}, "temperature"),
        (None, {"stop": ["END", "\n"]}, "stop"),
        (None, {"service_tier": "ultrafast"}, "service_tier"),
        (None, {"prompt_cache_retention": "24h"}, "prompt_cache_retention"),
        (None, {"seed": 1}, "seed"),
        (None, {"presence_penalty": 0.5}, "presence_penalty"),
        (None, {"top_logprobs": 2}, "top_logprobs"),
    ],
)
def test_what_cannot_be_honoured_is_refused_or_left_out(
    facts: ModelFacts | None, request_: Json, param: str
) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        sent(facts=facts, **request_)
    assert caught.value.param == param
    body = sent(facts=facts, lenient=True, **request_)
    field = {"stop": "stop_sequences", "reasoning.effort": "thinking"}.get(param, param)
    assert body.get(field) in (None, ["END"])


def test_a_model_without_thinking_needs_no_order_to_stop() -> None:
    never = MessagesCapabilities(thinking="none")
    assert "thinking" not in sent(can=never, reasoning={"effort": "none"})
    with pytest.raises(UnsupportedParameter):
        sent(can=never, reasoning={"effort": "low"})


def test_sampling_is_free_where_a_forced_call_leaves_no_thinking() -> None:
    body = sent(reasoning={"effort": "low"}, temperature=0.5, tools=[F], tool_choice="required")
    assert (body["temperature"], body["output_config"]) == (0.5, {"effort": "low"})


# --- caching --------------------------------------------------------------------------------------------------


def marks(body: Json) -> list[str]:
    found = [tool["name"] for tool in body.get("tools", ()) if "cache_control" in tool]
    found += [block["text"] for block in body.get("system", ()) if "cache_control" in block]
    blocks = [block for message in body["messages"] for block in message["content"]]
    return found + [block.get("text", block["type"]) for block in blocks if "cache_control" in block]


def marked(text: str) -> Message:
    part: Any = {"type": "input_text", "text": text, "prompt_cache_breakpoint": {"mode": "explicit"}}
    body = {"model": "m", "input": [{"role": "user", "content": [part]}]}
    given = ResponseRequest.parse(json.dumps(body).encode()).input
    assert isinstance(given, list)
    item = given[0]
    assert isinstance(item, Message)
    return item


def test_breakpoints_are_the_latest_four() -> None:
    assert marks(sent(instructions="sys", tools=[F])) == ["sys", "hi"]
    assert marks(sent(tools=[F])) == ["f", "hi"]
    many = [marked(str(at)) for at in range(6)]
    assert marks(sent(*many, instructions="sys")) == ["2", "3", "4", "5"]
    assert marks(sent(*many[:2], user("end"), instructions="sys")) == ["sys", "0", "1", "end"]
    explicit: Any = {"prompt_cache_options": {"mode": "explicit"}}
    assert marks(sent(*many[:2], user("end"), instructions="sys", **explicit)) == ["0", "1"]
    turn = PastTurn("r1", encode([marked("old"), marked(" ")]), encode([bot()]))
    assert marks(sent(user("new"), history=(turn,), **explicit)) == ["old"]


def test_a_mark_inside_a_result_is_the_results() -> None:
    parts = marked("text").content
    part = parts[0]
    assert isinstance(part, InputText)
    result = FunctionCallOutput(call_id="c1", output=[part])
    body = sent(user(), CALL, result, user("and?"), prompt_cache_options={"mode": "explicit"})
    assert marks(body) == ["tool_result"]


# --- schemas and lists of models ------------------------------------------------------------------------------

PLAIN: Json = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
TREE: Json = {
    "$ref": "#/$defs/node",
    "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
}


@pytest.mark.parametrize(
    "schema",
    [
        PLAIN,
        {"type": "array", "items": PLAIN, "minItems": 1},
        {"anyOf": [PLAIN, {"type": "null"}]},
        {"$ref": "#/$defs/a", "$defs": {"a": PLAIN, "b": {"type": "array", "items": {"$ref": "#/$defs/a"}}}},
        {"type": "object", "properties": {"at": {"type": "string", "format": "date"}}},
    ],
)
def test_schemas_that_can_be_bound_are_closed(schema: Json) -> None:
    bound = bindable(schema)
    assert bound is not None
    text = json.dumps(bound)
    assert text.count('"additionalProperties": false') == text.count('"properties"')
    assert "additionalProperties" not in json.dumps(schema), "the caller's stays as it was"


@pytest.mark.parametrize(
    "schema",
    [
        TREE,
        {"type": "object"},
        {**PLAIN, "additionalProperties": True},
        {**PLAIN, "additionalProperties": {"type": "string"}},
        {**PLAIN, "required": ["b"]},
        {"type": "integer", "minimum": 1},
        {"type": "string", "pattern": "a"},
        {"type": "string", "format": "color"},
        {"type": "array", "items": PLAIN, "minItems": 2},
        {"enum": [{"a": 1}]},
        {"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": PLAIN}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"type": "object", "properties": {"a": True}},
        {"oneOf": [PLAIN]},
    ],
)
def test_schemas_that_cannot_be_bound(schema: Json) -> None:
    assert bindable(schema) is None


def test_facts_are_read_from_a_list_of_models() -> None:
    can, cannot = {"supported": True}, {"supported": False}
    thinking = {"supported": True, "types": {"adaptive": cannot, "enabled": can, "disabled": can}}
    told = {"thinking": thinking, "effort": {"supported": True, "low": can, "max": can, "xhigh": None}}
    page = PAGE.decode(
        encode(
            {
                "data": [
                    {"id": "a", "created_at": "2026-02-04T00:00:00Z", "max_tokens": 9, "capabilities": told},
                    {"id": "b", "created": 17, "object": "model"},
                    {"id": "c", "capabilities": ["of another shape"], "max_tokens": 0},
                    {"id": "d", "capabilities": None, "created_at": "long ago"},
                ]
            }
        )
    )
    facts = facts_of(page.data[0])
    assert facts == ModelFacts(9, adaptive=False, budget=True, efforts=frozenset({"low", "max"}))
    assert [facts_of(one) for one in page.data[1:]] == [ModelFacts()] * 3
    assert [made_at(one) for one in page.data] == [1_770_163_200, 17, 0, 0]
    assert [facts.nearest(effort) for effort in ("minimal", "high", "max")] == ["low", "low", "max"]
    assert ModelFacts(efforts=frozenset({"high"})).nearest("low") == "high"
    assert ModelFacts(efforts=frozenset()).nearest("low") is None
    assert ModelFacts().nearest("xhigh") == "xhigh"
