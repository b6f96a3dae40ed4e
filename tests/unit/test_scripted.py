"""The scripted model: rules, replies, limits, failures, the built-in demo, and its completions."""

from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema_rs
import pytest

from antiphon.core import signals
from antiphon.core.commands import CallModel
from antiphon.core.errors import (
    ProviderAuthFailed,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from antiphon.core.items import FunctionCall, FunctionCallOutput, Message, OutputText, Reasoning, Refusal
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ItemDone, ItemStarted, ModelSignal, StepDone
from antiphon.core.tools import ChooseFunction
from antiphon.core.transcript import Transcript, TranscriptItem
from antiphon.core.wire import decode_json, encode
from antiphon.providers.presets import ProviderConfigError
from antiphon.providers.schema_instance import instance_of
from antiphon.providers.script import parse_script
from antiphon.testing import Scripted, scripted_model

TOOL: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
OTHER: dict[str, Any] = {"type": "function", "name": "get_time", "parameters": None}


def call(text: str = "hello", /, *after: TranscriptItem, **settings: Any) -> CallModel:
    """A model call whose last user message is `text`. `choice`, `limit` and `stream` are the loop's decisions."""
    choice, limit = settings.pop("choice", "auto"), settings.pop("limit", None)
    stream = settings.pop("stream", True)
    request = ResponseRequest.parse(encode({"model": "demo", "input": text, **settings}))
    items = (Message(role="user", content=text), *after)
    return CallModel(request, Transcript(items=items), choice, limit, stream)


async def batches(model: Scripted, asked: CallModel) -> list[Sequence[ModelSignal]]:
    return [batch async for batch in model.stream("demo", asked)]


async def play(asked: CallModel, *rules: Mapping[str, object]) -> list[ModelSignal]:
    return [signal for batch in await batches(scripted_model(*rules), asked) for signal in batch]


def items(heard: Sequence[ModelSignal]) -> list[signals.ModelItem]:
    return [signal.item for signal in heard if isinstance(signal, ItemDone)]


def said(heard: Sequence[ModelSignal]) -> str:
    parts = [part for item in items(heard) if isinstance(item, Message) for part in item.content]
    return "".join(part.text for part in parts if isinstance(part, OutputText))


def calls(heard: Sequence[ModelSignal]) -> list[FunctionCall]:
    return [item for item in items(heard) if isinstance(item, FunctionCall)]


def end(heard: Sequence[ModelSignal]) -> StepDone:
    assert isinstance(heard[-1], StepDone)
    return heard[-1]


async def test_deltas_joined_are_the_item_whatever_the_chunking() -> None:
    for by, count in (("word", 3), ("char", 13), ("all", 1), (5, 3)):
        heard = await play(call(), {"reply": [{"text": "one two three", "by": by}]})
        deltas = [signal.text for signal in heard if isinstance(signal, signals.TextDelta)]
        assert (len(deltas), "".join(deltas), said(heard)) == (count, "one two three", "one two three")


async def test_the_head_comes_before_anything_else_and_the_step_ends_once() -> None:
    heard = await batches(scripted_model({"reply": [{"text": "a b"}]}), call())
    assert list(heard[0]) == []
    assert [isinstance(signal, StepDone) for batch in heard for signal in batch].count(True) == 1


async def test_without_streaming_only_whole_items_come() -> None:
    heard = await play(call(stream=False), {"reply": [{"reasoning": "hm"}, {"text": "a b"}]})
    assert [type(signal) for signal in heard] == [ItemDone, ItemDone, StepDone]


async def test_the_same_call_gets_the_same_answer() -> None:
    asked = call("get_weather", tools=[TOOL])
    assert await play(asked) == await play(asked)


@pytest.mark.parametrize(
    ("when", "text", "matched"),
    [
        ({"text": "Weather"}, "what weather?", True),
        ({"text": "rain"}, "what weather?", False),
        ({"matches": "^w.*r$"}, "weather", True),
        ({"matches": "^r"}, "weather", False),
        ({"tools": ["get_weather"]}, "x", True),
        ({"tools": ["get_weather", "other"]}, "x", False),
        ({"tool_outputs": False, "step": 1}, "x", True),
        ({"tool_outputs": True}, "x", False),
        ({"step": 2}, "x", False),
    ],
)
async def test_a_rule_applies_when_all_its_conditions_hold(when: object, text: str, matched: bool) -> None:
    heard = await play(call(text, tools=[TOOL]), {"when": when, "reply": [{"text": "matched"}]})
    assert (said(heard) == "matched") is matched


async def test_conditions_on_tool_outputs_count_from_the_last_user_message() -> None:
    done = FunctionCall(call_id="c", name="get_weather", arguments="{}")
    output = FunctionCallOutput(call_id="c", output="rain")
    rule = {"when": {"tool_outputs": True, "step": 2}, "reply": [{"text": "{{tool_outputs}} for {{input}}"}]}
    assert said(await play(call("Oslo", done, output), rule)) == "rain for Oslo"
    later = (done, output, Message(role="user", content="again"))
    assert "again" in said(await play(call("Oslo", *later), rule))


async def test_a_rule_may_ask_for_what_was_shown_before_the_last_user_message() -> None:
    before = [Message(role="user", content="I am Ada."), Message(role="assistant", content="Hello.")]
    rule = {"when": {"seen": ["ADA", "be brief"]}, "reply": [{"text": "matched"}]}
    asked = ResponseRequest.parse(encode({"model": "demo", "input": "Who am I?"}))
    question = Message(role="user", content="Who am I?")

    async def answer(transcript: Transcript) -> str:
        return said(await play(CallModel(asked, transcript, "auto", None, stream=True), rule))

    assert await answer(Transcript("Be brief.", items=(*before, question))) == "matched"
    assert await answer(Transcript("Be brief.", items=(question,))) != "matched"
    assert await answer(Transcript(items=(*before, question))) != "matched"


async def test_echo_and_repeat() -> None:
    heard = await play(call("ab {{input}}"), {"reply": [{"echo": True, "repeat": 2}, {"text": "!"}]})
    assert said(heard) == "ab {{input}}ab {{input}}!"
    assert len(items(heard)) == 1


async def test_reasoning_refusals_and_texts_are_items_in_their_order() -> None:
    heard = await play(call(), {"reply": [{"reasoning": "so"}, {"text": "hi"}, {"refusal": "no more"}]})
    thought, message, refusal = items(heard)
    assert isinstance(thought, Reasoning)
    assert isinstance(message, Message)
    assert isinstance(refusal, Message)
    assert refusal.content == [Refusal(refusal="no more")]
    assert [signal.slot for signal in heard if isinstance(signal, ItemStarted)] == [0, 1, 2]


async def test_parallel_calls_have_their_own_ids_and_may_interleave() -> None:
    steps = [
        {"calls": [{"name": "a", "arguments": {"n": 1}}, {"name": "b", "arguments": "not json"}], "by": 3}
    ]
    for interleave in (False, True):
        heard = await play(call(), {"reply": [{**steps[0], "interleave": interleave}]})
        first, second = calls(heard)
        assert (first.arguments, second.arguments) == ('{"n":1}', "not json")
        assert first.call_id != second.call_id
        slots = [signal.slot for signal in heard if isinstance(signal, signals.ArgumentsDelta)]
        assert (slots == sorted(slots)) is not interleave
        assert end(heard).finish == "tool_calls"


async def test_the_token_limit_cuts_and_says_so() -> None:
    heard = await play(call(limit=4), {"reply": [{"text": "one two three"}, {"text": " four five six"}]})
    assert said(heard) == "one two three four"
    usage = end(heard).usage
    assert end(heard).finish == "length"
    assert usage is not None
    assert usage.output_tokens == 4


async def test_finish_and_usage_can_be_dictated() -> None:
    rule = {
        "reply": [{"text": "x"}],
        "finish": "content_filter",
        "usage": {"input_tokens": 7, "output_tokens": 5, "cached_tokens": 3, "reasoning_tokens": 2},
    }
    last = end(await play(call(), rule))
    assert last.finish == "content_filter"
    assert last.usage is not None
    assert (last.usage.total_tokens, last.usage.input_tokens_details.cached_tokens) == (12, 3)


async def test_logprobs_come_with_deltas_and_items_only_when_asked_for() -> None:
    heard = await play(call(top_logprobs=2), {"reply": [{"text": "a b"}]})
    deltas = [signal for signal in heard if isinstance(signal, signals.TextDelta)]
    assert [len(one.logprobs[0].top_logprobs) for one in deltas] == [2, 2]
    (message,) = items(heard)
    assert isinstance(message, Message)
    assert isinstance(message.content[0], OutputText)
    assert message.content[0].logprobs == [one.logprobs[0] for one in deltas]
    plain = await play(call(), {"reply": [{"text": "a b"}]})
    assert all(not one.logprobs for one in plain if isinstance(one, signals.TextDelta))


async def test_waits_go_through_the_sleeper() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    rule = {"reply": [{"wait_ms": 50}, {"text": "a b", "delay_ms": 10}], "delay_ms": 200}
    await batches(scripted_model(rule, sleep=sleep), call())
    assert slept == [0.2, 0.05, 0.01, 0.01]


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ({"status": 400, "param": "temperature"}, ProviderRejected),
        ({"status": 401}, ProviderAuthFailed),
        ({"status": 429, "retry_after": "3"}, ProviderRateLimited),
        ({"status": 500}, ProviderUnavailable),
        ({"kind": "drop"}, ProviderUnavailable),
        ({"kind": "timeout"}, ProviderTimeout),
        ({"kind": "malformed"}, ProviderProtocolError),
    ],
)
async def test_a_failure_first_comes_before_the_head(
    failure: dict[str, object], error: type[ProviderError]
) -> None:
    stream = scripted_model({"reply": [{"fail": failure}]}).stream("demo", call())
    with pytest.raises(error) as caught:
        await anext(stream)
    assert caught.value.retry_after == failure.get("retry_after")
    assert caught.value.param == failure.get("param")


