"""The pool of engines, over engines that are no processes: who is loaded, who waits, who has to go."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import cast

import pytest

from antiphon.core.errors import (
    ProviderModelUnknown,
    ProviderProtocolError,
    ProviderRejected,
    ProviderUnavailable,
)
from antiphon.providers.llama_cpp import pool as pool_module
from antiphon.providers.llama_cpp.pool import EnginePool, Plan
from antiphon.providers.llama_cpp.process import Engine, EngineFailed


@dataclass(eq=False)
class FakeEngine:
    """Stands for a process: `alive` until stopped or told to die."""

    name: str
    alive: bool = True
    died: bool = False
    pid: int = 1
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    how_it_ended: str = "was ended by SIGKILL; its last lines: oh"

    async def has_ended(self, within_s: float) -> bool:
        return not self.alive

    async def stop(self) -> None:
        await asyncio.sleep(0)
        self.alive = False
        self.stopped.set()


@dataclass
class Machine:
    """Models of given sizes. `started` is the order of starts; `broken` names those whose start fails."""

    sizes: dict[str, int]
    started: list[str] = field(default_factory=list[str])
    engines: dict[str, FakeEngine] = field(default_factory=dict[str, FakeEngine])
    broken: set[str] = field(default_factory=set[str])
    gate: asyncio.Event | None = None

    def pool(
        self, limit: int, *, strict: bool = True, wait_s: float = 30, idle_s: float | None = None
    ) -> EnginePool:
        models = [(name, self._preparation(name)) for name in self.sizes]
        return EnginePool(
            "local", models, memory_limit=limit, strict=strict, wait_s=wait_s, idle_unload_s=idle_s
        )

    def _preparation(self, name: str) -> "Prepare":
        return Prepare(self, name)

    @property
    def running(self) -> set[str]:
        return {name for name, engine in self.engines.items() if engine.alive}


@dataclass
class Prepare:
    machine: Machine
    name: str

    async def __call__(self, say: Callable[[str], None]) -> Plan:
        say("its file is being looked at")
        if self.machine.gate is not None:
            await self.machine.gate.wait()

        async def start() -> Engine:
            self.machine.started.append(self.name)
            await asyncio.sleep(0)
            if self.name in self.machine.broken:
                raise EngineFailed("it ended with code 1; its last lines: bad file")
            engine = self.machine.engines[self.name] = FakeEngine(self.name)
            return cast("Engine", engine)

        return Plan(self.machine.sizes[self.name], start)


async def use(pool: EnginePool, name: str) -> None:
    async with pool.lease(name):
        pass


async def crash(machine: Machine, pool: EnginePool) -> None:
    """A request during which the engine of `a` dies."""
    async with pool.lease("a"):
        machine.engines["a"].alive = False
        raise ProviderProtocolError("local", "broke off")


class Holder:
    """A request that goes on until it is let go."""

    def __init__(self, pool: EnginePool, name: str) -> None:
        self.has_it = asyncio.Event()
        self.let_go = asyncio.Event()
        self.task = asyncio.create_task(self._hold(pool, name))

    async def _hold(self, pool: EnginePool, name: str) -> None:
        async with pool.lease(name):
            self.has_it.set()
            await self.let_go.wait()

    async def finish(self) -> None:
        self.let_go.set()
        await self.task


async def settle() -> None:
    """Let everything that can go on go on."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
def machine() -> Machine:
    return Machine({"a": 4, "b": 4, "c": 4, "big": 100})


async def test_a_model_is_loaded_once_for_all_its_first_requests(machine: Machine) -> None:
    pool = machine.pool(10)
    await asyncio.gather(*(use(pool, "a") for _ in range(5)))
    await use(pool, "a")
    assert machine.started == ["a"]
    assert pool.loaded() == {"a": 1}
    await pool.aclose()
    assert not machine.running


async def test_the_least_recently_used_idle_engine_goes_first(machine: Machine) -> None:
    pool = machine.pool(10)
    for name in ("a", "b", "a", "c"):
        await use(pool, name)
    assert machine.running == {"a", "c"}
    await use(pool, "b")
    assert machine.running == {"c", "b"}
    await pool.aclose()


