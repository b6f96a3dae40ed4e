"""Llama Stack's routes over vector stores, by their bodies. Its own clients are in `tests/clients`."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.program import Program, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Answer, Raw
from tests.integration.test_attachments import PLAN, Pages, Site

Json = dict[str, Any]
CONFIG = """\
version: 2
server: {{egress: {{allow_private: ["127.0.0.0/8"]}}}}
providers:
  inference:
  - {{provider_id: scripted, provider_type: inline::scripted}}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""
EMBEDDER = "scripted/demo"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("vector-io")
    with start_antiphon(folder, CONFIG.format(folder=folder)) as running:
        running.wait_ready()
        yield running


@pytest.fixture
def raw(program: Program) -> Iterator[Raw]:
    with Raw(program.port, Recorder()) as connection:
        yield connection


def ok(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return answer.json


def store_of(raw: Raw, **more: Any) -> str:
    return str(ok(raw.post("/v1/vector_stores", {"name": "s", **more}))["id"])


def insert(raw: Raw, store: str, *chunks: Json, **more: Any) -> Answer:
    return raw.post("/v1/vector-io/insert", {"vector_store_id": store, "chunks": list(chunks), **more})


def query(raw: Raw, store: str, text: Any, **params: Any) -> Json:
    body = {"vector_store_id": store, "query": text, "params": params}
    return dict(ok(raw.post("/v1/vector-io/query", body)))


LAMP: Json = {
    "content": "The lamp is red.",
    "metadata": {"document_id": "lamp", "colour": "red", "list": [1]},
}
BOAT: Json = {"content": [{"type": "text", "text": "The boat"}, {"text": "is blue."}], "chunk_id": "boat-1"}


@pytest.mark.parametrize("embedded", [False, True])
def test_chunks_are_put_in_and_found(raw: Raw, embedded: bool) -> None:
    store = store_of(raw, **({"embedding_model": EMBEDDER} if embedded else {}))
    assert ok(insert(raw, store, LAMP, BOAT)) is None
    found = query(raw, store, "Which lamp?", max_chunks=5)
    first = found["chunks"][0]
    assert (first["content"], first["metadata"]) == (LAMP["content"], LAMP["metadata"])
    assert found["scores"] == sorted(found["scores"], reverse=True)
    assert (first["embedding_dimension"] > 0) == embedded
    boat = query(raw, store, [{"type": "text", "text": "boat"}], max_chunks=1)["chunks"]
    assert [(one["chunk_id"], one["content"]) for one in boat] == [("boat-1", "The boat is blue.")]


def test_the_same_again_changes_nothing_and_another_text_under_an_id_replaces_it(raw: Raw) -> None:
    store = store_of(raw)
    for _ in range(2):
        ok(insert(raw, store, LAMP, BOAT))
    assert len(query(raw, store, "lamp boat", max_chunks=50)["chunks"]) == 2
    ids = [one["chunk_id"] for one in query(raw, store, "lamp")["chunks"]]
    ok(insert(raw, store, LAMP))
    assert [one["chunk_id"] for one in query(raw, store, "lamp")["chunks"]] == ids
    ok(insert(raw, store, {**BOAT, "content": "A ship."}))
    assert query(raw, store, "boat")["chunks"] == []
    assert len(query(raw, store, "ship")["chunks"]) == 1


def test_chunks_as_the_guides_of_older_clients_write_them(raw: Raw) -> None:
    store = store_of(raw)
    chunk = {"document_id": "lamp", "content": "The lamp is red.", "mime_type": "text/plain"}
    ok(insert(raw, store, chunk, {**BOAT, "document_id": "x", "metadata": {"document_id": "boat"}}))
    assert query(raw, store, "lamp")["chunks"][0]["metadata"] == {"document_id": "lamp"}
    assert query(raw, store, "boat")["chunks"][0]["metadata"] == {"document_id": "boat"}


def test_vectors_of_the_caller_are_taken(raw: Raw) -> None:
    made = ok(raw.post("/v1/embeddings", {"model": EMBEDDER, "input": ["The lamp is red."]}))
    vector = made["data"][0]["embedding"]
    store = store_of(raw, embedding_model=EMBEDDER)
    given = {
        "chunk_id": "lamp",
        "content": "Nothing about it.",
        "chunk_metadata": {"document_id": "d", "source": "a.txt", "created_timestamp": 7},
        "embedding": [10 * number for number in vector],
        "embedding_model": EMBEDDER,
        "embedding_dimension": len(vector),
    }
    ok(insert(raw, store, given))
    found = query(raw, store, "The lamp is red.", mode="vector")
    assert found["scores"][0] > 0.99
    beside = found["chunks"][0]["chunk_metadata"]
    assert beside == {"document_id": "d", "source": "a.txt", "created_timestamp": 7, "chunk_id": "lamp"}


def test_chunks_are_searched_with_those_of_files_and_filtered(raw: Raw) -> None:
    store = store_of(raw)
    ok(insert(raw, store, LAMP, {"content": "A green lamp.", "metadata": {"colour": "green"}}))
    asked = {"query": "lamp", "filters": {"type": "eq", "key": "colour", "value": "green"}}
    found = ok(raw.post(f"/v1/vector_stores/{store}/search", asked))["data"]
    assert [one["content"][0]["text"] for one in found] == ["A green lamp."]
    ok(insert(raw, store, {"content": "A violet lamp.", "metadata": {"filename": "violet.txt"}}))
    found = ok(raw.post(f"/v1/vector_stores/{store}/search", {"query": "violet"}))["data"]
    assert found[0]["filename"] == "violet.txt"


def test_rankers_and_thresholds(raw: Raw) -> None:
    store = store_of(raw, embedding_model=EMBEDDER)
    ok(insert(raw, store, LAMP, BOAT))
    for ranker in ({"type": "rrf", "impact_factor": 30}, {"type": "weighted", "alpha": 0.3}):
        found = query(raw, store, "lamp", mode="hybrid", ranker=ranker)
        assert found["chunks"][0]["content"] == LAMP["content"]
    assert query(raw, store, "boat", mode="vector", score_threshold=0.999)["chunks"] == []


REFUSED: list[tuple[Json, str, str | None]] = [
    ({"chunks": []}, "chunks", None),
    ({"chunks": [{"metadata": {}}]}, "chunks[0].content", None),
    ({"chunks": [{"content": "  "}]}, "chunks[0].content", None),
    (
        {"chunks": [{"content": [{"type": "image", "image": {}}]}]},
        "chunks[0].content[0]",
        "unsupported_parameter",
    ),
    ({"chunks": [{"content": {"type": "smell"}}]}, "chunks[0].content", None),
    ({"chunks": [{"content": "x", "embedding": [1.0]}]}, "chunks[0].embedding", "embedding_mismatch"),
    ({"ttl_seconds": 60}, "ttl_seconds", "unsupported_parameter"),
    ({"chunks": [{"content": "x", "mime_type": "application/pdf"}]}, "chunks[0].mime_type", None),
    ({"vector_db_id": "x"}, "vector_store_id", None),
    ({"surprise": 1}, "surprise", None),
    ({"chunks": "x"}, "chunks", None),
]


@pytest.mark.parametrize(("more", "param", "code"), REFUSED)
def test_chunks_that_cannot_be_taken_are_refused_by_name(
    raw: Raw, more: Json, param: str, code: str | None
) -> None:
    store = store_of(raw)
    body = {"vector_store_id": store, "chunks": [LAMP], **more}
    answer = raw.post("/v1/vector-io/insert", body)
    assert answer.status == 400, answer.body
    assert answer.json["error"]["param"] == param
    assert code in (None, answer.json["error"]["code"])
    assert query(raw, store, "lamp")["chunks"] == []


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"params": {"max_chunks": 0}}, "params.max_chunks"),
        ({"params": {"max_chunks": 51}}, "params.max_chunks"),
        ({"params": {"mode": "magic"}}, "params.mode"),
        ({"params": {"mode": "vector"}}, "params.mode"),
        ({"params": {"ranker": {"type": "rrf", "alpha": 0.5}}}, "params.ranker.alpha"),
        ({"params": {"colour": "red"}}, "params.colour"),
        ({"params": {"score_threshold": 10**400}}, "params.score_threshold"),
        ({"query": ""}, "query"),
        ({"query": [{"type": "image", "image": {"data": ""}}]}, "query[0]"),
    ],
)
def test_queries_that_cannot_be_answered_are_refused_by_name(raw: Raw, more: Json, param: str) -> None:
    body = {"vector_store_id": store_of(raw), "query": "lamp", **more}
    answer = raw.post("/v1/vector-io/query", body)
    assert (answer.status, answer.json["error"]["param"]) == (400, param), answer.body


