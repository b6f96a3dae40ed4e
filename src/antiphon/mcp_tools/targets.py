"""From an `mcp` tool of a request to the server that is asked, and as whom."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlsplit

from antiphon.core.errors import InvalidRequest
from antiphon.core.tools import McpTool
from antiphon.mcp_tools.addresses import ServerPolicy
from antiphon.mcp_tools.texts import Scrubber, scrubber
from antiphon.ports import Owner
from antiphon.ports.mcp import Authorizations, Connector, Connectors, McpServer

OPENAIS_CONNECTORS = frozenset(
    {
        "connector_dropbox",
        "connector_gmail",
        "connector_googlecalendar",
        "connector_googledrive",
        "connector_microsoftteams",
        "connector_outlookcalendar",
        "connector_outlookemail",
        "connector_sharepoint",
    }
)
"""`connector_id` of `MCPTool` in the official OpenAPI: servers that OpenAI runs for its own users."""
AUTHORIZATION = "authorization"
_SECRET_NAMES = ("key", "token", "secret", "password", "auth", "credential")


@dataclass(frozen=True, slots=True)
class Target:
    """`oauth` is the connector whose token of this user is sent; it is sent again after the user authorised anew."""

    server: McpServer
    scrub: Scrubber
    oauth: Connector | None = None


class NotAuthorized(Exception):
    """The user has to authorise this connector first."""

    def __init__(self, connector: Connector) -> None:
        super().__init__(connector.id)
        self.connector = connector


@dataclass(frozen=True, slots=True)
class Targets:
    policy: ServerPolicy
    connectors: Connectors
    authorizations: Authorizations

    async def check(self, owner: Owner, tool: McpTool, path: str) -> None:
        """Whether the tool names a server that this owner may ask. Nothing is asked.

        Raises InvalidRequest with the field below `path`.
        """
        if tool.server_url:
            self.policy.address(owner, tool.server_url, f"{path}.server_url")
        elif tool.connector_id:
            await self._connector(owner, tool.connector_id, f"{path}.connector_id")

    async def find(self, owner: Owner, tool: McpTool) -> Target:
        """The server, with everything that is sent to it.

        Raises InvalidRequest as `check` does, NotAuthorized, McpFailure.
        """
        if tool.connector_id:
            connector = await self._connector(owner, tool.connector_id, "connector_id")
            return await self._of_connector(owner, tool, connector)
        address = self.policy.address(owner, tool.server_url or "", "server_url")
        headers = _named({**(tool.headers or {}), **_bearer(tool)})
        server = McpServer(owner, tool.server_label, address.url, headers=headers)
        return Target(server, scrubber([*(value for _, value in headers), *_of_query(address.url)]))

    async def _connector(self, owner: Owner, connector_id: str, param: str) -> Connector:
        try:
            found = await self.connectors.find(owner, connector_id)
        except InvalidRequest as unusable:
            raise InvalidRequest(unusable.message, param=param) from None
        if found is not None:
            return found
        if connector_id in OPENAIS_CONNECTORS:
            raise InvalidRequest(
                f'`{param}`: "{connector_id}" is a server that OpenAI runs for its own users. Configure a connector of'
                " this id (`connectors`, or POST /v1/connectors) that leads to a server of yours, or send a"
                " `server_url`.",
                param=param,
            )
        raise InvalidRequest(
            f'`{param}`: there is no connector "{connector_id[:200]}". GET /v1/connectors lists those there are.',
            param=param,
        )

    async def _of_connector(self, owner: Owner, tool: McpTool, connector: Connector) -> Target:
        """What the operator sends wins over the request's headers; the request's own token wins over every other."""
        known = connector.server
        sent = {**_lower(tool.headers or {}), **_lower(dict(known.headers))}
        oauth = None
        own = _bearer(tool) or _lower(
            {name: value for name, value in (tool.headers or {}).items() if name.lower() == AUTHORIZATION}
        )
        if own:
            sent.update(own)
        elif connector.oauth is not None:
            token = await self.authorizations.headers(owner, connector)
            if token is None:
                raise NotAuthorized(connector)
            sent.update(_lower(token))
            oauth = connector
        server = replace(known, owner=owner, label=tool.server_label, headers=_named(sent))
        secrets = [*sent.values(), *_of_environment(known), *_of_query(known.url)]
        return Target(server, scrubber(secrets), oauth)


def _bearer(tool: McpTool) -> dict[str, str]:
    return {AUTHORIZATION: f"Bearer {tool.authorization}"} if tool.authorization else {}


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _named(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """In one order, so that equal ones share a connection."""
    return tuple(sorted(_lower(headers).items()))


def _of_query(url: str) -> list[str]:
    """Keys of servers that take them in the URL."""
    return [value for _, value in parse_qsl(urlsplit(url).query)]


def _of_environment(server: McpServer) -> list[str]:
    """What of a process's environment is secret, by its name."""
    return [
        value for name, value in server.environment if any(word in name.lower() for word in _SECRET_NAMES)
    ]
