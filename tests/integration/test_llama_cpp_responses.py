"""llama.cpp's own `/v1/responses` as the upstream: a real server that keeps to the document in its own way."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from bench.program import Program, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import sync_client
from tests.integration.test_llama_cpp import SCHEMA, llama

__all__ = ["llama"]
Json = dict[str, Any]
LIGHT: Any = {
    "type": "function",
    "name": "light",
    "parameters": {"type": "object", "properties": {"on": {"type": "boolean"}}},
    "strict": None,
}


@pytest.fixture(scope="module", params=["responses", "auto"])
def front(
    request: pytest.FixtureRequest,
    llama: Program,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("front")
    config = f"""\
version: 2
providers:
  inference:
  - provider_id: local
    provider_type: remote::llama-cpp-server
    config: {{base_url: "{llama.url}/v1", wire: {request.param}}}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
recording: {{path: "{folder}/recording"}}
"""
    with start_antiphon(folder, config) as program:
        program.wait_ready()
        yield program
    sent = "".join(file.read_text() for file in (folder / "recording").rglob("*") if file.is_file())
    assert '"/v1/responses"' in sent
    assert '"/v1/chat/completions"' not in sent


@pytest.fixture
def client(front: Program, recorder: Recorder) -> Iterator[openai.OpenAI]:
    with sync_client(front.url, recorder) as made:
        yield made


def test_a_text(client: openai.OpenAI) -> None:
    response = client.responses.create(model="tiny", input="hello", max_output_tokens=24, temperature=0)
    assert response.output_text
    assert response.usage is not None
    assert 0 < response.usage.output_tokens <= 24
    assert client.responses.retrieve(response.id).output_text == response.output_text


def test_a_stream_says_what_is_stored(client: openai.OpenAI) -> None:
    stream: Any = client.responses.create(model="tiny", input="hello", max_output_tokens=24, stream=True)
    events = list(stream)
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text
    assert text == events[-1].response.output_text
    assert text == client.responses.retrieve(events[-1].response.id).output_text


def test_an_answer_that_ran_into_its_limit_says_so(client: openai.OpenAI) -> None:
    """The engine calls it completed; its usage tells."""
    for stream in (False, True):
        made: Any = client.responses.create(model="tiny", input="hello", max_output_tokens=16, stream=stream)
        response = list(made)[-1].response if stream else made
        cut = response.usage.output_tokens == 16
        assert response.status == ("incomplete" if cut else "completed")
        if cut:
            assert response.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize("stream", [False, True])
def test_a_json_schema_is_enforced_by_the_engine(client: openai.OpenAI, stream: bool) -> None:
    """Random weights hold the schema only when the grammar reached the engine."""
    made: Any = client.responses.create(
        model="tiny",
        input="answer",
        text={"format": {"type": "json_schema", "name": "x", "schema": SCHEMA, "strict": True}},
        max_output_tokens=600,
        stream=stream,
    )
    response = list(made)[-1].response if stream else made
    assert response.status == "completed"
    assert set(json.loads(response.output_text)) == {"ok", "kind"}


def test_a_chain_with_reasoning_and_a_tool_is_read_by_the_engine(client: openai.OpenAI) -> None:
    """Its template gets each item: each makes the prompt longer."""
    question: Json = {"role": "user", "content": "light on"}
    thought: Json = {
        "type": "reasoning",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "which light"}],
    }
    call: Json = {"type": "function_call", "call_id": "call_1", "name": "light", "arguments": '{"on": true}'}
    output: Json = {"type": "function_call_output", "call_id": "call_1", "output": "it is on now"}
    said: Json = {"type": "message", "role": "assistant", "content": "It is on."}
    prompts: list[int] = []
    cases: list[tuple[list[Any], Any]] = [
        ([], [question]),
        ([LIGHT], [question]),
        ([LIGHT], [question, thought, call, output]),
        ([LIGHT], [question, thought, call, output, thought, said, question]),
    ]
    for tools, items in cases:
        response = client.responses.create(
            model="tiny", input=items, tools=tools, max_output_tokens=16, temperature=0
        )
        assert response.usage is not None
        prompts.append(response.usage.input_tokens)
    assert prompts == sorted(set(prompts))


def test_the_turns_of_a_chain_reach_the_engine(client: openai.OpenAI) -> None:
    previous: str | None = None
    prompts: list[int] = []
    for number in range(3):
        response = client.responses.create(
            model="tiny", input=f"turn {number}", previous_response_id=previous, max_output_tokens=16
        )
        assert response.usage is not None
        prompts.append(response.usage.input_tokens)
        previous = response.id
    assert prompts == sorted(set(prompts))
