"""`remote::tgi` against a server that behaves as Text Generation Inference documents its Messages API."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pytest

from antiphon.core import errors
from antiphon.core.commands import CallModel
from antiphon.core.items import FunctionCall, FunctionCallOutput, Message
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal
from antiphon.core.transcript import Transcript
from antiphon.providers.openai_chat import OpenAIChat
from antiphon.providers.upstream import UpstreamClient
from tests.wire.fake_upstream import FakeUpstream, fake_upstream
from tests.wire.reading import Ours
from tests.wire.test_upstream import CountingIds, FixedClock
from tests.wire.tgi import MODEL, TextGenerationInference

TOOL = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
OTHER = {**TOOL, "name": "get_time"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORMAT = {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}}


both_ways = pytest.mark.parametrize("stream", [False, True])


@dataclass
class Rig:
    """A TGI, and a provider that talks to it."""

    tgi: TextGenerationInference
    provider: OpenAIChat

    async def run(self, *, stream: bool, said: str = "hi", items: tuple[Any, ...] = (), **more: Any) -> Ours:
        request = ResponseRequest.parse(json.dumps({"model": "m", "input": said, **more}).encode())
        transcript = Transcript(items=(Message(role="user", content=said), *items))
        choice = request.tool_choice or "auto"
        call = CallModel(request, transcript, choice, request.max_output_tokens, stream=stream)
        heard: list[ModelSignal] = []
        async with aclosing(self.provider.stream(MODEL, call)) as batches:
            async for batch in batches:
                heard += batch
        assert self.tgi.skipped == [], "a field that TGI would skip was sent"
        return Ours.of(heard)

    async def cannot_read(self, **more: Any) -> None:
        """TGI before 3.2 streams a call as the text of its grammar, without a name: an error, never lost in silence."""
        with pytest.raises(errors.ProviderProtocolError, match="tool_calls"):
            await self.run(stream=True, **more)

    def unenforced(self, **more: Any) -> frozenset[str]:
        request = ResponseRequest.parse(json.dumps({"model": "m", "input": "hi", **more}).encode())
        return frozenset(self.provider.unenforced(request))

    @property
    def sent(self) -> dict[str, Any]:
        return self.tgi.seen[-1]


@pytest.fixture(params=["3.3", "before 3.2"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async def no_wait(_: float) -> None:
        return

    tgi = TextGenerationInference(old=request.param != "3.3")
    client = UpstreamClient(FixedClock(), sleep=no_wait, jitter=lambda: 1.0)
    async with fake_upstream(tgi) as upstream:
        yield Rig(tgi, made_for(upstream, client))
    await client.aclose()


@both_ways
async def test_text_and_usage_come_back(rig: Rig, stream: bool) -> None:
    ours = await rig.run(stream=stream)
    assert ours.text == "Bonjour !"
    assert ours.end.finish == "stop"
    assert ours.end.usage is not None
    assert (ours.end.usage.input_tokens, ours.end.usage.output_tokens) == (9, 4)


async def test_its_model_is_listed(rig: Rig) -> None:
    assert [one.name for one in await rig.provider.list_models()] == [MODEL]


@both_ways
async def test_a_call_has_an_id_of_its_own_and_its_arguments_as_text(rig: Rig, stream: bool) -> None:
    if rig.tgi.old and stream:
        await rig.cannot_read(tools=[TOOL])
        return
    first = await rig.run(stream=stream, tools=[TOOL, OTHER])
    second = await rig.run(stream=stream, tools=[TOOL, OTHER])
    (one,), (two,) = first.calls, second.calls
    assert (one.name, json.loads(one.arguments)) == ("get_weather", {"city": "Paris"})
    assert "0" not in (one.call_id, two.call_id)
    assert one.call_id != two.call_id
    assert first.end.finish == "tool_calls"


@both_ways
async def test_a_tools_output_goes_back_under_the_same_id(rig: Rig, stream: bool) -> None:
    made = FunctionCall(call_id="call_7", name="get_weather", arguments='{"city":"Paris"}')
    result = FunctionCallOutput(call_id="call_7", output="21 degrees")
    ours = await rig.run(stream=stream, items=(made, result), tools=[TOOL])
    assert ours.text == "Bonjour !"
    assistant, tool = rig.sent["messages"][-2:]
    assert assistant["tool_calls"][0]["id"] == tool["tool_call_id"] == "call_7"


@both_ways
@pytest.mark.parametrize(
    ("choice", "sent", "name"),
    [
        ("required", "required", "get_weather"),
        ({"type": "function", "name": "get_time"}, {"type": "function", "function": {"name": "get_time"}}, "get_time"),
    ],
)  # fmt: skip
async def test_a_choice_of_tool_is_passed(rig: Rig, stream: bool, choice: Any, sent: Any, name: str) -> None:
    if rig.tgi.old and stream:
        await rig.cannot_read(tools=[TOOL])
        return
    ours = await rig.run(stream=stream, tools=[TOOL, OTHER], tool_choice=choice)
    assert rig.sent["tool_choice"] == sent
    assert [call.name for call in ours.calls] == [name]


async def test_no_tool_is_passed_as_none(rig: Rig) -> None:
    assert (await rig.run(stream=True, tools=[TOOL], tool_choice="none")).calls == []
    assert rig.sent["tool_choice"] == "none"


@both_ways
async def test_a_schema_is_sent_as_its_grammar_which_it_keeps_to(rig: Rig, stream: bool) -> None:
    ours = await rig.run(stream=stream, text=FORMAT)
    assert rig.sent["response_format"] == {"type": "json", "value": SCHEMA}
    assert json.loads(ours.text) == {"city": "Paris"}
    assert "json_schema" not in rig.unenforced(text=FORMAT)


async def test_any_json_object_is_sent_as_the_schema_of_objects(rig: Rig) -> None:
    await rig.run(stream=False, text={"format": {"type": "json_object"}})
    assert rig.sent["response_format"] == {"type": "json", "value": {"type": "object"}}


@both_ways
async def test_a_format_beside_tools_is_asked_for_in_the_instructions(rig: Rig, stream: bool) -> None:
    if rig.tgi.old and stream:
        await rig.cannot_read(tools=[TOOL])
        return
    await rig.run(stream=stream, tools=[TOOL], text=FORMAT)
    assert "response_format" not in rig.sent
    system = rig.sent["messages"][0]
    assert system["role"] == "system"
    assert json.dumps(SCHEMA, separators=(",", ":")) in system["content"]
    assert "json_schema" in rig.unenforced(text=FORMAT, tools=[TOOL]), "the answer is checked here"


@both_ways
async def test_settings_are_passed_in_the_form_it_takes(rig: Rig, stream: bool) -> None:
    settings: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.25,
    }
    await rig.run(stream=stream, stop="END", max_output_tokens=60, user="u", **settings)
    assert {name: rig.sent[name] for name in settings} == settings
    assert (rig.sent["stop"], rig.sent["max_tokens"]) == (["END"], 60)
    assert "user" not in rig.sent


async def test_a_top_p_of_one_asks_for_nothing_and_is_left_out(rig: Rig) -> None:
    assert (await rig.run(stream=False, top_p=1)).text == "Bonjour !"
    assert "top_p" not in rig.sent


@both_ways
async def test_log_probabilities_come_back(rig: Rig, stream: bool) -> None:
    ours = await rig.run(stream=stream, top_logprobs=2)
    assert (rig.sent["logprobs"], rig.sent["top_logprobs"]) == (True, 2)
    assert "".join(ours.tokens) == "Bonjour !"


@both_ways
@pytest.mark.parametrize(
    ("more", "finish"), [({"stop": ["X"]}, "stop"), ({"max_output_tokens": 16}, "length"), ({}, "stop")]
)
async def test_its_words_for_the_end_are_understood(
    rig: Rig, stream: bool, more: dict[str, Any], finish: str
) -> None:
    assert (await rig.run(stream=stream, **more)).end.finish == finish


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"reasoning": {"effort": "low"}}, "reasoning.effort"),
        ({"top_k": 5}, "top_k"),
        ({"min_p": 0.1}, "min_p"),
        ({"repetition_penalty": 1.1}, "repetition_penalty"),
        ({"service_tier": "flex"}, "service_tier"),
    ],
)
async def test_what_it_would_skip_unseen_is_refused_by_name(
    rig: Rig, more: dict[str, Any], param: str
) -> None:
    with pytest.raises(errors.UnsupportedParameter) as caught:
        await rig.run(stream=False, **more)
    assert caught.value.param == param
    assert rig.tgi.seen == []


@pytest.mark.parametrize("name", ["parallel_tool_calls", "prompt_cache_key", "safety_identifier"])
async def test_what_is_done_here_or_means_nothing_there_is_not_sent(rig: Rig, name: str) -> None:
    value: Any = False if name == "parallel_tool_calls" else "k"
    await rig.run(stream=False, tools=[TOOL], **{name: value})
    assert name not in rig.sent


@both_ways
async def test_a_full_queue_is_waited_for(rig: Rig, stream: bool) -> None:
    rig.tgi.busy = 1
    assert (await rig.run(stream=stream)).text == "Bonjour !"
    rig.tgi.busy = 9
    with pytest.raises(errors.ProviderRateLimited, match="Model is overloaded"):
        await rig.run(stream=stream)


async def test_a_model_that_failed_is_an_unavailable_upstream(rig: Rig) -> None:
    rig.tgi.dead = True
    with pytest.raises(errors.ProviderUnavailable, match="out of memory"):
        await rig.run(stream=False)


async def test_too_many_tokens_are_a_context_overflow(rig: Rig) -> None:
    with pytest.raises(errors.ProviderContextLength) as caught:
        await rig.run(stream=True, max_output_tokens=9999)
    assert caught.value.param == "input"


async def test_a_refusal_carries_its_own_words(rig: Rig) -> None:
    with pytest.raises(errors.ProviderRejected, match="supports up to 4 stop sequences"):
        await rig.run(stream=False, stop=["a", "b", "c", "d", "e"])


async def test_an_error_in_a_stream_is_an_error(rig: Rig) -> None:
    with pytest.raises(errors.ProviderError, match="Server error: crashed"):
        await rig.run(stream=True, said="crash")


def made_for(upstream: FakeUpstream, client: UpstreamClient) -> OpenAIChat:
    config = {"base_url": upstream.url.removesuffix("/v1")}
    return OpenAIChat.from_config("tgi", "remote::tgi", config, client, CountingIds())
