"""What only the indexes in SQLite files promise: files, damage, durability, bounds, and searches at size."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from antiphon.core.errors import IndexUnavailable
from antiphon.core.filters import Comparison, Scalar
from antiphon.core.vectors import packed, unpacked
from antiphon.indexes import collection_search
from antiphon.indexes.faiss import FaissIndex
from antiphon.indexes.sqlite_filters import Condition, stored
from antiphon.indexes.sqlite_vec import SqliteVecIndex
from antiphon.ports.knowledge import Chunk, Collection
from antiphon.testing.index_contract import DIMENSION, chunk, every, names, refused
from antiphon.testing.index_samples import cosine, random_vector

A = Collection("vs_a", DIMENSION)
B = Collection("vs_b", DIMENSION)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "vector_stores"


@pytest.fixture
async def index(folder: Path) -> AsyncIterator[SqliteVecIndex]:
    index = SqliteVecIndex(folder)
    yield index
    await index.aclose()


def open_files(index: SqliteVecIndex) -> int:
    return len(index._files._open)  # pyright: ignore[reportPrivateUsage]


def in_memory(index: FaissIndex) -> list[str]:
    return list(index._loaded)  # pyright: ignore[reportPrivateUsage]


def listed(folder: Path) -> dict[str, int]:
    """The files of a folder, with who may use them; none where it is not there."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in sorted(folder.glob("*"))}


# --- files ----------------------------------------------------------------------------------------------------
async def test_only_the_owner_reads_the_files(index: SqliteVecIndex, folder: Path) -> None:
    await index.create(A)
    await index.put(A, [chunk("a")])
    assert listed(folder) == {"vs_a.db": 0o600, "vs_a.db-shm": 0o600, "vs_a.db-wal": 0o600}
    assert listed(folder.parent) == {"vector_stores": 0o700}


async def test_dropping_removes_every_file_of_the_collection(index: SqliteVecIndex, folder: Path) -> None:
    for one in (A, B):
        await index.create(one)
        await index.put(one, [chunk("a")])
    await index.drop(A)
    assert {name.partition(".")[0] for name in listed(folder)} == {"vs_b"}
    await index.aclose()
    assert list(listed(folder)) == ["vs_b.db"]


async def test_without_a_folder_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    index = SqliteVecIndex(None)
    assert listed(tmp_path) == {}
    await index.create(A)
    await index.put(A, [chunk("a")])
    (kept,) = listed(tmp_path)
    assert "vs_a.db" in listed(tmp_path / kept)
    await index.aclose()
    assert listed(tmp_path) == {}


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "a/b", "/etc/passwd", "a\0b", "a.db", ".x", "a b", "ä", "x" * 129, "a\n"]
)
async def test_an_id_that_is_none_of_ours_names_no_file(
    index: SqliteVecIndex, folder: Path, name: str
) -> None:
    for call in (index.create(Collection(name)), index.count(Collection(name)), index.drop(Collection(name))):
        with pytest.raises(ValueError, match="is no id of ours"):
            await call
    assert listed(folder) == {}


async def test_a_link_in_the_place_of_a_file_is_not_followed(
    index: SqliteVecIndex, folder: Path, tmp_path: Path
) -> None:
    await index.create(B)
    (tmp_path / "target").write_bytes(b"mine")
    (folder / "vs_a.db").symlink_to(tmp_path / "target")
    assert isinstance(await refused(index.create(A)), IndexUnavailable)
    assert isinstance(await refused(index.count(A)), IndexUnavailable)
    assert (tmp_path / "target").read_bytes() == b"mine"


async def test_few_files_are_open_however_many_there_are(folder: Path) -> None:
    index = SqliteVecIndex(folder, max_open=2)
    collections = [Collection(f"vs_{number}", DIMENSION) for number in range(9)]
    await asyncio.gather(*[index.create(one) for one in collections])
    await asyncio.gather(*[index.put(one, [chunk(one.id)]) for one in collections])
    assert open_files(index) <= 2
    found = await asyncio.gather(*[index.keyword(one, "text", 5) for one in collections])
    assert [names(hits) for hits in found] == [[one.id] for one in collections]
    assert open_files(index) <= 2
    await index.aclose()
    assert len(listed(folder)) == 9


