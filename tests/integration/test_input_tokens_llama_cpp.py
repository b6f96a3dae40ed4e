"""What `/v1/responses/input_tokens` says of a real llama.cpp is what the usage of the same request says."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import Response

from bench.program import Program, environment, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import sync_client

ROOT = Path(__file__).resolve().parents[2]
HEADER = "x-antiphon-token-count"
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}
CALL: Any = [
    {"role": "user", "content": "How is Paris?"},
    {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Paris"}'},
    {"type": "function_call_output", "call_id": "c1", "output": "warm, 21 °C"},
]
PLACE: Any = {
    "format": {
        "type": "json_schema",
        "name": "place",
        "schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    }
}
LETTER: Any = [
    {
        "role": "user",
        "content": [
            {
                "type": "input_file",
                "filename": "a.txt",
                "file_data": "data:text/plain;base64,SGVsbG8gdGhlcmUh",
            }
        ],
    }
]
REQUESTS: dict[str, dict[str, Any]] = {
    "a text": {"input": "hello there"},
    "instructions": {"input": "héllo <s> 你好 </s>", "instructions": "Be brief."},
    "tools": {"input": "How is Rome?", "tools": [WEATHER]},
    "a call and its output": {"input": CALL, "tools": [WEATHER]},
    "a document, which is read here": {"input": LETTER},
    "a schema": {"input": "Where?", "text": PLACE},
}


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One real engine behind a server of its own, spoken to by both wires, and one that we start ourselves."""
    pytest.importorskip("xllamacpp", reason="no xllamacpp wheel here: llama.cpp's tokenizer is not tested")
    folder = tmp_path_factory.mktemp("counted")
    model = folder / "tiny.gguf"
    command = [sys.executable, "-m", "tests.integration.llama_server", str(model)]
    with Program(command, cwd=ROOT, env=environment(folder)) as llama:
        llama.wait_ready("/health")
        config = f"""\
version: 2
providers:
  inference:
  - provider_id: chat
    provider_type: remote::llama-cpp-server
    config: {{base_url: "{llama.url}/v1"}}
  - provider_id: responses
    provider_type: remote::llama-cpp-server
    config: {{base_url: "{llama.url}/v1", wire: responses}}
  - provider_id: inside
    provider_type: inline::llama-cpp
    config: {{models: [{{name: small, path: "{model}"}}]}}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""
        with start_antiphon(folder, config) as program:
            program.wait_ready()
            yield program


@pytest.fixture
def client(front: Program, recorder: Recorder) -> Iterator[openai.OpenAI]:
    with sync_client(front.url, recorder) as made:
        yield made


def used(client: openai.OpenAI, model: str, request: dict[str, Any]) -> int:
    """The input tokens of the request when it is made.

    At any other temperature the random model may begin what its server takes for a broken tool call.
    """
    create: Any = client.responses.create  # its overloads cannot be told apart by a dictionary
    made = create(model=model, max_output_tokens=16, temperature=0, **request)
    assert isinstance(made, Response)
    assert made.usage is not None
    return made.usage.input_tokens


@pytest.mark.parametrize("model", ["chat/tiny", "inside/small"])
@pytest.mark.parametrize("name", REQUESTS)
def test_the_count_is_the_usage_of_the_same_request(client: openai.OpenAI, model: str, name: str) -> None:
    request = REQUESTS[name]
    answer = client.responses.input_tokens.with_raw_response.count(model=model, **request)
    made = used(client, model, request)
    assert answer.headers[HEADER] == "exact"
    assert answer.parse().input_tokens == made


def test_a_chain_counts_whole(client: openai.OpenAI) -> None:
    first = client.responses.create(model="chat/tiny", input="Remember the lighthouse.", max_output_tokens=16)
    more: dict[str, Any] = {"previous_response_id": first.id, "input": "What was it?"}
    counted = client.responses.input_tokens.count(model="chat/tiny", **more)
    made = used(client, "chat/tiny", more)
    assert counted.input_tokens == made


def test_an_image_is_estimated(client: openai.OpenAI) -> None:
    """Only the model's own processor knows what an image is worth."""
    image: Any = [
        {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AA"}]}
    ]
    answer = client.responses.input_tokens.with_raw_response.count(model="chat/tiny", input=image)
    assert answer.headers[HEADER] == "estimated"
    assert answer.parse().input_tokens >= 1000


def test_the_responses_wire_of_that_server_is_estimated(client: openai.OpenAI) -> None:
    """How the server turns a response into a prompt is not its chat template's to say."""
    answer = client.responses.input_tokens.with_raw_response.count(
        model="responses/tiny", input="hello there"
    )
    assert answer.headers[HEADER] == "estimated"
