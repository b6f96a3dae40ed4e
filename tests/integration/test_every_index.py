"""Upload, vector store, search and a cited answer through the official client, on every index that can run here."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from bench.program import Program, start_antiphon
from tests.integration.vector_upstream import VectorUpstream
from tests.support.chroma import ChromaProcess
from tests.support.postgres import Postgres

INDEXES = ("sqlite", "faiss", "pg", "chroma", "qdrant")
CONFIG = """\
version: 2
providers:
  inference:
  - {provider_id: scripted, provider_type: "inline::scripted"}
  - provider_id: vec
    provider_type: remote::openai-compatible
    config: {base_url: "%(upstream)s", wire: chat}
  vector_io:
  - {provider_id: sqlite, provider_type: "inline::sqlite-vec"}
  - {provider_id: faiss, provider_type: "inline::faiss"}
  - {provider_id: pg, provider_type: "remote::pgvector", config: {url: "%(postgres)s"}}
  - {provider_id: chroma, provider_type: "remote::chromadb", config: {url: "%(chroma)s"}}
  - {provider_id: qdrant, provider_type: "remote::qdrant", config: {path: "%(folder)s/qdrant"}}
storage: {url: "sqlite:///%(folder)s/antiphon.db"}
"""
FILES: dict[str, tuple[bytes, dict[str, str | float | bool]]] = {
    "fjords.md": (
        b"# Fjords\n\nThe Sognefjord is the deepest fjord of Norway.",
        {"kind": "sea", "year": 2024},
    ),
    "lakes.txt": (b"The Mjosa is the largest lake of Norway.", {"kind": "lake", "year": 2023}),
    "tokyo.txt": (
        "\u79c1\u306f\u6771\u4eac\u306b\u4f4f\u3093\u3067\u3044\u307e\u3059\u3002".encode(),
        {"kind": "city"},
    ),
}


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
    postgres: Postgres,
    postgres_module_database: str,
    chroma: ChromaProcess,
) -> Iterator[Program]:
    """One server with all of them."""
    folder = tmp_path_factory.mktemp("every-index")
    with VectorUpstream() as upstream:
        places = {
            "upstream": upstream.url,
            "postgres": postgres.url(postgres_module_database),
            "chroma": chroma.url,
            "folder": folder,
        }
        with start_antiphon(folder, CONFIG % places) as program:
            program.wait_ready()
            yield program


@pytest.fixture
def client(server: Program) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(params=INDEXES)
def index(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def filled(client: openai.OpenAI, index: str, **more: Any) -> tuple[str, dict[str, str]]:
    """A store of all files, and their ids."""
    store = client.vector_stores.create(name="Places", extra_body={"provider_id": index, **more})
    ids: dict[str, str] = {}
    for name, (content, attributes) in FILES.items():
        file = client.files.create(file=(name, content), purpose="assistants")
        put = client.vector_stores.files.create_and_poll(
            file.id, vector_store_id=store.id, attributes=attributes, poll_interval_ms=20
        )
        assert put.status == "completed", put.last_error
        ids[name] = file.id
    return store.id, ids


def found(client: openai.OpenAI, store: str, query: str, **more: Any) -> list[str]:
    return [one.filename for one in client.vector_stores.search(store, query=query, **more)]


def test_files_are_found_by_words_and_filters_until_they_are_removed(
    client: openai.OpenAI, index: str
) -> None:
    store, ids = filled(client, index)
    assert found(client, store, "Which FJORD is the deepest?")[0] == "fjords.md"
    assert found(client, store, "\u6771\u4eac") == ["tokyo.txt"]
    lake: Any = {"type": "eq", "key": "kind", "value": "lake"}
    assert found(client, store, "Norway", filters=lake) == ["lakes.txt"]
    since: Any = {"type": "and", "filters": [
        {"type": "gte", "key": "year", "value": 2024},
        {"type": "gt", "key": "kind", "value": "lake"},
    ]}  # fmt: skip
    assert found(client, store, "Norway", filters=since) == ["fjords.md"]
    client.vector_stores.files.update(ids["fjords.md"], vector_store_id=store, attributes={"kind": "lake"})
    assert found(client, store, "Norway", filters=since) == []
    assert sorted(found(client, store, "Norway", filters=lake)) == ["fjords.md", "lakes.txt"]
    content = client.vector_stores.files.content(ids["lakes.txt"], vector_store_id=store)
    assert [one.text for one in content] == [FILES["lakes.txt"][0].decode()]
    client.vector_stores.files.delete(ids["fjords.md"], vector_store_id=store)
    assert found(client, store, "fjord Norway") == ["lakes.txt"]
    client.vector_stores.delete(store)
    with pytest.raises(openai.NotFoundError):
        found(client, store, "Norway")


def test_files_are_found_by_vectors_and_by_both(client: openai.OpenAI, index: str) -> None:
    store, _ = filled(client, index, embedding_model="vec/packed")
    for mode in ("vector", "hybrid"):
        names = found(client, store, "deepest fjord", extra_body={"search_mode": mode})
        assert sorted(names) == sorted(FILES)
    assert found(client, store, "deepest fjord")[0] == "fjords.md"
    lake: Any = {"type": "ne", "key": "kind", "value": "sea"}
    names = found(client, store, "fjord", filters=lake, extra_body={"search_mode": "vector"})
    assert sorted(names) == ["lakes.txt", "tokyo.txt"]
    client.vector_stores.delete(store)


def test_an_answer_cites_the_file_that_it_is_from(client: openai.OpenAI, index: str) -> None:
    store, ids = filled(client, index)
    response = client.responses.create(
        model="scripted/demo",
        input="What is the deepest fjord?",
        tools=[{"type": "file_search", "vector_store_ids": [store]}],
    )
    cited = [
        note
        for item in response.output
        if item.type == "message"
        for part in item.content
        if part.type == "output_text"
        for note in part.annotations
    ]
    assert cited
    assert {(note.type, getattr(note, "file_id", "")) for note in cited} == {
        ("file_citation", ids["fjords.md"])
    }
    client.vector_stores.delete(store)