async def test_a_busy_engine_is_not_stopped_and_the_new_request_waits(machine: Machine) -> None:
    pool = machine.pool(7)
    holder = Holder(pool, "a")
    await holder.has_it.wait()
    waiting = asyncio.create_task(use(pool, "b"))
    await settle()
    assert machine.running == {"a"}
    await holder.finish()
    await waiting
    assert machine.running == {"b"}
    await pool.aclose()


async def test_a_model_that_is_always_busy_cannot_keep_another_out(machine: Machine) -> None:
    """A request for the busy model that comes later waits behind the one that waits for its memory."""
    pool = machine.pool(7)
    first = Holder(pool, "a")
    await first.has_it.wait()
    other = asyncio.create_task(use(pool, "b"))
    await settle()
    later = Holder(pool, "a")
    await settle()
    assert not later.has_it.is_set()
    await first.finish()
    await other
    await later.has_it.wait()
    await later.finish()
    assert machine.started == ["a", "b", "a"]
    await pool.aclose()


async def test_waiting_is_bounded_and_the_busy_model_serves_on(machine: Machine) -> None:
    pool = machine.pool(7, wait_s=0.05)
    holder = Holder(pool, "a")
    await holder.has_it.wait()
    with pytest.raises(
        ProviderUnavailable, match=r'model "b" is not ready after 0\.05 s: it waits for a'
    ) as caught:
        await use(pool, "b")
    assert caught.value.headers == {"retry-after": "10"}
    await use(pool, "a")
    await holder.finish()
    assert machine.started == ["a"]
    await pool.aclose()


async def test_a_model_that_cannot_fit_alone_is_refused_with_numbers() -> None:
    machine = Machine({"big": 3 * 1024**3})
    pool = machine.pool(2 * 1024**3)
    with pytest.raises(
        ProviderUnavailable, match=r"needs about 3\.0 GiB and the memory_limit .* is 2\.0 GiB"
    ):
        await use(pool, "big")
    assert machine.started == []
    await pool.aclose()


async def test_without_a_limit_of_its_own_a_large_model_is_tried_alone(machine: Machine) -> None:
    pool = machine.pool(10, strict=False)
    await use(pool, "a")
    await use(pool, "big")
    assert machine.running == {"big"}
    await pool.aclose()


async def test_a_crash_fails_what_runs_with_the_model_s_name_and_the_next_request_restarts(
    machine: Machine,
) -> None:
    pool = machine.pool(10)
    with pytest.raises(ProviderUnavailable, match=r'model "a" was ended by SIGKILL; its last lines: oh'):
        await crash(machine, pool)
    await use(pool, "a")
    assert machine.started == ["a", "a"]
    await pool.aclose()


async def test_an_error_of_a_living_engine_is_passed_on(machine: Machine) -> None:
    pool = machine.pool(10)
    with pytest.raises(ProviderRejected, match="too long"):
        async with pool.lease("a"):
            raise ProviderRejected("local", "too long")
    assert machine.running == {"a"}
    await pool.aclose()


async def test_crashes_in_a_row_are_waited_out(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "CRASH_BACKOFF_S", (0.0, 3600.0))
    pool = machine.pool(10, wait_s=0.05)
    for _ in range(2):
        with pytest.raises(ProviderUnavailable, match="SIGKILL"):
            await crash(machine, pool)
    with pytest.raises(ProviderUnavailable, match="crashed 2 times and is started again in"):
        await use(pool, "a")
    assert machine.started == ["a", "a"]
    await use(pool, "b")
    await pool.aclose()


async def test_a_start_that_fails_is_not_repeated_by_every_request(machine: Machine) -> None:
    pool = machine.pool(10)
    machine.broken.add("a")
    errors: list[str] = []
    for _ in range(4):
        with pytest.raises(ProviderUnavailable, match="did not start: it ended with code 1") as caught:
            await use(pool, "a")
        errors.append(caught.value.message)
        assert int(caught.value.headers["retry-after"]) >= 1
    assert machine.started == ["a"]
    await use(pool, "b")
    await pool.aclose()


