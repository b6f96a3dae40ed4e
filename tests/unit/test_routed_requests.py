"""Embeddings and reranking by a route, through the whole application in memory."""

from typing import Any

import pytest

from antiphon.app import serve, services_for
from antiphon.config.settings import Settings
from antiphon.core.errors import UnsupportedParameter
from antiphon.core.wire import encode
from antiphon.models.catalog import Catalog
from antiphon.providers.upstream import UpstreamClient
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeIds
from antiphon.testing.simulation import Answer, exchange
from tests.unit.routing import DOWN, A, B, FakeModel, World, to

VECTORS = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}],
    "model": "two",
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}
RANKING = {"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]}
EMBED = {"model": "smart", "input": "hello"}
RANK = {"model": "smart", "query": "what?", "documents": ["a", "b"]}


async def ask(world: World, path: str, body: dict[str, Any]) -> Answer:
    catalog = Catalog({}, clock=world.clock, routed=[world.routed], health=world.health)
    ids, client = FakeIds(), UpstreamClient(world.clock)
    app = serve(services_for(Settings(), catalog, MemoryStore(), client, world.clock, ids), ids)
    return await exchange(app, "POST", path, body)


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/v1/embeddings", EMBED, VECTORS),
        ("/v1/rerank", RANK, RANKING),
        ("/v1/inference/rerank", {"model": "smart", "query": "what?", "items": ["a", "b"]}, RANKING),
    ],
)
@pytest.mark.parametrize("error", [DOWN, UnsupportedParameter("makes no such thing", param="model")])
async def test_the_next_candidate_answers(
    path: str, body: dict[str, Any], answer: dict[str, Any], error: Any
) -> None:
    world = World(to(A, B), a=FakeModel("a", [error]), b=FakeModel("b", answer=encode(answer)))
    got = await ask(world, path, body)
    assert (got.status, got.headers["x-antiphon-served-by"]) == (200, B)
    assert got.json.get("model", "smart") == "smart"
    assert world.b.bodies[0]["model"] == "two"
    assert world.asked == ["a", "b"]


async def test_when_all_are_down_it_says_so() -> None:
    world = World(to(A, B), a=FakeModel("a", [DOWN]), b=FakeModel("b", [DOWN]))
    got = await ask(world, "/v1/embeddings", EMBED)
    assert (got.status, got.json["error"]["code"]) == (503, "provider_unavailable")
    assert 'model "smart": all of its candidates failed' in got.json["error"]["message"]
