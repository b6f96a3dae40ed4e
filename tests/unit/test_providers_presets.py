"""The `config:` of a provider, and the URLs it leads to."""

from typing import Any

import pytest

from antiphon.providers.endpoints import azure_endpoints, endpoints
from antiphon.providers.presets import PRESETS, ProviderConfigError, capabilities_of, parse_config


@pytest.mark.parametrize("provider_type", sorted(PRESETS))
def test_every_preset_takes_the_same_keys(provider_type: str) -> None:
    config = parse_config(
        provider_type,
        {"url": "http://x:1/v1", "api_token": "k", "timeouts": {"idle_s": 3}, "refresh_models": True},
    )
    assert (config.base_url, config.api_key, config.timeouts.idle_s) == ("http://x:1/v1", "k", 3)


@pytest.mark.parametrize(
    ("provider_type", "mapping", "key", "words"),
    [
        ("remote::vllm", {"base_ulr": "http://x"}, "base_ulr", 'did you mean "base_url"'),
        ("remote::vllm", {"url": "x", "base_url": "y"}, "base_url", "twice"),
        ("remote::vllm", {"url": "localhost:8000"}, "base_url", "http://"),
        ("remote::vllm", {"max_retries": "many"}, "max_retries", "Expected `int`"),
        ("remote::vllm", {"max_retries": 99}, "max_retries", "from 0 to 10"),
        ("remote::vllm", {"timeouts": {"idle": 3}}, "timeouts", "idle"),
        ("remote::vllm", {"timeouts": {"idle_s": 0}}, "timeouts.idle_s", "above 0"),
        ("remote::vllm", {"capabilities": {"json_shema": True}}, "", "json_shema"),
        ("remote::openai", {}, "api_key", "api_key"),
        ("remote::azure", {"api_key": "k"}, "base_url", "base_url"),
        ("remote::openai-compatible", {}, "base_url", "base_url"),
        ("remote::nobody", {}, "", "remote::ollama"),
    ],
)
def test_a_wrong_configuration_is_named(
    provider_type: str, mapping: dict[str, Any], key: str, words: str
) -> None:
    with pytest.raises(ProviderConfigError) as caught:
        parse_config(provider_type, mapping)
    assert caught.value.key == key
    assert words in caught.value.message


def test_an_operator_corrects_what_a_server_can_do() -> None:
    config = parse_config("remote::ollama", {"capabilities": {"tool_choice": True, "reasoning_field": None}})
    can = capabilities_of(PRESETS["remote::ollama"], config)
    assert can.tool_choice
    assert can.reasoning_field is None
    assert not can.parallel_tool_calls


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://localhost:11434", "http://localhost:11434/v1/chat/completions"),
        ("http://localhost:11434/", "http://localhost:11434/v1/chat/completions"),
        ("https://x/v1/", "https://x/v1/chat/completions"),
        ("https://x/api/paas/v4", "https://x/api/paas/v4/chat/completions"),
    ],
)
def test_a_bare_host_means_v1(base: str, url: str) -> None:
    assert str(endpoints(base).url("/chat/completions", "m")) == url


@pytest.mark.parametrize(
    ("base", "version", "url"),
    [
        (
            "https://r.x",
            "2024-10-21",
            "https://r.x/openai/deployments/m%20x/chat/completions?api-version=2024-10-21",
        ),
        ("https://r.x/openai", None, "https://r.x/openai/v1/chat/completions"),
        ("https://r.x/openai/v1", "preview", "https://r.x/openai/v1/chat/completions?api-version=preview"),
        (
            "https://r.x/openai/deployments/d",
            "2024-10-21",
            "https://r.x/openai/deployments/d/chat/completions?api-version=2024-10-21",
        ),
    ],
)
def test_azure_has_two_layouts(base: str, version: str | None, url: str) -> None:
    assert str(azure_endpoints(base, version).url("/chat/completions", "m x")) == url
