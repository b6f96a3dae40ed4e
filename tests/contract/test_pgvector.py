"""The contract of vector indexes over a real PostgreSQL, and what only it promises."""

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from pathlib import Path
from random import Random

import asyncpg
import pytest

from antiphon.core.errors import EmbeddingMismatch, IndexUnavailable
from antiphon.core.filters import Comparison, holds
from antiphon.indexes.pgvector import PgvectorIndex
from antiphon.ports.knowledge import Collection, VectorIndex
from antiphon.testing.index_contract import DIMENSION, VectorIndexContract, chunk, made, names, plain
from antiphon.testing.index_samples import cosine, random_vector
from tests.support.postgres import Postgres, PostgresProcess


class TestPgvectorIndex(VectorIndexContract):
    @pytest.fixture
    async def index(self, postgres: Postgres, postgres_module_database: str) -> AsyncIterator[VectorIndex]:
        self.url = postgres.url(postgres_module_database)
        index = PgvectorIndex("pg", {"dsn": self.url})
        yield index
        await index.aclose()

    async def reopened(self, index: VectorIndex) -> VectorIndex:
        await index.aclose()
        return PgvectorIndex("pg", {"dsn": self.url})


class TestPgvectorIndexWithHnsw(TestPgvectorIndex):
    """Every collection has an index of its vectors from its second chunk on."""

    @pytest.fixture
    async def index(self, postgres: Postgres, postgres_module_database: str) -> AsyncIterator[VectorIndex]:
        self.url = postgres.url(postgres_module_database)
        index = PgvectorIndex("pg", {"dsn": self.url}, exact_floats=8)
        yield index
        await index.aclose()


async def refused(call: Awaitable[object]) -> str:
    """What an index that cannot be asked says."""
    with pytest.raises(IndexUnavailable) as caught:
        await asyncio.wait_for(call, 30)
    return caught.value.message


@pytest.fixture
async def index(postgres: Postgres, postgres_module_database: str) -> AsyncIterator[PgvectorIndex]:
    index = PgvectorIndex("pg", {"dsn": postgres.url(postgres_module_database)}, exact_floats=DIMENSION * 500)
    yield index
    await index.aclose()


# --- what the database has to be -----------------------------------------------------------------------------------
async def test_a_user_without_rights_is_told_what_an_administrator_has_to_do(
    postgres: Postgres, postgres_database: str
) -> None:
    role = "plain_" + secrets.token_hex(4)
    postgres.execute(f"CREATE ROLE {role} LOGIN")
    index = PgvectorIndex("pg", {"dsn": postgres.url(postgres_database, role)})
    one = Collection("vs_rights", DIMENSION)
    said = await refused(index.create(one))
    assert said.endswith("as an administrator of that database run: CREATE EXTENSION vector.")
    postgres.execute("CREATE EXTENSION vector", postgres_database)
    said = await refused(index.create(one))
    assert 'run: CREATE SCHEMA "antiphon_vectors" AUTHORIZATION its user' in said
    postgres.execute(f"CREATE SCHEMA antiphon_vectors AUTHORIZATION {role}", postgres_database)
    await index.create(one)
    await index.put(one, [chunk("a")])
    assert await index.count(one) == 1
    await index.aclose()
    postgres.execute(f"DROP OWNED BY {role}", postgres_database)
    postgres.execute(f"DROP ROLE {role}")