async def test_dropping_and_creating_at_once_leaves_one_that_works(index: SqliteVecIndex) -> None:
    for _ in range(5):
        await asyncio.gather(
            *[work(A) for work in (index.create, index.drop, index.create) for _ in range(3)]
        )
        await index.put(A, [chunk("a")])
        assert names(await index.keyword(A, "text", 5)) == ["a"]
        await index.drop(A)


async def test_who_asks_while_it_closes_gets_an_answer_or_is_told(folder: Path) -> None:
    index = SqliteVecIndex(folder, max_open=1)
    for one in (A, B):
        await index.create(one)
        await index.put(one, [chunk("a")])
    asked = [refused(index.count(one)) for one in (A, B) * 20]
    told = await asyncio.gather(*asked[:20], index.aclose(), *asked[20:])
    assert all(one is None or isinstance(one, IndexUnavailable) for one in told)


# --- damage ---------------------------------------------------------------------------------------------------
def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwrite(path: Path) -> None:
    path.write_bytes(b"no database at all " * 3_000)


def scribble(path: Path) -> None:
    with path.open("r+b") as file:
        for at in range(8192, path.stat().st_size, 8192):
            file.seek(at)
            file.write(b"\xff" * 600)


def another_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()


def newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize("damage", [cut_off, overwrite, scribble, another_program, newer])
async def test_a_damaged_file_is_unavailable_and_harms_no_other(folder: Path, damage: object) -> None:
    index = SqliteVecIndex(folder)
    for one in (A, B):
        await index.create(one)
        await index.put(one, [chunk(f"n{number}", "some words") for number in range(200)])
    await index.aclose()
    assert callable(damage)
    damage(folder / "vs_a.db")
    index = SqliteVecIndex(folder)
    for call in (index.keyword(A, "words", 5), index.nearest(A, chunk("n1").vector, 5)):
        error = await refused(call)
        assert isinstance(error, IndexUnavailable)
        assert "vs_a.db" in error.message or "newer version" in error.message
        assert str(folder) not in error.message
    assert isinstance(await refused(index.put(A, [chunk("b")])), IndexUnavailable)
    assert len(await index.keyword(B, "words", 5)) == 5
    await index.drop(A)
    await index.create(A)
    assert await index.count(A) == 0
    await index.aclose()


async def test_a_file_that_was_never_made_whole_is_finished_by_creating_it(
    index: SqliteVecIndex, folder: Path
) -> None:
    await index.create(B)
    (folder / "vs_a.db").touch()
    assert isinstance(await refused(index.put(A, [chunk("a")])), IndexUnavailable)
    await index.create(A)
    await index.put(A, [chunk("a")])
    assert await index.count(A) == 1


