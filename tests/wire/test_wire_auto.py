"""`wire: auto`: what a server is asked, once, and what is made of its answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

from antiphon.core import errors
from antiphon.core.commands import CallModel
from antiphon.core.items import Message, OutputText
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ItemDone, ModelSignal
from antiphon.core.transcript import Transcript
from antiphon.models.health import Guarded, UpstreamHealth
from antiphon.providers.capabilities import Capabilities, ResponsesCapabilities
from antiphon.providers.openai_chat import OpenAIChat
from antiphon.providers.openai_responses import OpenAIResponses
from antiphon.providers.presets import PRESETS, ProviderConfigError, UpstreamConfig
from antiphon.providers.remote import Remote
from antiphon.providers.upstream import UpstreamClient
from antiphon.providers.wire_auto import AutoWire
from antiphon.providers.wire_probe import REST_S
from antiphon.testing import FakeClock, FakeIds
from tests.wire.fake_upstream import Exchange, FakeUpstream, fake_upstream

CHAT = {"choices": [{"index": 0, "message": {"content": "by chat"}, "finish_reason": "stop"}]}
SAID = {"type": "message", "content": [{"type": "output_text", "text": "by responses"}]}
RESPONSE = {"object": "response", "status": "completed", "output": [SAID]}
MISSING = b'{"error":{"message":"input is required"}}'
Answer = Callable[[Exchange], Awaitable[None]]


async def no_wait(_: float) -> None:
    """Retries come at once."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def client(clock: FakeClock) -> AsyncIterator[UpstreamClient]:
    made = UpstreamClient(clock, sleep=no_wait)
    yield made
    await made.aclose()


def answering(probe: Answer) -> Answer:
    """A server that answers the question by `probe`, and whatever else it is asked by either wire."""

    async def handle(exchange: Exchange) -> None:
        if exchange.body == b"{}":
            await probe(exchange)
        else:
            answer = RESPONSE if exchange.target.endswith("/responses") else CHAT
            await exchange.reply(200, json.dumps(answer).encode())

    return handle


def replying(status: int, body: bytes = MISSING) -> Answer:
    async def handle(exchange: Exchange) -> None:
        await exchange.reply(status, body)

    return handle


def auto(upstream: FakeUpstream, client: UpstreamClient, *, limit_s: float = 20.0, **config: Any) -> AutoWire:
    made = UpstreamConfig(base_url=upstream.url, **config)
    preset = PRESETS["remote::openai-compatible"]
    return AutoWire(OpenAIResponses("up", preset, made, client, FakeIds()), probe_limit_s=limit_s)


def call(**request: Any) -> CallModel:
    asked = ResponseRequest(model="m", input="hi", **request)
    return CallModel(asked, Transcript(None, (), (Message(role="user", content="hi"),)), stream=False)


async def said(provider: Any, model: str = "m", **request: Any) -> str:
    """The text of an answer that is one message."""
    heard: list[ModelSignal] = []
    async with aclosing(provider.stream(model, call(**request))) as batches:
        async for batch in batches:
            heard += batch
    assert isinstance(heard[0], ItemDone)
    assert isinstance(heard[0].item, Message)
    part = heard[0].item.content[0]
    assert isinstance(part, OutputText)
    return part.text


def probes(upstream: FakeUpstream) -> int:
    return sum(exchange.body == b"{}" for exchange in upstream.exchanges)


@pytest.mark.parametrize(
    ("status", "body", "wire"),
    [
        (400, MISSING, "responses"),
        (422, MISSING, "responses"),
        (200, b'{"object":"response"}', "responses"),
        (404, b'{"detail":"Not Found"}', "chat"),
        (405, b"", "chat"),
        (501, b"", "chat"),
    ],
)
async def test_what_the_server_says_is_remembered(
    client: UpstreamClient, status: int, body: bytes, wire: str
) -> None:
    async with fake_upstream(answering(replying(status, body))) as upstream:
        provider = auto(upstream, client)
        assert provider.wire == "auto"
        for _ in range(3):
            assert await said(provider) == f"by {wire}"
        assert provider.wire == wire
        assert probes(upstream) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [(401, MISSING), (403, MISSING), (429, MISSING), (500, MISSING), (503, b""), (400, b"<html>")],
)
async def test_what_says_nothing_is_asked_again_later(
    client: UpstreamClient, clock: FakeClock, status: int, body: bytes
) -> None:
    async with fake_upstream(answering(replying(status, body))) as upstream:
        provider = auto(upstream, client)
        for _ in range(2):
            assert await said(provider) == "by chat"
        assert (provider.wire, probes(upstream)) == ("auto", 1)
        upstream.handlers = (answering(replying(400)),)
        clock.at += REST_S
        assert await said(provider) == "by responses"
        assert (provider.wire, probes(upstream)) == ("responses", 2)


