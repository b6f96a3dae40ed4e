"""What Llama Stack's clients ask a server about itself, and how its models look to them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from antiphon.models.catalog import Model, Resolved
from antiphon.models.stack import stack_model
from antiphon.providers.scripted import Scripted
from bench.program import Program, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw

STACK = {"x-llamastack-client-version": "0.3.5"}


@pytest.fixture
def raw(server: Program, recorder: Recorder) -> Iterator[Raw]:
    with Raw(server.port, recorder) as made:
        yield made


@pytest.mark.parametrize("prefix", ["/v1", "/v1alpha/admin", "/v1/openai/v1"])
def test_providers_are_listed_without_their_configuration(raw: Raw, prefix: str) -> None:
    scripted = {
        "api": "inference",
        "provider_id": "scripted",
        "provider_type": "inline::scripted",
        "config": {},
        "health": {"status": "OK"},
    }
    providers = raw.get(f"{prefix}/providers").json["data"]
    assert scripted in providers
    assert [raw.get(f"{prefix}/providers/{one['provider_id']}").json for one in providers] == providers


GONE = """\
version: 2
providers:
  inference:
  - {provider_id: gone, provider_type: remote::openai-compatible, config: {base_url: "http://127.0.0.1:1/v1"}}
storage: {url: "sqlite:///%s/antiphon.db"}
"""


def test_a_provider_that_cannot_be_reached_is_told_so(tmp_path: Path, recorder: Recorder) -> None:
    with start_antiphon(tmp_path, GONE % tmp_path) as program, Raw(program.port, recorder) as raw:
        raw.get("/v1/models")
        assert raw.get("/v1/providers/gone").json["health"] == {"status": "Error"}


def test_every_route_of_a_level_is_listed(raw: Raw) -> None:
    document = raw.get("/openapi.json").json
    documented = {
        (path, method.upper())
        for path, methods in document["paths"].items()
        for method in methods
        if path.startswith("/v1/")
    }
    routes = raw.get("/v1/inspect/routes?api_filter=v1").json["data"]
    assert {(one["route"], one["method"]) for one in routes} == documented
    types = {one["route"]: one["provider_types"] for one in routes if one["method"] == "POST"}
    assert "inline::scripted" in types["/v1/responses"]
    assert raw.get("/v1/inspect/routes?api_filter=deprecated").json == {"data": []}
    assert len(raw.get("/v1/inspect/routes").json["data"]) > len(routes)


@pytest.mark.parametrize(
    ("path", "status", "param"),
    [
        ("/v1/providers/nobody", 404, None),
        ("/v1/providers?api=inference", 400, "api"),
        ("/v1/providers/scripted?x=1", 400, "x"),
        ("/v1/inspect/routes?api_filter=v3", 400, "api_filter"),
        ("/v1/inspect/routes?level=v1", 400, "level"),
    ],
)
def test_what_is_not_there_is_refused(raw: Raw, path: str, status: int, param: str | None) -> None:
    answer = raw.get(path)
    assert (answer.status, answer.json["error"]["param"]) == (status, param)


def test_models_have_the_fields_of_llama_stack_for_its_clients_alone(raw: Raw) -> None:
    plain = raw.get("/v1/models").json["data"]
    assert all(set(model) == {"id", "created", "object", "owned_by"} for model in plain)
    models: list[dict[str, Any]] = raw.send("GET", "/v1/models", None, STACK).json["data"]
    assert [model["id"] for model in models] == [model["id"] for model in plain]
    (demo,) = (model for model in models if model["id"] == "scripted/demo")
    facts = {"model_type": "llm", "provider_id": "scripted", "provider_resource_id": "demo"}
    assert demo["custom_metadata"] == facts
    assert facts.items() <= demo.items()
    assert (demo["identifier"], demo["type"], demo["metadata"]) == ("scripted/demo", "model", {})
    assert raw.send("GET", "/v1/models/demo", None, STACK).json["identifier"] == "demo"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gpt-5", "llm"),
        ("sentence-transformers/all-MiniLM-L6-v2", "embedding"),
        ("BAAI/bge-m3", "embedding"),
        ("nomic-embed-text-v1.5", "embedding"),
        ("bge-reranker-v2-m3", "rerank"),
        ("the-edge-e5", "llm"),
    ],
)
def test_what_a_model_does_is_told_by_its_name(name: str, kind: str) -> None:
    model = Model(id=name, created=0, owned_by="somebody")
    assert stack_model(model, Resolved(Scripted(), name, name)).model_type == kind


@pytest.mark.parametrize(("headers", "marked"), [({}, True), (STACK, False)])
def test_chat_streams_have_no_done_marker_for_its_clients(
    server: Program, headers: dict[str, str], marked: bool
) -> None:
    """Not recorded: to the official document every chat stream ends with the marker."""
    body = {"model": "demo", "messages": [{"role": "user", "content": "Hello."}], "stream": True}
    answer = httpx2.post(f"{server.url}/v1/chat/completions", json=body, headers=headers)
    *_, last = (line for line in answer.text.splitlines() if line)
    assert (last == "data: [DONE]") is marked
    assert last.startswith("data: ")


@pytest.mark.parametrize(("headers", "named"), [({}, False), (STACK, True)])
def test_events_of_items_name_their_response_for_its_clients(
    server: Program, headers: dict[str, str], named: bool
) -> None:
    """Not recorded: it is a field of Llama Stack's own."""
    body = {"model": "demo", "input": "Hello.", "stream": True}
    answer = httpx2.post(f"{server.url}/v1/responses", json=body, headers=headers)
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    response_id = events[-1]["response"]["id"]
    about = [
        event for event in events if ".output_item." in event["type"] or ".content_part." in event["type"]
    ]
    assert [event.get("response_id") for event in about] == [response_id if named else None] * 4
    assert not any("response_id" in event for event in events if event not in about)