async def test_the_extension_may_live_in_any_schema(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute('CREATE SCHEMA "Odd name"', postgres_database)
    postgres.execute('CREATE EXTENSION vector SCHEMA "Odd name"', postgres_database)
    index = PgvectorIndex("pg", {"dsn": postgres.url(postgres_database)}, exact_floats=1)
    one = Collection("vs_odd", DIMENSION)
    await index.create(one)
    await index.put(one, [chunk("a"), chunk("b")])
    assert names(await index.nearest(one, chunk("b").vector, 1)) == ["b"]
    await index.aclose()


async def test_a_database_of_another_encoding_is_refused(postgres: Postgres) -> None:
    name = "test_" + secrets.token_hex(8)
    postgres.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'")
    index = PgvectorIndex("pg", {"dsn": postgres.url(name)})
    assert "needs a database of encoding UTF8" in await refused(index.create(Collection("vs_a")))
    await index.aclose()
    postgres.execute(f"DROP DATABASE {name}")


async def test_what_cannot_be_reached_says_so_without_secrets(postgres: Postgres) -> None:
    one = Collection("vs_none", DIMENSION)
    secret = {"password": "sk-secret", "timeout_s": 5}
    folder = str(postgres.folder)
    for config, expected in (
        ({"host": folder, "db": "no_such", **secret}, "has no database of that name"),
        ({"host": folder, "user": "nobody", **secret}, "check user and password"),
        ({"host": "127.0.0.1", "port": 9, **secret}, "there is no connection to its PostgreSQL"),
        ({"url": "postgresql://u:sk-secret@127.0.0.1:9/x"}, "there is no connection to its PostgreSQL"),
    ):
        index = PgvectorIndex.from_config("pg", config, None)
        said = await refused(index.count(one))
        assert expected in said
        assert "sk-secret" not in f"{said} {index!r} {vars(index)!r}"
        await index.aclose()


async def test_many_servers_make_the_tables_at_once(postgres: Postgres, postgres_database: str) -> None:
    indexes = [PgvectorIndex("pg", {"dsn": postgres.url(postgres_database)}) for _ in range(6)]
    one = Collection("vs_race", DIMENSION)
    await asyncio.gather(*[index.create(one) for index in indexes])
    await asyncio.gather(*[index.put(one, [chunk("a")]) for index in indexes])
    assert await indexes[0].count(one) == 1
    await asyncio.gather(*[index.aclose() for index in indexes])


# --- over time -----------------------------------------------------------------------------------------------------
async def test_it_goes_on_after_the_server_was_started_again() -> None:
    folder = Path(tempfile.mkdtemp(prefix="antiphon-postgres-"))
    server = PostgresProcess(folder)
    server.start()
    index = PgvectorIndex("pg", {"dsn": server.postgres.url()})
    one = Collection("vs_restart", DIMENSION)
    try:
        await index.create(one)
        await index.put(one, [chunk("a")])
        server.stop()
        assert "there is no connection" in await refused(index.count(one))
        assert "there is no connection" in await refused(index.keyword(one, "text", 5))
        server.start()
        assert names(await index.keyword(one, "text", 5)) == ["a"]
        assert await asyncio.gather(*[index.count(one) for _ in range(30)]) == [1] * 30
    finally:
        await index.aclose()
        server.stop()
        shutil.rmtree(folder)


async def test_a_collection_that_another_server_made_anew_is_found(
    index: PgvectorIndex, postgres: Postgres, postgres_module_database: str
) -> None:
    other = PgvectorIndex("pg", {"dsn": postgres.url(postgres_module_database)})
    async with made(index, chunk("a")) as one:
        assert await other.count(one) == 1
        await index.drop(one)
        assert "has no collection" in await refused(other.count(one))
        await index.create(one)
        await index.put(one, [chunk("b"), chunk("c")])
        assert await other.count(one) == 2
        await index.drop(one)
        await index.create(one)
        assert await other.count(one) == 0
    await other.aclose()


async def test_a_busy_pool_serves_all_in_turn(postgres: Postgres, postgres_module_database: str) -> None:
    dsn = postgres.url(postgres_module_database)
    index = PgvectorIndex("pg", {"dsn": dsn}, pool_size=2)
    async with made(index, *[chunk(f"n{number}") for number in range(20)]) as one:
        found = await asyncio.gather(*[index.nearest(one, chunk("n3").vector, 1) for _ in range(200)])
        assert {names(hits)[0] for hits in found} == {"n3"}
    await index.aclose()


# --- the index of vectors ------------------------------------------------------------------------------------------
async def used(postgres: Postgres, database: str) -> dict[str, int]:
    """How often each index of vectors was looked into."""
    connection = await asyncpg.connect(postgres.url(database))
    try:
        rows = await connection.fetch(
            "SELECT indexrelname, idx_scan FROM pg_stat_user_indexes WHERE indexrelname LIKE 'vectors_%'"
        )
    finally:
        await connection.close()
    return {row[0]: row[1] for row in rows}


async def test_a_large_collection_is_searched_by_its_index_and_loses_no_row_to_a_filter(
    postgres: Postgres, postgres_database: str
) -> None:
    index = PgvectorIndex("pg", {"dsn": postgres.url(postgres_database)}, exact_floats=DIMENSION * 400)
    chunks = [
        replace(chunk(f"n{number}"), attributes={"third": float(number % 3), "rare": number % 300 == 0})
        for number in range(1_500)
    ]
    asked = [random_vector(Random(seed), DIMENSION) for seed in range(20)]
    async with made(index, *chunks) as one:
        for where, passing in (
            (None, chunks),
            (Comparison("third", "eq", 1.0), [each for each in chunks if each.attributes["third"] == 1.0]),
            (Comparison("rare", "eq", value=True), [each for each in chunks if each.attributes["rare"]]),
        ):
            hits = found = 0
            for vector in asked:
                best = sorted(passing, key=lambda each: -cosine(each.vector, vector))[:10]
                got = await index.nearest(one, vector, 10, where)
                assert len(got) == min(10, len(passing))
                assert all(where is None or holds(where, hit.chunk.attributes) for hit in got)
                hits += len({hit.chunk.id for hit in got} & {each.id for each in best})
                found += len(best)
            assert hits >= 0.98 * found
        assert len(await index.nearest(one, asked[0], 1_000, Comparison("third", "ne", 1.0))) == 1_000
        async with asyncio.timeout(20):  # a connection tells what it used when it was idle for a moment
            while [count < 20 for count in (await used(postgres, postgres_database)).values()] != [False]:
                assert await index.count(one) == len(chunks)
    await index.aclose()


@pytest.mark.parametrize(("dimension", "indexed"), [(2_001, True), (4_001, False), (16_000, False)])
async def test_long_vectors_are_indexed_by_halves_or_not_at_all(
    dimension: int, indexed: bool, postgres: Postgres, postgres_database: str
) -> None:
    index = PgvectorIndex("pg", {"dsn": postgres.url(postgres_database)}, exact_floats=1)
    chunks = [
        replace(chunk(f"n{number}"), vector=random_vector(Random(number), dimension)) for number in range(12)
    ]
    async with made(index, *chunks, dimension=dimension) as one:
        assert bool(await used(postgres, postgres_database)) == indexed
        hits = await index.nearest(one, chunks[7].vector, 5)
        order = sorted(chunks, key=lambda each: -cosine(each.vector, chunks[7].vector))
        assert [hit.chunk.id for hit in hits] == [each.id for each in order[:5]]
        assert abs(hits[0].score - 1) < 1e-4
        assert (await index.chunks(one, None, None, 1))[0].vector == chunks[0].vector
    await index.aclose()


async def test_vectors_that_are_too_long_are_refused(index: PgvectorIndex) -> None:
    with pytest.raises(EmbeddingMismatch, match="16000"):
        await index.create(Collection("vs_long", 16_001))


# --- texts ---------------------------------------------------------------------------------------------------------
async def test_texts_with_zero_characters_are_kept_and_ordered(index: PgvectorIndex) -> None:
    values = [
        "",
        "\x00",
        "\x00\x00",
        "\x00\x01",
        "\x01",
        "\x01\x00",
        "\x01\x01",
        "\x01\x02",
        "\x02",
        "a\x00",
        "a",
    ]
    chunks = [
        replace(chunk(f"n{at}\x00\x01", f"te\x00xt \x01{value}"), attributes={"k\x00": value, "\x01": True})
        for at, value in enumerate(values)
    ]
    async with made(index, *chunks) as one:
        kept = {each.id: plain(each) for each in await index.chunks(one, None, None, 100)}
        assert kept == {each.id: plain(each) for each in chunks}
        for value in values:
            for sign in ("gt", "gte", "lt", "lte", "eq", "ne"):
                where = Comparison("k\x00", sign, value)
                right = {each.id for each in chunks if holds(where, each.attributes)}
                hits = await index.nearest(one, chunks[0].vector, 100, where)
                assert {hit.chunk.id for hit in hits} == right, where


async def test_a_rare_word_outweighs_a_frequent_one_and_frequency_counts(index: PgvectorIndex) -> None:
    texts = {
        "once": "zebra and some other words that fill the text a bit",
        "often": "zebra zebra zebra and other words that fill the text",
        "rare": "quokka and some other words that fill the text a bit",
    }
    filling = [chunk(f"n{number}", f"the zebra of number {number} in words") for number in range(20)]
    async with made(index, *filling, *[chunk(name, text) for name, text in texts.items()]) as one:
        hits = names(await index.keyword(one, "zebra quokka", 30))
        assert hits[:2] == ["rare", "often"]
        assert len(hits) == 23


async def test_a_new_word_is_found_at_once_in_a_large_collection(index: PgvectorIndex) -> None:
    chunks = [chunk(f"n{number}", f"common ground of number {number}") for number in range(2_100)]
    async with made(index, *chunks) as one:
        assert names(await index.keyword(one, "quokka", 5)) == []
        assert len(await index.keyword(one, "common n7 quokka number 1999", 5)) == 5
        await index.put(one, [chunk("new", "a quokka on common ground")])
        assert names(await index.keyword(one, "common quokka", 1)) == ["new"]
        assert len(await index.keyword(one, "common quokka", 50)) == 50
