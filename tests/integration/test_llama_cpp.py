"""A real llama.cpp server as the upstream: real streams, real token counts, grammars that hold the schema."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import (
    EasyInputMessageParam,
    FunctionToolParam,
    ResponseFunctionToolCallParam,
    ResponseInputParam,
    ToolParam,
)
from openai.types.responses.response_input_param import FunctionCallOutput

from bench.program import Program, environment, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import sync_client

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    pytest.importorskip(
        "xllamacpp", reason="no xllamacpp wheel here: the real llama.cpp engine is not tested"
    )
    folder = tmp_path_factory.mktemp("llama")
    command = [sys.executable, "-m", "tests.integration.llama_server", str(folder / "tiny.gguf")]
    with Program(command, cwd=ROOT, env=environment(folder)) as program:
        program.wait_ready("/health")
        yield program


@pytest.fixture(scope="module")
def front(llama: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("front")
    config = f"""\
version: 2
providers:
  inference:
  - provider_id: local
    provider_type: remote::llama-cpp-server
    config: {{base_url: "{llama.url}/v1"}}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""
    with start_antiphon(folder, config) as program:
        program.wait_ready()
        yield program


@pytest.fixture
def client(front: Program, recorder: Recorder) -> Iterator[openai.OpenAI]:
    with sync_client(front.url, recorder) as made:
        yield made


def test_its_model_is_found(client: openai.OpenAI) -> None:
    assert "local/tiny" in {model.id for model in client.models.list()}


def test_a_chat_completion(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "hi"}], max_completion_tokens=20
    )
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in {"stop", "length"}
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 0


def test_a_chat_stream(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": "hi"}],
            max_completion_tokens=20,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-1].usage is not None


def test_a_response_is_made_counted_and_stored(client: openai.OpenAI) -> None:
    response = client.responses.create(model="tiny", input="hello", max_output_tokens=16, temperature=0)
    assert response.output_text
    assert response.usage is not None
    assert 0 < response.usage.output_tokens <= 16
    if response.status == "incomplete":
        assert response.incomplete_details is not None
        assert response.incomplete_details.reason == "max_output_tokens"
    assert client.responses.retrieve(response.id).model_dump() == response.model_dump()


def test_a_stream_says_what_is_stored(client: openai.OpenAI) -> None:
    with client.responses.stream(model="tiny", input="hello", max_output_tokens=24) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
    events = list(client.responses.create(model="tiny", input="hello", max_output_tokens=24, stream=True))
    last = events[-1]
    assert text
    assert last.type == "response.completed" or last.type == "response.incomplete"  # noqa: PLR1714 narrows the type
    stored = client.responses.retrieve(last.response.id)
    assert stored.output_text == "".join(
        event.delta for event in events if event.type == "response.output_text.delta"
    )


def test_a_chain_makes_the_prompt_grow(client: openai.OpenAI) -> None:
    previous: str | None = None
    prompts: list[int] = []
    for turn in range(4):
        response = client.responses.create(
            model="tiny", input=f"turn {turn}", previous_response_id=previous, max_output_tokens=16
        )
        assert response.usage is not None
        prompts.append(response.usage.input_tokens)
        previous = response.id
    assert prompts == sorted(set(prompts))


SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "kind": {"enum": ["a", "b"]}},
    "required": ["ok", "kind"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("stream", [False, True])
def test_a_json_schema_is_enforced_by_the_engine(client: openai.OpenAI, stream: bool) -> None:
    """Random weights hold the schema only when the grammar reached the engine."""
    if stream:
        text = ""
        for event in client.responses.create(
            model="tiny",
            input="answer",
            text={"format": {"type": "json_schema", "name": "x", "schema": SCHEMA, "strict": True}},
            max_output_tokens=600,
            stream=True,
        ):
            text += event.delta if event.type == "response.output_text.delta" else ""
    else:
        response = client.responses.create(
            model="tiny",
            input="answer",
            text={"format": {"type": "json_schema", "name": "x", "schema": SCHEMA, "strict": True}},
            max_output_tokens=600,
        )
        assert response.status == "completed"
        text = response.output_text
    answer = json.loads(text)
    assert set(answer) == {"ok", "kind"}
    assert isinstance(answer["ok"], bool)


def test_logprobs_come_from_the_engine(client: openai.OpenAI) -> None:
    response = client.responses.create(
        model="tiny",
        input="hi",
        max_output_tokens=16,
        top_logprobs=2,
        include=["message.output_text.logprobs"],
    )
    item: Any = response.output[0].to_dict()
    logprobs = item["content"][0]["logprobs"]
    assert logprobs
    assert len(logprobs[0]["top_logprobs"]) == 2


def test_a_finished_tool_round_trip_is_read_by_the_engine(client: openai.OpenAI) -> None:
    """Its template gets the tools, the call and the output: each makes the prompt longer."""
    parameters: dict[str, object] = {"type": "object", "properties": {"on": {"type": "boolean"}}}
    tool: FunctionToolParam = {"type": "function", "name": "light", "parameters": parameters, "strict": None}
    question: EasyInputMessageParam = {"role": "user", "content": "light on"}
    call: ResponseFunctionToolCallParam = {
        "type": "function_call",
        "call_id": "call_1",
        "name": "light",
        "arguments": '{"on": true}',
    }
    output: FunctionCallOutput = {
        "type": "function_call_output",
        "call_id": "call_1",
        "output": "it is on now",
    }
    prompts: list[int] = []
    cases: list[tuple[list[ToolParam], ResponseInputParam]] = [
        ([], [question]),
        ([tool], [question]),
        ([tool], [question, call, output]),
    ]
    for tools, items in cases:
        response = client.responses.create(
            model="tiny", input=items, tools=tools, max_output_tokens=16, temperature=0
        )
        assert response.usage is not None
        prompts.append(response.usage.input_tokens)
    assert prompts == sorted(set(prompts))