_PUT_AND_HANG = """
import asyncio, sys
from pathlib import Path
from antiphon.indexes.sqlite_vec import SqliteVecIndex
from antiphon.testing.index_contract import chunk
from antiphon.ports.knowledge import Collection

async def main():
    index, a = SqliteVecIndex(Path(sys.argv[1])), Collection("vs_a", 8)
    await index.create(a)
    for number in range(30):
        await index.put(a, [chunk(f"n{number}-{of}", "words") for of in range(5)])
        print(number, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def killed(folder: Path, after: int) -> int:
    """The number of the last put that was seen to be done before the process was killed, `after` or later."""
    with subprocess.Popen(
        [sys.executable, "-c", _PUT_AND_HANG, str(folder)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        done = -1
        while done < after:
            done = int(child.stdout.readline())
        child.kill()
    return done


@pytest.mark.parametrize("after", [0, 17])
async def test_kill_9_right_after_a_put_loses_nothing_and_leaves_no_half(folder: Path, after: int) -> None:
    done = killed(folder, after)
    index = SqliteVecIndex(folder)
    count = await index.count(A)
    assert count >= 5 * (done + 1)
    assert count % 5 == 0
    hits = await index.keyword(A, "words", 1_000)
    assert (
        len({hit.chunk.id for hit in hits})
        == len(await index.nearest(A, chunk("n0-0").vector, 1_000))
        == count
    )
    await index.aclose()


async def test_two_servers_may_use_the_same_files(folder: Path) -> None:
    one, other = SqliteVecIndex(folder), FaissIndex(folder)
    await one.create(A)
    await one.put(A, [chunk("a"), chunk("b")])
    assert names(await other.nearest(A, chunk("a").vector, 1)) == ["a"]
    await one.put(A, [replace(chunk("b"), vector=chunk("c").vector), chunk("d", file="file-d")])
    assert names(await other.nearest(A, chunk("c").vector, 1)) == ["b"]
    assert names(await other.nearest(A, chunk("d").vector, 1)) == ["d"]
    await one.remove_file(A, "file-d")
    assert sorted(names(await other.nearest(A, chunk("d").vector, 9))) == ["a", "b"]
    await asyncio.gather(*[each.put(A, [chunk(f"x{n}")]) for n in range(20) for each in (one, other)])
    assert await one.count(A) == await other.count(A) == 22
    await one.aclose()
    await other.aclose()


# --- at size --------------------------------------------------------------------------------------------------
async def test_codes_find_nearly_all_of_the_nearest(
    index: SqliteVecIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 3,000 in 100 crowds, as texts crowd around subjects; 160 are compared."""
    monkeypatch.setattr(collection_search, "EXACT_CHUNKS", 100)
    monkeypatch.setattr(collection_search, "CANDIDATES", 160)
    chance, dimension = Random(3), 64
    middles = [unpacked(random_vector(chance, dimension)) for _ in range(100)]

    def near(middle: int) -> bytes:
        numbers = [
            a + 0.6 * b
            for a, b in zip(middles[middle], unpacked(random_vector(chance, dimension)), strict=True)
        ]
        length = sum(number * number for number in numbers) ** 0.5
        return packed([number / length for number in numbers])

    chunks = [Chunk(str(n), "file", n, "text", vector=near(n % 100)) for n in range(3_000)]
    collection = Collection("vs_large", dimension)
    await index.create(collection)
    await index.put(collection, chunks)
    found = 0
    for number in range(20):
        asked = near(number)
        least = sorted((cosine(one.vector, asked) for one in chunks), reverse=True)[9]
        hits = await index.nearest(collection, asked, 10)
        found += sum(hit.score >= least - 1e-6 for hit in hits)
    assert found >= 0.98 * 200


