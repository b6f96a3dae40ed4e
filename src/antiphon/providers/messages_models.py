"""What a list of models in the form of Anthropic's says about each (`GET /v1/models`). Servers may say less."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import msgspec

from antiphon.core.wire import UNSET, UnsetType

LEVELS = ("low", "medium", "high", "xhigh", "max")


class _Support(msgspec.Struct, frozen=True):
    supported: bool = False


class _Types(msgspec.Struct, frozen=True):
    adaptive: _Support = _Support()
    enabled: _Support = _Support()
    disabled: _Support = _Support(supported=True)


class _Thinking(msgspec.Struct, frozen=True):
    supported: bool = False
    types: _Types = _Types()


class _Effort(msgspec.Struct, frozen=True):
    supported: bool = False
    low: _Support | None = None
    medium: _Support | None = None
    high: _Support | None = None
    xhigh: _Support | None = None
    max: _Support | None = None


class _Capabilities(msgspec.Struct, frozen=True):
    thinking: _Thinking | None = None
    effort: _Effort | None = None


class _Listed(msgspec.Struct, frozen=True):
    id: str
    created_at: str = ""
    created: int = 0
    lifecycle: str | None = None
    max_tokens: int | None = None
    capabilities: msgspec.Raw | UnsetType = UNSET


class Page(msgspec.Struct, frozen=True):
    data: list[_Listed]
    has_more: bool = False
    last_id: str | None = None


PAGE = msgspec.json.Decoder(Page)
_CAPABILITIES = msgspec.json.Decoder(_Capabilities | None)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """None where nothing is known. `efforts` are the values of `output_config.effort` that the model takes."""

    max_tokens: int | None = None
    adaptive: bool | None = None
    budget: bool | None = None
    can_stop_thinking: bool = True
    efforts: frozenset[str] | None = None

    def nearest(self, effort: str) -> str | None:
        """The effort to ask for: the wanted one, else the next lower that there is, else the lowest."""
        wanted = "low" if effort == "minimal" else effort
        if self.efforts is None:
            return wanted
        known = [level for level in LEVELS if level in self.efforts]
        lower = [level for level in known if LEVELS.index(level) <= LEVELS.index(wanted)]
        return lower[-1] if lower else known[0] if known else None


NOTHING_KNOWN = ModelFacts()
NO_MODELS: Mapping[str, ModelFacts] = MappingProxyType({})


def facts_of(listed: _Listed) -> ModelFacts:
    """Capabilities in a shape that is not known count as not told."""
    told: _Capabilities | None = None
    if listed.capabilities is not UNSET:
        try:
            told = _CAPABILITIES.decode(listed.capabilities)
        except (msgspec.DecodeError, UnicodeDecodeError):
            told = None
    limit = listed.max_tokens if listed.max_tokens is not None and listed.max_tokens > 0 else None
    if told is None or told.thinking is None:
        return ModelFacts(limit, efforts=_efforts(told))
    thinking = told.thinking
    return ModelFacts(
        limit,
        adaptive=thinking.supported and thinking.types.adaptive.supported,
        budget=thinking.supported and thinking.types.enabled.supported,
        can_stop_thinking=thinking.types.disabled.supported,
        efforts=_efforts(told),
    )


def _efforts(told: _Capabilities | None) -> frozenset[str] | None:
    if told is None or told.effort is None:
        return None
    levels = {name: getattr(told.effort, name) for name in LEVELS}
    return frozenset(name for name, level in levels.items() if level is not None and level.supported)


def made_at(listed: _Listed) -> int:
    """Unix seconds; 0 where no time is told."""
    try:
        return int(datetime.fromisoformat(listed.created_at).timestamp())
    except (ValueError, OverflowError):
        return listed.created