async def test_a_start_is_tried_again_later(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "LOAD_BACKOFF_S", (0.0,))
    pool = machine.pool(10)
    machine.broken.add("a")
    with pytest.raises(ProviderUnavailable):
        await use(pool, "a")
    machine.broken.clear()
    await use(pool, "a")
    assert machine.running == {"a"}
    await pool.aclose()


async def test_an_idle_engine_is_unloaded(machine: Machine) -> None:
    pool = machine.pool(10, idle_s=0.01)
    holder = Holder(pool, "a")
    await holder.has_it.wait()
    await use(pool, "b")
    async with asyncio.timeout(10):
        await machine.engines["b"].stopped.wait()
    assert machine.running == {"a"}
    await holder.finish()
    await pool.aclose()


async def test_a_load_that_nobody_waits_for_any_more_stops_nobody(machine: Machine) -> None:
    pool = machine.pool(7)
    await use(pool, "a")
    machine.gate = asyncio.Event()
    request = asyncio.create_task(use(pool, "b"))
    await settle()
    request.cancel()
    await settle()
    machine.gate.set()
    await settle()
    assert machine.running == {"a"}
    await pool.aclose()


async def test_closing_ends_loads_and_refuses_requests(machine: Machine) -> None:
    pool = machine.pool(10)
    machine.gate = asyncio.Event()
    request = asyncio.create_task(use(pool, "a"))
    await settle()
    await pool.aclose()
    with pytest.raises(ProviderUnavailable, match="shutting down"):
        await request
    assert not machine.started


async def test_an_unknown_model_is_refused_with_what_there_is(machine: Machine) -> None:
    pool = machine.pool(10)
    with pytest.raises(ProviderModelUnknown, match='no model "d"; it has: a, b, c, big'):
        await use(pool, "d")


async def test_many_requests_over_few_places_all_end(machine: Machine) -> None:
    """Whatever the order, no request is lost, and never more is loaded than fits."""
    pool = machine.pool(9)

    async def one(name: str) -> None:
        async with pool.lease(name):
            assert sum(machine.sizes[each] for each in machine.running) <= 9
            await asyncio.sleep(0)

    await asyncio.gather(*(one("abc"[number * 7 % 3]) for number in range(60)))
    await pool.aclose()
    assert not machine.running


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_comes_no_busy_engine_is_stopped_and_every_request_ends(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random requests, some of whose callers leave, over engines of which some die or do not start."""
    monkeypatch.setattr(pool_module, "CRASH_BACKOFF_S", (0.0,))
    monkeypatch.setattr(pool_module, "LOAD_BACKOFF_S", (0.0,))
    random = Random(seed)
    machine = Machine({name: random.choice([2, 3, 5]) for name in "abcd"})
    limit = random.choice([5, 8])
    pool = machine.pool(limit, idle_s=random.choice([None, 0.0001]))
    wrong: list[str] = []

    async def request(name: str) -> None:
        for _ in range(random.randrange(4)):
            await asyncio.sleep(0)
        if random.random() < 0.05:
            machine.broken.symmetric_difference_update({name})
        async with pool.lease(name) as leased:
            engine = cast("FakeEngine", leased)
            for _ in range(random.randrange(6)):
                await asyncio.sleep(0)
                if sum(machine.sizes[each] for each in machine.running) > limit:
                    wrong.append(f"{machine.running} do not fit into {limit}")
                if engine.stopped.is_set() and not engine.died:
                    wrong.append(f"{engine.name} was stopped while it was used")
            if random.random() < 0.1:
                engine.alive, engine.died = False, True
            if not engine.alive:
                raise ProviderProtocolError("local", "broke off")

    tasks = [asyncio.create_task(request(random.choice("abcd"))) for _ in range(60)]
    for task in random.sample(tasks, 10):
        await asyncio.sleep(0)
        task.cancel()
    async with asyncio.timeout(20):
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    unexpected = [
        end for end in ends if end and not isinstance(end, ProviderUnavailable | asyncio.CancelledError)
    ]
    assert not unexpected
    assert not wrong
    assert machine.started
    await pool.aclose()
    assert not machine.running
