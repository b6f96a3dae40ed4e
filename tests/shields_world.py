"""Shields, providers and models that tests control."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from antiphon.core.errors import AntiphonError
from antiphon.core.shields import Level, ShieldMessage, Touchpoint, Violation
from antiphon.ports import Owner
from antiphon.ports.safety import SafetyProvider, Shield
from antiphon.safety.guards import Guards
from antiphon.safety.registry import KnownShield, ShieldRegistry
from antiphon.storage.memory import MemoryStore

ANNE = Owner("acme", "anne")
BEN = Owner("other", "ben")
CANARY = "canary-7f1e-of-the-test"
SAYS = (ShieldMessage("user", f"say {CANARY}"),)


@dataclass
class Provider:
    """Does what `act` does; remembers what it was asked."""

    act: Callable[[Shield], Awaitable[Any]]
    provider_id: str = "test"
    asked: list[tuple[str, Sequence[ShieldMessage], Touchpoint]] = field(
        default_factory=list[tuple[str, Sequence[ShieldMessage], Touchpoint]]
    )
    closed: bool = False

    def default_name(self, shield_id: str) -> str:
        return f"own-{shield_id}"

    def check(self, shield: Shield) -> None:
        pass

    async def run(
        self, shield: Shield, messages: Sequence[ShieldMessage], touchpoint: Touchpoint
    ) -> Violation | None:
        self.asked.append((shield.id, messages, touchpoint))
        violation: Violation | None = await self.act(shield)
        return violation

    async def aclose(self) -> None:
        self.closed = True


def violation(level: Level, message: str | None = None) -> Violation:
    return Violation(violation_level=level, user_message=message, metadata={"rule": level})


def answers(by_id: Mapping[str, Any]) -> Provider:
    """A provider that answers for each shield so: an exception is raised, all else given back."""

    async def act(shield: Shield) -> Any:
        answer = by_id[shield.id]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return Provider(act)


def registry(
    provider: SafetyProvider | None, *ids: str, timeout_s: float = 30.0, store: MemoryStore | None = None
) -> ShieldRegistry:
    """With configured shields of these ids."""
    known = {one: KnownShield(Shield(one, one, {}), "test", provider, timeout_s) for one in ids}
    providers = {} if provider is None else {provider.provider_id: provider}
    store = store or MemoryStore()
    return ShieldRegistry(providers, "test", known, store.shields, timeout_s)


def guards(provider: SafetyProvider | None, *ids: str, timeout_s: float = 30.0) -> Guards:
    return Guards(registry(provider, *ids, timeout_s=timeout_s))


@dataclass
class Models:
    """Implements `GuardModels`: answers by what the question holds."""

    rules: Mapping[str, str | AntiphonError] = field(default_factory=dict[str, str | AntiphonError])
    default: str | AntiphonError = "safe"
    asked: list[tuple[str, str, tuple[str, ...]]] = field(
        default_factory=list[tuple[str, str, tuple[str, ...]]]
    )
    longest: int = 10**9
    too_long: AntiphonError | None = None
    most_at_once: int = 0
    _open: int = 0

    async def answer(self, model: str, text: str, images: Sequence[str], max_tokens: int) -> str:
        self.asked.append((model, text, tuple(images)))
        self._open += 1
        self.most_at_once = max(self.most_at_once, self._open)
        await asyncio.sleep(0)
        self._open -= 1
        if self.too_long is not None and len(text) > self.longest:
            raise self.too_long
        found = next((answer for words, answer in self.rules.items() if words in text), self.default)
        if isinstance(found, AntiphonError):
            raise found
        return found
