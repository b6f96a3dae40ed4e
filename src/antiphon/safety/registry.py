"""Which shields there are: those of the configuration, and those that a tenant registered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from antiphon.core.wire import JsonObject, decode_json
from antiphon.ports import Owner
from antiphon.ports.safety import SafetyProvider, Shield, ShieldRecords, StoredShield
from antiphon.safety.shapes import ShieldObject


@dataclass(frozen=True, slots=True)
class KnownShield:
    """A shield and who asks it; None for a provider that is not configured any more."""

    shield: Shield
    provider_id: str
    provider: SafetyProvider | None
    timeout_s: float

    def shown(self) -> ShieldObject:
        return ShieldObject(
            identifier=self.shield.id,
            provider_id=self.provider_id,
            provider_resource_id=self.shield.name,
            params=self.shield.params,
        )


@dataclass(frozen=True, slots=True)
class ShieldRegistry:
    """`providers` by id; `default` is the one of a shield that names none, "" where there are several. Shields of the
    configuration are everybody's, and go before those of the same id that somebody registered.
    """

    providers: Mapping[str, SafetyProvider]
    default: str
    configured: Mapping[str, KnownShield]
    records: ShieldRecords
    timeout_s: float

    async def find(self, owner: Owner, shield_ids: Sequence[str]) -> Mapping[str, KnownShield]:
        """Those that there are for this owner, by id. Raises StoreUnavailable."""
        found = {one: self.configured[one] for one in shield_ids if one in self.configured}
        others = [one for one in shield_ids if one not in found]
        if others:
            stored = await self.records.get_shields(owner, others)
            found |= {shield_id: self.known(one) for shield_id, one in stored.items()}
        return found

    async def list_all(self, owner: Owner) -> list[KnownShield]:
        """Those of the configuration first, then the oldest first."""
        stored = await self.records.list_shields(owner)
        return [
            *self.configured.values(),
            *(self.known(one) for one in stored if one.id not in self.configured),
        ]

    def known(self, stored: StoredShield) -> KnownShield:
        params: JsonObject = decode_json(stored.params)
        shield = Shield(stored.id, stored.provider_shield_id, params)
        return KnownShield(shield, stored.provider_id, self.providers.get(stored.provider_id), self.timeout_s)

    async def aclose(self) -> None:
        for provider in self.providers.values():
            await provider.aclose()
