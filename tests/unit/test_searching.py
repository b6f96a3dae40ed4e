"""Searches over vector stores: which are searched how, in which order what is found stands, and what fails."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from antiphon.core.errors import (
    EmbeddingMismatch,
    IndexUnavailable,
    InvalidRequest,
    ModelNotFound,
    NotFound,
    ProviderContextLength,
    ProviderUnavailable,
)
from antiphon.core.filters import AttributeFilter, Comparison, Group
from antiphon.core.searching import FoundChunk, Ranking
from antiphon.ports import Owner
from antiphon.ports.knowledge import Chunk, Collection, Hit
from antiphon.providers.scripted_vectors import relevance
from antiphon.testing import scripted_model
from antiphon.testing.naive_index import NaiveIndex
from antiphon.vector_stores.searching import TOUCHED_EACH_S
from tests.unit.search_world import ANN, BOB, CARS, CATS, DOGS, World, ask, texts


async def test_without_a_model_keywords_find_it_and_nobody_is_asked_for_vectors() -> None:
    world = World()
    await world.fill("vs_a", [CATS, DOGS])
    answer = await world.searches().search(ANN, ask("vs_a"))
    (found,) = answer.found
    assert found.score == pytest.approx(1)
    assert found == FoundChunk(
        "vs_a", "file-vs_a-0", "0.txt", "chunk_0", CATS, found.score, {}, b'{"page":1}'
    )
    assert answer.queries == ("cats",)
    assert world.models.asked == []


async def test_with_a_model_both_are_asked_and_joined() -> None:
    world = World()
    await world.fill("vs_a", [DOGS, CATS, CARS], model="up/small")
    answer = await world.searches().search(ANN, ask("vs_a", query="cats food"))
    assert texts(answer)[0] == CATS
    assert answer.found[0].score == pytest.approx(1)
    assert set(texts(answer)) == {CATS, DOGS, CARS}
    assert [one["input"] for _, one in world.models.asked] == [["cats food"]]


@pytest.mark.parametrize(
    ("mode", "ranking", "vectors", "keywords"),
    [
        ("auto", Ranking(), 1, 1),
        ("hybrid", Ranking("weighted"), 1, 1),
        ("keyword", Ranking(), 0, 1),
        ("vector", Ranking(), 1, 0),
        ("auto", Ranking(embedding_weight=0), 0, 1),
        ("hybrid", Ranking(text_weight=0), 1, 0),
    ],
)
async def test_each_mode_asks_for_its_halves(
    mode: Any, ranking: Ranking, vectors: int, keywords: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    await world.fill("vs_a", [DOGS, CATS, CARS], model="up/small")
    asked: list[str] = []
    index = world.indexes["one"]
    for name in ("keyword", "nearest"):
        method = getattr(index, name)

        async def noted(*given: Any, name: str = name, method: Any = method) -> Sequence[Hit]:
            asked.append(name)
            return cast("Sequence[Hit]", await method(*given))

        monkeypatch.setattr(index, name, noted)
    answer = await world.searches().search(ANN, ask("vs_a", query="cats food", mode=mode, ranking=ranking))
    assert texts(answer)[0] == CATS
    assert (asked.count("nearest"), asked.count("keyword")) == (vectors, keywords)
    assert len(world.models.asked) == vectors
    assert all(0 <= one.score <= 1 for one in answer.found)


@pytest.mark.parametrize("mode", ["vector", "hybrid"])
async def test_vectors_of_a_store_that_has_none_are_refused(mode: Any) -> None:
    world = World()
    await world.fill("vs_a", [CATS])
    with pytest.raises(InvalidRequest, match=r"vs_a.*no embedding model") as caught:
        await world.searches().search(ANN, ask("vs_a", mode=mode))
    assert caught.value.param == "search_mode"


async def test_stores_on_two_indexes_with_different_models_are_one_search() -> None:
    world = World()
    await world.fill("vs_a", [DOGS, CATS], index="one", model="up/small")
    await world.fill("vs_b", ["cats cats", CARS], index="two", model="up/large")
    await world.fill("vs_c", ["a cat is no car", "cats"], index="two")
    answer = await world.searches().search(ANN, ask("vs_a", "vs_b", "vs_c", "vs_a", query="cats"))
    assert {one.store_id for one in answer.found[:3]} == {"vs_a", "vs_b", "vs_c"}
    assert {one.text for one in answer.found[:3]} == {CATS, "cats cats", "cats"}
    assert sorted(one["model"] for _, one in world.models.asked) == ["large", "small"]
    keys = [(one.store_id, one.chunk_id) for one in answer.found]
    assert len(set(keys)) == len(keys)
    assert [one.score for one in answer.found] == sorted((one.score for one in answer.found), reverse=True)


async def test_several_queries_find_each_chunk_once_with_its_best_score() -> None:
    world = World()
    await world.fill("vs_a", [CATS, DOGS, CARS], model="up/small")
    search = world.searches()
    both = await search.search(ANN, ask("vs_a", query=["cats food", "dogs walks", "cats food"]))
    assert both.queries == ("cats food", "dogs walks")
    assert set(texts(both)[:2]) == {CATS, DOGS}
    assert len(both.found) == 3
    for query in both.queries:
        alone = await search.search(ANN, ask("vs_a", query=query))
        scores = {one.text: one.score for one in both.found}
        assert all(scores[one.text] >= one.score for one in alone.found)


async def test_limit_and_threshold() -> None:
    world = World()
    await world.fill("vs_a", [CATS, DOGS, CARS, "cats"], model="up/small")
    search = world.searches()
    assert len((await search.search(ANN, ask("vs_a", limit=2))).found) == 2
    strict = await search.search(ANN, ask("vs_a", mode="vector", ranking=Ranking(score_threshold=0.9)))
    assert texts(strict) == ["cats"]
    nothing = await search.search(
        ANN, ask("vs_a", query="cats", mode="keyword", ranking=Ranking(score_threshold=1))
    )
    assert texts(nothing) == ["cats"]


async def test_unknown_foreign_and_expired_stores() -> None:
    world = World()
    await world.fill("vs_bob", [CATS], owner=BOB)
    await world.fill("vs_old", [CATS], more={"last_active_at": 0, "expires_after_days": 1})
    search = world.searches()
    messages: list[str] = []
    for store_id in ("vs_bob", "vs_nobody"):
        with pytest.raises(NotFound) as caught:
            await search.search(ANN, ask(store_id))
        messages.append(caught.value.message.replace(store_id, "?"))
    assert messages[0] == messages[1]
    with pytest.raises(InvalidRequest, match="expired"):
        await search.search(ANN, ask("vs_old"))
    with pytest.raises(NotFound):
        await search.search(Owner("other", "ann"), ask("vs_old"))


@pytest.mark.parametrize(
    ("queries", "param"), [([], "query"), ([""], "query"), (["  \n"], "query"), (["cats", " "], "query[1]")]
)
async def test_nothing_to_look_for_is_refused(queries: list[str], param: str) -> None:
    world = World()
    await world.fill("vs_a", [CATS])
    with pytest.raises(InvalidRequest) as caught:
        await world.searches().search(ANN, ask("vs_a", query=queries))
    assert caught.value.param == param


async def test_a_search_is_a_use_and_written_at_most_once_a_minute() -> None:
    world = World()
    await world.fill("vs_a", [CATS])
    search = world.searches()
    began = world.clock.now()

    async def last_active() -> int:
        found = await world.store.knowledge.find_stores(ANN, ["vs_a"])
        return found["vs_a"].last_active_at

    world.clock.at += TOUCHED_EACH_S - 1
    await search.search(ANN, ask("vs_a"))
    assert await last_active() == began
    world.clock.at += 1
    await search.search(ANN, ask("vs_a"))
    assert await last_active() == began + TOUCHED_EACH_S


async def test_chunks_of_deleted_foreign_and_expired_files_are_not_shown_and_hide_nothing() -> None:
    world = World()
    await world.fill("vs_a", [f"cats number {at}" for at in range(300)])
    for at in range(300):
        if at != 299:
            await world.store.files.delete_file(ANN, f"file-vs_a-{at}")
    answer = await world.searches().search(ANN, ask("vs_a", query="cats", limit=1))
    assert [one.filename for one in answer.found] == ["299.txt"]
    stranger = Chunk("chunk_x", "file-of-bob", 0, "cats")
    raw = Chunk("chunk_y", "document-7", 0, "cats")
    await world.indexes["one"].put(Collection("vs_a"), [stranger, raw])
    answer = await world.searches().search(ANN, ask("vs_a", query="cats"))
    assert {one.filename for one in answer.found} == {"299.txt", "document-7"}


class Widening(NaiveIndex):
    """Forgets filters."""

    async def keyword(
        self, collection: Collection, text: str, limit: int, where: AttributeFilter | None = None
    ) -> Sequence[Hit]:
        return await super().keyword(collection, text, limit)

    async def nearest(
        self, collection: Collection, vector: bytes, limit: int, where: AttributeFilter | None = None
    ) -> Sequence[Hit]:
        return await super().nearest(collection, vector, limit)


async def test_filters_are_pushed_down_and_an_index_that_errs_cannot_widen_them() -> None:
    world = World()
    await world.fill("vs_a", [CATS], attributes={"year": 2020.0}, model="up/small")
    await world.fill("vs_b", [CATS], attributes={"year": 2024.0}, model="up/small")
    where = Group("and", (Comparison("year", "gt", 2021.0),))
    answer = await world.searches().search(ANN, ask("vs_a", "vs_b", where=where))
    assert [one.store_id for one in answer.found] == ["vs_b"]
    world.indexes["one"] = Widening(world.indexes["one"].data)
    answer = await world.searches().search(ANN, ask("vs_a", "vs_b", where=where))
    assert [one.store_id for one in answer.found] == ["vs_b"]


# --- what fails ------------------------------------------------------------------------------------------------
async def test_a_model_that_is_not_served_any_more_is_named_with_the_store_and_the_way_out() -> None:
    world = World()
    await world.fill("vs_a", [CATS], model="up/small")
    world.models.sizes = {"large": 32}
    with pytest.raises(EmbeddingMismatch, match=r'"vs_a".*"up/small".*antiphon reindex vs_a'):
        await world.searches().search(ANN, ask("vs_a"))
    answer = await world.searches().search(ANN, ask("vs_a", mode="keyword"))
    assert texts(answer) == [CATS]


async def test_a_model_that_changed_its_size_is_named_with_the_store_and_the_way_out() -> None:
    world = World()
    await world.fill("vs_a", [CATS], model="up/small")
    world.models.sizes["small"] = 48
    with pytest.raises(EmbeddingMismatch, match=r'"vs_a".*48 numbers, and 16 .*antiphon reindex vs_a'):
        await world.searches().search(ANN, ask("vs_a"))


async def test_a_half_that_fails_is_the_failure_of_the_search() -> None:
    world = World()
    await world.fill("vs_a", [CATS], model="up/small")
    world.models.failure = ProviderUnavailable("up", "down")
    with pytest.raises(ProviderUnavailable):
        await world.searches().search(ANN, ask("vs_a"))
    world.models.failure = None
    await world.indexes["one"].drop(Collection("vs_a", 16))
    with pytest.raises(IndexUnavailable):
        await world.searches().search(ANN, ask("vs_a"))
    world.indexes.pop("one")
    with pytest.raises(IndexUnavailable, match="not configured"):
        await world.searches().search(ANN, ask("vs_a"))


# --- reranking -------------------------------------------------------------------------------------------------
JUDGED = Ranking(reranker="up/judge")


@pytest.mark.parametrize("logits", [False, True])
async def test_a_reranker_has_the_last_word(logits: bool) -> None:
    world = World()
    world.models.logits = logits
    await world.fill("vs_a", ["cats cats cats", "what do cats eat"], model="up/small")
    query = "what do cats eat in winter"
    answer = await world.searches().search(ANN, ask("vs_a", query=query, ranking=JUDGED))
    assert texts(answer)[0] == "what do cats eat"
    assert all(0 <= one.score <= 1 for one in answer.found)
    (path, asked) = world.models.asked[-1]
    assert path == "/rerank"
    assert asked["query"] == query
    assert set(asked["documents"]) == {"cats cats cats", "what do cats eat"}


async def test_the_server_s_reranker_serves_unless_it_is_switched_off() -> None:
    world = World()
    await world.fill("vs_a", [CATS])
    search = world.searches(default_reranker="up/judge")
    await search.search(ANN, ask("vs_a"))
    assert [path for path, _ in world.models.asked] == ["/rerank"]
    await search.search(ANN, ask("vs_a", ranking=Ranking(reranker="")))
    assert len(world.models.asked) == 1


async def test_a_reranker_may_have_a_share_only() -> None:
    world = World()
    await world.fill("vs_a", ["cats", "dogs and cats"])
    ranking = Ranking(reranker="up/judge", reranker_weight=0.25)
    answer = await world.searches().search(ANN, ask("vs_a", ranking=ranking))
    plain = await world.searches().search(ANN, ask("vs_a"))
    before = {one.text: one.score for one in plain.found}
    for one in answer.found:
        assert one.score == pytest.approx(0.75 * before[one.text] + 0.25 * relevance("cats", one.text))


async def test_documents_too_long_for_a_reranker_are_judged_by_their_best_part() -> None:
    world = World()
    world.models.limit = 600
    long = "nothing " * 300 + "cats eat fish"
    await world.fill("vs_a", [long, "cats"])
    search = world.searches()
    query = "cats eat fish"
    answer = await search.search(ANN, ask("vs_a", query=query, ranking=JUDGED))
    assert set(texts(answer)) == {long, "cats"}
    before = len(world.models.asked)
    await search.search(ANN, ask("vs_a", query=query, ranking=JUDGED))
    assert len(world.models.asked) == before + 1
    world.models.limit = 10
    with pytest.raises(ProviderContextLength):
        await search.search(ANN, ask("vs_a", query=query, ranking=JUDGED))


async def test_a_reranker_that_fails_or_is_not_there_is_an_error() -> None:
    world = World()
    await world.fill("vs_a", [CATS])
    with pytest.raises(ModelNotFound) as caught:
        await world.searches().search(ANN, ask("vs_a", ranking=Ranking(reranker="nobody")))
    assert caught.value.param == "ranking_options.model"
    world.models.failure = ProviderUnavailable("up", "down")
    with pytest.raises(ProviderUnavailable):
        await world.searches().search(ANN, ask("vs_a", ranking=JUDGED))


async def test_where_nothing_is_found_no_reranker_is_asked() -> None:
    world = World()
    await world.fill("vs_a", [CATS])
    answer = await world.searches().search(ANN, ask("vs_a", query="zebra", ranking=JUDGED))
    assert (answer.found, world.models.asked) == ((), [])


# --- rewritten queries -----------------------------------------------------------------------------------------
async def test_a_query_is_rewritten_by_the_model_for_it() -> None:
    world = World(writer=scripted_model({"reply": [{"text": '"cats  food"\n'}]}, provider_id="words"))
    await world.fill("vs_a", [CATS, DOGS])
    search = world.searches(rewrite_model="words/demo")
    answer = await search.search(
        ANN, ask("vs_a", query="Hello, could you tell me what they eat?", rewrite=True)
    )
    assert answer.queries == ("cats food",)
    assert texts(answer)[0] == CATS


async def test_rewriting_without_a_model_is_refused() -> None:
    world = World()
    await world.fill("vs_a", [CATS])
    with pytest.raises(ModelNotFound) as unknown:
        await world.searches(rewrite_model="nobody").search(ANN, ask("vs_a", rewrite=True))
    assert unknown.value.param == "rewrite_query"
    with pytest.raises(InvalidRequest, match="rewrite_query_model") as caught:
        await world.searches().search(ANN, ask("vs_a", rewrite=True))
    assert caught.value.param == "rewrite_query"


# --- at the same time ------------------------------------------------------------------------------------------
async def test_fifty_searches_at_once() -> None:
    world = World()
    await world.fill("vs_a", [CATS, DOGS, CARS], model="up/small")
    search = world.searches()
    answers = await asyncio.gather(
        *(search.search(ANN, ask("vs_a", query=query)) for query in ["cats food", "dogs walks"] * 25)
    )
    assert [texts(one)[0] for one in answers] == [CATS, DOGS] * 25
    assert len(world.models.asked) == 2


async def test_an_index_that_fails_ends_what_else_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await world.fill("vs_a", [CATS], index="one")
    await world.fill("vs_b", [CATS], index="two")
    ended = asyncio.Event()

    async def hangs(*_: Any) -> Sequence[Hit]:
        try:
            return await asyncio.Future[Sequence[Hit]]()
        finally:
            ended.set()

    async def fails(*_: Any) -> Sequence[Hit]:
        raise IndexUnavailable("down")

    monkeypatch.setattr(world.indexes["one"], "keyword", hangs)
    monkeypatch.setattr(world.indexes["two"], "keyword", fails)
    with pytest.raises(IndexUnavailable):
        await world.searches().search(ANN, ask("vs_a", "vs_b"))
    assert ended.is_set()
