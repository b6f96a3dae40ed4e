"""Routed models: a name that stands for several candidates, of which one answers each request.

`RoutedModel` is the name, shared by all requests; `RoutedCall` is one request's view of it, a `ModelProvider` like any
other. A candidate can be left for the next one only before its 2xx head: what a client has seen begins once.
"""

import logging
import math
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, cast

import msgspec

from antiphon.core.commands import CallModel
from antiphon.core.compaction import UpstreamContext
from antiphon.core.errors import AntiphonError, InvalidRequest, ProviderError, UnsupportedParameter
from antiphon.core.items import Reasoning
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal
from antiphon.core.thoughts import made_by
from antiphon.models.health import UpstreamHealth
from antiphon.models.route import Candidate, Route, When, cause_of
from antiphon.models.traits import Traits, traits_of, traits_of_body
from antiphon.ports import (
    Constraint,
    Intake,
    ModelInfo,
    ModelProvider,
    Patient,
    TakesFiles,
    UpstreamCompaction,
    UpstreamReply,
)

log = logging.getLogger("antiphon.models")
OWNER = "antiphon"
Draw = Callable[[], float]
"""Numbers from 0 up to 1, as `random.random` gives them."""


@dataclass(frozen=True, slots=True)
class Option:
    """A candidate and who serves it. `hasty` does not repeat a call that fails: the next candidate is asked."""

    candidate: Candidate
    model: str
    provider: ModelProvider
    hasty: ModelProvider

    @property
    def name(self) -> str:
        return f"{self.provider.provider_id}/{self.model}"


@dataclass(frozen=True, slots=True)
class RoutedModel:
    model_id: str
    route: Route
    options: tuple[Option, ...]
    health: UpstreamHealth
    draw: Draw = random.random

    @property
    def counts_tokens(self) -> bool:
        return any(one.candidate.when.looks_at_tokens for one in self.options)

    def order(self, traits: Traits | None, preferred: str = "", cache_key: str | None = None) -> list[Option]:
        """The candidates that take the request, in the order in which they are to be asked.

        `preferred` goes first while it works: a candidate's name, or `provider_id/` for any of that provider.
        Raises InvalidRequest when no candidate takes the request.
        """
        fitting = [one for one in self.options if traits is None or not traits.unmet(one.candidate.when)]
        if not fitting and traits is not None:
            raise self._nobody(traits)
        # The same prompt cache key draws the same candidate: a cache is warm where it was filled.
        draw = random.Random(cache_key).random if cache_key and self.route.sticky else self.draw
        ranks = {one.name: self.health.rank(one.provider.provider_id, one.model) for one in fitting}
        ordered = sorted(self._by_strategy(fitting, draw), key=lambda one: ranks[one.name])
        wanted = [one for one in ordered if preferred in (one.name, f"{one.provider.provider_id}/")]
        first = [one for one in wanted if not ranks[one.name]][:1]
        return first + [one for one in ordered if one not in first]

    def last_resort(self, options: Sequence[Option]) -> Option:
        """The one to be patient with: the last that would be asked at all."""
        asked = [one for one in options if self.health.rank(one.provider.provider_id, one.model) < 2]
        return (asked or options)[-1]

    def _by_strategy(self, fitting: list[Option], draw: Draw) -> list[Option]:
        if self.route.strategy == "ordered":
            return fitting
        # Weighted sampling without replacement (Efraimidis and Spirakis, 2006): one draw for each candidate.
        arrivals = {id(one): _over(-math.log(1 - draw()), one.candidate.weight) for one in fitting}
        if self.route.strategy == "weighted":
            return sorted(fitting, key=lambda one: arrivals[id(one)])
        return sorted(fitting, key=lambda one: (self._load(one), arrivals[id(one)]))

    def _load(self, one: Option) -> float:
        return _over(self.health.in_flight(one.provider.provider_id, one.model), one.candidate.weight)

    def _nobody(self, traits: Traits) -> InvalidRequest:
        unmet = "; ".join(f"{one.name} wants {traits.unmet(one.candidate.when)}" for one in self.options)
        about = f" of about {traits.input_tokens} input tokens" if self.counts_tokens else ""
        return InvalidRequest(
            f'model "{self.model_id}" has no candidate for this request{about}: {unmet}.', param="model"
        )