async def test_a_drop_later_leaves_the_item_open() -> None:
    heard: list[ModelSignal] = []
    model = scripted_model({"reply": [{"text": "a b"}, {"fail": {"kind": "drop"}}]})
    stream = model.stream("demo", call())
    for _ in range(3):
        heard.extend(await anext(stream))
    with pytest.raises(ProviderProtocolError):
        await anext(stream)
    assert [type(signal) for signal in heard] == [ItemStarted, signals.TextDelta, signals.TextDelta]


async def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ProviderRejected) as caught:
        await anext(scripted_model().stream("other", call()))
    assert caught.value.param == "model"
    assert [model.name for model in await Scripted().list_models()] == ["demo"]


# --- the built-in model --------------------------------------------------------------------------------------
async def test_demo_repeats_what_it_hears_and_says_how_to_connect_a_real_model() -> None:
    text = said(await play(call("good morning")))
    assert "good morning" in text
    assert "OPENAI_API_KEY" in text


async def test_demo_calls_a_tool_that_is_named_with_arguments_that_fit() -> None:
    (made,) = calls(await play(call("get weather please", tools=[OTHER, TOOL])))
    assert made.name == "get_weather"
    jsonschema_rs.validate(TOOL["parameters"], decode_json(made.arguments))


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("required", ["get_time"]),
        ("none", []),
        ("auto", []),
        (ChooseFunction(name="get_weather"), ["get_weather"]),
    ],
)
async def test_demo_honours_tool_choice(choice: object, names: list[str]) -> None:
    made = calls(await play(call("hello", tools=[OTHER, TOOL], choice=choice)))
    assert [one.name for one in made] == names


