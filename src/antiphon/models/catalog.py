"""The catalog: which models are served, under which names, and by which provider.

A model is `provider_id/name`, also plain `name` where only one provider has it, and any name that the
operator registered. Names are learned from the providers and kept; a provider that is down keeps its last
list, and its models can be addressed under their full name even when they were never listed.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from antiphon.core.errors import InvalidRequest, ModelNotFound, ProviderError, ProviderTimeout
from antiphon.core.wire import Wire
from antiphon.models.health import UpstreamHealth
from antiphon.models.router import OWNER, RoutedCall, RoutedModel
from antiphon.ports import Clock, ModelInfo, ModelProvider

LISTING_TIMEOUT_S = 10.0
ASK_AGAIN_S = 5


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A name that the operator gave: `model_id` means `upstream_model` of `provider_id`."""

    model_id: str
    provider_id: str
    upstream_model: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """`model_id` is the full name; `upstream_model` what the provider calls it.

    Of a routed model each resolution is one request's own: `call` is its view, and its `provider` unless somebody
    put another one before it.
    """

    provider: ModelProvider
    upstream_model: str
    model_id: str
    call: RoutedCall | None = None

    def served_by(self) -> str:
        """The model that answers, `provider_id/model`; "" of a routed one until its first head is here."""
        if self.call is None:
            return f"{self.provider.provider_id}/{self.upstream_model}"
        return "" if self.call.chosen is None else self.call.chosen.name

    def seen_by(self, before: Callable[[ModelProvider], ModelProvider]) -> "Resolved":
        """The same with something before the provider, of a routed model before each candidate."""
        if self.call is None:
            return replace(self, provider=before(self.provider))
        self.call.see_by(before)
        return self

    def answering_model(self) -> str:
        """What the model that answers is called by its provider."""
        chosen = None if self.call is None else self.call.chosen
        return self.upstream_model if chosen is None else chosen.model

    def prefer(self, served_by: str) -> None:
        """Of a routed model, go on with the candidate that answered the chain so far."""
        if self.call is not None:
            self.call.prefer(served_by)


class Model(Wire, tag_field="object", tag="model"):
    """`Model` of the official OpenAPI."""

    id: str
    created: int
    owned_by: str


