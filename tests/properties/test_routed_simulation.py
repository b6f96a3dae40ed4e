"""The whole server under a seeded scheduler, with every request going through a route of failing models."""

import random
from collections import Counter

from antiphon.app import serve, services_for
from antiphon.config.settings import Settings
from antiphon.models.breaker import BreakerSettings
from antiphon.models.catalog import Catalog
from antiphon.models.health import Guarded, UpstreamHealth
from antiphon.models.route import Candidate, Cause, Route
from antiphon.models.router import routed_models
from antiphon.providers.upstream import UpstreamClient
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, FakeIds, PlainSealer
from antiphon.testing.simulation import SlowStore, simulate
from tests.properties.test_simulation import World, any_model

SEEDS = range(150)
CAUSES: tuple[Cause, ...] = ("rate_limited", "unavailable", "timeout", "rejected")


class RoutedWorld(World):
    """The model `demo` is a route over two scripted ones, which fail each at its own times."""

    def __init__(self, seed: int, drawn: random.Random, store: MemoryStore) -> None:
        self.health = UpstreamHealth(FakeClock(), BreakerSettings(failures=drawn.choice([2, 100])))
        super().__init__(seed, drawn, store)

    def __post_init__(self) -> None:
        clock, ids = FakeClock(), FakeIds()
        providers: dict[str, Guarded] = {}
        for name in ("p", "q"):
            model = any_model(self.drawn)
            model.provider_id = name
            providers[name] = Guarded(model, self.health)
        route = Route(
            candidates=(Candidate(model="p/demo"), Candidate(model="q/demo")),
            strategy=self.drawn.choice(["ordered", "weighted", "least_busy"]),
            fallback_on=CAUSES[: self.drawn.randint(0, 4)],
        )
        routed = routed_models({"demo": route}, providers, {}, self.health, self.drawn.random)
        catalog = Catalog(providers, clock=clock, routed=routed, health=self.health)
        services = services_for(
            Settings(), catalog, self.store, UpstreamClient(clock), clock, ids, sealer=PlainSealer()
        )
        self.app = serve(services, ids)


def play(seed: int) -> tuple[Counter[str], UpstreamHealth]:
    async def main(drawn: random.Random) -> tuple[Counter[str], UpstreamHealth]:
        world = RoutedWorld(seed, drawn, SlowStore(drawn))
        await world.run()
        world.check_kept()
        for stored in world.store.stored.values():
            assert stored.served_by in {"p/demo", "q/demo"}, (seed, stored.served_by)
            world.reach[stored.served_by] += 1
        return world.reach, world.health

    return simulate(seed, main)


def test_a_routed_run_keeps_every_promise_of_an_unrouted_one_and_leaves_nothing_under_way() -> None:
    reached: Counter[str] = Counter()
    for seed in SEEDS:
        reach, health = play(seed)
        reached += reach
        states = health.states()
        assert [one.in_flight for one in states] == [0] * len(states), seed
        reached.update(one.state for one in states)
    for state in (
        "stream response.completed",
        "stream response.failed",
        "refused before it began",
        "left",
        "p/demo",
        "q/demo",
        "open",
        "closed",
    ):
        assert reached[state] >= 10, (state, reached)
