"""Vector stores through the official client and over plain HTTP: filled, searched, killed, and kept apart by owner."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from antiphon.indexes.sqlite_vec import SqliteVecIndex
from antiphon.ports.knowledge import Collection
from bench.program import Program
from tests.conformance.recorder import Recorder
from tests.integration.clients import LIMIT_S, Raw, sync_client
from tests.integration.conftest import StartServer
from tests.integration.test_keys import KEYS

Json = dict[str, Any]
RAIN = b"# Rain\n\nIt rains in Bergen on 239 days of the year.\n\n# Sun\n\nIt shines in Yuma."
BROKEN = b"PK\x03\x04 and no more"


def upload(client: openai.OpenAI, data: bytes = RAIN, name: str = "rain.md") -> str:
    return client.files.create(file=(name, data), purpose="assistants").id


def wait_for(reached: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not reached():
        assert time.monotonic() < limit, "it did not come to that"
        time.sleep(0.02)


# --- the official client -----------------------------------------------------------------------------------------
def test_a_store_is_made_filled_searched_changed_and_deleted(client: openai.OpenAI) -> None:
    file_id = upload(client)
    store = client.vector_stores.create(
        name="weather",
        description="Where it rains",
        file_ids=[file_id],
        metadata={"topic": "rain"},
        expires_after={"anchor": "last_active_at", "days": 7},
    )
    assert (store.name, store.metadata, store.file_counts.total) == ("weather", {"topic": "rain"}, 1)
    assert store.expires_at == (store.last_active_at or 0) + 7 * 86_400
    file = client.vector_stores.files.poll(file_id, vector_store_id=store.id)
    assert (file.status, file.last_error) == ("completed", None)
    (found,) = client.vector_stores.search(store.id, query="days of rain in Bergen").data
    assert (found.file_id, found.filename) == (file_id, "rain.md")
    assert "239 days" in found.content[0].text
    content = client.vector_stores.files.content(file_id, vector_store_id=store.id)
    assert "".join(part.text or "" for part in content) == RAIN.decode()
    changed = client.vector_stores.update(store.id, name="climate", metadata={}, expires_after=None)
    assert (changed.name, changed.metadata, changed.expires_at) == ("climate", {}, None)
    assert client.vector_stores.retrieve(store.id).file_counts.completed == 1
    assert store.id in [one.id for one in client.vector_stores.list(limit=5)]
    assert client.vector_stores.files.delete(file_id, vector_store_id=store.id).deleted
    assert client.vector_stores.search(store.id, query="Bergen").data == []
    assert client.files.retrieve(file_id).id == file_id
    assert client.vector_stores.delete(store.id).deleted
    for gone in (client.vector_stores.retrieve, client.vector_stores.delete, client.vector_stores.files.list):
        with pytest.raises(openai.NotFoundError) as caught:
            gone(store.id)
        assert caught.value.param == "vector_store_id"


def test_the_clients_that_wait_wait_for_the_end(client: openai.OpenAI) -> None:
    store = client.vector_stores.create()
    one = client.vector_stores.files.create_and_poll(upload(client), vector_store_id=store.id)
    two = client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=("b.txt", b"snow"))
    assert (one.status, two.status) == ("completed", "completed")
    files: list[Any] = [(f"n{number}.txt", f"number {number}".encode()) for number in range(5)]
    files += [("bad.docx", BROKEN), ("picture.png", b"\x89PNG\r\n\x1a\n and no more")]
    batch = client.vector_stores.file_batches.upload_and_poll(store.id, files=files)
    assert (batch.status, batch.file_counts.completed, batch.file_counts.failed) == ("completed", 5, 2)
    failed = client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id, filter="failed")
    errors = [file.last_error.code for file in failed if file.last_error]
    assert sorted(errors) == ["invalid_file", "unsupported_file"]
    pages = list(client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id, limit=2))
    assert len({file.id for file in pages}) == 7
    assert client.vector_stores.retrieve(store.id).file_counts.to_dict() == {
        "in_progress": 0, "completed": 7, "cancelled": 0, "failed": 2, "total": 9,
    }  # fmt: skip
    client.vector_stores.delete(store.id)


def test_files_are_found_by_their_attributes(client: openai.OpenAI) -> None:
    store = client.vector_stores.create()
    ids = [upload(client, f"report of {year}".encode(), f"{year}.txt") for year in (2024, 2025, 2026)]
    client.vector_stores.file_batches.create_and_poll(
        store.id,
        files=[
            {"file_id": one, "attributes": {"year": year, "draft": year == 2026}}
            for one, year in zip(ids, (2024, 2025, 2026), strict=True)
        ],
    )

    def years(filters: Any) -> list[str]:
        page = client.vector_stores.search(store.id, query="report", filters=filters)
        return sorted(one.filename for one in page.data)

    assert years({"type": "gte", "key": "year", "value": 2025}) == ["2025.txt", "2026.txt"]
    both = [{"type": "gte", "key": "year", "value": 2025}, {"type": "eq", "key": "draft", "value": False}]
    assert years({"type": "and", "filters": both}) == ["2025.txt"]
    updated = client.vector_stores.files.update(ids[0], vector_store_id=store.id, attributes={"year": 2030})
    assert updated.attributes == {"year": 2030}
    assert years({"type": "gt", "key": "year", "value": 2029}) == ["2024.txt"]
    client.vector_stores.delete(store.id)


def test_a_store_may_have_an_embedding_model_as_llama_stack_clients_name_it(client: openai.OpenAI) -> None:
    for more in ({}, {"embedding_dimension": 256, "provider_id": "sqlite-vec"}):
        body: Json = {"embedding_model": "scripted/demo", **more}
        store = client.vector_stores.create(extra_body=body)
        assert (store.model_extra or {})["embedding_dimension"] == 256
        client.vector_stores.files.create_and_poll(upload(client), vector_store_id=store.id)
        for mode in ("vector", "hybrid", "keyword"):
            page = client.vector_stores.search(store.id, query="rain", extra_body={"search_mode": mode})
            assert [one.filename for one in page.data] == ["rain.md"], mode
        client.vector_stores.delete(store.id)
    told = {"embedding_model": "scripted/demo", "embedding_dimension": "256"}
    store = client.vector_stores.create(metadata=told)
    assert (store.metadata, (store.model_extra or {})["embedding_dimension"]) == (told, 256)
    client.vector_stores.delete(store.id)


def test_a_file_in_a_store_may_be_deleted_and_is_found_no_more(client: openai.OpenAI) -> None:
    store = client.vector_stores.create()
    file_id = upload(client)
    client.vector_stores.files.create_and_poll(file_id, vector_store_id=store.id)
    assert client.files.delete(file_id).deleted
    assert client.vector_stores.search(store.id, query="Bergen").data == []
    assert client.vector_stores.retrieve(store.id).file_counts.total == 0
    client.vector_stores.delete(store.id)


# --- over plain HTTP ---------------------------------------------------------------------------------------------
def made_store(raw: Raw, **body: object) -> str:
    answer = raw.post("/v1/vector_stores", dict(body))
    assert answer.status == 200, answer.body
    store_id: str = answer.json["id"]
    return store_id


def test_a_client_is_told_when_to_ask_again(server: Program, raw: Raw, recorder: Recorder) -> None:
    with sync_client(server.url, recorder) as client:
        store = client.vector_stores.create()
        file_id = upload(client)
        answer = raw.post(f"/v1/vector_stores/{store.id}/files", {"file_id": file_id})
        assert answer.json["status"] == "in_progress"
        assert 100 <= int(answer.headers["openai-poll-after-ms"]) <= 1000
        client.vector_stores.files.poll(file_id, vector_store_id=store.id)
        done = raw.get(f"/v1/vector_stores/{store.id}/files/{file_id}")
        assert "openai-poll-after-ms" not in done.headers
        client.vector_stores.delete(store.id)


def test_content_may_come_with_vectors_and_places_in_pages(
    server: Program, raw: Raw, recorder: Recorder
) -> None:
    store_id = made_store(raw, embedding_model="scripted/demo")
    with sync_client(server.url, recorder) as client:
        file_id = upload(client, b" ".join(b"word%d" % number for number in range(400)), "long.txt")
        client.vector_stores.files.create_and_poll(
            file_id,
            vector_store_id=store_id,
            chunking_strategy={
                "type": "static",
                "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0},
            },
            attributes={"kind": "words"},
        )
    path = f"/v1/vector_stores/{store_id}/files/{file_id}/content"
    whole = raw.get(f"{path}?include_embeddings=True&include_metadata=true").json
    assert len(whole["data"]) > 2
    assert not whole["has_more"]
    for part in whole["data"]:
        assert (len(part["embedding"]), part["metadata"]) == (256, {"kind": "words"})
        assert part["chunk_metadata"]["document_id"] == file_id
    pages: list[str] = []
    after = ""
    while after is not None:
        page = raw.get(f"{path}?limit=2&after={after}").json
        pages += [part["text"] for part in page["data"]]
        assert page["has_more"] == (page["next_page"] is not None)
        after = page["next_page"]
    assert pages == [part["text"] for part in whole["data"]]
    assert raw.get(f"{path}?after=none").error["param"] == "after"


BIG = {"a" * number: "x" for number in range(1, 18)}
REFUSED: list[tuple[str, str, Json, str]] = [
    ("POST", "", {"name": 5}, "name"),
    ("POST", "", {"nmae": "x"}, "nmae"),
    ("POST", "", {"file_ids": ["file-none"]}, "file_ids[0]"),
    ("POST", "", {"expires_after": {"anchor": "created_at", "days": 1}}, "expires_after.anchor"),
    ("POST", "", {"expires_after": {"anchor": "last_active_at", "days": 366}}, "expires_after.days"),
    ("POST", "", {"metadata": BIG}, "metadata"),
    ("POST", "", {"metadata": {"n": 5}}, "metadata.n"),
    ("POST", "", {"provider_id": "elsewhere"}, "provider_id"),
    ("POST", "", {"embedding_model": "nobody/nothing"}, "embedding_model"),
    ("POST", "", {"embedding_dimension": 5}, "embedding_dimension"),
    ("POST", "", {"embedding_dimension": 0}, "embedding_dimension"),
    ("POST", "", {"embedding_model": "scripted/demo", "embedding_dimension": 64}, "embedding_dimension"),
    (
        "POST",
        "",
        {"metadata": {"embedding_model": "demo", "embedding_dimension": "x"}},
        "metadata.embedding_dimension",
    ),
    ("POST", "", {"chunking_strategy": {"type": "by-feel"}}, "chunking_strategy.type"),
    (
        "POST",
        "",
        {
            "chunking_strategy": {
                "type": "static",
                "static": {"max_chunk_size_tokens": 99, "chunk_overlap_tokens": 0},
            }
        },
        "chunking_strategy.static.max_chunk_size_tokens",
    ),
    (
        "POST",
        "",
        {
            "chunking_strategy": {
                "type": "static",
                "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 150},
            }
        },
        "chunking_strategy.static.chunk_overlap_tokens",
    ),
    ("POST", "", {"chunking_strategy": {"type": "contextual"}}, "chunking_strategy.contextual.model_id"),
    ("PUT", "/{id}", {"expires_after": {"days": 3}}, "expires_after.anchor"),
    ("POST", "/{id}", {"description": "x"}, "description"),
    ("POST", "/{id}/files", {}, "file_id"),
    ("POST", "/{id}/files", {"file_id": "file-none"}, "file_id"),
    ("POST", "/{id}/files", {"file_id": "file-none", "attributes": BIG}, "attributes"),
    ("POST", "/{id}/files", {"file_id": "file-none", "attributes": {"a": "x" * 513}}, "attributes.a"),
    ("POST", "/{id}/files", {"file_id": "file-none", "attributes": {"a": ["x"]}}, "attributes.a"),
    ("POST", "/{id}/files/file-none", {}, "attributes"),
    ("POST", "/{id}/file_batches", {}, "file_ids"),
    ("POST", "/{id}/file_batches", {"file_ids": []}, "file_ids"),
    ("POST", "/{id}/file_batches", {"file_ids": ["a"], "files": [{"file_id": "a"}]}, "files"),
    ("POST", "/{id}/file_batches", {"file_ids": ["file-none"] * 2001}, "file_ids"),
    ("POST", "/{id}/file_batches", {"files": [{"file_id": "file-none"}]}, "files[0].file_id"),
    ("POST", "/{id}/search", {}, "query"),
    ("POST", "/{id}/search", {"query": []}, "query"),
    ("POST", "/{id}/search", {"query": "  "}, "query"),
    ("POST", "/{id}/search", {"query": "x", "max_num_results": 51}, "max_num_results"),
    (
        "POST",
        "/{id}/search",
        {"query": "x", "filters": {"type": "like", "key": "a", "value": "b"}},
        "filters.type",
    ),
    ("POST", "/{id}/search", {"query": "x", "filters": {"type": "eq", "key": "a"}}, "filters.value"),
    (
        "POST",
        "/{id}/search",
        {"query": "x", "ranking_options": {"score_threshold": 2}},
        "ranking_options.score_threshold",
    ),
    ("POST", "/{id}/search", {"query": "x", "search_mode": "vector"}, "search_mode"),
    ("GET", "?order=up", {}, "order"),
    ("GET", "?limit=0", {}, "limit"),
    ("GET", "?after=vs_none", {}, "after"),
    ("GET", "?filter=completed", {}, "filter"),
    ("GET", "/{id}/files?filter=done", {}, "filter"),
    ("GET", "/{id}/files?before=file-none", {}, "before"),
    ("GET", "/{id}/files/file-none/content?include_embeddings=maybe", {}, "include_embeddings"),
    ("GET", "/{id}/file_batches/vsfb_none", {}, "batch_id"),
    ("GET", "/{id}/file_batches/vsfb_none/files", {}, "batch_id"),
    ("POST", "/{id}/file_batches/vsfb_none/cancel", {}, "batch_id"),
    ("GET", "/{id}/files/file-none", {}, "file_id"),
    ("DELETE", "/{id}/files/file-none", {}, "file_id"),
    ("GET", "/{id}?more=yes", {}, "more"),
]


@pytest.fixture(scope="module")
def empty_store(server: Program) -> str:
    with Raw(server.port, Recorder()) as raw:
        return made_store(raw)


@pytest.mark.parametrize(("method", "path", "body", "param"), REFUSED)
def test_what_cannot_be_is_refused_by_name(
    raw: Raw, empty_store: str, method: str, path: str, body: Json, param: str
) -> None:
    answer = raw.send(
        method,
        "/v1/vector_stores" + path.replace("{id}", empty_store),
        body or None if method == "GET" else body,
    )
    assert (answer.status in (400, 404), answer.error["param"]) == (True, param), answer.body
    assert answer.error["message"].rstrip().endswith((".", ")", "?"))
    assert raw.get(f"/v1/vector_stores/{empty_store}").json["file_counts"]["total"] == 0


# --- owners ------------------------------------------------------------------------------------------------------
def routes_of(store: str, file: str, batch: str) -> list[tuple[str, str, Json | None]]:
    """Every route, and every place of an id."""
    one = f"/v1/vector_stores/{store}"
    search = {"query": "rain"}
    return [
        ("GET", one, None),
        ("POST", one, {"name": "taken"}),
        ("PUT", one, {"name": "taken"}),
        ("POST", f"{one}/search", search),
        ("GET", f"{one}/files", None),
        ("POST", f"{one}/files", {"file_id": file}),
        ("GET", f"{one}/files/{file}", None),
        ("POST", f"{one}/files/{file}", {"attributes": {}}),
        ("GET", f"{one}/files/{file}/content", None),
        ("DELETE", f"{one}/files/{file}", None),
        ("POST", f"{one}/file_batches", {"file_ids": [file]}),
        ("GET", f"{one}/file_batches/{batch}", None),
        ("GET", f"{one}/file_batches/{batch}/files", None),
        ("POST", f"{one}/file_batches/{batch}/cancel", None),
        ("GET", f"/v1/vector_stores?after={store}", None),
        ("GET", f"/v1/vector_stores?before={store}", None),
        ("DELETE", one, None),
    ]


def test_a_foreign_id_answers_exactly_as_an_unknown_one(
    start_server: StartServer, recorder: Recorder
) -> None:
    server = start_server(KEYS)
    with sync_client(server.url, recorder, api_key="key-of-ann") as ann:
        file_id = upload(ann)
        store = ann.vector_stores.create(name="mine")
        batch = ann.vector_stores.file_batches.create_and_poll(store.id, file_ids=[file_id])
        unknown = {"store": f"vs_{'0' * 32}", "file": f"file-{'0' * 32}", "batch": f"vsfb_{'0' * 32}"}
        mine = {"store": store.id, "file": file_id, "batch": batch.id}
        for other in ("bob", "cyd"):
            headers = {"authorization": f"Bearer key-of-{other}"}
            with Raw(server.port, recorder, headers) as raw:
                own = made_store(raw)
                cases = list(zip(routes_of(**mine), routes_of(**unknown), strict=True))
                for ids in ({"file": file_id}, {"batch": batch.id}):  # foreign ids in a store of one's own
                    foreign = routes_of(**{**unknown, "store": own, **ids})
                    cases += list(zip(foreign, routes_of(**{**unknown, "store": own}), strict=True))
                    cases = [case for case in cases if not ids or case[0][1:] != case[1][1:]]
                for (method, path, body), (_, other_path, other_body) in cases:
                    answers = [raw.send(method, path, body), raw.send(method, other_path, other_body)]
                    assert answers[0].status == answers[1].status in (400, 404), (method, path)
                    texts = [str(answer.error) for answer in answers]
                    for kind, name in mine.items():
                        texts[0] = texts[0].replace(name, unknown[kind])
                    assert texts[0] == texts[1], (method, path)
                made = raw.post("/v1/vector_stores", {"file_ids": [file_id]})
                assert (made.status, made.error["param"]) == (404, "file_ids[0]")
                assert [one["id"] for one in raw.get("/v1/vector_stores").json["data"]] == [own]
        assert ann.vector_stores.retrieve(store.id).name == "mine"
        assert ann.vector_stores.files.retrieve(file_id, vector_store_id=store.id).status == "completed"


# --- crashes -----------------------------------------------------------------------------------------------------
def chunks_in(folder: Path, store_id: str) -> int:
    """How many chunks the index holds, its server being down."""

    async def count() -> int:
        index = SqliteVecIndex(folder / "vector_stores")
        found = await index.count(Collection(store_id))
        await index.aclose()
        return found

    return asyncio.run(count())


def test_kill_dash_nine_in_the_middle_of_200_files_loses_none_and_doubles_none(
    start_server: StartServer, recorder: Recorder, tmp_path: Path
) -> None:
    program = start_server("vector_stores: {workers: 4}")
    with sync_client(program.url, recorder) as client:
        good = [upload(client, b"text %d" % number, f"{number}.txt") for number in range(188)]
        bad = [upload(client, BROKEN, f"{number}.docx") for number in range(12)]
        store_id = client.vector_stores.create().id
        batch_id = client.vector_stores.file_batches.create(
            store_id, file_ids=[*good[:100], *bad, *good[100:]]
        ).id
    for done in (20, 110):
        with sync_client(program.url, recorder) as client:

            def so_far(client: openai.OpenAI = client, done: int = done) -> bool:
                counts = client.vector_stores.file_batches.retrieve(
                    batch_id, vector_store_id=store_id
                ).file_counts
                return counts.completed + counts.failed >= done

            wait_for(so_far)
            program.kill()
        program = start_server("vector_stores: {workers: 4}")
    with sync_client(program.url, recorder) as client:
        batch = client.vector_stores.file_batches.poll(batch_id, vector_store_id=store_id)
        assert batch.file_counts.to_dict() == {
            "in_progress": 0, "completed": 188, "cancelled": 0, "failed": 12, "total": 200,
        }  # fmt: skip
        files = client.vector_stores.files.list(store_id, limit=100)
        statuses = {file.id: file.status for file in files}
        assert statuses == dict.fromkeys(good, "completed") | dict.fromkeys(bad, "failed")
        for number in (0, 99, 187):
            (part,) = client.vector_stores.files.content(good[number], vector_store_id=store_id)
            assert part.text == f"text {number}"
    program.stop()
    assert chunks_in(tmp_path, store_id) == 188


def test_two_servers_on_one_database_share_the_work(
    start_server: StartServer, recorder: Recorder, tmp_path: Path
) -> None:
    first, second = start_server(), start_server()
    with sync_client(first.url, recorder) as one, sync_client(second.url, recorder) as two:
        file_ids = [upload(one, b"text %d" % number, f"{number}.txt") for number in range(40)]
        store_id = one.vector_stores.create().id
        batches = [
            client.vector_stores.file_batches.create(store_id, file_ids=file_ids[start:end])
            for client, start, end in ((one, 0, 20), (two, 20, 40))
        ]
        for client, batch in zip((two, one), batches, strict=True):
            ended = client.vector_stores.file_batches.poll(batch.id, vector_store_id=store_id)
            assert (ended.status, ended.file_counts.completed) == ("completed", 20)
        assert two.vector_stores.retrieve(store_id).file_counts.completed == 40
    for program in (first, second):
        program.stop()
    assert chunks_in(tmp_path, store_id) == 40
