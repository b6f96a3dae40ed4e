"""`SqliteShields`: the shields that tenants registered, over a database that other stores share."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import apsw

from antiphon.core.wire import encode
from antiphon.ports import Owner
from antiphon.ports.safety import StoredShield
from antiphon.storage import queries
from antiphon.storage.database import Database

_SQL = queries.load("shields.sqlite")


class SqliteShields:
    """`ShieldRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_shield(self, owner: Owner, shield: StoredShield) -> bool:
        bindings = _of(owner) | {name: getattr(shield, name) for name in StoredShield.__slots__}
        return bool(await self._database.write(partial(_run, "add_shield", bindings)))

    async def get_shields(self, owner: Owner, ids: Sequence[str]) -> Mapping[str, StoredShield]:
        bindings = _of(owner) | {"ids": encode(list(ids)).decode()}
        rows = await self._database.read_behind(partial(_run, "get_shields", bindings))
        return {row[0]: StoredShield(*row) for row in rows}

    async def list_shields(self, owner: Owner) -> Sequence[StoredShield]:
        rows = await self._database.read_behind(partial(_run, "list_shields", _of(owner)))
        return [StoredShield(*row) for row in rows]

    async def delete_shield(self, owner: Owner, shield_id: str) -> bool:
        bindings = _of(owner) | {"id": shield_id}
        return bool(await self._database.write(partial(_run, "delete_shield", bindings)))


def _of(owner: Owner) -> dict[str, Any]:
    return {"tenant": owner.tenant, "subject": owner.subject}


def _run(statement: str, bindings: dict[str, Any], connection: apsw.Connection) -> list[tuple[Any, ...]]:
    return list(queries.execute(connection, _SQL[statement], bindings))
