"""`MemoryShields`: the shields that tenants registered, in a dictionary."""

from collections.abc import Callable, Mapping, Sequence

from antiphon.ports import Owner
from antiphon.ports.safety import StoredShield


class MemoryShields:
    """`ShieldRecords` that forget when the process ends, and keep every other promise."""

    def __init__(self, check_open: Callable[[], None]) -> None:
        """`check_open` raises StoreUnavailable when the store that these belong to is closed."""
        self._check_open = check_open
        self._shields: dict[tuple[str, str], StoredShield] = {}

    async def add_shield(self, owner: Owner, shield: StoredShield) -> bool:
        self._check_open()
        return self._shields.setdefault((owner.tenant, shield.id), shield) is shield

    async def get_shields(self, owner: Owner, ids: Sequence[str]) -> Mapping[str, StoredShield]:
        self._check_open()
        found = ((id, self._shields.get((owner.tenant, id))) for id in ids)
        return {id: shield for id, shield in found if shield is not None}

    async def list_shields(self, owner: Owner) -> Sequence[StoredShield]:
        self._check_open()
        mine = [one for (tenant, _), one in self._shields.items() if tenant == owner.tenant]
        return sorted(mine, key=lambda one: one.created_at)

    async def delete_shield(self, owner: Owner, shield_id: str) -> bool:
        self._check_open()
        return self._shields.pop((owner.tenant, shield_id), None) is not None
