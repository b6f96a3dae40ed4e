"""A route: one model name that stands for several candidates. These structs are its configuration.

models:
- model_id: smart
  route:
    candidates:
    - {model: local/qwen3, when: {max_input_tokens: 6000, images: false}}
    - {model: openai/gpt-5-mini}
    fallback_on: [rate_limited, unavailable, timeout, context_length]
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

from antiphon.core.errors import (
    ProviderAuthFailed,
    ProviderContextLength,
    ProviderError,
    ProviderModelUnknown,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from antiphon.models.breaker import Closed

Tokens = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Weight = Annotated[float, Meta(ge=0, le=1_000_000)]
Cause = Literal[
    "rate_limited",
    "unavailable",
    "timeout",
    "protocol_error",
    "auth_failed",
    "context_length",
    "model_unknown",
    "rejected",
]
Strategy = Literal["ordered", "weighted", "least_busy"]
CAUSES: Mapping[type[ProviderError], Cause] = {
    ProviderRateLimited: "rate_limited",
    ProviderUnavailable: "unavailable",
    ProviderTimeout: "timeout",
    ProviderProtocolError: "protocol_error",
    ProviderAuthFailed: "auth_failed",
    ProviderContextLength: "context_length",
    ProviderModelUnknown: "model_unknown",
    ProviderRejected: "rejected",
}
"""The word of `fallback_on` for each error of a provider; the nearest class decides."""


def cause_of(error: ProviderError) -> Cause | None:
    return next((CAUSES[kind] for kind in type(error).__mro__ if kind in CAUSES), None)


class When(Closed):
    """What a request must be like; every condition given must hold."""

    min_input_tokens: Annotated[
        Tokens | None, Meta(description="About so many input tokens or more; four bytes count as one.")
    ] = None
    max_input_tokens: Annotated[Tokens | None, Meta(description="About so many input tokens or fewer.")] = (
        None
    )
    tools: Annotated[bool | None, Meta(description="Whether the request offers tools.")] = None
    images: Annotated[bool | None, Meta(description="Whether images are in it, or in its history.")] = None
    files: Annotated[bool | None, Meta(description="Whether files are in it, or in its history.")] = None
    json_schema: Annotated[bool | None, Meta(description="Whether it asks for JSON by a schema.")] = None
    reasoning: Annotated[
        bool | None, Meta(description="Whether it asks for reasoning: an effort other than `none`.")
    ] = None
    stream: Annotated[bool | None, Meta(description="Whether it asks for a stream.")] = None

    @property
    def looks_at_tokens(self) -> bool:
        return self.min_input_tokens is not None or self.max_input_tokens is not None


class Candidate(Closed):
    model: Annotated[
        str, Meta(min_length=1, max_length=512, description="`provider_id/model`, or the name of an alias.")
    ]
    weight: Annotated[
        Weight,
        Meta(description="Its share, by `weighted` and `least_busy`; 0 is used when the others fail."),
    ] = 1.0
    when: When = When()


class Route(Closed):
    """`candidates` in order; who is first, and after which errors the next one is asked."""

    candidates: Annotated[tuple[Candidate, ...], Meta(min_length=1, max_length=100)]
    strategy: Annotated[
        Strategy,
        Meta(description="Which candidate is first: as listed, drawn by weight, or with least under way."),
    ] = "ordered"
    fallback_on: Annotated[
        tuple[Cause, ...], Meta(description="After which errors before the first byte the next one is asked.")
    ] = ("rate_limited", "unavailable", "timeout")
    sticky: Annotated[
        bool, Meta(description="Whether the candidate that answered a chain goes on with it while it works.")
    ] = True

    @property
    def has_rules(self) -> bool:
        return any(one.when != When() for one in self.candidates)
