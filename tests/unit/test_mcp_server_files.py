"""The tools over vector stores: which stores, what is refused, how much is answered."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from antiphon.core.errors import InvalidRequest, NotFound
from antiphon.core.searching import FoundChunk, SearchAnswer, SearchRequest
from antiphon.mcp_server.exchanges import MuteExchange
from antiphon.mcp_server.file_tools import FILE_SEARCH, LIST_STORES, FileTools, bounded
from antiphon.mcp_server.tools import ToolResult
from antiphon.ports import Owner
from tests.unit.search_world import ANN, BOB, CARS, CATS, DOGS, World


@dataclass
class Watched:
    """A `Searcher` that notes what it was asked."""

    world: World
    asked: list[SearchRequest] = field(default_factory=list[SearchRequest])

    async def search(self, owner: Owner, request: SearchRequest) -> SearchAnswer:
        self.asked.append(request)
        return await self.world.searches().search(owner, request)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def searcher(world: World) -> Watched:
    return Watched(world)


@pytest.fixture
def tools(world: World, searcher: Watched) -> FileTools:
    return FileTools(searcher, world.store.knowledge, world.clock, 1000)


async def call(tools: FileTools, name: str = FILE_SEARCH, owner: Owner = ANN, **arguments: Any) -> ToolResult:
    result = await tools.call(owner, name, arguments, MuteExchange(from_server=False))
    assert result is not None
    return result


def found(result: ToolResult) -> list[Any]:
    assert result.structured is not None
    results: list[Any] = result.structured["results"]
    return results


async def test_a_search_names_files_scores_and_stores(world: World, tools: FileTools) -> None:
    await world.fill("vs_pets", [CATS, DOGS], attributes={"kind": "pet"})
    result = await call(tools, query="cats", vector_store_ids=["vs_pets"])
    [best] = found(result)
    assert (best["file_id"], best["filename"], best["text"]) == ("file-vs_pets-0", "0.txt", CATS)
    assert 0 < best["score"] <= 1
    assert best["vector_store_id"] == "vs_pets"
    assert best["attributes"] == {"kind": "pet", "page": 1}
    [block] = result.content
    assert block["text"] == f"0.txt (file-vs_pets-0, score {best['score']:.3f})\n{CATS}"


async def test_without_stores_all_of_the_callers_own_are_searched(world: World, tools: FileTools) -> None:
    await world.fill("vs_pets", [CATS])
    await world.fill("vs_more", ["cats again"])
    await world.fill("vs_bobs", ["cats of bob"], owner=BOB)
    await world.fill("vs_old", ["old cats"], more={"expires_after_days": 1, "last_active_at": 0})
    result = await call(tools, queries=["cats", "  cats  ", "again"])
    assert {one["vector_store_id"] for one in found(result)} == {"vs_pets", "vs_more"}
    assert result.structured is not None
    assert result.structured["queries"] == ["cats", "again"]
    assert found(await call(tools, owner=Owner("other", "eve"), query="cats")) == []
    with pytest.raises(NotFound, match="vs_bobs"):
        await call(tools, query="cats", vector_store_ids=["vs_bobs"])


async def test_of_many_stores_those_used_last_are_searched(
    world: World, tools: FileTools, searcher: Watched
) -> None:
    for number in range(40):
        await world.fill(f"vs_{number}", [], more={"last_active_at": 1_000_000 - number})
    result = await call(tools, query="cats")
    assert list(searcher.asked[0].store_ids) == [f"vs_{number}" for number in range(32)]
    assert "Searched 32 vector stores, those used last" in result.content[0]["text"]


async def test_a_caller_without_stores_is_told_so(tools: FileTools) -> None:
    result = await call(tools, query="cats")
    assert "There is no vector store" in result.content[0]["text"]
    assert found(result) == []


async def test_filters_and_the_number_of_results_reach_the_search(
    world: World, tools: FileTools, searcher: Watched
) -> None:
    await world.fill("vs_pets", [CATS, DOGS, CARS], attributes={"kind": "pet"})
    filters = {"type": "eq", "key": "kind", "value": "car"}
    result = await call(tools, query="cats dogs car", max_num_results=1, filters=filters)
    assert found(result) == []
    assert "Nothing was found" in result.content[0]["text"]
    assert searcher.asked[0].limit == 1
    assert len(found(await call(tools, query="cats dogs car", max_num_results=2))) == 2


@pytest.mark.parametrize(
    ("arguments", "param"),
    [
        ({}, "query"),
        ({"query": "   "}, "query"),
        ({"query": ""}, "query"),
        ({"query": 7}, "query"),
        ({"query": "a", "queries": ["b"]}, "queries"),
        ({"queries": []}, "queries"),
        ({"queries": ["a", 7]}, "queries[1]"),
        ({"queries": ["a"] * 9}, "queries"),
        ({"query": "x" * 5000}, "query"),
        ({"query": "a", "vector_store_ids": []}, "vector_store_ids"),
        ({"query": "a", "vector_store_ids": "vs_1"}, "vector_store_ids"),
        ({"query": "a", "vector_store_ids": ["x"] * 33}, "vector_store_ids"),
        ({"query": "a", "max_num_results": 0}, "max_num_results"),
        ({"query": "a", "max_num_results": 51}, "max_num_results"),
        ({"query": "a", "max_num_results": "5"}, "max_num_results"),
        ({"query": "a", "filters": {"type": "like"}}, "filters.type"),
        ({"query": "a", "filters": {"type": "eq", "value": 1}}, "filters.key"),
        ({"query": "a", "quer": 1}, "quer"),
    ],
)
async def test_arguments_that_cannot_be_are_named(
    world: World, tools: FileTools, arguments: dict[str, Any], param: str
) -> None:
    await world.fill("vs_pets", [CATS])
    with pytest.raises(InvalidRequest) as refused:
        await call(tools, **arguments)
    assert refused.value.param == param
    assert f"`{param}`" in refused.value.message


async def test_a_filter_without_an_end_is_refused(tools: FileTools) -> None:
    filters: Any = {"type": "eq", "key": "a", "value": 1}
    for _ in range(300):
        filters = {"type": "and", "filters": [filters]}
    with pytest.raises(InvalidRequest):
        await call(tools, query="a", filters=filters)


async def test_null_means_left_out(world: World, tools: FileTools) -> None:
    await world.fill("vs_pets", [CATS])
    result = await call(tools, query="cats", queries=None, filters=None, vector_store_ids=None)
    assert len(found(result)) == 1


async def test_stores_are_listed_page_by_page(world: World, tools: FileTools) -> None:
    for number in range(3):
        await world.fill(f"vs_{number}", [CATS], more={"name": f"Store {number}", "created_at": number})
    await world.fill("vs_bobs", [CATS], owner=BOB)
    first = (await call(tools, LIST_STORES, limit=2)).structured
    assert first is not None
    assert [one["id"] for one in first["vector_stores"]] == ["vs_2", "vs_1"]
    assert first["has_more"] is True
    assert first["vector_stores"][0] == {
        "id": "vs_2",
        "name": "Store 2",
        "description": "",
        "status": "completed",
        "files": 0,
    }
    rest = (await call(tools, LIST_STORES, limit=2, after="vs_1")).structured
    assert rest is not None
    assert ([one["id"] for one in rest["vector_stores"]], rest["has_more"]) == (["vs_0"], False)
    with pytest.raises(InvalidRequest) as refused:
        await call(tools, LIST_STORES, after="vs_bobs")
    assert refused.value.param == "after"


def chunks(*sizes: int) -> Sequence[FoundChunk]:
    return [FoundChunk("vs", f"file-{at}", "a.txt", "c", "x" * size, 0.5) for at, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "lengths"),
    [
        ((50, 50), [50, 50]),
        ((60, 50), [60]),
        ((200,), [100]),
        ((200, 1), [100]),
        ((99, 1, 1), [99, 1]),
        ((), []),
    ],
)
def test_texts_of_an_answer_are_bounded(sizes: tuple[int, ...], lengths: list[int]) -> None:
    assert [len(one["text"]) for one in bounded(chunks(*sizes), 100)] == lengths


async def test_tools_of_others_are_none_of_these(tools: FileTools) -> None:
    assert await tools.call(ANN, "other", {}, MuteExchange(from_server=False)) is None
    assert [one.name for one in await tools.tools(ANN, from_server=True)] == [FILE_SEARCH, LIST_STORES]
