"""`SqliteToolGroups`: the tool groups that tenants registered, over a database that other stores share."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import apsw

from antiphon.ports import Owner
from antiphon.ports.agents import StoredToolGroup
from antiphon.storage import queries
from antiphon.storage.database import Database

_SQL = queries.load("tool_groups.sqlite")


class SqliteToolGroups:
    """`ToolGroupRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_tool_group(self, owner: Owner, group: StoredToolGroup) -> bool:
        bindings = _of(owner) | {name: getattr(group, name) for name in StoredToolGroup.__slots__}
        return bool(await self._database.write(partial(_run, "add_tool_group", bindings)))

    async def get_tool_group(self, owner: Owner, group_id: str) -> StoredToolGroup | None:
        row = self._database.read_row(_SQL["get_tool_group"], _of(owner) | {"id": group_id})
        return None if row is None else StoredToolGroup(*row)

    async def list_tool_groups(self, owner: Owner) -> Sequence[StoredToolGroup]:
        rows = await self._database.read_behind(partial(_run, "list_tool_groups", _of(owner)))
        return [StoredToolGroup(*row) for row in rows]

    async def delete_tool_group(self, owner: Owner, group_id: str) -> bool:
        bindings = _of(owner) | {"id": group_id}
        return bool(await self._database.write(partial(_run, "delete_tool_group", bindings)))


def _of(owner: Owner) -> dict[str, Any]:
    return {"tenant": owner.tenant, "subject": owner.subject}


def _run(statement: str, bindings: dict[str, Any], connection: apsw.Connection) -> list[tuple[Any, ...]]:
    return list(queries.execute(connection, _SQL[statement], bindings))
