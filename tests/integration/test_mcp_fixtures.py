"""The MCP servers that other tests rely on are what they are said to be, as the official SDK's client sees them."""

from typing import Any

import mcp_types as types
import pytest
from mcp import MCPError
from mcp.client.client import Client
from mcp.client.session import ClientRequestContext
from mcp.client.sse import sse_client

from tests.support.hostile_mcp import TOOLS
from tests.support.mcp_servers import ASKS_BACK, FLAVOURS, INSTRUCTIONS
from tests.support.mcp_wire import Case

MODERN = ("mcp", "modern", "json", "stateless")


async def answer(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
    if params.mode == "url":
        return types.ElicitResult(action="accept")
    if "sure" in params.message:
        return types.ElicitResult(action="accept", content={"sure": True})
    return types.ElicitResult(action="accept", content={"name": "Ann"})


def client(case: Case, flavour: str) -> Client:
    url = case.url(flavour)
    return Client(sse_client(url) if flavour == "sse" else url, elicitation_callback=answer)


def text(result: types.CallToolResult) -> str:
    return "".join(part.text for part in result.content if isinstance(part, types.TextContent))


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_server_of_each_kind_lists_and_calls(mcp_case: Case, flavour: str) -> None:
    async with client(mcp_case, flavour) as asked:
        modern = asked.protocol_version == "2026-07-28"
        assert modern == (flavour in MODERN)
        assert asked.instructions == INSTRUCTIONS
        tools = {tool.name: tool for tool in (await asked.list_tools()).tools}
        assert len(tools) == 28
        assert text(await asked.call_tool("add", {"a": 1, "b": 2})) == "3"
        assert (await asked.call_tool("fails", {})).is_error
        with pytest.raises(MCPError, match="out of order"):
            await asked.call_tool("breaks", {})
        mcp_case.redefine("add", description="another")
        mcp_case.hide("echo")
        again = {tool.name: tool.description for tool in (await asked.list_tools()).tools}
        assert again["add"] == "another"
        assert "echo" not in again
    assert mcp_case.count("initialize") == (0 if modern else 1)
    assert mcp_case.count("tools/list") == 2
    assert mcp_case.arguments("add") == [{"a": 1, "b": 2}]
    assert mcp_case.calls("breaks") == 1


@pytest.mark.parametrize("flavour", ASKS_BACK)
async def test_a_server_asks_the_user(mcp_case: Case, flavour: str) -> None:
    async with client(mcp_case, flavour) as asked:
        assert text(await asked.call_tool("ask_name", {})) == "user said: accept Ann"
        assert text(await asked.call_tool("ask_twice", {"item": "tea"})) == "Ann orders tea: True"
        assert text(await asked.call_tool("ask_url", {})) == "user said: accept"


async def test_cases_know_nothing_of_each_other(mcp_servers: Any) -> None:
    first, second = mcp_servers.case(), mcp_servers.case()
    first.hide("add")
    async with client(first, "mcp") as one, client(second, "mcp") as other:
        assert "add" not in {tool.name for tool in (await one.list_tools()).tools}
        assert "add" in {tool.name for tool in (await other.list_tools()).tools}
    assert (first.count("tools/list"), second.count("tools/list")) == (1, 1)


@pytest.mark.parametrize("mode", ["call-error", "modern/call-error"])
async def test_the_hostile_server_is_correct_up_to_its_fault(hostile_mcp: Case, mode: str) -> None:
    async with client(hostile_mcp, mode) as asked:
        assert (asked.protocol_version == "2026-07-28") == mode.startswith("modern")
        assert [tool.name for tool in (await asked.list_tools()).tools] == [tool["name"] for tool in TOOLS]
        with pytest.raises(MCPError, match="out of order"):
            await asked.call_tool("echo", {"text": "hi"})