async def filled_with_frequent_words(index: SqliteVecIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """400 chunks that all hold `common` and every other one `usual`; two hold `rare`. Few places are scored."""
    monkeypatch.setattr(collection_search, "SCORED", 20)
    monkeypatch.setattr(collection_search, "SCORED_ALONE", 300)
    chunks = [
        replace(
            chunk(
                f"n{n}", f"common word {'usual' if n % 2 else ''} of {'rare' if n in (7, 8) else n}", number=n
            ),
            attributes={"n": float(n)},
        )
        for n in range(400)
    ]
    await index.create(A)
    await index.put(A, chunks)


async def test_frequent_words_weigh_what_rare_words_found(
    index: SqliteVecIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled_with_frequent_words(index, monkeypatch)
    assert names(await index.keyword(A, "rare common", 2)) == ["n8", "n7"]  # the shorter one
    monkeypatch.setattr(collection_search, "SCORED_ALONE", 190)
    for one in ("rare usual", "usual common rare"):
        assert set(names(await index.keyword(A, one, 2))) == {"n7", "n8"}


async def test_frequent_words_fill_up_what_rare_words_leave(
    index: SqliteVecIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled_with_frequent_words(index, monkeypatch)
    hits = await index.keyword(A, "rare common", 30)
    assert set(names(hits)[:2]) == {"n7", "n8"}
    assert len(set(names(hits))) == 30
    assert [hit.score for hit in hits[2:]] == [0.0] * 28
    few = Comparison("n", "in", (300.0, 301.0, 303.0))
    assert sorted(names(await index.keyword(A, "rare common", 10, few))) == ["n300", "n301", "n303"]
    both = names(await index.keyword(A, "common usual", 200))
    assert len(both) == 200
    assert len(await index.keyword(A, "common", 400)) == 400


async def test_a_word_that_came_or_went_since_it_was_counted_is_found_or_not(
    index: SqliteVecIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts are kept until a collection has changed by a tenth."""
    await filled_with_frequent_words(index, monkeypatch)
    assert names(await index.keyword(A, "late common", 1)) != ["late"]
    await index.put(A, [chunk("late", "late", file="file-late")])
    assert names(await index.keyword(A, "late common", 1)) == ["late"]
    assert names(await index.keyword(A, "late", 5)) == ["late"]
    await index.remove_file(A, "file-late")
    assert names(await index.keyword(A, "late", 5)) == []


async def test_a_collection_that_shrank_is_still_searched_by_what_was_counted(
    index: SqliteVecIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled_with_frequent_words(index, monkeypatch)
    await index.put(A, [chunk(f"more{n}", "common rare", file="file-more") for n in range(10)])
    assert len(await index.keyword(A, "rare common", 20)) == 20
    await index.remove_file(A, "file-more")
    assert set(names(await index.keyword(A, "rare common", 2))) == {"n7", "n8"}


async def test_a_removed_file_leaves_no_attributes_behind(index: SqliteVecIndex, folder: Path) -> None:
    await index.create(A)
    await index.put(A, [replace(chunk("a"), attributes={"x": 1.0, "y": "two"})])
    await index.set_attributes(A, "file-a", {"x": 2.0})
    await index.remove_file(A, "file-a")
    await index.aclose()
    with sqlite3.connect(folder / "vs_a.db") as connection:
        for table in ("attribute_sets", "attribute_values", "codes", "vectors", "chunks"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)  # noqa: S608
    connection.close()


# --- FAISS ----------------------------------------------------------------------------------------------------
async def test_the_text_of_a_removed_file_is_not_on_the_disk_any_more(
    index: SqliteVecIndex, folder: Path
) -> None:
    await index.create(A)
    for name in ("keep", "drop"):
        made = [chunk(f"{name}{number}", file=name, text=f"{name} CANARY " * 200) for number in range(50)]
        await index.put(A, made)
    await index.remove_file(A, "drop")
    await index.aclose()
    kept = (folder / "vs_a.db").read_bytes()
    assert b"keep CANARY" in kept
    assert b"drop CANARY" not in kept


async def test_what_does_not_fit_into_memory_is_searched_without_it(folder: Path) -> None:
    index = FaissIndex(folder, memory_bytes=3 * 4 * DIMENSION)
    for one in (A, B):
        await index.create(one)
        await index.put(one, [chunk(f"{one.id}{number}") for number in range(2)])
        assert len(await index.nearest(one, chunk("x").vector, 9)) == 2
    assert in_memory(index) == ["vs_b"]  # there is room for one
    await index.put(B, [chunk(f"more{number}") for number in range(9)])
    assert len(await index.nearest(B, chunk("x").vector, 99)) == 11
    assert await every(index, B, page=4) == await every(index, B)
    await index.drop(B)
    assert in_memory(index) == []
    await index.aclose()


async def test_a_file_that_is_made_anew_is_not_taken_for_the_old_one(folder: Path) -> None:
    """Another server dropped the collection, and made one of the same id."""
    index, other = FaissIndex(folder), SqliteVecIndex(folder)
    await index.create(A)
    await index.put(A, [chunk("old")])
    assert names(await index.nearest(A, chunk("new").vector, 5)) == ["old"]
    await index.aclose()
    loaded = index._loaded  # pyright: ignore[reportPrivateUsage]
    await other.drop(A)
    await other.create(A)
    await other.put(A, [chunk("new")])
    index = FaissIndex(folder)
    index._loaded = loaded  # pyright: ignore[reportPrivateUsage]
    assert names(await index.nearest(A, chunk("new").vector, 5)) == ["new"]
    await index.aclose()
    await other.aclose()


# --- filters --------------------------------------------------------------------------------------------------
def test_values_that_an_array_cannot_hold_are_bound_one_by_one() -> None:
    values = ("a\0b", True, 2**60, 2**70, "plain", 1.5, 3)
    condition = Condition(Comparison("k", "in", values))
    alone = {value for value in condition.bindings.values() if isinstance(value, str | int | float)}
    assert alone == {"k", "a\0b", 1, 2**60}
    assert stored(2**70) == (1, float(2**70))
    assert stored(value=True) == (2, 1)


async def test_odd_values_are_told_apart_too(index: SqliteVecIndex) -> None:
    values: list[Scalar] = ["a\0b", "a\0c", "a", 2**60, 2**60 + 1, float(2**53), 2**53 + 1]
    await index.create(A)
    await index.put(A, [replace(chunk(f"n{at}"), attributes={"k": value}) for at, value in enumerate(values)])
    for at, value in enumerate(values):
        for operator in ("eq", "in"):
            where = Comparison("k", operator, (value,) if operator == "in" else value)
            assert names(await index.nearest(A, chunk("n0").vector, 9, where)) == [f"n{at}"]
