"""The wires and their tables of parameters. A new wire is one more entry of `WIRES`.

A rule is anything with `param`, `field`, `note` and `kind(capabilities)`, as `chat_parameters.Rule` has them; a column
is a provider type and its capabilities, as the rules of that wire read them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from antiphon.providers import chat_parameters, messages_parameters, responses_parameters
from antiphon.providers.capabilities import ResponsesCapabilities
from antiphon.providers.messages_config import MessagesCapabilities
from antiphon.providers.presets import PRESETS


class AnyRule(Protocol):
    @property
    def param(self) -> str: ...
    @property
    def field(self) -> str: ...
    @property
    def note(self) -> str: ...
    def kind(self, capabilities: Any, /) -> str: ...


@dataclass(frozen=True, slots=True)
class WireTable:
    """`columns`: provider type → what `AnyRule.kind` takes."""

    title: str
    about: str
    rules: Sequence[AnyRule]
    columns: Mapping[str, Any]

    def kinds(self, param: str) -> set[str]:
        """What becomes of a parameter on this wire, over its provider types; empty where it has no row."""
        found = [rule for rule in self.rules if rule.param == param]
        return {rule.kind(column) for rule in found for column in self.columns.values()}


def _chat() -> WireTable:
    return WireTable(
        "chat completions",
        "Upstreams that speak `/v1/chat/completions`. `inline::llama-cpp` is as `remote::llama-cpp-server` is.",
        chat_parameters.rules(),
        {name: preset.capabilities for name, preset in PRESETS.items()},
    )


def _responses() -> WireTable:
    """Types of which it is known what their route can do; the others may be told to speak it by `wire: responses`."""
    known = {name: one.responses for name, one in PRESETS.items() if one.responses != ResponsesCapabilities()}
    return WireTable(
        "responses",
        "Upstreams that speak `/v1/responses`: chosen by `wire: responses`, or found by `wire: auto`.",
        responses_parameters.rules(),
        known,
    )


def _messages() -> WireTable:
    usual = MessagesCapabilities()
    plain = MessagesCapabilities(thinking="budget", json_schema=False)
    return WireTable(
        "messages",
        "Upstreams that speak Anthropic's `/v1/messages`.",
        messages_parameters.RULES,
        {"remote::anthropic": usual, "`thinking: budget`, `json_schema: false`": plain},
    )


WIRES: tuple[WireTable, ...] = (_chat(), _responses(), _messages())
