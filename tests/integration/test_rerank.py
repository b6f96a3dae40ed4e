"""Reranking in both forms: scripted, over upstreams of each shape, over llama.cpp."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.program import Program, environment, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw
from tests.integration.vector_upstream import VectorUpstream
from tests.unit.faulty import faulty_fields

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ["a dog", "the black cat", "black"]
ASKED: dict[str, Any] = {"model": "demo", "query": "black cat", "documents": DOCUMENTS}
STACK: dict[str, Any] = {"model": "demo", "query": "black cat", "items": DOCUMENTS}


@pytest.fixture(scope="module")
def vectors() -> Iterator[VectorUpstream]:
    with VectorUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def front(vectors: VectorUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("front")
    url = json.dumps(vectors.url)
    config = f"""\
version: 2
providers:
  inference:
  - {{provider_id: up, provider_type: remote::vllm, config: {{base_url: {url}}}}}
  - {{provider_id: plain, provider_type: remote::openai-compatible, config: {{base_url: {url}}}}}
  - provider_id: other
    provider_type: remote::openai-compatible
    config: {{base_url: {url}, capabilities: {{rerank_path: /special/rerank}}}}
  - {{provider_id: scripted, provider_type: inline::scripted}}
models:
- {{model_id: routed, route: {{candidates: [{{model: plain/ranks}}, {{model: up/ranks}}]}}}}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""
    with start_antiphon(folder, config) as program:
        program.wait_ready()
        yield program


@pytest.fixture
def raw(front: Program, recorder: Recorder) -> Iterator[Raw]:
    with Raw(front.port, recorder) as made:
        yield made


def order(answer: Any) -> list[int]:
    return [one["index"] for one in answer.json["results"]]


# --- the scripted model ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/v1/openai/v1/rerank", "/v1/rerank/"])
def test_documents_come_by_relevance(raw: Raw, path: str) -> None:
    answer = raw.post(path, ASKED)
    assert answer.status == 200, answer.body
    assert set(answer.json) == {"id", "object", "model", "results", "usage"}
    assert answer.json["model"] == "demo"
    assert order(answer) == [1, 2, 0]
    assert answer.json["results"][0]["document"] == {"text": "the black cat"}
    assert answer.json["usage"] == {"prompt_tokens": 8, "total_tokens": 8}


def test_documents_may_be_objects_which_come_back_whole_or_not_at_all(raw: Raw) -> None:
    documents = ["a dog", {"text": "black cat", "id": 7}]
    first = raw.post("/v1/rerank", {**ASKED, "documents": documents, "top_n": 1}).json["results"]
    assert first == [{"index": 1, "relevance_score": 1.0, "document": {"text": "black cat", "id": 7}}]
    bare = raw.post("/v1/rerank", {**ASKED, "return_documents": False}).json["results"]
    assert {frozenset(one) for one in bare} == {frozenset({"index", "relevance_score"})}


@pytest.mark.parametrize("path", ["/v1alpha/inference/rerank", "/v1/inference/rerank"])
def test_llama_stacks_form_is_served_where_its_clients_ask(raw: Raw, path: str) -> None:
    answer = raw.post(path, {**STACK, "query": {"type": "text", "text": "black cat"}, "max_num_results": 2})
    assert answer.status == 200, answer.body
    assert set(answer.json) == {"data"}
    assert [one["index"] for one in answer.json["data"]] == [1, 2]
    assert {frozenset(one) for one in answer.json["data"]} == {frozenset({"index", "relevance_score"})}


def test_a_form_is_read(raw: Raw) -> None:
    form = b"model=demo&query=cat&documents[0]=dog&documents[1]=cat&top_n=1"
    answer = raw.send("POST", "/v1/rerank", form, {"content-type": "application/x-www-form-urlencoded"})
    assert order(answer) == [1]


# --- over an upstream --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("model", ["up/ranks", "up/scores", "other/ranks"])
def test_each_upstreams_ranking_is_sorted_cut_and_named_as_asked(raw: Raw, model: str) -> None:
    answer = raw.post("/v1/rerank", {**ASKED, "model": model, "top_n": 2})
    assert answer.status == 200, answer.body
    assert order(answer) == [1, 0]
    assert answer.json["model"] == model
    assert answer.headers["x-antiphon-served-by"] == model