async def test_demo_makes_one_call_where_parallel_calls_are_off() -> None:
    text = "get_weather and get_time"
    assert len(calls(await play(call(text, tools=[OTHER, TOOL])))) == 2
    assert len(calls(await play(call(text, tools=[OTHER, TOOL], parallel_tool_calls=False)))) == 1


async def test_demo_tells_what_the_tools_said() -> None:
    done = FunctionCall(call_id="c", name="get_weather", arguments="{}")
    output = FunctionCallOutput(call_id="c", output="rain at 4 degrees")
    heard = await play(call("get_weather", done, output, tools=[TOOL]))
    assert calls(heard) == []
    assert "get_weather answered rain at 4 degrees" in said(heard)


SCHEMAS: list[dict[str, Any]] = [
    {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
    {"type": "array", "items": {"enum": ["x", "y"]}, "minItems": 3},
    {"anyOf": [{"type": "null"}, {"type": "number", "minimum": 3, "multipleOf": 2}]},
    {"type": ["string", "null"], "minLength": 10, "maxLength": 12},
    {"type": "string", "maxLength": 2},
    {"type": "integer", "exclusiveMinimum": 4, "maximum": 6},
    {"type": "number", "exclusiveMaximum": 0},
    {"type": "integer", "maximum": -3},
    {"type": "boolean"},
    {"type": "null"},
    {"const": {"k": [1]}},
    {"type": "string", "format": "date-time"},
    {"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"type": "boolean"}}}]},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2},
    {"type": "array", "items": {"type": "string"}, "minItems": 2, "uniqueItems": True},
    {"type": "object"},
    {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "value": {"type": "integer"},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                },
                "required": ["value", "next", "children"],
                "additionalProperties": False,
            }
        },
        "$ref": "#/$defs/node",
    },
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_an_instance_fits_its_schema(schema: dict[str, Any]) -> None:
    jsonschema_rs.validate(schema, instance_of(schema))


