"""What is shown of a provider, and what never is."""

from typing import Any, Literal

import msgspec
import pytest

from antiphon.cli.survey import address_of, capabilities_of, wire_of
from antiphon.config.load import ProviderSettings
from antiphon.providers.capabilities import Capabilities
from antiphon.providers.scripted import Scripted


class Config(msgspec.Struct):
    """A provider that tells its whole configuration."""

    api_key: str = "sk-secret"
    headers: tuple[str, ...] = ("sk-secret",)
    base_url: str = "https://u:sk-secret@host/v1"
    verify: bool | str = "sk-secret"
    thinking: Literal["adaptive", "off"] | None = "adaptive"
    tools: bool = True
    rerank_path: str | None = "/rerank"
    missing: str | None = None
    limit: int = 8192


class Telling(Scripted):
    """A plugin that says where it is, how it is spoken to and what it can do."""

    wire = "messages"
    address = "https://user:sk-secret@api.example.com/v1?key=sk-secret"

    def __init__(self, told: object) -> None:
        super().__init__()
        self.capabilities = told


def settings(kind: str, **config: Any) -> ProviderSettings:
    return ProviderSettings(provider_id="x", provider_type=kind, config=config)


def test_capabilities_show_yes_no_words_and_paths_and_nothing_that_may_be_secret() -> None:
    shown = capabilities_of(Telling(Config()))
    checked = shown.pop("checked_here")
    assert "json_schema" in checked
    assert shown == {"thinking": "adaptive", "tools": True, "rerank_path": "/rerank", "missing": None}


def test_every_capability_of_ours_is_shown() -> None:
    shown = capabilities_of(Telling(Capabilities(tokenize_path="/tokenize", rerank_path="/rerank")))
    assert set(shown) == {*Capabilities.__struct_fields__, "checked_here"}


def test_a_provider_that_tells_nothing_is_asked_what_it_enforces() -> None:
    assert list(capabilities_of(Scripted())) == ["checked_here"]
    assert list(capabilities_of(Telling("a text"))) == ["checked_here"]


@pytest.mark.parametrize(
    ("provider", "given", "expected"),
    [
        (Scripted(), settings("remote::vllm"), "http://localhost:8000/v1"),
        (Scripted(), settings("remote::vllm", url="http://a:sk-secret@b:1/v1?k=1"), "http://b:1/v1"),
        (Scripted(), settings("inline::mine"), "in this process"),
        (Scripted(), settings("remote::mine"), "its usual address"),
        (Telling(None), settings("remote::mine"), "https://api.example.com/v1"),
        (Telling(None), settings("remote::mine", base_url="http://here/v1"), "http://here/v1"),
    ],
)
def test_an_address_is_shown_without_secrets(
    provider: Scripted, given: ProviderSettings, expected: str
) -> None:
    assert address_of(given, provider) == expected


def test_the_wire_is_what_the_provider_says_or_what_is_configured() -> None:
    assert wire_of(settings("remote::mine"), Telling(None)) == "messages"
    assert wire_of(settings("remote::vllm", wire="chat"), Scripted()) == "chat"
    assert wire_of(settings("remote::vllm"), Scripted()) == "chat"
    assert wire_of(settings("inline::scripted"), Scripted()) == "own"
