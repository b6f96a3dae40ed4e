"""Each preset of `providers/hosted.py`: what a request becomes for it, beside what its documents say."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pytest

from antiphon.core.commands import CallModel
from antiphon.core.errors import UnsupportedParameter
from antiphon.core.items import Message
from antiphon.core.request import ResponseRequest
from antiphon.core.transcript import Transcript
from antiphon.providers.endpoints import endpoints
from antiphon.providers.hosted import HOSTED
from antiphon.providers.openai_chat import OpenAIChat
from antiphon.providers.presets import PRESETS, ProviderConfigError, parse_config
from antiphon.providers.upstream import UpstreamClient
from tests.wire.fake_upstream import Exchange, FakeUpstream, fake_upstream
from tests.wire.test_upstream import STOP, CountingIds, FixedClock, text

KEY = "key-0123456789"
SCHEMA: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True)
class Service:
    """What the documents of a service say, written down a second time and apart from the preset."""

    name: str
    url: str
    limit: str = "max_tokens"
    refuses: frozenset[str] = frozenset()
    """Of the parameters in VALUES, those that it does not know."""
    sends: tuple[tuple[str, Any], ...] = ()
    """Fields that are special to it, in a request with all that it does not refuse."""
    leaves_out: frozenset[str] = frozenset()
    schemas: bool = True


VALUES: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.5,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "seed": 7,
    "stop": ["END"],
    "top_k": 40,
    "min_p": 0.1,
    "repetition_penalty": 1.1,
    "top_logprobs": 2,
    "service_tier": "flex",
    "reasoning": {"effort": "low"},
}
SAMPLING = frozenset({"top_k", "min_p", "repetition_penalty"})
PENALTIES = frozenset({"presence_penalty", "frequency_penalty"})
TIER = frozenset({"service_tier"})
THINKING = frozenset({"reasoning.effort"})
LOGPROBS = frozenset({"top_logprobs"})
SERVICES = (
    Service(
        "remote::lmstudio",
        "http://localhost:1234/v1/chat/completions",
        refuses=frozenset({"min_p"}) | TIER | THINKING | LOGPROBS,
        sends=(("repeat_penalty", 1.1), ("top_k", 40)),
        leaves_out=frozenset({"user", "parallel_tool_calls"}),
    ),
    Service(
        "remote::groq",
        "https://api.groq.com/openai/v1/chat/completions",
        limit="max_completion_tokens",
        refuses=SAMPLING | PENALTIES | LOGPROBS,
        sends=(
            ("service_tier", "flex"),
            ("reasoning_effort", "low"),
            ("user", "u"),
            ("parallel_tool_calls", False),
        ),
    ),
    Service(
        "remote::together",
        "https://api.together.xyz/v1/chat/completions",
        refuses=TIER | LOGPROBS,
        sends=(("repetition_penalty", 1.1), ("top_k", 40), ("min_p", 0.1)),
        leaves_out=frozenset({"user", "stream_options", "parallel_tool_calls"}),
    ),
    Service(
        "remote::fireworks",
        "https://api.fireworks.ai/inference/v1/chat/completions",
        sends=(
            ("repetition_penalty", 1.1),
            ("prompt_cache_key", "k"),
            ("service_tier", "flex"),
            ("logprobs", True),
        ),
        leaves_out=frozenset({"stream_options"}),
    ),
    Service(
        "remote::mistral",
        "https://api.mistral.ai/v1/chat/completions",
        refuses=SAMPLING | TIER | LOGPROBS,
        sends=(("random_seed", 7), ("parallel_tool_calls", False)),
        leaves_out=frozenset({"seed", "user", "stream_options"}),
    ),
    Service(
        "remote::deepseek",
        "https://api.deepseek.com/v1/chat/completions",
        refuses=SAMPLING | TIER | THINKING | frozenset({"seed"}),
        sends=(("top_logprobs", 2),),
        leaves_out=frozenset({"user", "parallel_tool_calls"}),
        schemas=False,
    ),
    Service(
        "remote::openrouter",
        "https://openrouter.ai/api/v1/chat/completions",
        refuses=TIER,
        sends=(("repetition_penalty", 1.1), ("min_p", 0.1), ("verbosity", "low"), ("user", "u")),
    ),
    Service(
        "remote::gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
        refuses=SAMPLING | PENALTIES | TIER | LOGPROBS | frozenset({"seed"}),
        sends=(("reasoning_effort", "low"),),
        leaves_out=frozenset({"user", "parallel_tool_calls"}),
    ),
    Service(
        "remote::sambanova",
        "https://api.sambanova.ai/v1/chat/completions",
        refuses=PENALTIES | TIER | frozenset({"min_p", "repetition_penalty"}),
        sends=(("top_k", 40), ("seed", 7), ("parallel_tool_calls", False)),
        leaves_out=frozenset({"user"}),
    ),
    Service(
        "remote::cerebras",
        "https://api.cerebras.ai/v1/chat/completions",
        limit="max_completion_tokens",
        refuses=SAMPLING,
        sends=(("service_tier", "flex"), ("top_logprobs", 2), ("user", "u")),
    ),
    Service(
        "remote::nvidia",
        "https://integrate.api.nvidia.com/v1/chat/completions",
        refuses=SAMPLING | TIER | THINKING,
        sends=(("seed", 7), ("presence_penalty", 0.5)),
        leaves_out=frozenset({"user", "parallel_tool_calls"}),
    ),
)
each_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)


def request_of(**more: Any) -> ResponseRequest:
    return ResponseRequest.parse(json.dumps({"model": "m", "input": "hi", **more}).encode())


async def answer(exchange: Exchange) -> None:
    await exchange.begin_stream()
    await exchange.chunk(text("hello") + STOP + b"data: [DONE]\n\n")
    await exchange.end_stream()


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with fake_upstream(answer) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[UpstreamClient]:
    made = UpstreamClient(FixedClock())
    yield made
    await made.aclose()


async def sent(upstream: FakeUpstream, client: UpstreamClient, kind: str, **more: Any) -> dict[str, Any]:
    """The body that an upstream of this type is sent."""
    request = request_of(**more)
    config = {"base_url": upstream.url, "api_key": KEY}
    provider = OpenAIChat.from_config("p", kind, config, client, CountingIds())
    transcript = Transcript(items=(Message(role="user", content="hi"),))
    call = CallModel(request, transcript, request.tool_choice or "auto", request.max_output_tokens)
    async with aclosing(provider.stream("m", call)) as batches:
        async for _ in batches:
            pass
    body: dict[str, Any] = json.loads(upstream.exchanges[-1].body)
    return body


def test_every_preset_is_here_or_has_a_fake_of_its_own() -> None:
    assert {preset.provider_type for preset in HOSTED} == {one.name for one in SERVICES} | {"remote::tgi"}


@each_service
def test_the_address_is_the_documented_one(service: Service) -> None:
    url = PRESETS[service.name].default_url
    assert url is not None
    assert str(endpoints(url).url("/chat/completions")) == service.url


@each_service
def test_a_key_is_wanted_at_the_services_own_address_only(service: Service) -> None:
    assert parse_config(service.name, {"base_url": "http://gateway:1/v1"}).api_key is None
    if service.name == "remote::lmstudio":
        assert parse_config(service.name, {}).api_key is None
        return
    with pytest.raises(ProviderConfigError, match="needs `api_key`"):
        parse_config(service.name, {})


@each_service
async def test_the_key_is_a_bearer_token(
    service: Service, upstream: FakeUpstream, client: UpstreamClient
) -> None:
    await sent(upstream, client, service.name)
    assert upstream.exchanges[-1].target == "/v1/chat/completions"
    assert upstream.exchanges[-1].headers["authorization"] == f"Bearer {KEY}"


@each_service
async def test_its_fields_are_the_documented_ones(
    service: Service, upstream: FakeUpstream, client: UpstreamClient
) -> None:
    taken = {name: value for name, value in VALUES.items() if _param(name) not in service.refuses}
    tool: dict[str, Any] = {
        "type": "function",
        "name": "f",
        "parameters": {"type": "object", "properties": {}},
    }
    more = {"user": "u", "prompt_cache_key": "k", "text": {"verbosity": "low"}, "parallel_tool_calls": False}
    body = await sent(upstream, client, service.name, max_output_tokens=99, tools=[tool], **more, **taken)
    assert body[service.limit] == 99
    for name, value in service.sends:
        assert body[name] == value
    assert not service.leaves_out & set(body)
    for name in set(taken) & {"temperature", "top_p", "stop", "presence_penalty"}:
        assert body[name] == VALUES[name]


@each_service
@pytest.mark.parametrize("name", VALUES)
async def test_what_it_does_not_know_is_refused_by_name(
    service: Service, name: str, upstream: FakeUpstream, client: UpstreamClient
) -> None:
    if _param(name) not in service.refuses:
        await sent(upstream, client, service.name, **{name: VALUES[name]})
        return
    with pytest.raises(UnsupportedParameter) as caught:
        await sent(upstream, client, service.name, **{name: VALUES[name]})
    assert caught.value.param == _param(name)
    assert upstream.exchanges == []


@each_service
async def test_a_schema_is_sent_where_it_is_known_and_else_written_into_the_instructions(
    service: Service, upstream: FakeUpstream, client: UpstreamClient
) -> None:
    wanted = {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}
    body = await sent(upstream, client, service.name, text=wanted)
    if service.schemas:
        assert body["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": SCHEMA},
        }
    else:
        assert body["response_format"] == {"type": "json_object"}
        assert json.dumps(SCHEMA, separators=(",", ":")) in body["messages"][0]["content"]


async def test_together_lists_its_models_without_an_envelope(client: UpstreamClient) -> None:
    async def listed(exchange: Exchange) -> None:
        await exchange.reply(200, json.dumps([{"id": "a/b", "object": "model", "created": 5}]).encode())

    async with fake_upstream(listed) as upstream:
        config = {"base_url": upstream.url, "api_key": KEY}
        provider = OpenAIChat.from_config("t", "remote::together", config, client, CountingIds())
        assert [(one.name, one.created_at) for one in await provider.list_models()] == [("a/b", 5)]


def _param(name: str) -> str:
    return "reasoning.effort" if name == "reasoning" else name
