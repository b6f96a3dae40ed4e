"""`MemoryToolGroups`: the tool groups that tenants registered, in a dictionary."""

from collections.abc import Callable, Sequence

from antiphon.ports import Owner
from antiphon.ports.agents import StoredToolGroup


class MemoryToolGroups:
    """`ToolGroupRecords` that forget when the process ends, and keep every other promise."""

    def __init__(self, check_open: Callable[[], None]) -> None:
        """`check_open` raises StoreUnavailable when the store that these belong to is closed."""
        self._check_open = check_open
        self._groups: dict[tuple[str, str], StoredToolGroup] = {}

    async def add_tool_group(self, owner: Owner, group: StoredToolGroup) -> bool:
        self._check_open()
        return self._groups.setdefault((owner.tenant, group.id), group) is group

    async def get_tool_group(self, owner: Owner, group_id: str) -> StoredToolGroup | None:
        self._check_open()
        return self._groups.get((owner.tenant, group_id))

    async def list_tool_groups(self, owner: Owner) -> Sequence[StoredToolGroup]:
        self._check_open()
        mine = [one for (tenant, _), one in self._groups.items() if tenant == owner.tenant]
        return sorted(mine, key=lambda one: one.created_at)

    async def delete_tool_group(self, owner: Owner, group_id: str) -> bool:
        self._check_open()
        return self._groups.pop((owner.tenant, group_id), None) is not None