class RoutedCall:
    """One request's `ModelProvider`. The candidate that answered the first step goes on with the next ones."""

    provider_id = OWNER

    def __init__(self, routed: RoutedModel) -> None:
        self._routed = routed
        self._preferred = ""
        self._chosen: Option | None = None

    @property
    def chosen(self) -> Option | None:
        """Who answered, known from the first 2xx head on."""
        return self._chosen

    def intake(self) -> Intake:
        """What all candidates take, for who cannot look up things for each of them."""
        takes = [one.provider.intake() for one in self._answering if isinstance(one.provider, TakesFiles)]
        return reduce(
            Intake.shared, takes, Intake(files="all" if len(takes) == len(self._answering) else "none")
        )

    def see_by(self, before: Callable[[ModelProvider], ModelProvider]) -> None:
        """Put something before each candidate, for this request."""
        options = [
            replace(one, provider=before(one.provider), hasty=before(one.hasty))
            for one in self._routed.options
        ]
        self._routed = replace(self._routed, options=tuple(options))

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        """Of the candidate that answered; before one has, of all of them."""
        return frozenset[Constraint]().union(*(one.provider.unenforced(request) for one in self._answering))

    def prefer(self, served_by: str) -> None:
        """Ask this candidate first, while it works: it answered the chain so far."""
        if self._routed.route.sticky:
            self._preferred = served_by

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        """See `ports.ModelProvider.dropped`. Empty until a candidate has answered."""
        return () if self._chosen is None else self._chosen.provider.dropped(request)

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        """See `ports.ModelProvider.stream`. Raises also what `_Tried.error` makes of several failures."""
        tried = _Tried(self._routed)
        options = self._order_for(call)
        last = self._routed.last_resort(options)
        for option in options:
            provider = option.provider if option is last else option.hasty
            stream = cast("AsyncGenerator[Sequence[ModelSignal], None]", provider.stream(option.model, call))
            async with aclosing(stream) as batches:
                try:
                    head = await anext(batches)
                except (ProviderError, UnsupportedParameter) as error:
                    tried.note(option, error)
                    continue
                self._choose(option)
                yield head
                async for batch in batches:
                    yield batch
                return
        raise tried.error()

    async def open(self, path: str, body: bytes, *, model: str) -> UpstreamReply:
        """See `ports.ModelProvider.open`. The body names the candidate's model instead of the route's."""
        tried = _Tried(self._routed)
        fields: dict[str, Any] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        options = self._order_for_body(body, fields)
        last = self._routed.last_resort(options)
        for option in options:
            provider = option.provider if option is last else option.hasty
            renamed = msgspec.json.encode({**fields, "model": option.model})
            try:
                reply = await provider.open(path, renamed, model=option.model)
            except (ProviderError, UnsupportedParameter) as error:
                tried.note(option, error)
                continue
            self._choose(option)
            return reply
        raise tried.error()

    async def count_tokens(self, model: str, call: CallModel) -> int | None:
        """Of the candidate that would be asked first. See `ports.ModelProvider.count_tokens`."""
        first = self._order_for(call)[0]
        return await first.provider.count_tokens(first.model, call)

    async def compact(self, model: str, call: CallModel) -> UpstreamCompaction | None:
        """By the candidate that would be asked first, which then goes on with the response: what it made, no other
        can read. None where that candidate does not compact, or failed in a way that has others asked.
        """
        first = self._order_for(call)[0]
        try:
            made = await first.hasty.compact(first.model, call)
        except (ProviderError, UnsupportedParameter) as error:
            _Tried(self._routed).note(first, error)
            return None
        if made is not None:
            self._preferred = first.name
        return made

    async def list_models(self) -> Sequence[ModelInfo]:
        return ()

    async def aclose(self) -> None:
        """The candidates' providers are closed by who made them."""

    @property
    def _answering(self) -> Sequence[Option]:
        return self._routed.options if self._chosen is None else (self._chosen,)

    def _choose(self, option: Option) -> None:
        self._chosen = option
        self._preferred = option.name

    def _order_for(self, call: CallModel) -> list[Option]:
        routed = self._routed
        traits = traits_of(call, count=routed.counts_tokens) if routed.route.has_rules else None
        preferred = self._preferred or (_origin(call) if routed.route.sticky else "")
        options = routed.order(traits, preferred, call.request.prompt_cache_key)
        if preferred and options[0].name.startswith(preferred):
            return options
        return sorted(options, key=lambda one: bool(one.provider.dropped(call.request)))

    def _order_for_body(self, body: bytes, fields: Mapping[str, Any]) -> list[Option]:
        routed = self._routed
        traits = traits_of_body(body, count=routed.counts_tokens) if routed.route.has_rules else None
        key = bytes(fields.get("prompt_cache_key", b"null"))
        return routed.order(traits, self._preferred, None if key == b"null" else key.decode())


