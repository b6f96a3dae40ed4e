"""LangChain and pydantic-ai with tools of an MCP server, streamed and not; approvals where the client knows them."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from pydantic_ai import Agent
from pydantic_ai.capabilities import NativeTool
from pydantic_ai.messages import NativeToolCallPart, NativeToolReturnPart
from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.native_tools import MCPServerTool
from pydantic_ai.providers.openai import OpenAIProvider

from bench.program import Program
from tests.clients.mcp_world import ERASE, ERASED, QUESTION, TOLD
from tests.support.mcp_servers import Case

VERSIONS = ["responses/v1", "v1"]


# --- LangChain -----------------------------------------------------------------------------------------------
@pytest.fixture
async def chat(mcp_server: Program) -> AsyncIterator[Any]:
    """Makes models over HTTP clients that are closed afterwards; LangChain keeps its own open."""
    with openai.DefaultHttpxClient() as http_client:
        async with openai.DefaultAsyncHttpxClient() as http_async_client:

            def make(name: str, tool: dict[str, Any], **settings: Any) -> Any:
                model: Any = ChatOpenAI(
                    model=name,
                    base_url=f"{mcp_server.url}/v1",
                    api_key=SecretStr("none"),
                    use_responses_api=True,
                    max_retries=0,
                    http_client=http_client,
                    http_async_client=http_async_client,
                    **settings,
                )
                return model.bind_tools([tool])

            yield make


def mcp_tool(desk: Case, **more: Any) -> dict[str, Any]:
    return {"type": "mcp", "server_label": "desk", "server_url": desk.url(), **more}


def asked(model: Any, messages: list[Any], *, stream: bool) -> Any:
    if not stream:
        return model.invoke(messages)
    chunks = list(model.stream(messages))
    return sum(chunks[1:], chunks[0])


def blocks(message: AIMessage, kind: str) -> list[dict[str, Any]]:
    content: list[Any] = message.content if isinstance(message.content, list) else []
    return [block for block in content if block["type"] == kind]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
def test_langchain(chat: Any, desk: Case, version: str, stream: bool) -> None:
    """The second turn sends the blocks back; what the server made of them it takes."""
    model = chat("clerk", mcp_tool(desk, require_approval="never"), output_version=version)
    history: list[Any] = [HumanMessage(QUESTION)]
    first = asked(model, history, stream=stream)
    assert first.text == TOLD
    if version == "v1":
        results = [block for block in first.content_blocks if block["type"] == "server_tool_result"]
        assert [one["output"] for one in results if one["status"] == "success"][-2:] == ["5", "hello"]
    else:
        assert [one["name"] for one in blocks(first, "mcp_call")] == ["add", "hello"]
        assert [len(blocks(first, kind)) for kind in ("mcp_list_tools", "reasoning")] == [1, 1]
    again = asked(model, [*history, first, HumanMessage("Thanks!")], stream=stream)
    assert again.text == "You are welcome."
    assert desk.calls("add") == 1


@pytest.mark.parametrize("approve", [True, False])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("chained", [False, True])
def test_langchain_approves(chat: Any, desk: Case, chained: bool, stream: bool, approve: bool) -> None:
    model = chat("eraser", mcp_tool(desk), use_previous_response_id=chained, output_version="responses/v1")
    history: list[Any] = [HumanMessage(ERASE)]
    first = asked(model, history, stream=stream)
    (request,) = blocks(first, "mcp_approval_request")
    assert (request["name"], request["server_label"]) == ("erase", "desk")
    answer = {"type": "mcp_approval_response", "approve": approve, "approval_request_id": request["id"]}
    second = asked(model, [*history, first, HumanMessage([answer])], stream=stream)
    assert (second.text == ERASED) == approve
    assert desk.calls("erase") == int(approve)
    assert desk.count("tools/list") == 1


async def test_langchain_streams_without_waiting(chat: Any, desk: Case) -> None:
    model = chat("clerk", mcp_tool(desk, require_approval="never"))
    chunks: list[AIMessageChunk] = [chunk async for chunk in model.astream(QUESTION)]
    assert "".join(chunk.text for chunk in chunks) == TOLD


# --- pydantic-ai ---------------------------------------------------------------------------------------------
@pytest.fixture
async def pydantic_model(mcp_server: Program) -> AsyncIterator[OpenAIResponsesModel]:
    async with openai.AsyncOpenAI(base_url=f"{mcp_server.url}/v1", api_key="none", max_retries=0) as client:
        yield OpenAIResponsesModel("clerk", provider=OpenAIProvider(openai_client=client))


def pydantic_agent(model: OpenAIResponsesModel, desk: Case) -> Agent[None, str]:
    tool = MCPServerTool(
        id="desk",
        url=desk.url(),
        authorization_token="secret-of-the-desk",
        description="The desk.",
        headers={"x-token": "t"},
    )
    return Agent(model, capabilities=[NativeTool(tool)])


SENT_BACK: dict[str, OpenAIResponsesModelSettings] = {
    "text": {},
    "ids": {"openai_send_reasoning_ids": True},
    "nothing": {"openai_previous_response_id": "auto"},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("sent_back", SENT_BACK)
async def test_pydantic_ai(
    pydantic_model: OpenAIResponsesModel, desk: Case, sent_back: str, stream: bool
) -> None:
    """With ids it sends lists and calls back without what was in them: the server knows. Else it leaves them out."""
    agent = pydantic_agent(pydantic_model, desk)
    settings = SENT_BACK[sent_back]
    if stream:
        async with agent.run_stream(QUESTION, model_settings=settings) as streamed:
            said = await streamed.get_output()
            history = streamed.all_messages()
    else:
        result = await agent.run(QUESTION, model_settings=settings)
        said, history = result.output, result.all_messages()
    parts = [part for message in history for part in message.parts]
    returned: list[Any] = [part.content for part in parts if isinstance(part, NativeToolReturnPart)]
    assert said == TOLD
    assert [one["output"] for one in returned if "output" in one] == ["5", "hello"]
    assert len([part for part in parts if isinstance(part, NativeToolCallPart)]) == 3
    again = await agent.run(QUESTION, message_history=history, model_settings=settings)
    assert again.output == TOLD
    assert desk.calls("add") == 2
    assert {(one["authorization"], one["x-token"]) for one in desk.headers("tools/call")} == {
        ("Bearer secret-of-the-desk", "t")
    }
    assert desk.count("tools/list") == (2 if sent_back == "text" else 1)


async def test_pydantic_ai_uses_a_connector(pydantic_model: OpenAIResponsesModel) -> None:
    """It has one spelling for the connectors of every server."""
    tool = MCPServerTool(id="desk", url="x-openai-connector:shop")
    result = await Agent(pydantic_model, capabilities=[NativeTool(tool)]).run(QUESTION)
    assert result.output == TOLD
