"""What every `VectorIndex` promises, as tests. Subclass `VectorIndexContract`, give it a fixture `index`, and say how
to open the same data again.

    class TestMine(VectorIndexContract):
        @pytest.fixture
        async def index(self, tmp_path: Path) -> AsyncIterator[VectorIndex]:
            index = MyIndex(tmp_path)
            yield index
            await index.aclose()

        async def reopened(self, index: VectorIndex) -> VectorIndex:
            await index.aclose()
            return MyIndex(self.path)

As `store_contract`, which says more. Each test has collections of its own, so that one database may serve them all.
"""

import asyncio
import json
import math
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

from antiphon.core.errors import AntiphonError, EmbeddingMismatch, IndexUnavailable, InvalidRequest
from antiphon.core.filters import Attributes, Comparison, holds
from antiphon.core.vectors import packed, unpacked
from antiphon.ports.knowledge import Chunk, Collection, Hit, VectorIndex
from antiphon.testing.index_samples import (
    ODD_QUERIES,
    ODD_TEXTS,
    VALUES,
    cosine,
    random_attributes,
    random_filter,
    random_vector,
)

DIMENSION = 8
NO_VECTOR = 0


def chunk(
    name: str, text: str = "", *, file: str = "file-a", number: int = 0, seed: int | None = None
) -> Chunk:
    """A chunk of a collection with vectors; its own name is one of its words. Same name, same vector."""
    vector = random_vector(Random(name if seed is None else seed), DIMENSION)
    return Chunk(f"chunk_{name}", file, number, text or f"the {name} text", vector=vector)


def wordy(name: str, text: str = "", *, file: str = "file-a", number: int = 0) -> Chunk:
    """A chunk of a collection without vectors."""
    return replace(chunk(name, text, file=file, number=number), vector=b"")


@asynccontextmanager
async def made(index: VectorIndex, *chunks: Chunk, dimension: int = DIMENSION) -> AsyncGenerator[Collection]:
    """A new collection with these chunks; dropped in the end."""
    collection = Collection("vs_" + secrets.token_hex(16), dimension)
    await index.create(collection)
    if chunks:
        await index.put(collection, chunks)
    yield collection
    await index.drop(collection)


async def every(index: VectorIndex, collection: Collection, *, page: int = 1000) -> list[Chunk]:
    """All chunks, page by page."""
    found: list[Chunk] = []
    while True:
        more = await index.chunks(collection, None, found[-1].id if found else None, page)
        if not more:
            return found
        found += more


def names(hits: Sequence[Hit]) -> list[str]:
    return [hit.chunk.id.removeprefix("chunk_") for hit in hits]


def plain(one: Chunk) -> tuple[object, ...]:
    """A chunk without its vector, its values with their kinds, as 1, 1.0, "1" and true are told apart."""
    kinds = sorted((key, _kind(value), value) for key, value in one.attributes.items())
    return (one.id, one.file_id, one.number, one.text, one.context, kinds, json.loads(one.metadata))


def _kind(value: object) -> str:
    return "boolean" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


def same_vectors(one: bytes, other: bytes) -> bool:
    """Whether two vectors agree within what making one to length 1 again may change."""
    if len(one) != len(other):
        return False
    return all(abs(a - b) <= 1e-6 for a, b in zip(unpacked(one), unpacked(other), strict=True))


async def refused(call: Awaitable[object]) -> AntiphonError | None:
    try:
        await call
    except AntiphonError as error:
        return error
    return None