@dataclass(slots=True)
class _Tried:
    """The candidates that one request has left behind, and why."""

    routed: RoutedModel
    left: list[tuple[Option, AntiphonError]]

    def __init__(self, routed: RoutedModel) -> None:
        self.routed = routed
        self.left = []

    def note(self, option: Option, error: ProviderError | UnsupportedParameter) -> None:
        """Raises the error when the next candidate is not to be asked after it.

        A candidate that cannot honour a parameter was never asked: it is passed over.
        """
        if isinstance(error, ProviderError) and cause_of(error) not in self.routed.route.fallback_on:
            raise error
        self.left.append((option, error))
        log.info("model %s: %s is passed over: %s", self.routed.model_id, option.name, error)

    def error(self) -> AntiphonError:
        """What the caller is told when all failed: the last failure, in whose message all are named."""
        failures = [(one, error) for one, error in self.left if isinstance(error, ProviderError)]
        if len(self.left) == 1 or not failures:
            return self.left[0][1]
        last = failures[-1][1]
        told = " ".join(f"{one.name}: {_word(error)}: {error.message}" for one, error in self.left)
        waits = [int(wait) for _, error in failures if (wait := error.retry_after) and wait.isdecimal()]
        return type(last)(
            last.provider,
            f'model "{self.routed.model_id}": all of its candidates failed. {told}',
            param=last.param,
            retry_after=str(min(waits)) if waits else None,
        )


def _origin(call: CallModel) -> str:
    """`provider_id/` of who made the last reasoning or compaction that was sent back here: nobody else can read what it
    hides.
    """
    for item in reversed(call.transcript.items):
        if isinstance(item, UpstreamContext):
            return f"{item.blob.partition(':')[0]}/"
        if isinstance(item, Reasoning) and (provider_id := made_by(item)):
            return f"{provider_id}/"
    return ""


def _word(error: AntiphonError) -> str:
    return cause_of(error) or "failed" if isinstance(error, ProviderError) else "cannot honour it"


def _over(value: float, weight: float) -> float:
    return value / weight if weight else math.inf


def routed_models(
    routes: Mapping[str, Route],
    providers: Mapping[str, ModelProvider],
    aliases: Mapping[str, tuple[str, str]],
    health: UpstreamHealth,
    draw: Draw = random.random,
) -> list[RoutedModel]:
    """The routes of a configuration, whose names were checked. `aliases` are names to (provider_id, model)."""

    def option(candidate: Candidate) -> Option:
        provider_id, model = target_of(candidate.model, aliases)
        provider = providers[provider_id]
        hasty = provider.without_waiting() if isinstance(provider, Patient) else provider
        return Option(candidate, model, provider, hasty)

    return [
        RoutedModel(model_id, route, tuple(option(one) for one in route.candidates), health, draw)
        for model_id, route in routes.items()
    ]


def target_of(name: str, aliases: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    """The provider and its model that a candidate's name means; an alias wins, as it does in a request."""
    if name in aliases:
        return aliases[name]
    provider_id, _, model = name.partition("/")
    return provider_id, model


def rules_in_words(when: When) -> str:
    """`images: true, max_input_tokens: 6000`; "" where there is none."""
    given = {name: getattr(when, name) for name in when.__struct_fields__}
    return ", ".join(
        f"{name}: {str(value).lower()}" for name, value in sorted(given.items()) if value is not None
    )
