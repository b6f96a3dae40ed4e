"""`file_search` by clients that have it as a tool of their own: each finds the file, and sees who is cited."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import agents
import openai
import pytest
from agents import Agent, FileSearchTool, ModelSettings, OpenAIResponsesModel, Runner
from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from bench.program import Program
from tests.clients.installed import HERE, facts, node_environment, node_project

TEXT = b"The Sognefjord is the deepest fjord of Norway, with 1308 metres of water in it."
QUESTION = "What is the deepest fjord?"


@pytest.fixture(scope="module")
def store_id(server: Program) -> Iterator[str]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        store = client.vector_stores.create(name="Norway")
        put = client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=("fjords.txt", TEXT))
        assert put.status == "completed", put.last_error
        yield store.id
        client.vector_stores.delete(store.id)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("store", [False, True])
async def test_the_agents_sdk(base_url: str, store_id: str, stream: bool, store: bool) -> None:
    agents.set_tracing_disabled(True)
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        agent = Agent[None](
            "librarian",
            model=OpenAIResponsesModel("demo", client),
            tools=[FileSearchTool([store_id], max_num_results=3, include_search_results=True)],
            model_settings=ModelSettings(store=store),
        )
        if stream:
            result: Any = Runner.run_streamed(agent, QUESTION)
            async for _ in result.stream_events():
                pass
        else:
            result = await Runner.run(agent, QUESTION)
        assert "Sognefjord" in result.final_output
        items: list[Any] = result.to_input_list()
        again: Any = await Runner.run(agent, [*items, {"role": "user", "content": QUESTION}])
    agents.set_tracing_disabled(False)
    [call] = [item for item in items if item.get("type") == "file_search_call"]
    assert call["results"][0]["filename"] == "fjords.txt"
    [message] = [item for item in items if item.get("type") == "message"]
    assert [one["filename"] for one in message["content"][0]["annotations"]] == ["fjords.txt"]
    assert "Sognefjord" in again.final_output


async def test_langchain(base_url: str, store_id: str) -> None:
    tool = {"type": "file_search", "vector_store_ids": [store_id]}
    with openai.DefaultHttpxClient() as http_client:
        async with openai.DefaultAsyncHttpxClient() as http_async_client:
            chat: Any = ChatOpenAI(
                model="demo",
                base_url=base_url,
                api_key=SecretStr("none"),
                use_responses_api=True,
                max_retries=0,
                http_client=http_client,
                http_async_client=http_async_client,
            )
            model = chat.bind_tools([tool])
            whole: Any = await model.ainvoke(QUESTION)
            streamed: Any = AIMessageChunk(content="")
            async for chunk in model.astream(QUESTION):
                streamed += chunk
    for message in (whole, streamed):
        texts = [block for block in message.content_blocks if block["type"] == "text"]
        said = "".join(block["text"] for block in texts)
        assert "Sognefjord" in said
        assert "[cite" not in said
        assert "fjords.txt" in str([block.get("annotations") for block in texts])


@pytest.fixture(scope="module")
def node(cache: Path, tmp_path_factory: pytest.TempPathFactory, server: Program) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("node")
    shutil.copy(HERE / "node" / "file_search.mjs", folder / "file_search.mjs")
    (folder / "node_modules").symlink_to(node_project(cache, HERE / "node"))
    return facts(["node", "file_search.mjs"], f"{server.url}/v1", cwd=folder, env=node_environment())


def test_openai_node(node: dict[str, Any]) -> None:
    assert node["file"]["status"] == "completed"
    assert node["searching"] == ["in_progress", "searching", "completed"]
    assert [(one["type"], one["filename"]) for one in node["annotations"]] == [
        ("file_citation", "fjords.txt")
    ]
    assert "Sognefjord" in node["text"]
    assert node["found"] == [[node["file"]["id"], "fjords.txt"]]


def test_the_ai_sdk(node: dict[str, Any]) -> None:
    seen = node["sdk"]
    assert "Sognefjord" in seen["text"]
    assert seen["text"] == seen["streamed"]
    assert seen["sources"] == seen["streamedSources"] == [["document", "fjords.txt"]]
    assert seen["results"] == [1]
    assert seen["errors"] == []
