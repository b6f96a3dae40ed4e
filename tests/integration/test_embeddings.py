"""Embeddings through the official client: scripted, over an upstream that answers in odd ways, over llama.cpp."""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from bench.program import Program, environment, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import LIMIT_S, Raw, async_client, open_stream, sync_client
from tests.integration.vector_upstream import VectorUpstream, vector
from tests.unit.faulty import faulty_fields

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def vectors() -> Iterator[VectorUpstream]:
    with VectorUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def front(vectors: VectorUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("front")
    kinds = {
        "up": "remote::vllm, config: {base_url: URL}",
        "plain": "remote::openai-compatible, config: {base_url: URL}",
        "cuts": "remote::vllm, config: {base_url: URL, capabilities: {embedding_dimensions: truncate}}",
        "unpacked": "remote::vllm, config: {base_url: URL, capabilities: {embedding_base64: false}}",
        "tgi": "remote::tgi, config: {base_url: URL}",
        "scripted": "inline::scripted",
    }
    listed = "\n".join(
        f"  - {{provider_id: {name}, provider_type: {kind.replace('URL', json.dumps(vectors.url))}}}"
        for name, kind in kinds.items()
    )
    config = f"""\
version: 2
providers:
  inference:
{listed}
models:
- {{model_id: routed, route: {{candidates: [{{model: tgi/heeds}}, {{model: plain/heeds}}, {{model: up/heeds}}]}}}}
storage: {{url: "sqlite:///{folder}/a.db"}}
"""
    with start_antiphon(folder, config) as program:
        program.wait_ready()
        yield program


@pytest.fixture
def client(front: Program, recorder: Recorder) -> Iterator[openai.OpenAI]:
    with sync_client(front.url, recorder) as made:
        yield made


@pytest.fixture
def raw(front: Program, recorder: Recorder) -> Iterator[Raw]:
    with Raw(front.port, recorder) as made:
        yield made


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def floats(made: openai.types.CreateEmbeddingResponse) -> list[list[float]]:
    return [one.embedding for one in made.data]


# --- the scripted model ------------------------------------------------------------------------------------------
def test_the_official_client_gets_vectors(client: openai.OpenAI) -> None:
    """It asks for base64 unless told otherwise, and decodes it itself."""
    texts = ["the black cat sat", "a black cat sat down", "stock markets fell"]
    made = client.embeddings.create(model="demo", input=texts)
    assert made.model == "demo"
    assert made.usage.prompt_tokens == made.usage.total_tokens == 12
    assert [one.index for one in made.data] == [0, 1, 2]
    cat, cats, stock = floats(made)
    assert len(cat) == 256
    assert math.hypot(*cat) == pytest.approx(1)
    assert dot(cat, cats) > dot(cat, stock)
    plain = floats(client.embeddings.create(model="demo", input=texts, encoding_format="float"))
    for one, other in zip(plain, (cat, cats, stock), strict=True):
        assert one == pytest.approx(other)


async def test_the_async_client_gets_as_many_dimensions_as_it_asked_for(
    front: Program, recorder: Recorder
) -> None:
    async with async_client(front.url, recorder) as client:
        made = await client.embeddings.create(model="scripted/demo", input="hi", dimensions=8)
        assert len(made.data[0].embedding) == 8


def test_tokens_and_text_are_both_inputs(client: openai.OpenAI) -> None:
    one = client.embeddings.create(model="demo", input=[[15, 16], [17]])
    assert len(one.data) == 2
    assert one.data[0].embedding == client.embeddings.create(model="demo", input=[15, 16]).data[0].embedding


def test_a_form_is_read(raw: Raw) -> None:
    form = b"model=demo&input[0]=5&input[1]=b&dimensions=2"
    answer = raw.send("POST", "/v1/embeddings", form, {"content-type": "application/x-www-form-urlencoded"})
    assert [len(one["embedding"]) for one in answer.json["data"]] == [2, 2]


# --- over an upstream --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("provider", ["up", "unpacked"])
@pytest.mark.parametrize("model", ["heeds", "numbers", "packed", "reversed"])
@pytest.mark.parametrize("form", ["base64", "float", None])
def test_whatever_the_upstream_answers_the_client_gets_what_it_asked_for(
    raw: Raw, provider: str, model: str, form: str | None
) -> None:
    body = {"model": f"{provider}/{model}", "input": ["a", "bcd"], "encoding_format": form}
    answer = raw.post("/v1/embeddings", body)
    assert answer.status == 200, answer.body
    made = answer.json
    assert made["model"] == f"{provider}/{model}"
    assert set(made) == {"object", "data", "model", "usage"}
    assert [one["index"] for one in made["data"]] == [0, 1]
    for one, text in zip(made["data"], ["a", "bcd"], strict=True):
        assert isinstance(one["embedding"], str if form == "base64" else list)
        if form != "base64":
            assert one["embedding"] == vector(text)


def test_the_official_client_decodes_what_was_packed_here(client: openai.OpenAI) -> None:
    assert floats(client.embeddings.create(model="up/numbers", input="ab")) == [vector("ab")]


def test_what_the_client_said_is_what_the_upstream_gets(raw: Raw, vectors: VectorUpstream) -> None:
    said = {
        "input": [[1, 2]],
        "dimensions": 3,
        "user": "u",
        "encoding_format": "base64",
        "input_type": "query",
    }
    assert raw.post("/v1/embeddings", {"model": "up/heeds", **said, "task": None}).status == 200
    assert vectors.requests[-1] == ("/v1/embeddings", {"model": "heeds", **said})


def test_the_header_tells_who_answered(raw: Raw) -> None:
    answer = raw.post("/v1/embeddings", {"model": "up/heeds", "input": "a"})
    assert answer.headers["x-antiphon-served-by"] == "up/heeds"


def test_a_route_goes_on_to_a_candidate_that_can_do_it(raw: Raw) -> None:
    text = raw.post("/v1/embeddings", {"model": "routed", "input": "a"})
    assert text.status == 200, text.body
    assert text.json["model"] == "routed"
    assert text.headers["x-antiphon-served-by"] == "plain/heeds"
    tokens = raw.post("/v1/embeddings", {"model": "routed", "input": [1, 2]})
    assert tokens.headers["x-antiphon-served-by"] == "up/heeds"


def test_dimensions_are_heeded_cut_or_refused_but_never_ignored(raw: Raw, vectors: VectorUpstream) -> None:
    def asked(model: str) -> Any:
        return raw.post("/v1/embeddings", {"model": model, "input": "a", "dimensions": 2})

    assert asked("up/heeds").json["data"][0]["embedding"] == vector("a", 2)
    refused = asked("up/numbers")
    assert (refused.status, refused.error["param"]) == (400, "dimensions")
    assert refused.error["code"] == "unsupported_parameter"
    cut = asked("cuts/numbers").json["data"][0]["embedding"]
    assert "dimensions" not in vectors.requests[-1][1]
    assert math.hypot(*cut) == pytest.approx(1)
    assert cut[1] / cut[0] == pytest.approx(vector("a")[1] / vector("a")[0])


def test_what_an_upstream_cannot_do_is_refused_before_it_is_asked(raw: Raw, vectors: VectorUpstream) -> None:
    before = len(vectors.requests)
    tokens = raw.post("/v1/embeddings", {"model": "plain/heeds", "input": [1, 2]})
    assert (tokens.status, tokens.error["param"]) == (400, "input")
    none = raw.post("/v1/embeddings", {"model": "tgi/heeds", "input": "a"})
    assert (none.status, none.error["param"]) == (400, "model")
    assert len(vectors.requests) == before


def test_a_server_without_the_route_is_named_and_an_odd_answer_is_a_502(raw: Raw) -> None:
    for model in ("up/no-route", "up/not-started"):
        answer = raw.post("/v1/embeddings", {"model": model, "input": "a"})
        assert (answer.status, answer.error["param"]) == (400, "model"), answer.body
    short = raw.post("/v1/embeddings", {"model": "up/short", "input": ["a", "b"]})
    assert (short.status, short.error["code"]) == (502, "provider_protocol_error")
    refused = raw.post("/v1/embeddings", {"model": "up/fails", "input": "a"})
    assert (refused.status, refused.error["param"]) == (400, "input")


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/rerank"])
def test_a_client_that_leaves_frees_the_upstream(front: Program, vectors: VectorUpstream, path: str) -> None:
    vectors.asked.clear()
    vectors.left.clear()
    body = {"input": "a"} if "embeddings" in path else {"query": "q", "documents": ["a"]}
    with open_stream(front.port, path, {"model": "up/hangs", **body}):
        assert vectors.asked.wait(LIMIT_S)
        assert not vectors.left.is_set()
    assert vectors.left.wait(LIMIT_S)


# --- bad input ---------------------------------------------------------------------------------------------------
def embedding_faults() -> Iterator[tuple[str, Any]]:
    from antiphon.embeddings.request import EmbeddingRequest

    yield from faulty_fields(EmbeddingRequest)
    yield "input", ["a", ""]
    yield "input", [1, "a"]
    yield "no_such_field", 1


@pytest.mark.parametrize(("name", "value"), [*embedding_faults()], ids=lambda one: str(one)[:30])
def test_a_faulty_field_is_refused_by_name(raw: Raw, name: str, value: Any) -> None:
    answer = raw.post("/v1/embeddings", {"model": "demo", "input": "hi", name: value})
    assert answer.status == 400, answer.body
    assert answer.error["param"].partition("[")[0] == name


def test_an_unknown_model_and_a_missing_field_are_named(raw: Raw) -> None:
    unknown = raw.post("/v1/embeddings", {"model": "nobody", "input": "a"})
    assert (unknown.status, unknown.error["param"]) == (404, "model")
    assert raw.post("/v1/embeddings", {"model": "demo"}).error["param"] == "input"
    assert raw.post("/v1/embeddings", b"[]").status == 400
    assert raw.post("/v1/embeddings", b"{").status == 400
    assert raw.get("/v1/embeddings").status == 405


# --- the real engine -----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def llama_front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    pytest.importorskip(
        "xllamacpp", reason="no xllamacpp wheel here: the real llama.cpp engine is not tested"
    )
    folder = tmp_path_factory.mktemp("llama")
    command = [
        sys.executable,
        "-m",
        "tests.integration.llama_server",
        str(folder / "tiny.gguf"),
        "embeddings",
    ]
    with Program(command, cwd=ROOT, env=environment(folder)) as engine:
        engine.wait_ready("/health")
        config = f"""\
version: 2
providers:
  inference:
  - provider_id: local
    provider_type: remote::llama-cpp-server
    config: {{base_url: "{engine.url}/v1"}}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""
        with start_antiphon(folder, config) as program:
            program.wait_ready()
            yield program


def test_llama_cpp_makes_vectors_of_text_and_tokens(llama_front: Program, recorder: Recorder) -> None:
    with sync_client(llama_front.url, recorder) as client:
        packed = client.embeddings.create(model="tiny", input=["hello", "world"])
        plain = client.embeddings.create(model="tiny", input=["hello", "world"], encoding_format="float")
        assert packed.model == plain.model == "tiny"
        assert [one.index for one in packed.data] == [0, 1]
        for one, other in zip(floats(packed), floats(plain), strict=True):
            assert len(one) == 64
            assert one == pytest.approx(other, abs=1e-6)
        assert packed.usage.prompt_tokens > 2
        assert len(client.embeddings.create(model="tiny", input=[[1, 70], [71]]).data) == 2
        with pytest.raises(openai.BadRequestError) as caught:
            client.embeddings.create(model="tiny", input="hello", dimensions=5)
        assert caught.value.param == "dimensions"


def test_llama_cpp_without_reranking_says_so(llama_front: Program, recorder: Recorder) -> None:
    with Raw(llama_front.port, recorder) as raw:
        answer = raw.post("/v1/rerank", {"model": "tiny", "query": "a", "documents": ["a"]})
        assert (answer.status, answer.error["param"]) == (400, "model")
        assert "--reranking" in answer.error["message"]