async def test_demo_answers_with_json_that_fits_the_format() -> None:
    wanted = {"format": {"type": "json_schema", "name": "n", "strict": True, "schema": SCHEMAS[0]}}
    jsonschema_rs.validate(SCHEMAS[0], decode_json(said(await play(call(text=wanted)))))


# --- configuration -------------------------------------------------------------------------------------------
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"modles": []}, ""),
    ({"models": []}, "models"),
    ({"models": [{"name": "a"}, {"name": "a"}]}, "models[1].name"),
    ({"models": [{"name": "a", "rules": [{"when": {"txt": "x"}}]}]}, "models[0].rules[0].when"),
    (
        {"models": [{"name": "a", "rules": [{"when": {"matches": "("}}]}]},
        "models[0].rules[0].when.matches",
    ),
    ({"models": [{"name": "a", "rules": [{"reply": [{}]}]}]}, "models[0].rules[0].reply[0]"),
    (
        {"models": [{"name": "a", "rules": [{"reply": [{"text": "", "echo": True}]}]}]},
        "models[0].rules[0].reply[0]",
    ),
    (
        {"models": [{"name": "a", "rules": [{"reply": [{"fail": {}}]}]}]},
        "models[0].rules[0].reply[0].fail",
    ),
]


@pytest.mark.parametrize(("mapping", "key"), WRONG)
def test_a_wrong_configuration_names_its_key(mapping: dict[str, Any], key: str) -> None:
    with pytest.raises(ProviderConfigError) as caught:
        parse_script(mapping)
    assert caught.value.key == key


# --- completions ---------------------------------------------------------------------------------------------
async def completion(path: str, body: Mapping[str, object], *rules: Mapping[str, object]) -> bytes:
    reply = await scripted_model(*rules).open(path, encode({"model": "demo", **body}), model="demo")
    async with reply:
        return await reply.read()


def chunks_of(stream: bytes) -> list[Any]:
    events = stream.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    return [decode_json(event.removeprefix("data: ")) for event in events[:-2]]


