"""Requests and transcripts as chat completions bodies."""

import json
from typing import Any

import msgspec
import pytest

from antiphon.core.commands import CallModel
from antiphon.core.errors import UnsupportedParameter
from antiphon.core.items import (
    FunctionCall,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputText,
    Message,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
)
from antiphon.core.request import ResponseRequest
from antiphon.core.tools import ChooseAllowed, ChooseFunction
from antiphon.core.transcript import PastTurn, Transcript, TranscriptItem
from antiphon.core.wire import encode
from antiphon.providers.chat_parameters import Plan, rules
from antiphon.providers.chat_render import ChatRenderer
from antiphon.providers.presets import PRESETS, Capabilities

PLAIN = Capabilities()
OPENAI = PRESETS["remote::openai"].capabilities
VLLM = PRESETS["remote::vllm"].capabilities
OLLAMA = PRESETS["remote::ollama"].capabilities
LLAMA_CPP = PRESETS["remote::llama-cpp-server"].capabilities
TOOL: dict[str, Any] = {
    "type": "function",
    "name": "f",
    "parameters": {"type": "object", "properties": {"a": {}}},
}


def user(text: str) -> Message:
    return Message(role="user", content=[InputText(text=text)])


def reply(text: str) -> Message:
    return Message(role="assistant", content=[OutputText(text=text)])


def a_call(number: int) -> FunctionCall:
    return FunctionCall(call_id=f"c{number}", name="f", arguments="{}")


def an_output(number: int, output: Any = "done") -> FunctionCallOutput:
    return FunctionCallOutput(call_id=f"c{number}", output=output)


def thought(text: str) -> Reasoning:
    return Reasoning(content=[ReasoningText(text=text)])


