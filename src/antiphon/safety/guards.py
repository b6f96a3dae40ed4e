"""`Guards`: asks shields so that what could not be checked does not pass."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from antiphon.core.errors import AntiphonError, InvalidRequest, ProviderProtocolError, ProviderTimeout
from antiphon.core.shields import Level, ShieldMessage, Touchpoint, Violation
from antiphon.ports import Owner
from antiphon.ports.safety import Shield
from antiphon.safety.registry import KnownShield, ShieldRegistry

log = logging.getLogger("antiphon.shields")

NOT_CHECKED: Final = "This could not be checked for safety, so it was not processed. Please try again later."
"""What a user reads where a shield did not answer. It tells nothing of the content, and nothing of the shield."""
Reason = Literal["unreachable", "timeout", "malformed", "unknown_shield"]
_SEVERITY: dict[Level, int] = {"info": 0, "warn": 1, "error": 2}


@dataclass(frozen=True, slots=True)
class Guards:
    """Implements `ports.safety.Shields`."""

    registry: ShieldRegistry

    async def check(self, owner: Owner, shield_ids: Sequence[str], field: str) -> None:
        found = await self.registry.find(owner, shield_ids)
        for at, shield_id in enumerate(shield_ids):
            known = found.get(shield_id)
            if known is None or known.provider is None:
                gone = (
                    "its provider is not configured any more" if known is not None else "it is not known here"
                )
                param = f"{field}[{at}]"
                raise InvalidRequest(
                    f'`{param}`: there is no shield "{shield_id[:256]}": {gone}. GET /v1/shields lists those there are;'
                    " POST /v1/shields registers one.",
                    param=param,
                )

    async def run(
        self,
        owner: Owner,
        shield_ids: Sequence[str],
        messages: Sequence[ShieldMessage],
        touchpoint: Touchpoint,
    ) -> Violation | None:
        ids = tuple(dict.fromkeys(shield_ids))
        if not ids:
            return None
        try:
            async with asyncio.timeout(self.registry.timeout_s):
                found = await self.registry.find(owner, ids)
        except TimeoutError:
            return unchecked(ids[0], "timeout")
        except Exception as error:  # noqa: BLE001 whatever it is, nothing was checked
            _tell(ids[0], error)
            return unchecked(ids[0], "unreachable")
        asked = (_asked(one, found.get(one), messages, touchpoint) for one in ids)
        return most_severe(await asyncio.gather(*asked))


def unchecked(shield_id: str, reason: Reason) -> Violation:
    """Of level error: what could not be checked does not pass."""
    return Violation(
        violation_level="error",
        user_message=NOT_CHECKED,
        metadata={"shield_id": shield_id, "reason": reason},
    )


def most_severe(violations: Sequence[Violation | None]) -> Violation | None:
    """The first of those of the highest level."""
    there = [one for one in violations if one is not None]
    return max(there, key=lambda one: _SEVERITY[one.violation_level], default=None)


async def _asked(
    shield_id: str, known: KnownShield | None, messages: Sequence[ShieldMessage], touchpoint: Touchpoint
) -> Violation | None:
    """What one shield says. Raises nothing but CancelledError, and that only where this task is cancelled."""
    if known is None or known.provider is None:
        return unchecked(shield_id, "unknown_shield")
    try:
        async with asyncio.timeout(known.timeout_s):
            said = await known.provider.run(known.shield, messages, touchpoint)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return unchecked(shield_id, "unreachable")
    except Exception as error:  # noqa: BLE001 a provider may be anybody's, and whatever it raises, nothing was checked
        _tell(shield_id, error)
        return unchecked(shield_id, _reason(error))
    if said is None:
        return None
    return _named(said, known.shield) if _is_violation(said) else unchecked(shield_id, "malformed")


def _is_violation(said: object) -> bool:
    """A provider may be anybody's, and say anything."""
    return isinstance(said, Violation) and said.violation_level in _SEVERITY


def _reason(error: Exception) -> Reason:
    if isinstance(error, TimeoutError | ProviderTimeout):
        return "timeout"
    return "malformed" if isinstance(error, ProviderProtocolError) else "unreachable"


def _named(said: Violation, shield: Shield) -> Violation:
    return Violation(
        violation_level=said.violation_level,
        user_message=said.user_message,
        metadata={**said.metadata, "shield_id": shield.id},
    )


def _tell(shield_id: str, error: Exception) -> None:
    """For the operator. What an error of a provider says may quote what it was asked, so its name must do."""
    code = error.code if isinstance(error, AntiphonError) else None
    log.warning(
        "shield %s could not be asked: %s%s", shield_id, type(error).__name__, f" ({code})" if code else ""
    )
