"""`MemoryMcp`: what is kept of MCP, in dictionaries."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from antiphon.ports import Owner
from antiphon.ports.mcp import Grant, GrantState, StoredConnector, StoredFlow, StoredToken
from antiphon.storage.grants import KEPT_S, first_unusable


class MemoryMcp:
    """`McpRecords` that forget when the process ends, and keep every other promise."""

    def __init__(self, check_open: Callable[[], None]) -> None:
        """`check_open` raises StoreUnavailable when the store that these belong to is closed."""
        self._check_open = check_open
        self._connectors: dict[tuple[str, str], StoredConnector] = {}
        self._grants: dict[tuple[Owner, str], GrantState] = {}
        self._tokens: dict[tuple[Owner, str], StoredToken] = {}
        self._flows: dict[str, tuple[Owner, StoredFlow]] = {}
        self._clients: dict[tuple[str, str], str] = {}

    async def add_connector(self, owner: Owner, connector: StoredConnector) -> bool:
        self._check_open()
        key = (owner.tenant, connector.id)
        return self._connectors.setdefault(key, connector) is connector

    async def replace_connector(self, owner: Owner, connector: StoredConnector, expected: int) -> bool:
        self._check_open()
        key = (owner.tenant, connector.id)
        before = self._connectors.get(key)
        if before is None or before.updated_at != expected:
            return False
        self._connectors[key] = replace(connector, created_at=before.created_at)
        return True

    async def get_connector(self, owner: Owner, connector_id: str) -> StoredConnector | None:
        self._check_open()
        return self._connectors.get((owner.tenant, connector_id))

    async def list_connectors(self, owner: Owner) -> Sequence[StoredConnector]:
        self._check_open()
        mine = [one for key, one in self._connectors.items() if key[0] == owner.tenant]
        mine.sort(key=lambda one: one.created_at)
        return mine[::-1]

    async def delete_connector(self, owner: Owner, connector_id: str) -> bool:
        self._check_open()
        return self._connectors.pop((owner.tenant, connector_id), None) is not None

    async def add_grants(self, owner: Owner, grants: Sequence[Grant]) -> None:
        self._check_open()
        for grant in grants:
            self._grants.setdefault((owner, grant.id), GrantState(grant, used=False))
        before = max((grant.created_at for grant in grants), default=0) - KEPT_S
        for key in [key for key, state in self._grants.items() if state.grant.expires_at <= before]:
            del self._grants[key]

    async def get_grants(self, owner: Owner, ids: Sequence[str]) -> Mapping[str, GrantState]:
        self._check_open()
        return {id: self._grants[owner, id] for id in ids if (owner, id) in self._grants}

    async def use_grants(self, owner: Owner, ids: Sequence[str], now: int) -> str | None:
        self._check_open()
        found = {id: self._grants.get((owner, id)) for id in ids}
        usable = {id: one for id, one in found.items() if one and not one.used and one.grant.expires_at > now}
        unusable = first_unusable(ids, set(usable))
        if unusable is None:
            self._grants |= {(owner, id): replace(state, used=True) for id, state in usable.items()}
        return unusable

    async def put_token(self, owner: Owner, token: StoredToken) -> None:
        self._check_open()
        self._tokens[owner, token.server] = token

    async def get_token(self, owner: Owner, server: str) -> StoredToken | None:
        self._check_open()
        return self._tokens.get((owner, server))

    async def delete_token(self, owner: Owner, server: str) -> bool:
        self._check_open()
        return self._tokens.pop((owner, server), None) is not None

    async def delete_tokens(self, tenant: str, server: str) -> int:
        self._check_open()
        theirs = [key for key in self._tokens if (key[0].tenant, key[1]) == (tenant, server)]
        for key in theirs:
            del self._tokens[key]
        for state in [
            state
            for state, (owner, flow) in self._flows.items()
            if (owner.tenant, flow.server) == (tenant, server)
        ]:
            del self._flows[state]
        return len(theirs)

    async def add_flow(self, owner: Owner, flow: StoredFlow) -> None:
        self._check_open()
        self._flows.setdefault(flow.state, (owner, flow))
        before = flow.expires_at - KEPT_S
        for state in [state for state, (_, one) in self._flows.items() if one.expires_at <= before]:
            del self._flows[state]

    async def take_flow(self, state: str, now: int) -> tuple[Owner, StoredFlow] | None:
        self._check_open()
        taken = self._flows.pop(state, None)
        return taken if taken is not None and taken[1].expires_at > now else None

    async def put_client(self, tenant: str, server: str, sealed: str) -> None:
        self._check_open()
        self._clients[tenant, server] = sealed

    async def get_client(self, tenant: str, server: str) -> str | None:
        self._check_open()
        return self._clients.get((tenant, server))

    async def delete_client(self, tenant: str, server: str) -> bool:
        self._check_open()
        return self._clients.pop((tenant, server), None) is not None