ASK: dict[str, object] = {
    "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
    ]
}
RULE: dict[str, object] = {
    "when": {"text": "hi"},
    "reply": [{"reasoning": "hm"}, {"text": "a b"}, {"calls": [{"name": "f"}, {"name": "g"}]}],
}


async def test_a_chat_completion_has_the_text_the_calls_and_the_usage() -> None:
    body = decode_json(await completion("/chat/completions", {**ASK, "n": 2}, RULE))
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    choice = body["choices"][0]
    assert choice["message"]["content"] == "a b"
    assert choice["message"]["reasoning_content"] == "hm"
    assert [one["function"] for one in choice["message"]["tool_calls"]] == [
        {"name": "f", "arguments": "{}"},
        {"name": "g", "arguments": "{}"},
    ]
    assert choice["finish_reason"] == "tool_calls"
    assert (
        body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    )


async def test_a_chat_stream_adds_up_to_the_completion() -> None:
    asked = {**ASK, "stream": True, "stream_options": {"include_usage": True}}
    chunks = chunks_of(await completion("/chat/completions", asked, RULE))
    whole = decode_json(await completion("/chat/completions", ASK, RULE))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert "".join(delta.get("content", "") for delta in deltas) == "a b"
    fragments = [one for delta in deltas for one in delta.get("tool_calls", [])]
    assert [one["id"] for one in fragments if "id" in one] == [
        one["id"] for one in whole["choices"][0]["message"]["tool_calls"]
    ]
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert chunks[-1]["usage"] == whole["usage"]


async def test_a_text_completion_goes_on_from_its_prompt() -> None:
    asked = {"prompt": "hi", "echo": True}
    body = decode_json(await completion("/completions", asked, RULE))
    assert (body["object"], body["choices"][0]["text"]) == ("text_completion", "hia b")
    chunks = chunks_of(await completion("/completions", {**asked, "stream": True}, RULE))
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "hia b"


async def test_a_completion_fails_before_its_head_as_a_stream_does() -> None:
    with pytest.raises(ProviderRateLimited):
        await completion("/chat/completions", ASK, {"reply": [{"fail": {"status": 429}}]})
    with pytest.raises(ProviderRejected):
        await completion("/chat/completions", {**ASK, "tools": [{"type": "custom"}]}, RULE)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": 10**9},
        {"type": "string", "minLength": 10**9},
        {"properties": {name: {"$ref": "#"} for name in "abcd"}, "required": list("abcd")},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"type": "number", "minimum": "low"},
        {"type": "integer", "multipleOf": 0, "minimum": 1},
        {"properties": 5, "required": ["a"]},
        {"type": "array", "minItems": "many"},
    ],
)
async def test_a_schema_that_no_value_can_be_made_for_is_refused_at_once(schema: dict[str, Any]) -> None:
    body = {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}
    asked = {"model": "demo", "messages": [{"role": "user", "content": "hi"}], **body}
    with pytest.raises(ProviderRejected, match="no value that fits"):
        await Scripted("demo").open("/chat/completions", encode(asked), model="demo")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"tools": [{"function": {"name": 5}}]}, "tools[0].function.name"),
    ],
)
async def test_what_a_scripted_model_cannot_read_is_named(body: dict[str, Any], param: str) -> None:
    asked = {"model": "demo", "messages": [{"role": "user", "content": "hi"}], **body}
    with pytest.raises(ProviderRejected) as caught:
        await Scripted("demo").open("/chat/completions", encode(asked), model="demo")
    assert caught.value.param == param


async def test_the_first_of_the_stop_sequences_ends_the_answer_and_is_told() -> None:
    reply = [{"text": "one two three"}, {"text": " four"}]
    heard = await play(call(stop=["four", "two", ""]), {"reply": reply})
    assert said(heard) == "one "
    assert (end(heard).finish, end(heard).stop_sequence) == ("stop", "two")
    heard = await play(call(stop="two", limit=1), {"reply": [{"text": "one and two"}]})
    assert (said(heard), end(heard).finish, end(heard).stop_sequence) == ("one", "length", None)
