"""How shields are asked about what is to come in, or go out: with the texts of files, and never by nobody."""

from collections.abc import Awaitable, Callable, Sequence

from antiphon.core import guarding
from antiphon.core.commands import CheckContent
from antiphon.core.seen import TranscriptItem
from antiphon.core.shields import ShieldMessage, Violation
from antiphon.ports import Owner
from antiphon.ports.safety import Shields

Readable = Callable[[Sequence[TranscriptItem]], Awaitable[Sequence[TranscriptItem]]]
"""Reads the files of items, for the shields."""
NO_SHIELDS = Violation(violation_level="error", metadata={"reason": "no_shields"})
"""Where content has to be checked and nobody is there to do it."""


async def messages_of(check: CheckContent, readable: Readable | None) -> tuple[ShieldMessage, ...]:
    """What is to be checked. Raises what `readable` raises for a file that cannot be had."""
    if readable is None:
        return check.messages
    return tuple(guarding.shown(await readable(check.items)))


async def verdict(
    shields: Shields | None, owner: Owner, check: CheckContent, messages: Sequence[ShieldMessage]
) -> Violation | None:
    """What the shields of a check say of these messages."""
    if shields is None:
        return NO_SHIELDS
    return await shields.run(owner, check.shields, messages, check.touchpoint)
