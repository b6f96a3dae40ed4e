"""What tests of `McpTools` are made of: a client that follows a script, connectors and authorisations in memory."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from antiphon.blobs.memory import MemoryBlobs
from antiphon.core.commands import CallTool, ListTools
from antiphon.core.hosted_items import McpCall, McpListedTool, McpListTools
from antiphon.core.items import FunctionCall
from antiphon.core.mcp import ElicitationAnswer, Sampled, Sampling
from antiphon.core.tools import McpTool
from antiphon.core.wire import JsonObject
from antiphon.fetching.urls import Egress, Refused
from antiphon.files.service import FileService
from antiphon.mcp_tools.addresses import Address, AddressRefused, ServerPolicy
from antiphon.mcp_tools.calls import Calls, Limits
from antiphon.mcp_tools.listings import Listings
from antiphon.mcp_tools.questions import Questions
from antiphon.mcp_tools.runtime import McpTools
from antiphon.mcp_tools.targets import Targets
from antiphon.ports import Owner
from antiphon.ports.mcp import (
    AuthorizationLink,
    CallHost,
    CallResult,
    Connector,
    Listing,
    McpClient,
    McpServer,
    Question,
    Reply,
    TextContent,
)
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, FakeIds, PlainSealer
from antiphon.tools.none import NoTools

PUBLIC = Egress()
OWNER = Owner("acme", "ada")
URL = "https://mcp.example.com/mcp"
Called = Callable[["Call"], Awaitable[CallResult | Question]]


@dataclass(frozen=True, slots=True)
class Call:
    server: McpServer
    tool: str
    arguments: JsonObject
    host: CallHost
    timeout_s: float
    reply: Reply | None


async def says_hello(call: Call) -> CallResult | Question:
    return CallResult([TextContent(f"hello from {call.tool}")])


@dataclass(slots=True)
class ScriptedMcp:
    """An `McpClient`. The test sets what is listed and returned; `listed` is who asked for lists."""

    listing: Listing = field(default_factory=lambda: Listing([listed("add"), listed("hello")]))
    on_list: Callable[[McpServer], Awaitable[Listing]] | None = None
    on_call: Called = says_hello
    listed: list[McpServer] = field(default_factory=list[McpServer])
    calls: list[Call] = field(default_factory=list[Call])
    forgotten: list[bytes] = field(default_factory=list[bytes])
    changed: Counter[str] = field(default_factory=Counter[str])
    on_changes: Callable[[McpServer], int] | None = None

    async def list_tools(self, server: McpServer, *, timeout_s: float) -> Listing:
        self.listed.append(server)
        return await self.on_list(server) if self.on_list is not None else self.listing

    async def call(
        self,
        server: McpServer,
        tool: str,
        arguments: JsonObject,
        host: CallHost,
        *,
        timeout_s: float,
        reply: Reply | None = None,
    ) -> CallResult | Question:
        call = Call(server, tool, arguments, host, timeout_s, reply)
        self.calls.append(call)
        return await self.on_call(call)

    async def forget(self, reply_token: bytes) -> None:
        self.forgotten.append(reply_token)

    def changes(self, server: McpServer) -> int:
        return self.changed[server.url] if self.on_changes is None else self.on_changes(server)

    async def ping(self, server: McpServer, *, timeout_s: float) -> JsonObject:
        return {"name": server.label, "version": "1", "protocol_version": "", "instructions": ""}

    async def aclose(self) -> None:
        return


@dataclass(slots=True)
class MemoryConnectors:
    """`Connectors` by tenant and id."""

    known: dict[tuple[str, str], Connector] = field(default_factory=dict[tuple[str, str], Connector])

    async def find(self, owner: Owner, connector_id: str) -> Connector | None:
        return self.known.get((owner.tenant, connector_id))


@dataclass(slots=True)
class MemoryAuthorizations:
    """`Authorizations` by subject: the token of each, and the one that it can be renewed to. `begun` has the challenges
    that authorisations were begun with.
    """

    tokens: dict[str, str] = field(default_factory=dict[str, str])
    renewals: dict[str, str] = field(default_factory=dict[str, str])
    begun: list[str] = field(default_factory=list[str])
    failure: Exception | None = None

    async def headers(self, owner: Owner, connector: Connector) -> Mapping[str, str] | None:
        token = self.tokens.get(owner.subject)
        return None if token is None else {"Authorization": f"Bearer {token}"}

    async def renew(
        self, owner: Owner, connector: Connector, refused: Mapping[str, str]
    ) -> Mapping[str, str] | None:
        old, new = self.tokens.pop(owner.subject, None), self.renewals.pop(owner.subject, None)
        assert old is None or refused == {"authorization": f"Bearer {old}"}
        if new is not None:
            self.tokens[owner.subject] = new
        return await self.headers(owner, connector)

    async def begin(self, owner: Owner, connector: Connector, challenge: str = "") -> AuthorizationLink:
        if self.failure is not None:
            raise self.failure
        self.begun.append(challenge)
        return AuthorizationLink(f"https://login.example.com/{connector.id}", 2_000_000_000)

    async def discard(self, owner: Owner, connector: Connector) -> bool:
        return self.tokens.pop(owner.subject, None) is not None


@dataclass(slots=True)
class Host:
    """A `CallHost`."""

    keeps: bool = True
    asked: list[Sampling] = field(default_factory=list[Sampling])

    async def sample(self, asked: Sampling) -> Sampled:
        self.asked.append(asked)
        return Sampled("42", "demo", "endTurn")


class World:
    """A runtime over the parts above, whose time the test moves; with another client where the test has one."""

    def __init__(
        self,
        *,
        policy: ServerPolicy | None = None,
        limits: Limits | None = None,
        lifetime_s: float = 300.0,
        client: McpClient | None = None,
    ) -> None:
        self.client = ScriptedMcp()
        speaks = client or self.client
        self.connectors = MemoryConnectors()
        self.authorizations = MemoryAuthorizations()
        self.clock = FakeClock()
        self.now = 0.0
        self.store = MemoryStore()
        self.files = FileService(
            self.store.files, MemoryBlobs(), self.clock, FakeIds(), max_file_bytes=64 * 1024 * 1024
        )
        questions = Questions(PlainSealer(), self.clock, 600)
        self.listings = Listings(speaks, lambda: self.now, lifetime_s, 20.0)
        self.calls = Calls(speaks, questions, self.files, limits or Limits())
        self.tools = McpTools(
            Targets(policy or ServerPolicy(read, "any"), self.connectors, self.authorizations),
            self.listings,
            self.calls,
            self.authorizations,
            NoTools(),
        )

    async def list_tools(self, tool: McpTool | None = None, owner: Owner = OWNER) -> McpListTools:
        given = tool or server()
        return (await self.tools.list_tools(owner, listing_of(given))).item

    async def run(
        self,
        name: str = "add",
        arguments: str = "{}",
        *,
        tool: McpTool | None = None,
        owner: Owner = OWNER,
        host: Host | None = None,
        answer: ElicitationAnswer | None = None,
    ) -> McpCall:
        done = await self.tools.run(owner, call_of(name, arguments, tool, answer), host or Host())
        assert isinstance(done.item, McpCall)
        assert done.output == ""
        return done.item

    async def kept(self, owner: Owner = OWNER) -> list[tuple[str, str, bytes]]:
        """The files that were kept, oldest first: name, media type, content."""
        found = await self.files.list_page(owner, limit=100, newest_first=False, after=None, purpose=None)
        return [(file.filename, file.media_type, await self.files.read(file, 1 << 30)) for file in found]


def read(text: str, egress: Egress = PUBLIC) -> Address:
    try:
        url = egress.target(text)
    except Refused as refused:
        raise AddressRefused(str(refused)) from None
    return Address(str(url), (url.raw_host or "").lower())


def listed(name: str, **more: object) -> McpListedTool:
    schema: JsonObject = {"type": "object", "properties": {}}
    given: JsonObject = {"name": name, "input_schema": schema, "description": f"does {name}", **more}
    return McpListedTool(**given)


def server(label: str = "tools", url: str = URL, **more: object) -> McpTool:
    given: JsonObject = {"server_label": label, "server_url": url, **more}
    return McpTool(**given)


def connected(connector_id: str = "desk", **more: object) -> McpTool:
    given: JsonObject = {"server_label": "tools", "connector_id": connector_id, **more}
    return McpTool(**given)


def listing_of(tool: McpTool) -> ListTools:
    return ListTools(tool, McpListTools(id="", server_label=tool.server_label, tools=[]))


def call_of(
    name: str = "add",
    arguments: str = "{}",
    tool: McpTool | None = None,
    answer: ElicitationAnswer | None = None,
) -> CallTool:
    given = tool or server()
    item = McpCall(
        id="mcp_1", server_label=given.server_label, name=name, arguments=arguments, status="in_progress"
    )
    return CallTool(FunctionCall(call_id="call_1", name=name, arguments=arguments), given, item, answer)


def texts(*said: str) -> CallResult:
    return CallResult([TextContent(one) for one in said])


def returns(result: CallResult | Question) -> Called:
    async def call(_: Call) -> CallResult | Question:
        return result

    return call


def fails_with(error: BaseException) -> Called:
    async def call(_: Call) -> CallResult | Question:
        raise error

    return call


async def until(state: Callable[[], bool]) -> None:
    """Let the other tasks of this loop run until something is so; they wait for nothing outside of it."""
    for _ in range(1000):
        if state():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")


def names(tools: Sequence[McpListedTool]) -> list[str]:
    return [one.name for one in tools]
