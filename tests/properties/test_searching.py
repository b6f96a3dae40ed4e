"""What no search ever shows: anything of somebody else, of files that are gone, or that a filter does not let pass."""

import asyncio
from random import Random

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from antiphon.core.errors import NotFound
from antiphon.core.filters import holds
from antiphon.core.searching import Ranking, SearchAnswer
from antiphon.ports import Owner
from antiphon.testing.index_samples import random_attributes, random_filter
from tests.unit.search_world import World, ask

OWNERS = (Owner("acme", "ann"), Owner("acme", "bob"), Owner("other", "ann"), Owner("acme/ann", "bob"))
WORDS = ("cats", "dogs", "eat", "walk", "fish")


async def filled(chance: Random) -> tuple[World, dict[str, Owner], set[str]]:
    """A world of some stores of somebody, who owns which, and the ids of files that are gone."""
    world = World()
    owners = {f"vs_{at}": chance.choice(OWNERS) for at in range(chance.randint(1, 5))}
    gone = set[str]()
    for store_id, owner in owners.items():
        count = chance.randint(0, 6)
        await world.fill(
            store_id,
            [" ".join(chance.choices(WORDS, k=3)) + f" of {store_id}" for _ in range(count)],
            owner=owner,
            index=chance.choice(("one", "two")),
            model=chance.choice(("", "up/small", "up/large")),
            attributes=random_attributes(chance),
        )
        for at in range(count):
            if chance.random() < 0.2:
                gone.add(f"file-{store_id}-{at}")
                await world.store.files.delete_file(owner, f"file-{store_id}-{at}")
    return world, owners, gone


async def play(seed: int) -> None:
    chance = Random(seed)
    world, owners, gone = await filled(chance)
    who = owners[chance.choice(sorted(owners))]
    wanted = chance.sample(sorted(owners), k=chance.randint(1, len(owners)))
    if chance.random() < 0.8:
        wanted = [one for one in sorted(owners) if owners[one] == who]
    where = random_filter(chance) if chance.random() < 0.4 else None
    request = ask(
        *wanted,
        query=chance.sample(WORDS, k=chance.randint(1, 3)),
        limit=chance.randint(1, 50),
        where=where,
        ranking=Ranking(
            chance.choice(("rrf", "weighted")),
            reranker=chance.choice(("", "up/judge")),
            score_threshold=chance.choice((0.0, 0.5)),
        ),
    )
    search = world.searches()
    if any(owners[one] != who for one in wanted):
        event("refused")
        with pytest.raises(NotFound):
            await search.search(who, request)
        assert world.models.asked == []
        return
    answer: SearchAnswer = await search.search(who, request)
    event("found" if answer.found else "nothing found")
    assert len(answer.found) <= request.limit
    for one in answer.found:
        assert owners[one.store_id] == who
        assert one.store_id in wanted
        assert one.text.endswith(f" of {one.store_id}")
        assert one.file_id not in gone
        assert where is None or holds(where, one.attributes)
        assert request.ranking.score_threshold <= one.score <= 1
    keys = [(one.store_id, one.chunk_id) for one in answer.found]
    assert len(set(keys)) == len(keys)
    assert [one.score for one in answer.found] == sorted((one.score for one in answer.found), reverse=True)
    again = await search.search(who, request)
    assert again == answer


@given(st.integers(0, 2**32))
@settings(max_examples=100)
def test_a_search_shows_what_is_one_s_own_and_asked_for_and_nothing_else(seed: int) -> None:
    asyncio.run(play(seed))
