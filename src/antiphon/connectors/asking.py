"""What is asked of the servers behind connectors: their tools, whether they answer, and for users' authorisations.

What a server says is cleaned of what it was sent before anybody sees it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
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
from antiphon.core.tools import McpTool
from antiphon.core.wire import JsonObject
from antiphon.mcp_tools.definitions import usable
from antiphon.mcp_tools.failures import explained
from antiphon.mcp_tools.targets import AUTHORIZATION, NotAuthorized, Target, Targets
from antiphon.ports import Clock, Owner
from antiphon.ports.mcp import (
    Authorizations,
    Connector,
    Listing,
    McpClient,
    McpFailure,
    McpHttpFailure,
    McpServer,
)

T = TypeVar("T")

_UNAUTHORIZED = 401
_FORBIDDEN = 403


@dataclass(frozen=True, slots=True)
class QuestionLimits:
    """`list_timeout_s` is for a list of tools, `health_timeout_s` for all of one look at a server."""

    list_timeout_s: float
    health_timeout_s: float
    max_tools: int


@dataclass(frozen=True, slots=True)
class ConnectorQuestions:
    """A service. `targets` finds a server as a request with an `mcp` tool does."""

    registry: ConnectorRegistry
    client: McpClient
    authorizations: Authorizations
    clock: Clock
    targets: Targets
    limits: QuestionLimits

    async def tools(self, owner: Owner, connector_id: str) -> list[ConnectorTool]:
        """Those that models may be shown. Raises NotFound, InvalidRequest, AuthorizationRequired, ConnectorFailed."""
        target = await self._target(owner, connector_id)
        try:
            listed = await self._tools(target)
        except McpFailure as failure:
            raise ConnectorFailed(connector_id, _why(failure, target)) from failure
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
        limit_s = self.limits.health_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                target = await self._target(owner, connector_id)
                try:
                    return await self._look(connector_id, target)
                except McpFailure as failure:
                    why, denied = _why(failure, target), _is_unauthorized(failure)
        except TimeoutError:
            why, denied = f"it did not answer within {limit_s:g} s", False
        except (AuthorizationRequired, InvalidRequest, ConnectorFailed) as error:
            why, denied = error.message, isinstance(error, AuthorizationRequired)
        return ConnectorHealth(
            connector_id=connector_id,
            status="unauthorized" if denied else "error",
            checked_at=self.clock.now(),
            error=HealthError(message=why),
        )

    async def authorize(self, owner: Owner, connector_id: str) -> ConnectorAuthorization:
        """Where the caller authorises the connector. Raises NotFound, InvalidRequest, ConnectorFailed."""
        connector = _with_oauth(await self._connector(owner, connector_id))
        try:
            link = await self.authorizations.begin(owner, connector)
        except McpFailure as failure:
            raise ConnectorFailed(connector_id, failure.message) from failure
        return ConnectorAuthorization(connector_id=connector_id, url=link.url, expires_at=link.expires_at)

    async def forget(self, owner: Owner, connector_id: str) -> None:
        """Forget the caller's own token, of a connector that cannot be used too. Raises NotFound, InvalidRequest."""
        connector = await self.registry.known(owner, connector_id)
        if connector is None:
            raise unknown(connector_id)
        _with_oauth(connector)
        if not await self.authorizations.discard(owner, connector):
            raise NotFound(
                f'you have not authorised connector "{connector_id}"; POST /v1/connectors/{connector_id}/authorize says'
                " where to.",
                param="connector_id",
            )

    async def _look(self, connector_id: str, target: Target) -> ConnectorHealth:
        said = await self._asked(target, self._introduction)
        listed = await self._tools(target)
        return ConnectorHealth(
            connector_id=connector_id,
            status="ok",
            checked_at=self.clock.now(),
            server_name=_text(said, "name", target),
            server_version=_text(said, "version", target),
            protocol_version=_text(said, "protocol_version", target),
            tools=len(listed),
        )

    async def _introduction(self, server: McpServer) -> JsonObject:
        return await self.client.ping(server, timeout_s=self.limits.health_timeout_s)

    async def _list(self, server: McpServer) -> Listing:
        return await self.client.list_tools(server, timeout_s=self.limits.list_timeout_s)

    async def _tools(self, target: Target) -> Sequence[McpListedTool]:
        listing = await self._asked(target, self._list)
        return usable(listing, target.scrub, target.server.label, self.limits.max_tools)

    async def _connector(self, owner: Owner, connector_id: str) -> Connector:
        connector = await self.registry.find(owner, connector_id)
        if connector is None:
            raise unknown(connector_id)
        return connector

    async def _target(self, owner: Owner, connector_id: str) -> Target:
        """The server as this user asks it. Raises NotFound, InvalidRequest, AuthorizationRequired, ConnectorFailed."""
        connector = await self._connector(owner, connector_id)
        tool = McpTool(server_label=connector.server.label, connector_id=connector_id)
        try:
            return await self.targets.find(owner, tool)
        except NotAuthorized as error:
            raise AuthorizationRequired(connector_id) from error
        except McpFailure as failure:  # the authorisation server, when a token is to be refreshed
            raise ConnectorFailed(connector_id, failure.message) from failure

    async def _asked(self, target: Target, ask: Callable[[McpServer], Awaitable[T]]) -> T:
        """Ask the server. A user's token that it refuses is renewed once. Raises AuthorizationRequired, McpFailure."""
        server, connector = target.server, target.oauth
        try:
            return await ask(server)
        except McpHttpFailure as failure:
            if connector is None or failure.status != _UNAUTHORIZED:
                raise
            refused = {name: value for name, value in server.headers if name == AUTHORIZATION}
            fresh = await self.authorizations.renew(server.owner, connector, refused)
            if fresh is None:
                raise AuthorizationRequired(connector.id) from failure
            headers = dict(server.headers) | {name.lower(): value for name, value in fresh.items()}
            return await ask(replace(server, headers=tuple(sorted(headers.items()))))


def _with_oauth(connector: Connector) -> Connector:
    """The same one. Raises InvalidRequest unless users authorise it."""
    if connector.oauth is None:
        raise InvalidRequest(
            f'users do not authorise connector "{connector.id}": it has no `oauth`.', param="connector_id"
        )
    return connector


def _is_unauthorized(failure: McpFailure) -> bool:
    return isinstance(failure, McpHttpFailure) and failure.status in (_UNAUTHORIZED, _FORBIDDEN)


def _why(failure: McpFailure, target: Target) -> str:
    return explained(failure, target.server.label, target.scrub)


def _shown(tool: McpListedTool, connector_id: str) -> ConnectorTool:
    return ConnectorTool(
        name=tool.name,
        description=tool.description or None,
        input_schema=tool.input_schema,
        annotations=tool.annotations or None,
        toolgroup_id=connector_id,
    )


def _text(said: JsonObject, name: str, target: Target) -> str | None:
    value = said.get(name)
    return target.scrub.line(value) if isinstance(value, str) else None
