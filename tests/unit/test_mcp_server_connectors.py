"""What our MCP server makes of connectors: names, schemas, authorisations, and those that do not answer."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from antiphon.core.commands import CallTool, ListTools
from antiphon.core.hosted_items import (
    McpAuthorizationRequest,
    McpCall,
    McpHttpError,
    McpListedTool,
    McpListTools,
    McpProtocolError,
)
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.mcp import Sampling
from antiphon.core.signals import McpAsk, ToolDone, ToolsListed
from antiphon.core.tools import McpTool
from antiphon.core.wire import UNSET, JsonObject
from antiphon.mcp_server.connector_tools import ConnectorTools
from antiphon.mcp_server.exchanges import MuteExchange
from antiphon.mcp_server.passing_on import passed_on
from antiphon.mcp_server.tools import AuthorizationNeeded, ToolResult
from antiphon.mcp_tools.together import LISTED_AT_ONCE
from antiphon.ports import Owner
from antiphon.ports.mcp import (
    BinaryContent,
    CallHost,
    CallResult,
    Content,
    LinkContent,
    SamplingRefused,
    TakesResults,
    TextContent,
)

ANN = Owner("acme", "ann")
PAGE = "https://accounts.example/grant"


@dataclass
class Runtime:
    """A `ToolRuntime` of connectors with these tools; `locked` ones need an authorisation, `mute` ones never answer."""

    tools: Mapping[str, Sequence[McpListedTool]]
    locked: set[str] = field(default_factory=set[str])
    mute: set[str] = field(default_factory=set[str])
    broken: set[str] = field(default_factory=set[str])
    error: McpProtocolError | McpHttpError | None = None
    result: CallResult = field(default_factory=lambda: CallResult([TextContent("done")]))
    called: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    listed: list[str] = field(default_factory=list[str])
    refused: str = ""

    async def check(self, owner: Owner, tools: Sequence[AnyTool]) -> None:
        """Every tool will do."""

    def outdated(self, owner: Owner, tool: McpTool, known: McpListTools) -> bool:
        del owner, tool, known
        return False

    async def list_tools(self, owner: Owner, asked: ListTools) -> ToolsListed:
        connector = str(asked.tool.connector_id)
        label = asked.tool.server_label
        self.listed.append(connector)
        if connector in self.mute:
            await asyncio.Event().wait()
        if connector in self.locked:
            item = McpListTools(id="", server_label=label, tools=[], error="needs the user's authorisation")
            return ToolsListed(label, item, self._asks(label, connector))
        if connector in self.broken:
            return ToolsListed(label, McpListTools(id="", server_label=label, tools=[], error="it is down"))
        tools = list(self.tools[connector]) if owner == ANN else []
        return ToolsListed(label, McpListTools(id="", server_label=label, tools=tools))

    async def run(self, owner: Owner, call: CallTool, host: CallHost) -> ToolDone:
        del owner
        assert isinstance(call.item, McpCall)
        assert isinstance(call.tool, McpTool)
        self.called.append((str(call.tool.connector_id), call.item.name, call.item.arguments))
        try:
            await host.sample(Sampling([("user", "hi")], 1))
        except SamplingRefused as refused:
            self.refused = str(refused)
        if self.error is not None:
            item = McpCall(id="", server_label="x", name="y", arguments="{}", error=self.error)
            asks = self._asks("x", "x") if isinstance(self.error, McpHttpError) else ()
            return ToolDone("", "", item, asks)
        assert isinstance(host, TakesResults)
        host.take(self.result)
        return ToolDone("", "", McpCall(id="", server_label="x", name="y", arguments="{}", output="read"))

    def _asks(self, label: str, connector: str) -> tuple[McpAsk, ...]:
        asked = McpAuthorizationRequest(
            id="", server_label=label, url=PAGE, expires_at=1, connector_id=connector
        )
        return (asked,)


@dataclass
class World:
    runtime: Runtime
    patience_s: float = 5.0

    async def ids(self, owner: Owner) -> Sequence[str]:
        del owner
        return list(self.runtime.tools)

    @property
    def source(self) -> ConnectorTools:
        return ConnectorTools(self, self.runtime, 100, self.patience_s)

    async def names(self) -> list[str]:
        return [one.name for one in await self.source.tools(ANN, from_server=False)]

    async def call(self, name: str, arguments: JsonObject | None = None) -> Any:
        return await self.source.call(ANN, name, arguments or {}, MuteExchange(from_server=False))


def listed(name: str, **schema: Any) -> McpListedTool:
    return McpListedTool(name=name, input_schema=schema, description=f"Does {name}.", annotations=UNSET)


def world(**connectors: Sequence[str]) -> World:
    tools = {one.replace("_dot_", "."): [listed(name) for name in names] for one, names in connectors.items()}
    return World(Runtime(tools))


async def test_names_have_a_prefix_and_only_signs_that_models_may_say() -> None:
    made = world(desk=["add", "wörk/up"], old_dot_desk=["add"])
    assert await made.names() == ["desk__add", "desk__w_rk_up", "old_desk__add"]
    for name in await made.names():
        assert isinstance(await made.call(name, {"a": 1}), ToolResult)
    assert made.runtime.called == [
        ("desk", "add", '{"a":1}'),
        ("desk", "wörk/up", '{"a":1}'),
        ("old.desk", "add", '{"a":1}'),
    ]


async def test_long_names_are_cut_and_still_tell_tools_apart() -> None:
    connector, tools = "c" * 100, ["t" * 200 + "1", "t" * 200 + "2"]
    made = World(Runtime({connector: [listed(one) for one in tools], "d": [listed("t" * 100)]}))
    names = await made.names()
    assert len(set(names)) == 3
    assert all(len(one) <= 64 for one in names)
    for name in names:
        await made.call(name)
    assert [tool for _, tool, _ in made.runtime.called] == [*tools, "t" * 100]


async def test_tools_that_are_not_there_are_nobodys() -> None:
    made = world(desk=["add"])
    for name in ("desk__nope", "desk_add", "add", "other__add", "__add", "desk__"):
        assert await made.call(name) is None
    assert (
        await made.source.call(Owner("other", "eve"), "desk__add", {}, MuteExchange(from_server=False))
        is None
    )
    assert made.runtime.called == []


async def test_a_connector_that_does_not_answer_costs_its_own_tools(caplog: pytest.LogCaptureFixture) -> None:
    made = world(slow=["a"], dead=["b"], good=["c"])
    made.runtime.mute, made.runtime.broken, made.patience_s = {"slow"}, {"dead"}, 0.05
    assert await made.names() == ["good__c"]
    assert "connector slow was left out" in caplog.text
    assert "connector dead was left out of a list: it is down" in caplog.text
    gone = await made.call("dead__b")
    assert gone == ToolResult.failed("it is down")


async def test_however_many_do_not_answer_a_list_takes_as_long_as_one() -> None:
    made = world(good=["a"], **{f"slow{number}": ["a"] for number in range(2 * LISTED_AT_ONCE)})
    made.runtime.mute, made.patience_s = {one for one in made.runtime.tools if one != "good"}, 0.05
    assert await made.names() == ["good__a"]
    assert len(made.runtime.listed) == LISTED_AT_ONCE + 1


async def test_a_connector_of_a_user_who_has_not_authorised_it_offers_the_way_there() -> None:
    made = world(mail=["send"], desk=["add"])
    made.runtime.locked = {"mail"}
    assert await made.names() == ["mail__authorize", "desk__add"]
    for name in ("mail__authorize", "mail__send"):
        needed = await made.call(name)
        assert isinstance(needed, AuthorizationNeeded)
        assert needed.url == PAGE
        assert '"mail"' in needed.message
    made.runtime.locked = set()
    assert await made.names() == ["mail__send", "desk__add"]
    again = await made.call("mail__authorize")
    assert isinstance(again, ToolResult)
    assert not again.is_error


async def test_a_token_that_is_refused_in_a_call_asks_for_another() -> None:
    made = world(mail=["send"])
    made.runtime.error = McpHttpError(code=401, message="refused")
    needed = await made.call("mail__send")
    assert isinstance(needed, AuthorizationNeeded)
    made.runtime.error = McpProtocolError(code=-32000, message="it did not answer in time")
    assert await made.call("mail__send") == ToolResult.failed("it did not answer in time")


async def test_no_model_is_called_for_a_server() -> None:
    made = world(desk=["add"])
    await made.call("desk__add")
    assert "belongs to no response" in made.runtime.refused


async def test_schemas_are_of_objects_and_ask_for_no_headers() -> None:
    field = {"type": "string", "x-mcp-header": "Region"}
    tool = listed(
        "go",
        properties={"region": field, "x-mcp-header": {"type": "integer"}, "any": True},
        anyOf=[{"properties": {"a": {"x-mcp-header": "A", "default": {"x-mcp-header": 1}}}}],
        enum=[{"x-mcp-header": 1}],
    )
    [shown] = await World(Runtime({"desk": [tool]})).source.tools(ANN, from_server=False)
    assert shown.input_schema == {
        "type": "object",
        "properties": {"region": {"type": "string"}, "x-mcp-header": {"type": "integer"}, "any": True},
        "anyOf": [{"properties": {"a": {"default": {"x-mcp-header": 1}}}}],
        "enum": [{"x-mcp-header": 1}],
    }


async def test_another_server_of_ours_gets_none() -> None:
    made = world(desk=["add"])
    assert await made.source.tools(ANN, from_server=True) == ()
    assert await made.source.call(ANN, "desk__add", {}, MuteExchange(from_server=True)) is None


# --- results --------------------------------------------------------------------------------------------------
def test_results_keep_their_kinds() -> None:
    content: list[Content] = [
        TextContent("a"),
        TextContent("b", "memo://b"),
        BinaryContent("image", "image/png", b"\x00"),
        BinaryContent("audio", "audio/wav", b"\x01"),
        BinaryContent("resource", "application/zip", b"\x02", "memo://zip"),
        LinkContent("https://x.example/", "", "", ""),
        LinkContent("https://x.example/r.pdf", "r", "the report", "application/pdf"),
    ]
    result = passed_on(CallResult(content, {"n": 1}, is_error=True), 100)
    assert result.is_error
    assert result.structured == {"n": 1}
    assert list(result.content) == [
        {"type": "text", "text": "a"},
        {"type": "resource", "resource": {"uri": "memo://b", "text": "b"}},
        {"type": "image", "data": "AA==", "mimeType": "image/png"},
        {"type": "audio", "data": "AQ==", "mimeType": "audio/wav"},
        {
            "type": "resource",
            "resource": {"uri": "memo://zip", "mimeType": "application/zip", "blob": "Ag=="},
        },
        {"type": "resource_link", "uri": "https://x.example/", "name": "https://x.example/"},
        {
            "type": "resource_link",
            "uri": "https://x.example/r.pdf",
            "name": "r",
            "description": "the report",
            "mimeType": "application/pdf",
        },
    ]


def test_long_results_are_cut_with_a_note() -> None:
    texts = [TextContent("x" * 60), TextContent("y" * 60), TextContent("z" * 60)]
    result = passed_on(CallResult(texts, {"long": "s" * 200}), 100)
    assert [len(one["text"]) for one in result.content[:3]] == [60, 40, 0]
    assert "80 more characters" in result.content[3]["text"]
    assert "structured content was left out" in result.content[4]["text"]
    assert result.structured is None