def test_a_store_that_is_not_there(raw: Raw) -> None:
    for path, body in (
        ("vector-io/insert", {"vector_db_id": "nowhere", "chunks": [LAMP]}),
        ("vector-io/query", {"vector_db_id": "nowhere", "query": "x"}),
        (
            "tool-runtime/rag-tool/insert",
            {"vector_db_id": "nowhere", "documents": [{"document_id": "a", "content": "x"}]},
        ),
    ):
        answer = raw.post(f"/v1/{path}", body)
        assert (answer.status, answer.json["error"]["param"]) == (404, "vector_db_id")
    ok(raw.post("/v1/vector-dbs", {"vector_db_id": "birds"}))
    ok(raw.post("/v1/vector-io/insert", {"vector_db_id": "birds", "chunks": [LAMP]}))
    found = ok(raw.post("/v1/tool-runtime/rag-tool/query", {"vector_db_ids": ["birds"], "content": "lamp"}))
    assert found["metadata"]["vector_db_ids"] == ["birds"]
    answer = raw.post("/v1/tool-runtime/rag-tool/query", {"vector_db_ids": ["nowhere"], "content": "x"})
    assert (answer.status, answer.json["error"]["param"]) == (404, "vector_db_ids[0]")


def test_vector_databases_have_names_of_the_callers_choice(raw: Raw) -> None:
    asked = {"vector_db_id": "my docs", "embedding_model": EMBEDDER, "provider_id": "sqlite-vec"}
    made = ok(raw.post("/v1/vector-dbs", asked))
    assert (made["identifier"], made["type"], made["provider_id"]) == ("my docs", "vector_db", "sqlite-vec")
    assert made["embedding_model"] == EMBEDDER
    assert ok(raw.post("/v1/vector-dbs", asked)) == made  # again, and nothing changes
    other = raw.post("/v1/vector-dbs", {**asked, "embedding_model": "scripted/other"})
    assert (other.status, other.json["error"]["param"]) == (409, "embedding_model")
    assert ok(raw.get("/v1/vector-dbs/my%20docs")) == made
    assert made in ok(raw.get("/v1/vector-dbs"))["data"]
    ok(raw.post("/v1/vector-io/insert", {"vector_db_id": "my docs", "chunks": [LAMP]}))
    found = ok(raw.post("/v1/vector-io/query", {"vector_db_id": "my docs", "query": "lamp"}))
    assert found["chunks"][0]["content"] == LAMP["content"]
    assert ok(raw.get(f"/v1/vector_stores/{made['provider_resource_id']}"))["name"] == "my docs"
    assert raw.send("DELETE", "/v1/vector-dbs/my%20docs").status == 200
    assert raw.get("/v1/vector-dbs/my%20docs").status == 404
    assert raw.send("DELETE", "/v1/vector-dbs/my%20docs").status == 404
    again = ok(raw.post("/v1/vector-dbs", asked))
    assert again["provider_resource_id"] != made["provider_resource_id"]
    assert ok(raw.post("/v1/vector-io/query", {"vector_db_id": "my docs", "query": "lamp"}))["chunks"] == []