async def test_a_server_that_is_silent_is_not_waited_for(client: UpstreamClient) -> None:
    async def silence(exchange: Exchange) -> None:
        await exchange.gone()

    async with fake_upstream(answering(silence)) as upstream:
        provider = auto(upstream, client, limit_s=0.05)
        assert await said(provider) == "by chat"
        assert provider.wire == "auto"


async def test_a_server_that_is_away_is_an_error_of_the_call(client: UpstreamClient) -> None:
    async with fake_upstream(replying(200)) as upstream:
        url = upstream.url
    gone = FakeUpstream((), port=int(url.split(":")[2].split("/")[0]))
    with pytest.raises(errors.ProviderUnavailable):
        await said(auto(gone, client, max_retries=0))


async def test_calls_at_the_same_time_share_one_question(client: UpstreamClient) -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def slowly(exchange: Exchange) -> None:
        asked.set()
        await may_answer.wait()
        await exchange.reply(400, MISSING)

    async with fake_upstream(answering(slowly)) as upstream:
        provider = auto(upstream, client)
        calls = [asyncio.create_task(said(provider)) for _ in range(8)]
        await asked.wait()
        calls[0].cancel()  # the first leaves; the others still get their answer
        may_answer.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert answers[1:] == ["by responses"] * 7
        assert probes(upstream) == 1


async def test_a_provider_that_is_closed_asks_no_more(client: UpstreamClient) -> None:
    asked = asyncio.Event()

    async def forever(exchange: Exchange) -> None:
        asked.set()
        await exchange.gone()

    async with fake_upstream(answering(forever)) as upstream:
        provider = auto(upstream, client)
        waiting = asyncio.create_task(said(provider))
        await asked.wait()
        waiting.cancel()
        await provider.aclose()
        assert provider.wire == "auto"


async def test_the_question_counts_for_no_breaker(client: UpstreamClient, clock: FakeClock) -> None:
    async with fake_upstream(answering(replying(503))) as upstream:
        health = UpstreamHealth(clock)
        guarded = Guarded(auto(upstream, client), health)
        for _ in range(20):
            clock.at += REST_S
            assert await said(guarded) == "by chat"
        [state] = health.states()
        assert (state.state, state.last_error, state.in_flight) == ("closed", None, 0)
        assert probes(upstream) == 20


async def test_a_request_goes_by_the_wire_that_can_honour_it(client: UpstreamClient) -> None:
    async with fake_upstream(answering(replying(400))) as upstream:
        provider = auto(upstream, client)
        assert await said(provider, seed=7) == "by chat"
        assert probes(upstream) == 0, "what goes by chat anyway needs no question"
        assert await said(provider) == "by responses"
        with pytest.raises(errors.UnsupportedParameter):
            await said(provider, top_k=7)


async def test_a_server_that_only_seemed_to_have_it_gets_chat(client: UpstreamClient) -> None:
    """Some gateways refuse an empty object wherever it is sent."""

    async def handle(exchange: Exchange) -> None:
        if exchange.body == b"{}":
            await exchange.reply(400, MISSING)
        elif exchange.target.endswith("/responses"):
            await exchange.reply(404, b'{"detail":"Not Found"}')
        else:
            await exchange.reply(200, json.dumps(CHAT).encode())

    async with fake_upstream(handle) as upstream:
        provider = auto(upstream, client)
        for _ in range(2):
            assert await said(provider) == "by chat"
        asked = [one.target for one in upstream.exchanges if one.body != b"{}"]
        assert asked == ["/v1/responses", "/v1/chat/completions", "/v1/chat/completions"]