def test_what_the_upstream_gets_is_texts_and_what_it_knows(raw: Raw, vectors: VectorUpstream) -> None:
    body = {**ASKED, "model": "up/ranks", "documents": ["a", {"text": "b", "id": 1}], "top_n": 5}
    assert raw.post("/v1/rerank", {**body, "max_tokens_per_doc": 9, "return_documents": True}).status == 200
    sent = {
        "model": "ranks",
        "query": "black cat",
        "documents": ["a", "b"],
        "top_n": 2,
        "max_tokens_per_doc": 9,
    }
    assert vectors.requests[-1:] == [("/v1/rerank", sent)]
    assert raw.post("/v1alpha/inference/rerank", {**STACK, "model": "other/ranks"}).status == 200
    assert [path for path, _ in vectors.requests[-1:]] == ["/v1/special/rerank"]


def test_a_provider_that_does_not_rerank_is_named(raw: Raw) -> None:
    answer = raw.post("/v1/rerank", {**ASKED, "model": "plain/ranks"})
    assert (answer.status, answer.error["param"]) == (400, "model")
    assert answer.error["code"] == "unsupported_parameter"
    assert "rerank_path" in answer.error["message"]
    for model in ("up/no-route", "up/not-started"):
        answer = raw.post("/v1/rerank", {**ASKED, "model": model})
        assert (answer.status, answer.error["param"]) == (400, "model"), answer.body


def test_a_route_goes_on_to_a_candidate_that_reranks(raw: Raw) -> None:
    answer = raw.post("/v1/rerank", {**ASKED, "model": "routed"})
    assert answer.status == 200, answer.body
    assert answer.headers["x-antiphon-served-by"] == "up/ranks"


# --- bad input ---------------------------------------------------------------------------------------------------
def faults(*, stack: bool) -> Iterator[tuple[str, Any]]:
    from antiphon.rerank.request import RerankRequest, StackRerankRequest

    yield from faulty_fields(StackRerankRequest if stack else RerankRequest)
    yield "no_such_field", 1
    yield "query", {"type": "image_url", "image_url": {"url": "http://x"}}
    yield "items" if stack else "documents", [{"text": 5}]


@pytest.mark.parametrize(("name", "value"), [*faults(stack=False)], ids=lambda one: str(one)[:30])
def test_a_faulty_field_is_refused_by_name(raw: Raw, name: str, value: Any) -> None:
    answer = raw.post("/v1/rerank", {**ASKED, name: value})
    assert answer.status == 400, answer.body
    assert answer.error["param"].partition("[")[0] == name


@pytest.mark.parametrize(("name", "value"), [*faults(stack=True)], ids=lambda one: str(one)[:30])
def test_a_faulty_field_of_the_stack_form_is_refused_by_name(raw: Raw, name: str, value: Any) -> None:
    answer = raw.post("/v1alpha/inference/rerank", {**STACK, name: value})
    assert answer.status == 400, answer.body
    assert answer.error["param"].partition("[")[0] == name


def test_an_unknown_model_is_404(raw: Raw) -> None:
    for path, body in (("/v1/rerank", ASKED), ("/v1alpha/inference/rerank", STACK)):
        answer = raw.post(path, {**body, "model": "nobody"})
        assert (answer.status, answer.error["param"]) == (404, "model")


# --- the real engine -----------------------------------------------------------------------------------------------
def test_llama_cpp_ranks(tmp_path: Path, recorder: Recorder) -> None:
    pytest.importorskip(
        "xllamacpp", reason="no xllamacpp wheel here: the real llama.cpp engine is not tested"
    )
    command = [sys.executable, "-m", "tests.integration.llama_server", str(tmp_path / "tiny.gguf"), "rerank"]
    with Program(command, cwd=ROOT, env=environment(tmp_path)) as engine:
        engine.wait_ready("/health")
        config = f"""\
version: 2
providers:
  inference:
  - provider_id: local
    provider_type: remote::llama-cpp-server
    config: {{base_url: "{engine.url}/v1"}}
storage: {{url: "sqlite:///{tmp_path}/antiphon.db"}}
"""
        with start_antiphon(tmp_path, config) as program, Raw(program.port, recorder) as raw:
            program.wait_ready()
            answer = raw.post("/v1/rerank", {**ASKED, "model": "tiny"})
            assert answer.status == 200, answer.body
            scores = [one["relevance_score"] for one in answer.json["results"]]
            assert sorted(order(answer)) == [0, 1, 2]
            assert scores == sorted(scores, reverse=True)
            assert answer.json["usage"]["total_tokens"] > 0
            first = raw.post("/v1alpha/inference/rerank", {**STACK, "model": "tiny", "max_num_results": 1})
            assert [one["index"] for one in first.json["data"]] == order(answer)[:1]
