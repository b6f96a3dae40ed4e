"""What is asked of the servers behind connectors: their tools, whether they answer, and for users' authorisations."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from antiphon.connectors.registry import ConnectorRegistry
from antiphon.connectors.service import unknown
from antiphon.connectors.shapes import (
    ConnectorAuthorization,
    ConnectorHealth,
    ConnectorTool,
    HealthError,
)
from antiphon.core.errors import (
    AuthorizationRequired,
    ConnectorFailed,
    InvalidRequest,
    NotFound,
)
from antiphon.core.hosted_items import McpListedTool
from antiphon.core.wire import JsonObject
from antiphon.ports import Clock, Owner
from antiphon.ports.mcp import (
    Authorizations,
    Connector,
    McpClient,
    McpFailure,
    McpHttpFailure,
    McpServer,
)

T = TypeVar("T")

_UNAUTHORIZED = 401
_FORBIDDEN = 403


@dataclass(frozen=True, slots=True)
class ConnectorQuestions:
    """`list_timeout_s` is for a list of tools, `health_timeout_s` for all of one look at a server."""

    registry: ConnectorRegistry
    client: McpClient
    authorizations: Authorizations
    clock: Clock
    list_timeout_s: float
    health_timeout_s: float

    async def tools(self, owner: Owner, connector_id: str) -> list[ConnectorTool]:
        """Raises NotFound, InvalidRequest, AuthorizationRequired, ConnectorFailed."""
        connector = await self._connector(owner, connector_id)
        try:
            listed = await self._asked(owner, connector, self._tools)
        except McpFailure as failure:
            raise _failed(connector_id, failure) from failure
        return [_shown(one, connector_id) for one in listed]

    async def tool(self, owner: Owner, connector_id: str, name: str) -> ConnectorTool:
        """As `tools`; NotFound for a tool that the server does not have, too."""
        for one in await self.tools(owner, connector_id):
            if one.name == name:
                return one
        raise NotFound(
            f'connector "{connector_id}" has no tool "{name[:200]}"; GET /v1/connectors/{connector_id}/tools lists'
            " those it has.",
            param="tool_name",
        )

    async def health(self, owner: Owner, connector_id: str) -> ConnectorHealth:
        """Connect, and list. What goes wrong is in the answer. Raises NotFound."""
        try:
            async with asyncio.timeout(self.health_timeout_s):
                return await self._look(owner, connector_id)
        except TimeoutError:
            why = f"it did not answer within {self.health_timeout_s:g} s"
            return self._ill(connector_id, why)
        except (AuthorizationRequired, InvalidRequest) as error:
            return self._ill(
                connector_id, error.message, unauthorized=isinstance(error, AuthorizationRequired)
            )
        except McpFailure as failure:
            return self._ill(connector_id, failure.message, unauthorized=_is_unauthorized(failure))

    async def authorize(self, owner: Owner, connector_id: str) -> ConnectorAuthorization:
        """Where the caller authorises the connector. Raises NotFound, InvalidRequest, ConnectorFailed."""
        connector = await self._with_oauth(owner, connector_id)
        try:
            link = await self.authorizations.begin(owner, connector)
        except McpFailure as failure:
            raise _failed(connector_id, failure) from failure
        return ConnectorAuthorization(connector_id=connector_id, url=link.url, expires_at=link.expires_at)

    async def forget(self, owner: Owner, connector_id: str) -> None:
        """Forget the caller's own token. Raises NotFound, InvalidRequest."""
        connector = await self._with_oauth(owner, connector_id)
        if not await self.authorizations.discard(owner, connector):
            raise NotFound(
                f'you have not authorised connector "{connector_id}"; POST /v1/connectors/{connector_id}/authorize says'
                " where to.",
                param="connector_id",
            )

    async def _look(self, owner: Owner, connector_id: str) -> ConnectorHealth:
        connector = await self._connector(owner, connector_id)
        said = await self._asked(owner, connector, self._introduction)
        listed = await self._asked(owner, connector, self._tools)
        return ConnectorHealth(
            connector_id=connector_id,
            status="ok",
            checked_at=self.clock.now(),
            server_name=_text(said, "name"),
            server_version=_text(said, "version"),
            protocol_version=_text(said, "protocol_version"),
            tools=len(listed),
        )

    async def _introduction(self, server: McpServer) -> JsonObject:
        return await self.client.ping(server, timeout_s=self.health_timeout_s)

    async def _tools(self, server: McpServer) -> Sequence[McpListedTool]:
        return (await self.client.list_tools(server, timeout_s=self.list_timeout_s)).tools

    def _ill(self, connector_id: str, why: str, *, unauthorized: bool = False) -> ConnectorHealth:
        return ConnectorHealth(
            connector_id=connector_id,
            status="unauthorized" if unauthorized else "error",
            checked_at=self.clock.now(),
            error=HealthError(message=why),
        )

    async def _connector(self, owner: Owner, connector_id: str) -> Connector:
        connector = await self.registry.find(owner, connector_id)
        if connector is None:
            raise unknown(connector_id)
        return connector

    async def _with_oauth(self, owner: Owner, connector_id: str) -> Connector:
        connector = await self._connector(owner, connector_id)
        if connector.oauth is None:
            raise InvalidRequest(
                f'users do not authorise connector "{connector_id}": it has no `oauth`.', param="connector_id"
            )
        return connector

    async def _asked(self, owner: Owner, connector: Connector, ask: Callable[[McpServer], Awaitable[T]]) -> T:
        """Ask the server as this user. A token that it refuses is renewed once.

        Raises AuthorizationRequired, McpFailure.
        """
        if connector.oauth is None:
            return await ask(connector.server)
        token = await self.authorizations.headers(owner, connector)
        if token is None:
            raise AuthorizationRequired(connector.id)
        try:
            return await ask(_with(connector.server, token))
        except McpHttpFailure as failure:
            if failure.status != _UNAUTHORIZED:
                raise
            fresh = await self.authorizations.renew(owner, connector, token)
            if fresh is None:
                raise AuthorizationRequired(connector.id) from failure
            return await ask(_with(connector.server, fresh))


def _with(server: McpServer, token: Mapping[str, str]) -> McpServer:
    headers = dict(server.headers) | {name.lower(): value for name, value in token.items()}
    return replace(server, headers=tuple(sorted(headers.items())))


def _is_unauthorized(failure: McpFailure) -> bool:
    return isinstance(failure, McpHttpFailure) and failure.status in (_UNAUTHORIZED, _FORBIDDEN)


def _failed(connector_id: str, failure: McpFailure) -> ConnectorFailed:
    return ConnectorFailed(connector_id, failure.message)


def _shown(tool: McpListedTool, connector_id: str) -> ConnectorTool:
    return ConnectorTool(
        name=tool.name,
        description=tool.description or None,
        input_schema=tool.input_schema,
        annotations=tool.annotations or None,
        toolgroup_id=connector_id,
    )


def _text(said: JsonObject, name: str) -> str | None:
    value = said.get(name)
    return value if isinstance(value, str) else None
