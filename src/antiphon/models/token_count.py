"""How many input tokens a call is: exactly, where its upstream counts them, else by the rule of thumb."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from antiphon.core.commands import CallModel
from antiphon.core.errors import ProviderError, ProviderModelUnknown
from antiphon.core.token_estimate import estimate
from antiphon.ports import ModelProvider

COUNTING_S = 20.0
"""A tokenizer that takes longer is not waited for: an estimate is there at once."""
log = logging.getLogger("antiphon.models")


@runtime_checkable
class Estimates(Protocol):
    """A provider that shows its model something else than the call holds."""

    async def estimated_tokens(self, call: CallModel) -> int:
        """By the rule of thumb."""
        ...


@dataclass(frozen=True, slots=True)
class TokenCount:
    tokens: int
    exact: bool


async def count_tokens(provider: ModelProvider, model: str, call: CallModel) -> TokenCount:
    """A tokenizer that fails costs the exactness, nothing else.

    Raises what would meet the call itself too: ProviderModelUnknown or another refusal of the model, and
    UnsupportedParameter.
    """
    try:
        async with asyncio.timeout(COUNTING_S):
            tokens = await provider.count_tokens(model, call)
    except ProviderError as error:
        if isinstance(error, ProviderModelUnknown) or (error.param == "model" and error.status == 400):
            raise
        log.info("%s/%s does not count tokens: %s", provider.provider_id, model, error)
        tokens = None
    except TimeoutError:
        log.info("%s/%s does not count tokens in %g s", provider.provider_id, model, COUNTING_S)
        tokens = None
    if tokens is None and isinstance(provider, Estimates):
        return TokenCount(await provider.estimated_tokens(call), exact=False)
    if tokens is None:
        return TokenCount(estimate(call.request, call.transcript), exact=False)
    return TokenCount(tokens, exact=True)
