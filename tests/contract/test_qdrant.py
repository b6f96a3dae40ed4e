"""The contract of vector indexes over Qdrant in its client's local mode, and what only it promises.

No Qdrant server is tried: what is sent to one is looked at where it leaves.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from antiphon.core.errors import IndexUnavailable
from antiphon.indexes.qdrant import QdrantIndex
from antiphon.ports.knowledge import Collection, VectorIndex
from antiphon.testing.index_contract import DIMENSION, VectorIndexContract, chunk, made


class TestQdrantIndex(VectorIndexContract):
    @pytest.fixture
    async def index(self, tmp_path: Path) -> AsyncIterator[VectorIndex]:
        self.path = str(tmp_path / "qdrant")
        index = QdrantIndex.from_config("qdrant", {"path": self.path}, None)
        yield index
        await index.aclose()

    async def reopened(self, index: VectorIndex) -> VectorIndex:
        await index.aclose()
        return QdrantIndex.from_config("qdrant", {"path": self.path}, None)


async def refused(call: Awaitable[object]) -> str:
    """What an index that cannot be asked says."""
    with pytest.raises(IndexUnavailable) as caught:
        await asyncio.wait_for(call, 30)
    return caught.value.message


async def test_a_folder_that_another_has_says_so(tmp_path: Path) -> None:
    config = {"path": str(tmp_path / "qdrant")}
    one = QdrantIndex.from_config("one", config, None)
    other = QdrantIndex.from_config("other", config, None)
    collection = Collection("vs_x", DIMENSION)
    await one.create(collection)
    assert "another process has its folder" in await refused(other.create(collection))
    await one.aclose()
    assert await other.count(collection) == 0
    await other.aclose()


async def test_the_loop_goes_on_while_the_local_mode_works(tmp_path: Path) -> None:
    index = QdrantIndex.from_config("it", {"path": str(tmp_path / "qdrant")}, None)
    async with made(index) as one:
        chunks = [chunk(f"n{number}") for number in range(200)]
        putting = asyncio.ensure_future(index.put(one, chunks))
        turns = 0
        while not putting.done():
            await asyncio.sleep(0)
            turns += 1
        await putting
        assert turns > 100, "the loop stood still"
    await index.aclose()


class FakeQdrant:
    """Answers as a server does: `answers` are (status, result) by method and end of the path, taken one by one."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, object]]] = {}
        self.asked: list[tuple[str, Any]] = []

    async def answer(self, request: web.Request) -> web.Response:
        name = f"{request.method} {request.path.rsplit('/', 1)[-1]}"
        self.asked.append((name, await request.json() if request.can_read_body else None))
        assert request.headers["api-key"] == "sk-secret"
        waiting = self.answers.get(name) or [(200, True)]
        status, result = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        body = {"time": 0.0, "status": "ok" if status == 200 else {"error": "sk-secret"}, "result": result}
        return web.json_response(body, status=status)


@pytest.fixture
async def fake() -> AsyncIterator[tuple[FakeQdrant, QdrantIndex]]:
    fake = FakeQdrant()
    application = web.Application()
    application.router.add_route("*", "/{anything:.*}", fake.answer)
    server = TestServer(application)
    await server.start_server()
    url = server.make_url("")
    config = {"url": str(url), "port": url.port, "api_key": "sk-secret"}
    index = QdrantIndex.from_config("far", config, None)
    yield fake, index
    await index.aclose()
    await server.close()


async def test_a_server_is_told_which_fields_filters_look_at(fake: tuple[FakeQdrant, QdrantIndex]) -> None:
    server, index = fake
    one = Collection("vs_x", DIMENSION)
    for name in ("PUT points", "PUT index"):
        server.answers[name] = [(200, {"operation_id": 1, "status": "completed"})]
    await index.create(one)
    filled = replace(chunk("a"), attributes={"year": 2024.0, "draft": True, "by": "Ann"})
    await index.put(one, [filled])
    await index.put(one, [filled])
    made_indexes = [body["field_name"] for name, body in server.asked if name == "PUT index"]
    hexed = {key: key.encode().hex() for key in ("year", "draft", "by")}
    assert sorted(made_indexes) == sorted(
        [
            "file",
            "chunk",
            f"flat.number_{hexed['year']}",
            f"flat.exact_number_{hexed['year']}",
            f"flat.boolean_{hexed['draft']}",
            f"flat.text_{hexed['by']}",
            f"flat.order_{hexed['by']}",
        ]
    )
    (created,) = [body for name, body in server.asked if name == "PUT antiphon-vs_x"]
    assert created["vectors"]["dense"] == {"size": DIMENSION, "distance": "Dot"}
    assert created["sparse_vectors"]["words"]["modifier"] == "idf"


async def test_failures_of_a_server_have_names_and_no_secrets(fake: tuple[FakeQdrant, QdrantIndex]) -> None:
    server, index = fake
    one = Collection("vs_x", DIMENSION)
    counted = {"count": 3}
    server.answers["POST count"] = [(500, None), (503, None), (200, counted)]
    assert await index.count(one) == 3
    for status, expected in (
        (401, "check api_key"),
        (404, "has no collection vs_x"),
        (400, "answered HTTP 400"),
        (500, "answered HTTP 500"),
    ):
        server.answers["POST count"] = [(status, None)]
        said = await refused(index.count(one))
        assert expected in said
        assert "sk-secret" not in f"{said} {index!r} {vars(index)!r}"
    server.answers["POST count"] = [(200, ["three"])]
    assert "is it a Qdrant" in await refused(index.count(one))
    server.answers["PUT antiphon-vs_x"] = [(409, None)]
    await index.create(one)  # somebody else was first


async def test_a_server_that_is_not_there_says_so() -> None:
    index = QdrantIndex.from_config("far", {"host": "127.0.0.1", "port": 9, "api_key": "sk-secret"}, None)
    said = await refused(index.count(Collection("vs_x")))
    assert "there is no connection to its Qdrant" in said
    await index.aclose()