def test_the_rag_tool_reads_documents_and_gives_a_context(raw: Raw) -> None:
    store = store_of(raw)
    csv = base64.b64encode(b"town,lamp\nOslo,red\n").decode()
    with Site(Pages()) as site:
        documents: list[Json] = [
            {
                "document_id": "a",
                "content": "The boat is blue {metadata} and {index}.",
                "metadata": {"kind": "boat"},
            },
            {"document_id": "b", "content": {"uri": site.at("plan.pdf")}, "mime_type": "application/pdf"},
            {"document_id": "c", "content": f"data:text/csv;base64,{csv}", "metadata": {}},
            {"document_id": "e", "content": {"uri": "data:,Geese%20fly%20south."}},
            {
                "document_id": "d",
                "content": "<html><body><p>Snow falls.</p></body></html>",
                "mime_type": "text/html",
            },
        ]
        body = {"vector_store_id": store, "documents": documents, "chunk_size_in_tokens": 64}
        for _ in range(2):
            assert ok(raw.post("/v1/tool-runtime/rag-tool/insert", body)) is None

    def context(text: str, **config: Any) -> Json:
        asked = {"vector_store_ids": [store], "content": text, "query_config": config}
        return dict(ok(raw.post("/v1/tool-runtime/rag-tool/query", asked)))

    found = context("blue boat")
    assert found["metadata"]["document_ids"] == ["a"]
    head, boat, end, closing = [one["text"] for one in found["content"]]
    assert head.startswith("knowledge_search tool found 1 chunks:\nBEGIN")
    assert boat.startswith(
        "Result 1\nContent: The boat is blue {metadata} and {index}.\nMetadata: {'kind': 'boat'"
    )
    assert end.startswith("END")
    assert '"blue boat"' in closing
    assert PLAN in context("lighthouse")["metadata"]["chunks"][0]
    assert context("Oslo")["metadata"]["document_ids"] == ["c"]
    assert context("geese")["metadata"]["chunks"] == ["Geese fly south."]
    snow = context("snow", chunk_template="{index}: {chunk.content}", max_chunks=1)
    assert snow["content"][1]["text"] == "1: Snow falls."
    nothing = context("zebra")
    assert (nothing["content"], nothing["metadata"]["document_ids"]) == (None, [])
    short = context("lighthouse", max_tokens_in_context=1)
    assert short["content"] is None


