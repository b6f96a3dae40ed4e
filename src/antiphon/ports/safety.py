"""Shields: what checks content for a run, who does the checking, and what is kept of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from antiphon.core.shields import ShieldMessage, Touchpoint, Violation
from antiphon.core.wire import JsonObject
from antiphon.ports.owners import Owner


class Shields(Protocol):
    """The shields of a server, by id. They fail closed: what could not be checked is a violation."""

    async def check(self, owner: Owner, shield_ids: Sequence[str], field: str) -> None:
        """Whether there are these shields for this owner. Raises InvalidRequest, naming the place below `field`
        (`input_shields[2]`) of the first that there is not.
        """
        ...

    async def run(
        self,
        owner: Owner,
        shield_ids: Sequence[str],
        messages: Sequence[ShieldMessage],
        touchpoint: Touchpoint,
    ) -> Violation | None:
        """Ask all of them at once. The most severe violation, of equal ones that of the shield named first; None when
        all let it pass. A shield that is gone, fails or does not answer in time is a violation of level `error`; only
        cancellation raises.
        """
        ...


@dataclass(frozen=True, slots=True)
class Shield:
    """A shield as its provider is asked. `name` is the provider's own: a rule set, a model. `params` of the shield."""

    id: str
    name: str
    params: JsonObject


class SafetyProvider(Protocol):
    """Checks content. One instance per configured provider."""

    @property
    def provider_id(self) -> str: ...

    def default_name(self, shield_id: str) -> str:
        """`Shield.name` of a shield that was given none."""
        ...

    def check(self, shield: Shield) -> None:
        """Whether such a shield could work. Asks nobody. Raises InvalidRequest with `params`, what is at fault below it
        (`params.level`), or `provider_shield_id` in `param`.
        """
        ...

    async def run(
        self, shield: Shield, messages: Sequence[ShieldMessage], touchpoint: Touchpoint
    ) -> Violation | None:
        """What is wrong with any of the messages at `user-input`, and at `assistant-output` with what the model and
        tools said; None when nothing is. The rest is what it was said to.

        Raises AntiphonError when it could not be told: ProviderProtocolError when an answer cannot be read.
        """
        ...

    async def aclose(self) -> None: ...


class GuardModels(Protocol):
    """The models that are served here, for shields that are models."""

    async def answer(self, model: str, text: str, images: Sequence[str], max_tokens: int) -> str:
        """What a model says to one message of a user, sampled greedily, without white space around it; "" when it says
        nothing. `images` are URLs.

        Raises AntiphonError: ModelNotFound for one that is not served, ProviderContextLength for a text that is too
        long for it, ProviderProtocolError for an answer that was cut off or held back.
        """
        ...


@dataclass(frozen=True, slots=True)
class StoredShield:
    """A shield of a tenant. `params` is a JSON object. Times are Unix seconds."""

    id: str
    provider_id: str
    provider_shield_id: str
    params: bytes
    created_at: int


class ShieldRecords(Protocol):
    """Shields belong to a tenant: everybody of it uses them, and registers and removes them. A foreign id answers
    exactly as an unknown one. What is written is durable when the call returns; StoreUnavailable says that nothing was.
    """

    async def add_shield(self, owner: Owner, shield: StoredShield) -> bool:
        """False, and nothing changed, when the tenant has one of this id."""
        ...

    async def get_shields(self, owner: Owner, ids: Sequence[str]) -> Mapping[str, StoredShield]:
        """Those that are known, by id."""
        ...

    async def list_shields(self, owner: Owner) -> Sequence[StoredShield]:
        """The oldest first."""
        ...

    async def delete_shield(self, owner: Owner, shield_id: str) -> bool:
        """False when there was none."""
        ...


Config = Mapping[str, Any]
"""What the operator wrote under a provider's `config`."""
