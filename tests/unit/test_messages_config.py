"""The configuration of `remote::anthropic`, and what its provider sends and says with it."""

import json
from typing import Any

import pytest

from antiphon.core.errors import ProviderRejected
from antiphon.core.request import ResponseRequest
from antiphon.providers.anthropic import Anthropic, rename_param
from antiphon.providers.messages_config import MessagesConfig, parse_messages_config
from antiphon.providers.presets import ProviderConfigError
from antiphon.providers.upstream import UpstreamClient
from antiphon.testing import FakeClock, FakeIds

KEY = "sk-ant-0123456789"


def made(*, lenient: bool = False, **config: Any) -> Anthropic:
    client = UpstreamClient(FakeClock())
    mapping = {"api_key": KEY, **config}
    return Anthropic.from_config("up", "remote::anthropic", mapping, client, FakeIds(), lenient=lenient)


def asked(**request: Any) -> ResponseRequest:
    return ResponseRequest(model="m", input="hi", **request)


@pytest.mark.parametrize(
    ("mapping", "key", "why"),
    [
        ({}, "api_key", "needs"),
        ({"api_key": ""}, "api_key", "needs"),
        ({"api_key": None, "base_url": "https://api.anthropic.com"}, "api_key", "needs"),
        ({"api_key": KEY, "base_url": "api.anthropic.com"}, "base_url", "https://"),
        ({"api_key": KEY, "url": "https://a", "base_url": "https://b"}, "base_url", "twice"),
        ({"api_key": KEY, "max_token": 5}, "max_token", "max_tokens"),
        ({"api_key": KEY, "max_tokens": 0}, "max_tokens", ">= 1"),
        ({"api_key": KEY, "cache": "maybe"}, "cache", "maybe"),
        ({"api_key": KEY, "capabilities": {"thinking": "deep"}}, "capabilities.thinking", "deep"),
        ({"api_key": KEY, "capabilities": {"think": "auto"}}, "capabilities", "think"),
        ({"api_key": KEY, "timeouts": {"connect_s": 0}}, "timeouts.connect_s", "above 0"),
        ({"api_key": KEY, "wire": "chat"}, "wire", "chat"),
    ],
)
def test_a_wrong_key_is_named(mapping: Any, key: str, why: str) -> None:
    with pytest.raises(ProviderConfigError, match=why) as caught:
        parse_messages_config(mapping)
    assert caught.value.key == key


@pytest.mark.parametrize(
    "mapping",
    [
        {"base_url": "http://localhost:8000/v1"},
        {"headers": {"Authorization": "Bearer token-of-a-subscription"}},
        {"api_token": KEY, "api_base": "https://api.anthropic.com"},
        {"api_key": KEY, "allowed_models": None},
    ],
)
def test_keys_of_other_forms_are_taken(mapping: Any) -> None:
    parse_messages_config(mapping)


def test_the_key_goes_as_each_route_wants_it() -> None:
    config = MessagesConfig(api_key=KEY, headers={"Anthropic-Beta": "new-thing", "X-Mine": "1"})
    own, chat = config.upstream(), config.upstream(chat=True)
    assert own.headers == {
        "anthropic-version": "2023-06-01",
        "x-api-key": KEY,
        "anthropic-beta": "new-thing",
        "x-mine": "1",
    }
    assert (own.api_key, chat.api_key, chat.headers) == (None, KEY, {"x-mine": "1"})


def test_a_lenient_provider_names_what_it_leaves_out() -> None:
    request = asked(top_k=5, seed=1, temperature=1.5)
    assert sorted(made(lenient=True).dropped(request)) == ["seed", "temperature"]
    assert list(made().dropped(request)) == []


def test_only_schemas_that_it_binds_are_left_to_the_upstream() -> None:
    def unenforced(schema: Any, **config: Any) -> set[str]:
        body = {"type": "json_schema", "name": "n", "schema": schema}
        request = ResponseRequest.parse(
            json.dumps({"model": "m", "input": "hi", "text": {"format": body}}).encode()
        )
        return set(made(**config).unenforced(request))

    plain: Any = {"type": "object", "properties": {}}
    assert unenforced(plain) == {"json_object", "text_grammar", "grammar"}
    assert "json_schema" in unenforced({"type": "integer", "minimum": 1})
    assert "json_schema" in unenforced(plain, capabilities={"json_schema": False})


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ("messages.0.content.1: image exceeds 5 MB maximum", "input"),
        ("max_tokens: 100 > 50, which is the maximum", "max_output_tokens"),
        ("`temperature` and `top_p` cannot both be specified for this model.", "temperature"),
        ("temperature: range: 0..1", "temperature"),
        ("thinking.budget_tokens: Input should be greater", "reasoning.effort"),
        ("output_config.format.schema: not supported", "text.format"),
        ("output_config.effort: 'xhigh' is not supported", "reasoning.effort"),
        ("system.0: text content blocks must be non-empty", "instructions"),
        ("metadata.user_id: appears to contain an email address", "user"),
        ("stop_sequences: each must contain non-whitespace", "stop"),
        ("tools.0.custom.input_schema: JSON schema is invalid", "tools"),
        ("speed: not available", "service_tier"),
        ("Thinking may not be enabled when tool_choice forces tool use.", None),
        ("Your credit balance is too low", None),
        ("model access is not granted to this workspace", None),
        ("`max_tokens must be a number", None),
        ("something_else: is wrong", None),
    ],
)
def test_a_field_that_the_upstream_names_gets_our_name(said: str, param: str | None) -> None:
    error = ProviderRejected("up", f'provider "up" rejected the request: {said}')
    rename_param(error)
    assert error.param == param


def test_a_field_that_is_known_stays() -> None:
    error = ProviderRejected("up", 'provider "up" rejected the request: messages: no', param="tools")
    rename_param(error)
    assert error.param == "tools"


async def test_an_impatient_copy_shares_what_is_known() -> None:
    provider = made(allowed_models=["a"])
    hasty = provider.without_waiting()
    assert hasty is not provider
    assert hasty.capabilities == provider.capabilities
    assert hasty.address == "https://api.anthropic.com/v1"
    await hasty.aclose()