def test_long_document_ids_are_told_apart(raw: Raw) -> None:
    store = store_of(raw)
    for end in "ab":
        documents = [{"document_id": "x" * 511 + end, "content": f"The lamp {end}."}]
        ok(raw.post("/v1/tool-runtime/rag-tool/insert", {"vector_store_id": store, "documents": documents}))
    assert {one["content"] for one in query(raw, store, "lamp")["chunks"]} == {"The lamp a.", "The lamp b."}


def test_metadata_of_any_size_comes_back(raw: Raw) -> None:
    store = store_of(raw)
    ok(insert(raw, store, {"content": "The lamp.", "metadata": {"large": 10**400, "kind": "lamp"}}))
    assert query(raw, store, "lamp")["chunks"][0]["metadata"] == {"large": 10**400, "kind": "lamp"}


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"documents": []}, "documents"),
        ({"chunk_size_in_tokens": 1}, "chunk_size_in_tokens"),
        (
            {"documents": [{"document_id": "a", "content": "x", "metadata": {"a": "x" * 20_000}}]},
            "documents[0].metadata",
        ),
        ({"documents": [{"document_id": "a", "content": " "}]}, "documents[0].content"),
        ({"documents": [{"document_id": "a", "content": "x"}] * 2}, "documents[1].document_id"),
        ({"documents": [{"document_id": "a", "content": "file:///etc/passwd"}]}, "documents[0].content"),
        (
            {"documents": [{"document_id": "a", "content": {"uri": "http://10.0.0.1/"}}]},
            "documents[0].content",
        ),
        ({"documents": [{"document_id": "a", "content": "data:;base64,!"}]}, "documents[0].content"),
        ({"documents": [{"document_id": "a", "content": [{"type": "image"}]}]}, "documents[0].content[0]"),
    ],
)
def test_documents_that_cannot_be_read_are_refused_and_none_is_written(
    raw: Raw, more: Json, param: str
) -> None:
    store = store_of(raw)
    good = {"document_id": "good", "content": "The lamp."}
    body: Json = {"vector_store_id": store, "documents": [good], "chunk_size_in_tokens": 100, **more}
    answer = raw.post("/v1/tool-runtime/rag-tool/insert", body)
    assert (answer.status, answer.json["error"]["param"]) == (400, param), answer.body
    assert query(raw, store, "lamp")["chunks"] == []


def test_queries_are_not_written_by_a_model(raw: Raw) -> None:
    generator = {"type": "llm", "model": "demo", "template": "x"}
    config = {"query_generator_config": generator}
    asked = {"vector_store_ids": [store_of(raw)], "content": "x", "query_config": config}
    answer = raw.post("/v1/tool-runtime/rag-tool/query", asked)
    assert answer.status == 400
    assert answer.json["error"]["param"] == "query_config.query_generator_config.type"
    config["query_generator_config"] = {"type": "default", "separator": " "}
    assert raw.post("/v1/tool-runtime/rag-tool/query", asked).status == 200


def test_what_was_put_in_is_there_after_a_restart(tmp_path: Path) -> None:
    for first in (True, False):
        with start_antiphon(tmp_path, CONFIG.format(folder=tmp_path)) as running:
            running.wait_ready()
            with Raw(running.port, Recorder()) as raw:
                if first:
                    ok(raw.post("/v1/vector-dbs", {"vector_db_id": "kept"}))
                    ok(raw.post("/v1/vector-io/insert", {"vector_db_id": "kept", "chunks": [LAMP]}))
                found = ok(raw.post("/v1/vector-io/query", {"vector_db_id": "kept", "query": "lamp"}))
                assert len(found["chunks"]) == 1