def body(
    transcript: Transcript | None = None,
    capabilities: Capabilities = PLAIN,
    *,
    renderer: ChatRenderer | None = None,
    step: dict[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    request = ResponseRequest.parse(json.dumps({"model": "m", "input": "x", **fields}).encode())
    chosen: dict[str, Any] = {"tool_choice": request.tool_choice or "auto"}
    chosen["max_output_tokens"] = request.max_output_tokens
    call = CallModel(request, transcript or Transcript(), **{**chosen, **(step or {})})
    made: dict[str, Any] = json.loads((renderer or ChatRenderer("p", capabilities)).render("up/model", call))
    return made


def messages(*items: TranscriptItem, capabilities: Capabilities = PLAIN) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = body(Transcript(items=items), capabilities)["messages"]
    return made


# --- messages ------------------------------------------------------------------------------------------------
def test_the_smallest_body() -> None:
    assert body(Transcript(items=(user("hi"),))) == {
        "model": "up/model",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_instructions_come_first_in_the_role_that_the_upstream_has() -> None:
    transcript = Transcript("be kind", (), (user("hi"),))
    assert body(transcript)["messages"][0] == {"role": "system", "content": "be kind"}
    assert body(transcript, OPENAI)["messages"][0] == {"role": "developer", "content": "be kind"}


def test_a_developer_is_the_system_where_there_are_no_developers() -> None:
    told = Message(role="developer", content="do")
    assert messages(told) == [{"role": "system", "content": "do"}]
    assert messages(told, capabilities=OPENAI) == [{"role": "developer", "content": "do"}]


def test_calls_of_one_step_are_one_message_with_the_text_before_them() -> None:
    made = messages(user("go"), reply("wait"), a_call(1), a_call(2), an_output(1), an_output(2), reply("ok"))
    assert [one["role"] for one in made] == ["user", "assistant", "tool", "tool", "assistant"]
    assert made[1]["content"] == "wait"
    assert [one["id"] for one in made[1]["tool_calls"]] == ["c1", "c2"]
    assert made[2] == {"role": "tool", "tool_call_id": "c1", "content": "done"}
    assert made[4] == {"role": "assistant", "content": "ok"}


def test_text_between_calls_stays_in_their_message() -> None:
    made = messages(a_call(1), reply("and"), a_call(2), an_output(1), an_output(2))
    assert [one["role"] for one in made] == ["assistant", "tool", "tool"]
    assert made[0]["content"] == "and"
    assert len(made[0]["tool_calls"]) == 2


def test_calls_of_two_steps_are_two_messages() -> None:
    made = messages(a_call(1), an_output(1), a_call(2), an_output(2))
    assert [one["role"] for one in made] == ["assistant", "tool", "assistant", "tool"]
    assert made[0]["content"] is None


def test_reasoning_goes_into_the_upstreams_field_or_nowhere() -> None:
    items = (thought("hm"), reply("a"), thought("so"), a_call(1), an_output(1))
    assert "reasoning_content" not in json.dumps(messages(*items))
    made = messages(*items, capabilities=VLLM)
    assert made[0] == {
        "role": "assistant",
        "content": "a",
        "reasoning_content": "hmso",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    assert messages(thought("x"), reply("a"), capabilities=OLLAMA)[0]["reasoning"] == "x"


def test_reasoning_of_the_next_step_does_not_go_to_the_last_one() -> None:
    made = messages(reply("a"), thought("later"), reply("b"), capabilities=VLLM)
    assert made == [
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "b", "reasoning_content": "later"},
    ]


def test_refusals_are_text_and_images_are_parts() -> None:
    picture = InputImage(image_url="data:image/png;base64,AA", detail="original")
    made = messages(
        Message(role="user", content=[InputText(text="see"), picture]),
        Message(role="assistant", content=[Refusal(refusal="no")]),
    )
    assert made[0]["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "high"}},
    ]
    assert made[1] == {"role": "assistant", "content": "no"}


def test_files_go_where_they_can_and_are_refused_elsewhere() -> None:
    sheet = Message(role="user", content=[InputFile(file_data="data:x", filename="a.pdf")])
    assert messages(sheet, capabilities=OPENAI)[0]["content"] == [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:x"}}
    ]
    with pytest.raises(UnsupportedParameter, match="input_file"):
        messages(sheet)


def test_pictures_of_tool_results_follow_all_the_results_of_the_step() -> None:
    picture = InputImage(image_url="http://x/y.png")
    made = messages(
        a_call(1), a_call(2), an_output(1, [InputText(text="t"), picture]), an_output(2), user("so?")
    )
    assert [one["role"] for one in made] == ["assistant", "tool", "tool", "user", "user"]
    assert made[3]["content"][1] == {"type": "image_url", "image_url": {"url": "http://x/y.png"}}


# --- history -------------------------------------------------------------------------------------------------
def turn(turn_id: str, given: list[TranscriptItem], made: list[TranscriptItem]) -> PastTurn:
    return PastTurn(turn_id, encode(given), encode(made))


def test_history_is_rendered_once_and_gives_what_its_items_give() -> None:
    turns = tuple(turn(f"r{n}", [user(f"q{n}")], [reply(f"a{n}")]) for n in range(5))
    transcript = Transcript("i", turns, (user("now"),))
    renderer = ChatRenderer("p", PLAIN)
    first = body(transcript, renderer=renderer)
    flat = Transcript("i", (), tuple(transcript.all_items()))
    assert first == body(flat)
    unreadable = tuple(PastTurn(one.id, b"?", b"?") for one in turns)
    assert body(Transcript("i", unreadable, (user("now"),)), renderer=renderer) == first


def test_a_call_and_its_output_may_be_in_two_turns() -> None:
    turns = (turn("r1", [user("q")], [a_call(1)]), turn("r2", [an_output(1)], [reply("a")]))
    made = body(Transcript(None, turns, (user("now"),)))["messages"]
    assert [one["role"] for one in made] == ["user", "assistant", "tool", "assistant", "user"]


def test_turns_that_would_split_a_step_are_rendered_together() -> None:
    turns = (turn("r1", [user("q")], [a_call(1)]), turn("r2", [a_call(2), an_output(1), an_output(2)], []))
    made = body(Transcript(None, turns, (user("now"),)))["messages"]
    assert [one["role"] for one in made] == ["user", "assistant", "tool", "tool", "user"]


def test_the_kept_turns_stay_within_their_bytes_and_drop_the_oldest() -> None:
    renderer = ChatRenderer("p", PLAIN, max_kept_bytes=4_000)
    for number in range(50):
        one = turn(f"r{number}", [user("x" * 500)], [reply("y" * 500)])
        body(Transcript(None, (one,), ()), renderer=renderer)
        assert renderer.kept_bytes <= 4_000
    assert renderer.kept_bytes > 1_000


# --- settings ------------------------------------------------------------------------------------------------
def test_values_go_over_under_the_upstreams_names() -> None:
    made = body(
        None,
        VLLM,
        temperature=0.5,
        top_p=0.9,
        presence_penalty=1,
        frequency_penalty=-1,
        max_output_tokens=99,
        seed=7,
        stop=["a"],
        top_k=5,
        min_p=0.1,
        repetition_penalty=1.5,
        user="u",
    )
    assert made["max_tokens"] == 99
    assert {
        name: made[name] for name in ("temperature", "top_p", "seed", "stop", "top_k", "min_p", "user")
    } == {
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["a"],
        "top_k": 5,
        "min_p": 0.1,
        "user": "u",
    }
    assert (made["presence_penalty"], made["frequency_penalty"], made["repetition_penalty"]) == (1, -1, 1.5)
    assert body(None, OPENAI, max_output_tokens=99)["max_completion_tokens"] == 99
    assert body(None, LLAMA_CPP, repetition_penalty=1.5)["repeat_penalty"] == 1.5


def test_what_the_step_decided_wins_over_the_request() -> None:
    made = body(
        None,
        tools=[TOOL],
        tool_choice="required",
        max_output_tokens=99,
        step={"tool_choice": "none", "max_output_tokens": 20, "stream": False},
    )
    assert (made["tool_choice"], made["max_tokens"], made["stream"]) == ("none", 20, False)
    assert "stream_options" not in made


def test_tools_always_have_parameters() -> None:
    made = body(None, tools=[TOOL, {"type": "function", "name": "g", "parameters": None, "strict": None}])
    assert made["tools"][0]["function"]["parameters"] == TOOL["parameters"]
    assert made["tools"][1] == {
        "type": "function",
        "function": {"name": "g", "parameters": {"type": "object", "properties": {}}},
    }
    assert "tool_choice" not in made


@pytest.mark.parametrize(
    ("choice", "capabilities", "sent"),
    [
        ("required", PLAIN, "required"),
        (ChooseFunction(name="f"), PLAIN, {"type": "function", "function": {"name": "f"}}),
        (ChooseAllowed(mode="required", tools=[{"type": "function", "name": "f"}]), PLAIN, "required"),
        (ChooseAllowed(mode="auto", tools=[{"type": "function", "name": "f"}]), PLAIN, None),
        (
            ChooseAllowed(mode="auto", tools=[{"type": "function", "name": "f"}]),
            OPENAI,
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
        ),
    ],
)
def test_tool_choice_leaves_the_list_whole(choice: Any, capabilities: Capabilities, sent: Any) -> None:
    made = body(None, capabilities, tools=[TOOL, {**TOOL, "name": "g"}], step={"tool_choice": choice})
    assert made.get("tool_choice") == sent
    assert len(made["tools"]) == 2


def test_an_upstream_without_tool_choice_is_not_shown_tools_that_it_may_not_use() -> None:
    assert "tools" not in body(None, OLLAMA, tools=[TOOL], tool_choice="none")


def test_formats_are_enforced_upstream_or_asked_for() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}}
    wanted = {"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}}
    assert body(None, text=wanted)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": schema, "strict": True},
    }
    weak = msgspec.structs.replace(PLAIN, json_schema=False)
    made = body(Transcript("base"), weak, text=wanted)
    assert made["response_format"] == {"type": "json_object"}
    assert made["messages"][0]["content"].startswith("base\n\n")
    assert json.dumps(schema, separators=(",", ":")) in made["messages"][0]["content"]
    assert body(None, text={"format": {"type": "json_object"}})["response_format"] == {"type": "json_object"}


def test_what_has_no_parameter_is_done_another_way() -> None:
    assert body(None, text={"verbosity": "low"})["messages"][0]["content"] == "Keep your answers short."
    assert body(None, OPENAI, text={"verbosity": "low"})["verbosity"] == "low"
    assert body(None, safety_identifier="s")["user"] == "s"
    assert body(None, safety_identifier="s", user="u")["user"] == "u"
    assert body(None, OPENAI, safety_identifier="s")["safety_identifier"] == "s"
    assert body(None, reasoning={"effort": "low"})["reasoning_effort"] == "low"
    assert body(None, LLAMA_CPP, reasoning={"effort": "low"})["chat_template_kwargs"] == {
        "reasoning_effort": "low"
    }
    assert "prompt_cache_key" not in body(None, prompt_cache_key="k")
    assert body(None, OPENAI, prompt_cache_key="k", service_tier="flex")["service_tier"] == "flex"
    assert body(None, include=["message.output_text.logprobs"])["logprobs"] is True
    assert body(None, top_logprobs=3)["top_logprobs"] == 3


@pytest.mark.parametrize(
    ("capabilities", "param", "fields"),
    [
        (OPENAI, "top_k", {"top_k": 3}),
        (OPENAI, "repetition_penalty", {"repetition_penalty": 1.5}),
        (OLLAMA, "min_p", {"min_p": 0.1}),
        (OLLAMA, "tool_choice", {"tools": [TOOL], "tool_choice": "required"}),
        (VLLM, "service_tier", {"service_tier": "flex"}),
        (Capabilities(logprobs=False), "top_logprobs", {"top_logprobs": 2}),
        (Capabilities(reasoning_effort=None), "reasoning.effort", {"reasoning": {"effort": "low"}}),
    ],
)
def test_what_an_upstream_cannot_honour_is_refused_or_dropped(
    capabilities: Capabilities, param: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        body(None, capabilities, **fields)
    assert caught.value.param == param
    lenient = ChatRenderer("p", capabilities, lenient=True)
    made = body(None, renderer=lenient, **fields)
    assert param not in made
    assert "reasoning_effort" not in made


def test_every_preset_has_an_answer_for_every_parameter() -> None:
    for preset in PRESETS.values():
        kinds = {rule.param: rule.kind(preset.capabilities) for rule in rules()}
        assert set(kinds.values()) <= {"passed", "emulated", "refused"}
        plan = Plan.of(preset.capabilities)
        assert {name for name, kind in kinds.items() if kind == "refused"} >= set(plan.refused)
