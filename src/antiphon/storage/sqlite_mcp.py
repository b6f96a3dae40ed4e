"""`SqliteMcp`: what is kept of MCP over a database that other stores share."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import apsw

from antiphon.core.wire import encode
from antiphon.ports import Owner
from antiphon.ports.mcp import Grant, GrantState, StoredConnector, StoredFlow, StoredToken
from antiphon.storage import queries
from antiphon.storage.database import Database
from antiphon.storage.grants import KEPT_S, first_unusable

PRUNED_AT_ONCE = 100
"""How many that have been kept long enough go with each one that is added."""

_SQL = queries.load("mcp.sqlite")


class SqliteMcp:
    """`McpRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_connector(self, owner: Owner, connector: StoredConnector) -> bool:
        return await self._changed("add_connector", _of(owner) | _columns(connector))

    async def replace_connector(self, owner: Owner, connector: StoredConnector, expected: int) -> bool:
        bindings = _of(owner) | _columns(connector) | {"expected": expected}
        return await self._changed("replace_connector", bindings)

    async def get_connector(self, owner: Owner, connector_id: str) -> StoredConnector | None:
        row = self._database.read_row(_SQL["get_connector"], _of(owner) | {"id": connector_id})
        return None if row is None else StoredConnector(*row)

    async def list_connectors(self, owner: Owner) -> Sequence[StoredConnector]:
        rows = await self._database.read_behind(partial(_run, "list_connectors", _of(owner)))
        return [StoredConnector(*row) for row in rows]

    async def delete_connector(self, owner: Owner, connector_id: str) -> bool:
        return await self._changed("delete_connector", _of(owner) | {"id": connector_id})

    async def add_grants(self, owner: Owner, grants: Sequence[Grant]) -> None:
        if grants:
            await self._database.write(partial(_add_grants, owner, grants), several_statements=True)

    async def get_grants(self, owner: Owner, ids: Sequence[str]) -> Mapping[str, GrantState]:
        rows = await self._database.read_behind(partial(_run, "get_grants", _of(owner) | _listed(ids)))
        return {row[0]: GrantState(Grant(*row[:-1]), bool(row[-1])) for row in rows}

    async def use_grants(self, owner: Owner, ids: Sequence[str], now: int) -> str | None:
        return await self._database.write(partial(_use_grants, owner, ids, now), several_statements=True)

    async def put_token(self, owner: Owner, token: StoredToken) -> None:
        await self._database.write(partial(_run, "put_token", _of(owner) | _columns(token)))

    async def get_token(self, owner: Owner, server: str) -> StoredToken | None:
        row = self._database.read_row(_SQL["get_token"], _of(owner) | {"server": server})
        return None if row is None else StoredToken(*row)

    async def delete_token(self, owner: Owner, server: str) -> bool:
        return await self._changed("delete_token", _of(owner) | {"server": server})

    async def delete_tokens(self, tenant: str, server: str) -> int:
        bindings = {"tenant": tenant, "server": server}
        return await self._database.write(partial(_delete_tokens, bindings), several_statements=True)

    async def add_flow(self, owner: Owner, flow: StoredFlow) -> None:
        await self._database.write(partial(_add_flow, owner, flow), several_statements=True)

    async def take_flow(self, state: str, now: int) -> tuple[Owner, StoredFlow] | None:
        rows = await self._database.write(partial(_run, "take_flow", {"state": state}))
        if not rows:
            return None
        tenant, subject, *columns = rows[0]
        flow = StoredFlow(*columns)
        return (Owner(tenant, subject), flow) if flow.expires_at > now else None

    async def put_client(self, tenant: str, server: str, sealed: str) -> None:
        bindings = {"tenant": tenant, "server": server, "sealed": sealed}
        await self._database.write(partial(_run, "put_client", bindings))

    async def get_client(self, tenant: str, server: str) -> str | None:
        row = self._database.read_row(_SQL["get_client"], {"tenant": tenant, "server": server})
        return None if row is None else str(row[0])

    async def delete_client(self, tenant: str, server: str) -> bool:
        return await self._changed("delete_client", {"tenant": tenant, "server": server})

    async def _changed(self, statement: str, bindings: dict[str, Any]) -> bool:
        """Whether a statement that returns the rows that it changes has changed one."""
        return bool(await self._database.write(partial(_run, statement, bindings)))


def _of(owner: Owner) -> dict[str, Any]:
    return {"tenant": owner.tenant, "subject": owner.subject}


def _columns(row: StoredConnector | Grant | StoredToken | StoredFlow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


def _listed(ids: Sequence[str]) -> dict[str, Any]:
    return {"ids": encode(list(ids)).decode()}


def _run(statement: str, bindings: dict[str, Any], connection: apsw.Connection) -> list[tuple[Any, ...]]:
    return list(queries.execute(connection, _SQL[statement], bindings))


def _add_grants(owner: Owner, grants: Sequence[Grant], connection: apsw.Connection) -> None:
    for grant in grants:
        _run("add_grant", _of(owner) | _columns(grant), connection)
    before = max(grant.created_at for grant in grants) - KEPT_S
    _run("prune_grants", {"before": before, "limit": PRUNED_AT_ONCE + len(grants)}, connection)


def _use_grants(owner: Owner, ids: Sequence[str], now: int, connection: apsw.Connection) -> str | None:
    # An id that is given twice is counted twice, and found once: then nothing is used.
    bindings = _of(owner) | _listed(ids) | {"now": now}
    if len(_run("use_grants", bindings | {"count": len(ids)}, connection)) == len(ids):
        return None
    usable = {row[0] for row in _run("usable_grants", bindings, connection)}
    return first_unusable(ids, usable)


def _delete_tokens(bindings: dict[str, Any], connection: apsw.Connection) -> int:
    _run("delete_flows", bindings, connection)
    return len(_run("delete_tokens", bindings, connection))


def _add_flow(owner: Owner, flow: StoredFlow, connection: apsw.Connection) -> None:
    _run("add_flow", _of(owner) | _columns(flow), connection)
    # Nobody is given more than a day to authorise: what expires a day before this one has expired.
    before = flow.expires_at - KEPT_S
    _run("prune_flows", {"before": before, "limit": PRUNED_AT_ONCE}, connection)
