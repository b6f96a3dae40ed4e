"""`McpTools`: the tool runtime that carries out the tools of MCP servers. All else goes to the runtime behind it.

Whatever a server does, a run goes on: what fails is told in the item, and only cancellation is raised.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TypeVar

import msgspec

from antiphon.core.commands import CallTool, ListTools
from antiphon.core.errors import AntiphonError
from antiphon.core.hosted_items import (
    McpAuthorizationRequest,
    McpCall,
    McpHttpError,
    McpListTools,
    McpProtocolError,
)
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.mcp import failed_listing
from antiphon.core.signals import McpAsk, ToolDone, ToolsListed
from antiphon.core.tools import McpTool
from antiphon.mcp_tools import failures
from antiphon.mcp_tools.calls import Asked, Calls
from antiphon.mcp_tools.definitions import usable
from antiphon.mcp_tools.listings import Listings, Tools
from antiphon.mcp_tools.questions import CannotGoOn
from antiphon.mcp_tools.targets import AUTHORIZATION, NotAuthorized, Target, Targets
from antiphon.mcp_tools.texts import Scrubber
from antiphon.ports import Owner, ToolRuntime
from antiphon.ports.mcp import Authorizations, CallHost, Connector, McpFailure, McpHttpFailure

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why nothing came of asking a server, and what the user can do about it."""

    error: McpProtocolError | McpHttpError
    asks: tuple[McpAsk, ...] = ()


@dataclass(frozen=True, slots=True)
class McpTools:
    """A `ToolRuntime`. `max_tools`: of one server; a list of more is refused."""

    targets: Targets
    listings: Listings
    calls: Calls
    authorizations: Authorizations
    others: ToolRuntime
    max_tools: int = 512

    async def check(self, owner: Owner, tools: Sequence[AnyTool]) -> None:
        """Raises InvalidRequest for a server that this owner may not have asked, and for a connector that is unknown or
        foreign. An address that a name has is only known when it is connected to: the list says so then.
        """
        for at, tool in enumerate(tools):
            if isinstance(tool, McpTool):
                await self.targets.check(owner, tool, f"tools[{at}]")
        await self.others.check(owner, tools)

    async def list_tools(self, owner: Owner, asked: ListTools) -> ToolsListed:
        """All tools that a server has and that can be used: kept ones while they hold."""
        label = asked.tool.server_label
        found = await self._attempt(owner, asked.tool, partial(self._listed, owner, asked.tool))
        if isinstance(found, Trouble):
            return ToolsListed(label, failed_listing(label, found.error.message), found.asks)
        return ToolsListed(label, McpListTools(id="", server_label=label, tools=list(found)))

    async def _listed(self, owner: Owner, tool: McpTool, target: Target) -> Tools:
        read = partial(usable, scrub=target.scrub, label=tool.server_label, max_tools=self.max_tools)
        return await self.listings.get(owner, tool, target.server, read)

    def outdated(self, owner: Owner, tool: McpTool, known: McpListTools) -> bool:
        return self.listings.news.outdated(owner, tool, known.tools)

    async def run(self, owner: Owner, call: CallTool, host: CallHost) -> ToolDone:
        """See `ports.ToolRuntime.run`."""
        tool, item = call.tool, call.item
        if not isinstance(tool, McpTool) or not isinstance(item, McpCall):
            return await self.others.run(owner, call, host)
        asked = Asked(owner, tool, item, call, host)
        found = await self._attempt(owner, tool, partial(self._called, asked))
        if isinstance(found, Trouble):
            failed = msgspec.structs.replace(item, status="failed", output=None, error=found.error)
            return ToolDone(call.call.call_id, "", failed, found.asks)
        return found

    async def _called(self, asked: Asked, target: Target) -> ToolDone:
        self.listings.news.asked(asked.owner, asked.tool, target.server)
        return await self.calls.make(asked, target)

    async def aclose(self) -> None:
        """Give up what is on its way."""
        await self.listings.aclose()

    # --- what can go wrong --------------------------------------------------------------------------------
    async def _attempt(
        self, owner: Owner, tool: McpTool, work: Callable[[Target], Awaitable[T]]
    ) -> T | Trouble:
        """What came of asking the server of a tool. Raises nothing but the cancellation of this task."""
        label, target = tool.server_label, None
        try:
            target = await self.targets.find(owner, tool)
            try:
                return await work(target)
            except McpHttpFailure as failure:
                target = await self._renewed(owner, tool, target, failure)
                return await work(target)
        except NotAuthorized as needed:
            why = f"MCP server `{label}` needs the user's authorisation first."
            return await self._with_asks(owner, tool, failures.refused(why), needed.connector)
        except McpFailure as failure:
            return await self._failed(owner, tool, target, failure)
        except AntiphonError as error:
            return Trouble(failures.refused(error.message))
        except CannotGoOn as error:
            return Trouble(failures.invalid(f"The call cannot go on: {error}."))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return Trouble(failures.broken_off(label))  # somebody below was cancelled, and not this call
        except Exception as error:  # noqa: BLE001 a bug of ours, or of what is below, costs this server and not the run
            return Trouble(failures.internal(error, label))

    async def _failed(
        self, owner: Owner, tool: McpTool, target: Target | None, failure: McpFailure
    ) -> Trouble:
        scrub = target.scrub if target is not None else Scrubber()
        error = failures.error_of(failure, tool.server_label, scrub)
        failures.note(error)
        if not isinstance(failure, McpHttpFailure) or target is None:
            return Trouble(error)
        connector = await self._to_authorize(owner, target, failure)
        return await self._with_asks(owner, tool, error, connector, failure.challenge)

    async def _renewed(self, owner: Owner, tool: McpTool, target: Target, failure: McpHttpFailure) -> Target:
        """The same server with a newer token of the user's, where it refused the one it got: then it did nothing, and
        can be asked again. Raises the failure where there is no other token.
        """
        if target.oauth is None or failure.status != HTTPStatus.UNAUTHORIZED:
            raise failure
        refused = {name: value for name, value in target.server.headers if name == AUTHORIZATION}
        if await self.authorizations.renew(owner, target.oauth, refused) is None:
            raise failure
        renewed = await self.targets.find(owner, tool)
        if renewed.server == target.server:
            raise failure
        return renewed

    async def _to_authorize(self, owner: Owner, target: Target, failure: McpHttpFailure) -> Connector | None:
        """The connector that the user has to authorise anew: its server refused the user's token, which is forgotten
        then, or wants one that allows more (RFC 6750, 3.1).
        """
        if target.oauth is None:
            return None
        if failure.status == HTTPStatus.UNAUTHORIZED:
            await self.authorizations.discard(owner, target.oauth)
            return target.oauth
        wants_more = failure.status == HTTPStatus.FORBIDDEN and "insufficient_scope" in failure.challenge
        return target.oauth if wants_more else None

    async def _with_asks(
        self,
        owner: Owner,
        tool: McpTool,
        error: McpProtocolError | McpHttpError,
        connector: Connector | None,
        challenge: str = "",
    ) -> Trouble:
        """With what the user is asked to do; where that cannot be had, the error says why."""
        if connector is None:
            return Trouble(error)
        try:
            link = await self.authorizations.begin(owner, connector, challenge)
        except (McpFailure, AntiphonError) as failure:
            why = f"{error.message} It cannot be authorised now: {Scrubber().line(failure.message)}"
            return Trouble(msgspec.structs.replace(error, message=why))
        ask = McpAuthorizationRequest(
            id="",
            server_label=tool.server_label,
            url=link.url,
            expires_at=link.expires_at,
            connector_id=connector.id,
        )
        return Trouble(error, (ask,))
