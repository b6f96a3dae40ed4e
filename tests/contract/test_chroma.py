"""The contract of vector indexes over Chroma's own server, and what only it promises."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from antiphon.core.errors import IndexUnavailable
from antiphon.core.filters import Comparison, holds
from antiphon.indexes.chroma import ChromaIndex
from antiphon.ports.knowledge import Collection, VectorIndex
from antiphon.testing.index_contract import DIMENSION, VectorIndexContract, chunk, made, names
from tests.support.chroma import ChromaProcess


class TestChromaIndex(VectorIndexContract):
    @pytest.fixture
    async def index(self, chroma: ChromaProcess) -> AsyncIterator[VectorIndex]:
        self.url = chroma.url
        index = ChromaIndex.from_config("chroma", {"url": self.url}, None)
        yield index
        await index.aclose()

    async def reopened(self, index: VectorIndex) -> VectorIndex:
        await index.aclose()
        return ChromaIndex.from_config("chroma", {"url": self.url}, None)


async def refused(call: Awaitable[object]) -> str:
    """What an index that cannot be asked says."""
    with pytest.raises(IndexUnavailable) as caught:
        await asyncio.wait_for(call, 30)
    return caught.value.message


@pytest.fixture
async def index(chroma: ChromaProcess) -> AsyncIterator[ChromaIndex]:
    index = ChromaIndex.from_config("chroma", {"url": chroma.url}, None)
    yield index
    await index.aclose()


async def test_it_goes_on_after_the_server_was_started_again(tmp_path: Path) -> None:
    server = ChromaProcess(tmp_path)
    server.start()
    index = ChromaIndex.from_config("chroma", {"url": server.url, "api_token": "sk-secret"}, None)
    one = Collection("vs_restart", DIMENSION)
    try:
        await index.create(one)
        await index.put(one, [chunk("a")])
        server.stop()
        said = await refused(index.count(one))
        assert "there is no connection to its Chroma server" in said
        assert "sk-secret" not in f"{said} {index!r} {vars(index)!r}"
        server.start()
        assert names(await index.keyword(one, "text", 5)) == ["a"]
        assert names(await index.nearest(one, chunk("a").vector, 5)) == ["a"]
    finally:
        await index.aclose()
        server.stop()


async def test_a_tenant_and_a_database_of_its_own_are_made_when_needed(chroma: ChromaProcess) -> None:
    config = {"url": chroma.url, "tenant": "acme_" + secrets.token_hex(4), "database": "shelf"}
    index = ChromaIndex.from_config("chroma", config, None)
    assert "has no collection" in await refused(index.count(Collection("vs_none")))
    async with made(index, chunk("a")) as one:
        assert await index.count(one) == 1
    await index.aclose()


async def test_any_id_of_a_collection_is_fine(index: ChromaIndex) -> None:
    for name in ("a", "vs/../x y", "日本", "-", "x" * 600):
        one = Collection(f"{name}{secrets.token_hex(4)}", DIMENSION)
        await index.create(one)
        await index.put(one, [chunk("a")])
        assert await index.count(one) == 1
        await index.drop(one)


async def test_a_collection_that_another_server_made_anew_is_found(
    index: ChromaIndex, chroma: ChromaProcess
) -> None:
    other = ChromaIndex.from_config("chroma", {"url": chroma.url}, None)
    async with made(index, chunk("a")) as one:
        assert await other.count(one) == 1
        await index.drop(one)
        assert "has no collection" in await refused(other.count(one))
        await index.create(one)
        assert await other.count(one) == 0
        await index.drop(one)
        await index.create(one)
        await other.put(one, [chunk("b")])
        assert await index.count(one) == 1
    await other.aclose()


async def test_long_texts_that_begin_alike_are_told_apart_by_filters(index: ChromaIndex) -> None:
    prefix = "the same forty bytes at the beginning of "
    values = [prefix + end for end in ("", "\x00", "a", "ab", "b")] + ["x", "", "\x00"]
    chunks = [replace(chunk(f"n{at}"), attributes={"k": value}) for at, value in enumerate(values)]
    async with made(index, *chunks) as one:
        for value in values:
            for sign in ("gt", "gte", "lt", "lte", "eq", "ne"):
                where = Comparison("k", sign, value)
                right = {each.id for each in chunks if holds(where, each.attributes)}
                hits = await index.nearest(one, chunks[0].vector, 100, where)
                assert {hit.chunk.id for hit in hits} == right, where


async def test_frequency_counts_among_more_chunks_than_are_scored(index: ChromaIndex) -> None:
    filling = [chunk(f"n{number}", "one zebra of many", number=number) for number in range(600)]
    often = chunk("often", "zebra zebra zebra", number=9_999)
    async with made(index, *filling, often) as one:
        assert names(await index.keyword(one, "zebra", 3))[0] == "often"


async def test_what_is_no_chroma_says_so(index: ChromaIndex) -> None:
    async def answer(request: web.Request) -> web.Response:
        status = int(request.url.parts[1])
        return web.Response(status=status, text="<html>sk-secret</html>")

    application = web.Application()
    application.router.add_route("*", "/{anything:.*}", answer)
    server = TestServer(application)
    await server.start_server()
    for status, expected in (
        (200, "answered what is no JSON"),
        (302, "failed: Chroma answered HTTP 302"),
        (401, "check api_token"),
        (404, "no API of version 2"),
        (422, "needs Chroma 1.5 or newer"),
        (503, "failed: Chroma answered HTTP 503"),
    ):
        other = ChromaIndex.from_config("chroma", {"url": str(server.make_url(f"/{status}"))}, None)
        said = await refused(other.count(Collection("vs_x")))
        assert expected in said
        assert "sk-secret" not in said
        await other.aclose()
    await server.close()


async def test_a_server_that_does_not_answer_is_not_waited_for() -> None:
    over = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    application = web.Application()
    application.router.add_route("*", "/{anything:.*}", wait)
    server = TestServer(application)
    await server.start_server()
    index = ChromaIndex.from_config("chroma", {"url": str(server.make_url("")), "timeout_s": 0.05}, None)
    assert "did not answer in time" in await refused(index.count(Collection("vs_x")))
    over.set()
    await index.aclose()
    await server.close()