class Catalog:
    """One per server. Names known once are resolved without waiting for anybody."""

    def __init__(
        self,
        providers: Mapping[str, ModelProvider],
        named: Sequence[NamedModel] = (),
        *,
        clock: Clock,
        ttl_s: int = 60,
        routed: Sequence[RoutedModel] = (),
        health: UpstreamHealth | None = None,
    ) -> None:
        """`health` is that of the providers, where somebody keeps it."""
        self.health = health
        self._providers = dict(providers)
        self._clock = clock
        self._named = tuple(named)
        self._routed = {one.model_id: one for one in routed}
        self._ttl_s = ttl_s
        self._listed: dict[str, Sequence[ModelInfo]] = {}
        self._failures: dict[str, ProviderError] = {}
        self._asked_at: int | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._table: dict[str, Resolved] = {}
        self._ambiguous: dict[str, list[str]] = {}
        self._models: list[Model] = []
        self._build()

    @property
    def failures(self) -> Mapping[str, ProviderError]:
        """Providers whose last listing failed, with the reason."""
        return self._failures

    @property
    def routed(self) -> Mapping[str, RoutedModel]:
        """The routed models by name, for an operator to look at."""
        return self._routed

    def breakers(self) -> Mapping[str, int]:
        """How many upstream models that were asked lately have their breaker in which state."""
        counts: dict[str, int] = {"closed": 0, "open": 0, "half_open": 0}
        for one in self.health.states() if self.health is not None else ():
            counts[one.state] += 1
        return counts

    @property
    def providers(self) -> Mapping[str, ModelProvider]:
        return self._providers

    async def resolve(self, name: str) -> Resolved:
        """The provider of a model.

        Raises InvalidRequest for a bare name that several providers have or for an empty one, ModelNotFound,
        which says what is served, for an unknown one.
        """
        found = self._table.get(name)
        if found is not None:
            return found if found.call is None else self._routed_now(found)
        if not name:
            raise InvalidRequest("`model` is missing. List the models with GET /v1/models.", param="model")
        if self._age() is None or self._age_or_0() >= ASK_AGAIN_S:
            await self.refresh()
        return self._find(name)

    async def list(self) -> Sequence[Model]:
        """Every model under its full name, after the named ones. Asks again when the list is too old."""
        if self._age() is None or self._age_or_0() >= self._ttl_s:
            await self.refresh()
        return self._models

    async def get(self, name: str) -> Model:
        """One model under the name that was asked for. Raises as `resolve` does."""
        resolved = await self.resolve(name)
        for model in self._models:
            if model.id in (name, resolved.model_id):
                return Model(id=name, created=model.created, owned_by=model.owned_by)
        return Model(id=name, created=0, owned_by=resolved.provider.provider_id)

    async def refresh(self) -> None:
        """Ask every provider for its models; callers at the same time share one round. Never raises for a
        provider that fails: it keeps what it had, see `failures`.
        """
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._ask_all())
        await asyncio.shield(self._refreshing)

    async def aclose(self) -> None:
        if self._refreshing is not None and not self._refreshing.done():
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])

    # --- asking ---------------------------------------------------------------------------------------------
    async def _ask_all(self) -> None:
        answers = await asyncio.gather(*(self._ask(provider) for provider in self._providers.values()))
        for provider_id, answer in zip(self._providers, answers, strict=True):
            if isinstance(answer, ProviderError):
                self._failures[provider_id] = answer
            else:
                self._failures.pop(provider_id, None)
                self._listed[provider_id] = answer
        self._asked_at = self._clock.now()
        self._build()

    @staticmethod
    async def _ask(provider: ModelProvider) -> Sequence[ModelInfo] | ProviderError:
        try:
            async with asyncio.timeout(LISTING_TIMEOUT_S):
                return await provider.list_models()
        except ProviderError as error:
            return error
        except TimeoutError:
            name = provider.provider_id
            return ProviderTimeout(
                name, f'provider "{name}" did not list its models in {LISTING_TIMEOUT_S:g} s.'
            )

    def _age(self) -> int | None:
        return None if self._asked_at is None else self._clock.now() - self._asked_at

    def _age_or_0(self) -> int:
        return self._age() or 0

    # --- the table ------------------------------------------------------------------------------------------
    def _build(self) -> None:
        """Registered names win over full names, those over bare ones."""
        bare: dict[str, list[Resolved]] = {}
        full: dict[str, Resolved] = {}
        models: list[Model] = []
        for provider_id, listed in self._listed.items():
            provider = self._providers[provider_id]
            for info in listed:
                resolved = Resolved(provider, info.name, f"{provider_id}/{info.name}")
                if resolved.model_id in full:
                    continue
                full[resolved.model_id] = resolved
                bare.setdefault(info.name, []).append(resolved)
                owner = info.owned_by or provider_id
                models.append(Model(id=resolved.model_id, created=info.created_at, owned_by=owner))
        table = {name: owners[0] for name, owners in bare.items() if len(owners) == 1}
        table |= full
        aliases: list[Model] = []
        for alias in self._named:
            provider = self._providers[alias.provider_id]
            table[alias.model_id] = Resolved(provider, alias.upstream_model, alias.model_id)
            table.setdefault(f"{alias.provider_id}/{alias.model_id}", table[alias.model_id])
            if alias.model_id not in full:
                aliases.append(Model(id=alias.model_id, created=0, owned_by=alias.provider_id))
        for model_id, routed in self._routed.items():
            call = RoutedCall(routed)
            table[model_id] = Resolved(call, model_id, model_id, call)
            if model_id not in full:
                aliases.append(Model(id=model_id, created=0, owned_by=OWNER))
        self._ambiguous = {
            name: [owner.model_id for owner in owners]
            for name, owners in bare.items()
            if len(owners) > 1 and name not in table
        }
        self._table = table
        self._models = aliases + models

    def _routed_now(self, found: Resolved) -> Resolved:
        call = RoutedCall(self._routed[found.model_id])
        return replace(found, provider=call, call=call)

    def _find(self, name: str) -> Resolved:
        found = self._table.get(name)
        if found is not None:
            return found
        if name in self._ambiguous:
            several = ", ".join(f'"{full}"' for full in self._ambiguous[name])
            raise InvalidRequest(
                f'model "{name}" is served by several providers; say which: {several}.', param="model"
            )
        provider_id, _, upstream_model = name.partition("/")
        provider = self._providers.get(provider_id)
        if provider is not None and upstream_model and not self._listed.get(provider_id):
            return Resolved(provider, upstream_model, name)
        raise ModelNotFound(name, [model.id for model in self._models])