class VectorIndexContract(ABC):
    """The promises. Test names are the sentences that are false when they fail."""

    @abstractmethod
    async def reopened(self, index: VectorIndex) -> VectorIndex:
        """Close it, and open the same data again. The test closes what this gives."""

    # --- keeping ---------------------------------------------------------------------------------------------
    async def test_what_was_put_is_what_is_got(self, index: VectorIndex) -> None:
        one = replace(
            chunk("a", "Some text.\n\nIn lines.", number=7),
            context="About things.",
            attributes={"author": "Ann", "year": 2024.0, "draft": False, "rating": 0.1},
            metadata=b'{"start":0,"end":22,"page":3,"headings":["One","Two"],"more":{"a":[1,null]}}',
        )
        async with made(index, one) as collection:
            (found,) = await every(index, collection)
            assert plain(found) == plain(one)
            assert same_vectors(found.vector, one.vector)

    async def test_creating_again_keeps_what_is_there(self, index: VectorIndex) -> None:
        async with made(index, chunk("a")) as collection:
            await index.create(collection)
            assert await index.count(collection) == 1

    async def test_putting_the_same_again_changes_nothing(self, index: VectorIndex) -> None:
        chunks = [chunk(f"n{number}", number=number) for number in range(5)]
        async with made(index, *chunks) as collection:
            await index.put(collection, chunks)
            assert [plain(one) for one in await every(index, collection)] == [plain(one) for one in chunks]
            assert await index.count(collection) == 5

    async def test_putting_an_id_again_replaces_all_of_it(self, index: VectorIndex) -> None:
        old = replace(chunk("a", "an old word"), context="before", attributes={"x": 1.0, "gone": True})
        new = replace(
            chunk("a", "a fresh word", file="file-b", number=3, seed=99),
            attributes={"x": "one"},
            metadata=b'{"v":2}',
        )
        async with made(index, old, chunk("b", number=1)) as collection:
            await index.put(collection, [new])
            found = await index.chunks(collection, "file-b", None, 10)
            assert [plain(one) for one in found] == [plain(new)]
            assert same_vectors(found[0].vector, new.vector)
            assert await index.count(collection) == 2
            assert names(await index.keyword(collection, "old before", 10)) == []
            assert names(await index.keyword(collection, "fresh", 10)) == ["a"]
            assert names(await index.nearest(collection, new.vector, 1)) == ["a"]
            assert (
                names(await index.nearest(collection, old.vector, 9, Comparison("gone", "eq", value=True)))
                == []
            )

    async def test_an_id_that_is_twice_in_one_put_is_kept_once_and_as_it_is_last(
        self, index: VectorIndex
    ) -> None:
        async with made(index, chunk("a", "first"), chunk("b"), chunk("a", "second")) as collection:
            assert sorted(one.text for one in await every(index, collection)) == ["second", "the b text"]

    async def test_putting_nothing_is_fine(self, index: VectorIndex) -> None:
        async with made(index) as collection:
            await index.put(collection, [])
            assert await index.count(collection) == 0

    async def test_odd_text_ids_and_metadata_come_back_as_they_were(self, index: VectorIndex) -> None:
        chunks = [
            replace(
                chunk(f"{number} {odd}", odd, file=f"file {odd}"),
                context=odd,
                attributes={odd[:40]: odd},
                metadata=json.dumps({"odd": odd}).encode(),
            )
            for number, odd in enumerate(ODD_TEXTS)
        ]
        async with made(index, *chunks) as collection:
            for one in chunks:
                found = await index.chunks(collection, one.file_id, None, 10)
                assert [plain(each) for each in found] == [plain(one)]

    async def test_a_long_text_comes_back_whole(self, index: VectorIndex) -> None:
        one = chunk("a", "needle " + "many words of a long text " * 4_000)
        async with made(index, one) as collection:
            assert (await every(index, collection))[0].text == one.text
            assert names(await index.keyword(collection, "needle", 5)) == ["a"]

    async def test_a_vector_of_another_size_is_refused_and_nothing_is_put(self, index: VectorIndex) -> None:
        wrong = replace(chunk("b"), vector=packed([1.0, 0.0]))
        async with made(index) as collection:
            for bad in (wrong, replace(wrong, vector=b"")):
                assert isinstance(await refused(index.put(collection, [chunk("a"), bad])), EmbeddingMismatch)
            assert isinstance(await refused(index.nearest(collection, wrong.vector, 5)), EmbeddingMismatch)
            assert await index.count(collection) == 0

    # --- removing --------------------------------------------------------------------------------------------
    async def test_removing_a_file_removes_all_its_chunks_and_no_other(self, index: VectorIndex) -> None:
        mine = [chunk(f"a{number}", "shared words", file="file-a", number=number) for number in range(30)]
        other = chunk("b", "shared words", file="file-b")
        async with made(index, *mine, other) as collection:
            await index.remove_file(collection, "file-a")
            assert names(await index.keyword(collection, "shared", 100)) == ["b"]
            assert names(await index.nearest(collection, mine[0].vector, 100)) == ["b"]
            assert [plain(one) for one in await every(index, collection)] == [plain(other)]
            assert await index.count(collection) == 1

    async def test_removing_a_file_that_is_not_there_is_fine(self, index: VectorIndex) -> None:
        async with made(index, chunk("a")) as collection:
            await index.remove_file(collection, "file-none")
            await index.remove_file(collection, "")
            assert await index.count(collection) == 1

    async def test_what_was_removed_may_be_put_again(self, index: VectorIndex) -> None:
        one = chunk("a", "words")
        async with made(index, one) as collection:
            await index.remove_file(collection, one.file_id)
            await index.put(collection, [one])
            assert names(await index.keyword(collection, "words", 5)) == ["a"]
            assert names(await index.nearest(collection, one.vector, 5)) == ["a"]

    async def test_a_dropped_collection_is_unavailable_and_empty_when_made_anew(
        self, index: VectorIndex
    ) -> None:
        async with made(index, chunk("a")) as collection:
            await index.drop(collection)
            assert isinstance(await refused(index.put(collection, [chunk("b")])), IndexUnavailable)
            assert isinstance(await refused(index.keyword(collection, "text", 5)), IndexUnavailable)
            assert isinstance(
                await refused(index.nearest(collection, chunk("a").vector, 5)), IndexUnavailable
            )
            assert isinstance(await refused(index.chunks(collection, None, None, 5)), IndexUnavailable)
            assert isinstance(await refused(index.count(collection)), IndexUnavailable)
            assert isinstance(await refused(index.remove_file(collection, "file-a")), IndexUnavailable)
            await index.drop(collection)
            await index.create(collection)
            assert await index.count(collection) == 0
            assert names(await index.keyword(collection, "text", 5)) == []

    async def test_dropping_what_never_was_is_fine(self, index: VectorIndex) -> None:
        await index.drop(Collection("vs_" + secrets.token_hex(16), DIMENSION))

    async def test_collections_do_not_see_one_another(self, index: VectorIndex) -> None:
        async with made(index, chunk("a", "mine")) as mine, made(index, chunk("a", "theirs")) as theirs:
            assert names(await index.keyword(mine, "theirs", 5)) == []
            await index.remove_file(theirs, "file-a")
            assert (await every(index, mine))[0].text == "mine"
            assert await index.count(theirs) == 0

    # --- pages -----------------------------------------------------------------------------------------------
    async def test_pages_of_chunks_are_in_order_whatever_the_order_of_puts(self, index: VectorIndex) -> None:
        files = ("file-b", "file-a", "File-c", "file-ä", "file-a/1")
        chunks = [
            chunk(f"{file}{number}{letter}", file=file, number=number)
            for file in files
            for number in (10, 9, 0)
            for letter in "bA"
        ]
        Random(5).shuffle(chunks)
        ordered = sorted(chunks, key=lambda one: (one.file_id, one.number, one.id))
        async with made(index) as collection:
            for one in chunks:
                await index.put(collection, [one])
            for page in (1, 4, 7, 1000):
                assert [one.id for one in await every(index, collection, page=page)] == [
                    one.id for one in ordered
                ]
            alone = [one for one in ordered if one.file_id == "file-a"]
            found = await index.chunks(collection, "file-a", None, 4)
            assert [plain(one) for one in found] == [plain(one) for one in alone[:4]]
            found = await index.chunks(collection, "file-a", found[-1].id, 4)
            assert [plain(one) for one in found] == [plain(one) for one in alone[4:]]

    async def test_chunks_of_a_file_that_is_not_there_are_none(self, index: VectorIndex) -> None:
        async with made(index, chunk("a")) as collection:
            assert list(await index.chunks(collection, "file-none", None, 10)) == []

    async def test_a_page_behind_a_chunk_that_is_not_there_is_refused(self, index: VectorIndex) -> None:
        async with made(index, chunk("a")) as collection:
            for file_id in (None, "file-a"):
                error = await refused(index.chunks(collection, file_id, "chunk_none", 10))
                assert isinstance(error, InvalidRequest)
                assert error.param == "after"

    # --- keywords --------------------------------------------------------------------------------------------
    async def test_words_find_the_chunks_that_hold_them_best_first(self, index: VectorIndex) -> None:
        filling = [chunk(f"n{number}", f"filling number {number} of the shelf") for number in range(30)]
        both = chunk("both", "The zebra met a walrus.")
        one = chunk("one", "A zebra stood there, and nothing else was to be seen for many hours.")
        async with made(index, *filling, one, both) as collection:
            hits = await index.keyword(collection, "Zebra, walrus?", 10)
            assert names(hits) == ["both", "one"]
            assert hits[0].score > hits[1].score > 0
            assert plain(hits[0].chunk) == plain(both)

    async def test_a_word_that_no_chunk_holds_finds_nothing(self, index: VectorIndex) -> None:
        async with made(index, chunk("a", "Some text")) as collection:
            assert list(await index.keyword(collection, "quokka", 10)) == []

    async def test_words_of_the_context_are_found_too(self, index: VectorIndex) -> None:
        async with made(index, replace(chunk("a", "It grew."), context="On revenue.")) as collection:
            (hit,) = await index.keyword(collection, "revenue", 10)
            assert (hit.chunk.text, hit.chunk.context) == ("It grew.", "On revenue.")

    async def test_any_text_may_be_asked_for(self, index: VectorIndex) -> None:
        async with made(index, chunk("a", "An innocent text; near not or and.")) as collection:
            for text in ODD_QUERIES:
                for limit in (1, 50):
                    assert len(await index.keyword(collection, text, limit)) <= 1
            assert await index.count(collection) == 1

    async def test_a_text_without_words_finds_nothing(self, index: VectorIndex) -> None:
        async with made(index, chunk("a")) as collection:
            for text in ("", "  \n", "?!…", "\u0000", "\"'*:^()-+", "%_"):
                assert list(await index.keyword(collection, text, 5)) == []

    async def test_operators_of_query_languages_are_words(self, index: VectorIndex) -> None:
        texts = {"a": "alpha and beta", "b": "beta alone", "c": "body: gamma"}
        async with made(index, *[chunk(name, text) for name, text in texts.items()]) as collection:
            assert set(names(await index.keyword(collection, "alpha NOT beta", 5))) == {"a", "b"}
            assert names(await index.keyword(collection, 'id:x {body}:"gamma*', 5)) == ["c"]
            assert names(await index.keyword(collection, "gam*", 5)) == []
            assert set(names(await index.keyword(collection, "alpha & !beta | gamma", 5))) == {"a", "b", "c"}

    async def test_a_text_of_frequent_words_alone_finds_something(self, index: VectorIndex) -> None:
        texts = [f"this is the text of number {number}" for number in range(40)]
        chunks = [chunk(f"n{number}", text) for number, text in enumerate(texts)]
        async with made(index, *chunks) as collection:
            for text in ("the", "this is the", "what is this", "text of number"):
                assert len(await index.keyword(collection, text, 10)) == 10

    async def test_words_are_found_in_many_scripts(self, index: VectorIndex) -> None:
        texts = {
            "japanese": ("私は東京に住んでいます。", "東京"),
            "chinese": ("人工智能正在改变世界", "智能"),
            "korean": ("서울은 한국의 수도이다", "한국의"),
            "thai": ("ประเทศไทยอยู่ในเอเชีย", "ไทย"),
            "russian": ("Столица России — Москва.", "москва"),
            "greek": ("Αθήνα, η πρωτεύουσα", "πρωτεύουσα"),
            "arabic": ("القاهرة هي عاصمة مصر", "عاصمة"),
            "hebrew": ("ירושלים היא עיר הבירה", "הבירה"),
            "hindi": ("दिल्ली भारत की राजधानी है", "राजधानी"),
            "german": ("Die Straße führt nach Köln.", "straße"),
            "accents": ("Le café est fermé.", "café"),
        }
        async with made(index, *[chunk(name, text) for name, (text, _) in texts.items()]) as collection:
            for name, (_, asked) in texts.items():
                assert names(await index.keyword(collection, asked, 20)) == [name], name

    async def test_a_limit_of_words_holds(self, index: VectorIndex) -> None:
        chunks = [chunk(f"n{number}", "common ground", number=number) for number in range(1_050)]
        async with made(index, *chunks) as collection:
            for limit in (1, 10, 1_000):
                hits = await index.keyword(collection, "common", limit)
                assert len({hit.chunk.id for hit in hits}) == len(hits) == limit

    async def test_a_collection_without_vectors_is_searched_by_words(self, index: VectorIndex) -> None:
        async with made(index, wordy("a", "plain words"), dimension=NO_VECTOR) as collection:
            (hit,) = await index.keyword(collection, "plain", 5, Comparison("x", "ne", 1.0))
            assert plain(hit.chunk) == plain(wordy("a", "plain words"))
            assert [one.vector for one in await every(index, collection)] == [b""]
            assert isinstance(await refused(index.put(collection, [chunk("b")])), EmbeddingMismatch)
            await index.remove_file(collection, "file-a")
            assert await index.count(collection) == 0

    # --- vectors ---------------------------------------------------------------------------------------------
    async def test_the_nearest_come_first_with_their_cosine(self, index: VectorIndex) -> None:
        chunks = [chunk(f"n{number}") for number in range(60)]
        asked = random_vector(Random(1), DIMENSION)
        order = sorted(chunks, key=lambda one: -cosine(one.vector, asked))
        async with made(index, *chunks) as collection:
            for limit in (1, 10, 60, 1_000):
                hits = await index.nearest(collection, asked, limit)
                assert [hit.chunk.id for hit in hits] == [one.id for one in order[:limit]]
                for hit, one in zip(hits, order, strict=False):
                    assert abs(hit.score - cosine(one.vector, asked)) < 1e-4
                    assert plain(hit.chunk) == plain(one)

    async def test_an_opposite_vector_has_a_score_below_zero(self, index: VectorIndex) -> None:
        vector = packed([1.0, *[0.0] * (DIMENSION - 1)])
        opposite = packed([-1.0, *[0.0] * (DIMENSION - 1)])
        async with made(index, replace(chunk("a"), vector=opposite)) as collection:
            (hit,) = await index.nearest(collection, vector, 5)
            assert abs(hit.score + 1.0) < 1e-4

    async def test_a_vector_of_zeros_is_kept_and_harms_no_other(self, index: VectorIndex) -> None:
        zeros = bytes(4 * DIMENSION)
        async with made(index, replace(chunk("zero"), vector=zeros), chunk("a")) as collection:
            hits = await index.nearest(collection, chunk("a").vector, 5)
            assert names(hits)[0] == "a"
            assert all(
                math.isfinite(hit.score) for hit in [*hits, *await index.nearest(collection, zeros, 5)]
            )
            assert {one.id: one.vector for one in await every(index, collection)}["chunk_zero"] == zeros

    async def test_a_limit_of_vectors_holds(self, index: VectorIndex) -> None:
        chunks = [chunk(f"n{number}", number=number) for number in range(1_050)]
        async with made(index, *chunks) as collection:
            hits = await index.nearest(collection, chunks[0].vector, 1_000)
            assert len({hit.chunk.id for hit in hits}) == 1_000
            assert hits[0].chunk.id == chunks[0].id

    async def test_an_empty_collection_finds_nothing(self, index: VectorIndex) -> None:
        async with made(index) as collection:
            assert list(await index.nearest(collection, chunk("a").vector, 5)) == []
            assert list(await index.keyword(collection, "word", 5)) == []
            assert list(await index.chunks(collection, None, None, 5)) == []

    # --- filters ---------------------------------------------------------------------------------------------
    async def test_random_filters_pass_exactly_what_they_mean(self, index: VectorIndex) -> None:
        chance = Random(20_26)
        chunks = [
            replace(chunk(f"n{number}", "same words", number=number), attributes=random_attributes(chance))
            for number in range(80)
        ]
        reach = [0, 0]
        async with made(index, *chunks) as collection:
            for _ in range(120):
                where = random_filter(chance)
                right = sorted(one.id for one in chunks if holds(where, one.attributes))
                words = await index.keyword(collection, "words", 1_000, where)
                near = await index.nearest(collection, chunks[0].vector, 1_000, where)
                assert sorted(hit.chunk.id for hit in words) == right, where
                assert sorted(hit.chunk.id for hit in near) == right, where
                reach[0] += 0 < len(right) < len(chunks)
                reach[1] += not right
        assert reach[0] > 60, "the filters tell too little apart"

    async def test_each_comparison_of_each_pair_of_values_is_exact(self, index: VectorIndex) -> None:
        chunks = [replace(chunk(f"n{at}"), attributes={"x": value}) for at, value in enumerate(VALUES)]
        chunks.append(chunk("missing"))
        async with made(index, *chunks) as collection:
            for value in VALUES:
                for operator in ("eq", "ne", "gt", "gte", "lt", "lte"):
                    if isinstance(value, bool) and operator not in ("eq", "ne"):
                        continue
                    where = Comparison("x", operator, value)
                    right = sorted(one.id for one in chunks if holds(where, one.attributes))
                    hits = await index.nearest(collection, chunks[0].vector, 100, where)
                    assert sorted(hit.chunk.id for hit in hits) == right, where

    async def test_a_filter_of_a_thousand_values_is_exact(self, index: VectorIndex) -> None:
        values = tuple(float(number) if number % 2 else f"t{number}" for number in range(1_000))
        kept: list[Attributes] = [{"x": 1.0}, {"x": "t2"}, {"x": 2.0}, {"x": "t1"}, {"x": True}, {}]
        chunks = [replace(chunk(f"n{at}", "words"), attributes=one) for at, one in enumerate(kept)]
        async with made(index, *chunks) as collection:
            hits = await index.keyword(collection, "words", 9, Comparison("x", "in", values))
            assert sorted(names(hits)) == ["n0", "n1"]
            hits = await index.nearest(collection, chunks[0].vector, 9, Comparison("x", "nin", values))
            assert sorted(names(hits)) == ["n2", "n3", "n4", "n5"]

    async def test_a_filter_that_passes_few_finds_them_among_many(self, index: VectorIndex) -> None:
        chunks = [
            replace(chunk(f"n{number}", "common ground"), attributes={"rare": number in (501, 777)})
            for number in range(1_000)
        ]
        where = Comparison("rare", "eq", value=True)
        far = packed([-value for value in unpacked(chunks[501].vector)])
        async with made(index, *chunks) as collection:
            assert set(names(await index.keyword(collection, "common", 10, where))) == {"n501", "n777"}
            assert set(names(await index.nearest(collection, far, 10, where))) == {"n501", "n777"}
            assert len(await index.nearest(collection, far, 1, where)) == 1

    async def test_new_attributes_of_a_file_are_those_of_all_its_chunks(self, index: VectorIndex) -> None:
        mine = [
            replace(chunk(f"a{number}", "words", number=number), attributes={"x": "old", "y": 1.0})
            for number in range(5)
        ]
        other = replace(chunk("b", "words", file="file-b"), attributes={"x": "old"})
        async with made(index, *mine, other) as collection:
            await index.set_attributes(collection, "file-a", {"x": "new", "z": False})
            for one in await index.chunks(collection, "file-a", None, 10):
                assert plain(one)[5] == [("x", "text", "new"), ("z", "boolean", False)]
            old = Comparison("x", "eq", "old")
            assert names(await index.keyword(collection, "words", 10, old)) == ["b"]
            assert names(await index.nearest(collection, mine[0].vector, 10, old)) == ["b"]
            hits = await index.nearest(collection, mine[0].vector, 10, Comparison("z", "eq", value=False))
            assert len(hits) == 5
            assert list(await index.keyword(collection, "words", 10, Comparison("y", "gt", 0.0))) == []
            await index.set_attributes(collection, "file-a", {})
            assert plain((await index.chunks(collection, "file-a", None, 1))[0])[5] == []
            await index.set_attributes(collection, "file-none", {"x": "old"})
            assert await index.count(collection) == 6

    # --- at once, and over time ------------------------------------------------------------------------------
    async def test_puts_and_searches_at_once_lose_nothing(self, index: VectorIndex) -> None:
        files = [
            [chunk(f"{file}-{n}", "common ground", file=f"file-{file}", number=n) for n in range(10)]
            for file in range(15)
        ]
        async with made(index) as collection:
            asked = [index.keyword(collection, "common", 20) for _ in range(15)]
            near = [index.nearest(collection, files[0][0].vector, 20) for _ in range(15)]
            await asyncio.gather(*[index.put(collection, one) for one in files], *asked, *near)
            await asyncio.gather(*[index.remove_file(collection, f"file-{file}") for file in range(5)])
            right = sorted(one.id for chunks in files[5:] for one in chunks)
            assert sorted(one.id for one in await every(index, collection)) == right
            hits = await index.nearest(collection, files[0][0].vector, 1_000)
            assert sorted(hit.chunk.id for hit in hits) == right

    async def test_creating_at_once_makes_one(self, index: VectorIndex) -> None:
        async with made(index) as collection:
            await asyncio.gather(*[index.create(collection) for _ in range(8)])
            await asyncio.gather(*[index.put(collection, [chunk("a")]) for _ in range(8)])
            assert await index.count(collection) == 1

    async def test_a_cancelled_caller_does_not_harm_the_others(self, index: VectorIndex) -> None:
        async with made(index) as collection:
            gone = asyncio.ensure_future(index.put(collection, [chunk("gone")]))
            kept = asyncio.ensure_future(index.put(collection, [chunk("kept")]))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.wait([gone, kept])
            assert names(await index.keyword(collection, "kept", 5)) == ["kept"]

    async def test_what_was_put_is_there_when_opened_again(self, index: VectorIndex) -> None:
        one = replace(chunk("a", "lasting words"), attributes={"x": 1.0})
        collection = Collection("vs_" + secrets.token_hex(16), DIMENSION)
        await index.create(collection)
        await index.put(collection, [one, chunk("gone", file="file-gone")])
        await index.remove_file(collection, "file-gone")
        index = await self.reopened(index)
        assert [plain(each) for each in await every(index, collection)] == [plain(one)]
        where = Comparison("x", "eq", 1.0)
        assert names(await index.keyword(collection, "lasting", 5, where)) == ["a"]
        assert names(await index.nearest(collection, one.vector, 5, where)) == ["a"]
        await index.put(collection, [chunk("b")])
        assert await index.count(collection) == 2
        await index.drop(collection)
        index = await self.reopened(index)
        assert isinstance(await refused(index.count(collection)), IndexUnavailable)
        await index.aclose()

    async def test_a_closed_index_is_unavailable_and_may_be_closed_again(self, index: VectorIndex) -> None:
        collection = Collection("vs_" + secrets.token_hex(16), DIMENSION)
        await index.aclose()
        await index.aclose()
        calls = [
            index.create(collection),
            index.drop(collection),
            index.put(collection, [chunk("a")]),
            index.remove_file(collection, "file-a"),
            index.set_attributes(collection, "file-a", {}),
            index.keyword(collection, "a", 1),
            index.nearest(collection, chunk("a").vector, 1),
            index.chunks(collection, None, None, 1),
            index.count(collection),
        ]
        for call in calls:
            assert isinstance(await refused(call), IndexUnavailable)