async def test_who_looks_finds_the_wire_and_its_capabilities(client: UpstreamClient) -> None:
    async with fake_upstream(answering(replying(400))) as upstream:
        provider = auto(upstream, client)
        assert isinstance(provider.capabilities, Capabilities)
        await provider.find_wire()
        assert provider.wire == "responses"
        assert isinstance(provider.capabilities, ResponsesCapabilities)


async def test_the_same_is_known_without_waiting(client: UpstreamClient) -> None:
    async with fake_upstream(answering(replying(400))) as upstream:
        provider = auto(upstream, client)
        hasty = provider.without_waiting()
        assert await said(hasty) == "by responses"
        assert provider.wire == "responses"
        assert await said(provider) == "by responses"
        assert probes(upstream) == 1


async def test_an_error_of_a_call_is_the_calls(client: UpstreamClient) -> None:
    async def handle(exchange: Exchange) -> None:
        status = 400 if exchange.body == b"{}" else 429
        await exchange.reply(status, b'{"error":{"message":"slow down"}}')

    async with fake_upstream(handle) as upstream:
        provider = auto(upstream, client, max_retries=0)
        with pytest.raises(errors.ProviderRateLimited):
            await said(provider)
        assert provider.wire == "responses"


async def test_what_is_not_enforced_is_what_either_wire_leaves_open(client: UpstreamClient) -> None:
    capabilities = {"json_schema": True, "json_object": False, "keeps_formats": True}
    async with fake_upstream(answering(replying(404))) as upstream:
        provider = auto(upstream, client, capabilities=capabilities)
        asked = ResponseRequest(model="m", input="hi")
        assert provider.unenforced(asked) == {"json_object", "text_grammar", "grammar"}
        assert await said(provider) == "by chat"
        assert provider.unenforced(asked) == {"json_object", "text_grammar", "grammar"}


@pytest.mark.parametrize(
    ("provider_type", "wire", "kind"),
    [
        ("remote::openai", None, AutoWire),
        ("remote::azure", None, AutoWire),
        ("remote::openai-compatible", None, AutoWire),
        ("remote::vllm", None, OpenAIChat),
        ("remote::llama-cpp-server", None, OpenAIChat),
        ("remote::ollama", None, OpenAIChat),
        ("remote::groq", None, OpenAIChat),
        ("remote::vllm", "auto", AutoWire),
        ("remote::vllm", "responses", OpenAIResponses),
        ("remote::openai", "responses", OpenAIResponses),
        ("remote::openai", "chat", OpenAIChat),
    ],
)
def test_who_is_asked_by_default(
    client: UpstreamClient, provider_type: str, wire: str | None, kind: type[object]
) -> None:
    config = {"base_url": "http://127.0.0.1:1/v1", "api_key": "key", "wire": wire}
    assert type(Remote.from_config("up", provider_type, config, client, FakeIds())) is kind


def test_a_wire_that_there_is_not_is_refused_by_name(client: UpstreamClient) -> None:
    with pytest.raises(ProviderConfigError) as caught:
        Remote.from_config("up", "remote::openai", {"api_key": "key", "wire": "telex"}, client, FakeIds())
    assert caught.value.key == "wire"


@pytest.mark.parametrize(
    ("base_url", "version", "url"),
    [
        ("https://r.openai.azure.com", None, "/openai/v1/responses"),
        ("https://r.openai.azure.com/openai/v1/", None, "/openai/v1/responses"),
        (
            "https://r.openai.azure.com",
            "2025-04-01-preview",
            "/openai/responses?api-version=2025-04-01-preview",
        ),
    ],
)
async def test_where_azure_has_its_responses(base_url: str, version: str | None, url: str) -> None:
    client = UpstreamClient(FakeClock())
    config = UpstreamConfig(base_url=base_url, api_key="key", api_version=version)
    provider = OpenAIResponses("az", PRESETS["remote::azure"], config, client, FakeIds())
    assert str(provider.site.endpoints.url("/responses", "gpt/5")).endswith(url)
    await client.aclose()
