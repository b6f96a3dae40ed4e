"""The official client's own WebSocket helper, `client.responses.connect()`, of both kinds."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import openai
import pytest
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseTextDeltaEvent,
)
from openai.types.responses.responses_server_event import ResponseWsError
from websockets.exceptions import InvalidURI

import antiphon
from tests.clients.test_openai import ANSWERS, QUESTION, TOOLS

ENDS = ("response.completed", "response.failed", "response.incomplete", "error")


def outputs(response: Response) -> list[Any]:
    calls = [item for item in response.output if isinstance(item, ResponseFunctionToolCall)]
    return [
        {"type": "function_call_output", "call_id": call.call_id, "output": ANSWERS[call.name]}
        for call in calls
    ]


def test_a_tool_flow_over_one_connection_with_nothing_stored(base_url: str) -> None:
    with openai.OpenAI(base_url=base_url, api_key="none") as client, client.responses.connect() as connection:
        asked: dict[str, Any] = {"input": QUESTION}
        text = ""
        for _ in range(2):
            connection.response.create(model="clerk", tools=TOOLS, store=False, **asked)
            event = connection.recv()
            while event.type not in ENDS:
                text += event.delta if event.type == "response.output_text.delta" else ""
                event = connection.recv()
            assert isinstance(event, ResponseCompletedEvent)
            asked = {"input": outputs(event.response), "previous_response_id": event.response.id}
        assert "rain" in text
        assert "noon" in text


def test_errors_are_the_clients_own_type_and_the_connection_goes_on(base_url: str) -> None:
    with openai.OpenAI(base_url=base_url, api_key="none") as client, client.responses.connect() as connection:
        connection.response.create(
            model="demo", input="x", previous_response_id="resp_none", stream_id="lane"
        )
        error = connection.recv()
        assert isinstance(error, ResponseWsError)
        assert (error.status, error.stream_id) == (400, "lane")
        assert error.error.code == "previous_response_not_found"
        assert error.error.param == "previous_response_id"
        connection.response.create(model="demo", input="x", generate=False)
        kinds = [connection.recv().type for _ in range(3)]
        assert kinds == ["response.created", "response.in_progress", "response.completed"]


def test_events_go_to_handlers(base_url: str) -> None:
    heard: list[str] = []
    with openai.OpenAI(base_url=base_url, api_key="none") as client:
        manager = client.responses.connect()

        def said(event: ResponseTextDeltaEvent) -> None:
            heard.append(event.delta)

        manager.on("response.output_text.delta", said)
        with manager as connection:

            def finished(event: ResponseCompletedEvent) -> None:
                heard.append(event.response.output_text)
                connection.close()

            connection.on("response.completed", finished)
            connection.response.create(model="writer", input="all of it")
            connection.dispatch_events()
    assert "".join(heard[:-1]) == heard[-1] == "Written after: all of it"


async def test_lanes_of_the_asynchronous_client(base_url: str) -> None:
    async with (
        openai.AsyncOpenAI(base_url=base_url, api_key="none") as client,
        client.responses.connect() as connection,
    ):
        for lane in ("a", "b"):
            await connection.response.create(
                model="writer", input=f"lane {lane}", stream_id=lane, store=False
            )
        final: dict[str, str] = {}
        async for event in connection:
            if isinstance(event, ResponseCompletedEvent):
                lane = cast("Any", event).stream_id
                final[lane] = event.response.output_text
                if len(final) == 2:
                    break
    assert final == {"a": "Written after: lane a", "b": "Written after: lane b"}


async def test_an_embedded_server_says_that_it_takes_no_connection() -> None:
    with antiphon.embedded("demo", temporary=True) as server:
        with server.client() as client, pytest.raises(InvalidURI, match="takes-no-websocket"):
            client.responses.connect().enter()
        async with server.async_client() as aclient:
            with pytest.raises(InvalidURI, match="takes-no-websocket"):
                await aclient.responses.connect().enter()


def test_the_program_of_the_reference_page_runs(base_url: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "websocket.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    address = "http://127.0.0.1:8321/v1"
    assert address in program
    command = [sys.executable, "-c", program.replace(address, base_url)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "hello" in done.stdout.lower()
