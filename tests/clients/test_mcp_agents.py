"""openai-agents: `HostedMCPTool`, whose calls the server makes; approvals by a function, and by hand."""

from collections.abc import AsyncIterator
from typing import Any

import agents
import openai
import pytest
from agents import (
    Agent,
    HostedMCPTool,
    MCPToolApprovalFunctionResult,
    MCPToolApprovalRequest,
    ModelSettings,
    OpenAIConversationsSession,
    OpenAIResponsesModel,
    Runner,
)
from agents.model_settings import MCPToolChoice
from agents.result import RunResultBase

from bench.program import Program
from tests.clients.mcp_world import ERASE, ERASED, QUESTION, TOLD
from tests.support.mcp_servers import Case

HOWS = ["whole", "streamed", "whole, not stored", "streamed, not stored"]


@pytest.fixture
async def client(mcp_server: Program) -> AsyncIterator[openai.AsyncOpenAI]:
    agents.set_tracing_disabled(True)
    async with openai.AsyncOpenAI(base_url=f"{mcp_server.url}/v1", api_key="none", max_retries=0) as made:
        yield made
    agents.set_tracing_disabled(False)


def tool(desk: Case, **more: Any) -> HostedMCPTool:
    decides = {"on_approval_request": more.pop("decide")} if "decide" in more else {}
    config: Any = {"type": "mcp", "server_label": "desk", "server_url": desk.url(), **more}
    return HostedMCPTool(tool_config=config, **decides)


def agent_of(client: openai.AsyncOpenAI, model: str, asked: HostedMCPTool, **settings: Any) -> "Agent[None]":
    named = OpenAIResponsesModel(model, client)
    return Agent("clerk", model=named, tools=[asked], model_settings=ModelSettings(**settings))


async def ran(agent: "Agent[None]", question: Any, how: str, **more: Any) -> RunResultBase:
    """`how` says whether it is streamed and stored."""
    agent.model_settings.store = "not stored" not in how
    if not how.startswith("streamed"):
        return await Runner.run(agent, question, **more)
    result = Runner.run_streamed(agent, question, **more)
    async for _ in result.stream_events():
        pass
    return result


def kinds(result: RunResultBase) -> list[str]:
    return [item.type for item in result.new_items]


@pytest.mark.parametrize("how", HOWS)
async def test_the_server_calls_the_tools(client: openai.AsyncOpenAI, desk: Case, how: str) -> None:
    """A second turn sends everything back, list, calls and all: the tools are not listed again."""
    agent = agent_of(client, "clerk", tool(desk, require_approval="never", headers={"x-token": "t"}))
    result = await ran(agent, QUESTION, how)
    assert result.final_output == TOLD
    assert kinds(result).count("mcp_list_tools_item") == 1
    calls = [item["name"] for item in _sent_back(result, "mcp_call")]
    assert sorted(calls) == ["add", "hello"]
    again = await ran(agent, [*result.to_input_list(), {"role": "user", "content": "Thanks!"}], how)
    assert again.final_output == "You are welcome."
    assert "mcp_list_tools_item" not in kinds(again)
    assert (desk.calls("add"), desk.calls("hello")) == (1, 1)
    assert {one["x-token"] for one in desk.headers("tools/call")} == {"t"}


def _sent_back(result: RunResultBase, kind: str) -> list[dict[str, Any]]:
    items: list[Any] = result.to_input_list()
    return [item for item in items if item.get("type") == kind]


@pytest.mark.parametrize("how", HOWS)
async def test_a_function_approves(client: openai.AsyncOpenAI, desk: Case, how: str) -> None:
    asked = list[str]()

    def decide(request: MCPToolApprovalRequest) -> MCPToolApprovalFunctionResult:
        asked.append(request.data.arguments)
        return {"approve": True}

    result = await ran(agent_of(client, "eraser", tool(desk, decide=decide)), ERASE, how)
    assert result.final_output == ERASED
    assert len(asked) == 1
    assert desk.arguments("erase") == [{"path": "notes.txt"}]
    (call,) = _sent_back(result, "mcp_call")
    (request,) = _sent_back(result, "mcp_approval_request")
    assert call["approval_request_id"] == request["id"]


@pytest.mark.parametrize("how", HOWS)
async def test_a_function_denies_and_the_model_is_told_why(
    client: openai.AsyncOpenAI, desk: Case, how: str
) -> None:
    def decide(request: MCPToolApprovalRequest) -> MCPToolApprovalFunctionResult:
        del request
        return {"approve": False, "reason": "I still need them"}

    result = await ran(agent_of(client, "eraser", tool(desk, decide=decide)), ERASE, how)
    assert "I still need them" in result.final_output
    assert desk.calls("erase") == 0


@pytest.mark.parametrize("how", HOWS)
async def test_a_run_stops_for_a_person_and_goes_on(client: openai.AsyncOpenAI, desk: Case, how: str) -> None:
    agent = agent_of(client, "eraser", tool(desk, require_approval="always"))
    result: Any = await ran(agent, ERASE, how)
    (waiting,) = result.interruptions
    assert desk.calls("erase") == 0
    state = result.to_state()
    state.approve(waiting)
    result = await ran(agent, state, how)
    assert result.final_output == ERASED
    assert desk.calls("erase") == 1


@pytest.mark.parametrize("by", ["previous_response_id", "conversation_id", "session"])
async def test_approvals_where_the_server_keeps_the_conversation(
    client: openai.AsyncOpenAI, desk: Case, by: str
) -> None:
    def decide(request: MCPToolApprovalRequest) -> MCPToolApprovalFunctionResult:
        del request
        return {"approve": True}

    agent = agent_of(client, "eraser", tool(desk, decide=decide))
    kept: Any = {"auto_previous_response_id": True}
    if by == "conversation_id":
        kept = {by: (await client.conversations.create()).id}
    elif by == "session":
        kept = {by: OpenAIConversationsSession(openai_client=client)}
    result = await Runner.run(agent, ERASE, **kept)
    assert result.final_output == ERASED
    if by == "previous_response_id":
        kept = {by: result.last_response_id}
    again = await Runner.run(agent, "Thanks!", **kept)
    assert again.final_output == "You are welcome."
    assert desk.calls("erase") == 1


@pytest.mark.parametrize("choice", [MCPToolChoice("desk", "hello"), "mcp"])
async def test_a_choice_of_a_tool_or_of_any(client: openai.AsyncOpenAI, desk: Case, choice: Any) -> None:
    """What the SDK calls "mcp" names no server."""
    asked = tool(desk, require_approval="never", allowed_tools=["hello"])
    agent = agent_of(client, "demo", asked, tool_choice=choice)
    result = await Runner.run(agent, "Whatever.")
    assert [item["name"] for item in _sent_back(result, "mcp_call")] == ["hello"]
    assert "hello" in result.final_output


async def test_a_tool_that_fails_is_told_to_the_model(client: openai.AsyncOpenAI, desk: Case) -> None:
    result = await ran(
        agent_of(client, "unlucky", tool(desk, require_approval="never")), "Do it.", "streamed"
    )
    assert "the disk is full" in result.final_output
    (call,) = _sent_back(result, "mcp_call")
    assert call["error"]["type"] == "mcp_tool_execution_error"
