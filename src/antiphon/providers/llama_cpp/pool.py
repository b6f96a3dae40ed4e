"""The loaded engines: on demand, within the memory limit, least recently used stopped first, never a busy one.

A model is loaded by one task that all its first requests wait for. Tasks make room one after the other, in the order
in which they came. One that needs the memory of a busy engine marks that engine as leaving: it finishes what runs,
takes nothing new, and then goes; so a model that is always busy cannot keep another one out for ever.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from antiphon.core.errors import (
    ProviderError,
    ProviderModelUnknown,
    ProviderProtocolError,
    ProviderUnavailable,
)
from antiphon.providers.llama_cpp.process import Engine, EngineFailed
from antiphon.providers.llama_cpp.settings import shown_bytes

log = logging.getLogger("antiphon.llama_cpp")

CRASH_BACKOFF_S = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds from the n-th crash in a row to the next start; a request in between waits for it."""

LOAD_BACKOFF_S = (2.0, 5.0, 15.0, 60.0)
"""Seconds after the n-th failed load in a row in which requests get its error at once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known of a model once its file is here: how to start it, and how much memory that takes."""

    memory_bytes: int
    start: Callable[[], Awaitable[Engine]]


class Preparation(Protocol):
    """Gets a model's file and reads it; the slow part. `say` takes a word on how far it is."""

    async def __call__(self, say: Callable[[str], None]) -> Plan: ...


@dataclass(slots=True, eq=False)
class Model:
    """A model of the pool and its engine, if it has one."""

    name: str
    prepare: Preparation
    engine: Engine | None = None
    memory_bytes: int = 0
    in_use: int = 0
    waiting: int = 0
    leaving: bool = False
    fresh: bool = False
    last_used: float = 0.0
    served: int = 0
    crashes: int = 0
    failed_loads: int = 0
    failure: str = ""
    not_before: float = 0.0
    loading: asyncio.Task[None] | None = None
    doing: str = ""
    unload: asyncio.TimerHandle | None = field(default=None, repr=False)

    @property
    def is_awaited(self) -> bool:
        """Just loaded, and those it was loaded for have not yet got it: it cannot be taken from them."""
        return self.fresh and self.waiting > 0

    def tell(self, word: str) -> None:
        self.doing = word

    @property
    def is_ready(self) -> bool:
        return self.engine is not None and self.engine.alive and not self.leaving


class EnginePool:
    """One per provider. Everything happens in one event loop; nothing here blocks it."""

    def __init__(
        self,
        provider: str,
        models: Sequence[tuple[str, Preparation]],
        *,
        memory_limit: int,
        strict: bool,
        wait_s: float,
        idle_unload_s: float | None = None,
    ) -> None:
        """With `strict`, a model that alone is above `memory_limit` is refused; else it is tried, alone."""
        self._provider = provider
        self._models = {name: Model(name, prepare) for name, prepare in models}
        self._limit = memory_limit
        self._strict = strict
        self._wait_s = wait_s
        self._idle_unload_s = idle_unload_s
        self._room = asyncio.Lock()
        self._changed = asyncio.Event()
        self._stopping: set[asyncio.Task[None]] = set()
        self._closed = False

    def loaded(self) -> dict[str, int]:
        """The engines that run now, by model: their process ids."""
        return {one.name: one.engine.pid for one in self._models.values() if one.engine is not None}

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncGenerator[Engine]:
        """The model's engine, kept from being stopped inside the `with`.

        An error of a provider inside becomes ProviderUnavailable, naming the model, when the engine is gone.
        Raises ProviderModelUnknown, and ProviderUnavailable when it cannot be loaded or not in time.
        """
        model = self._model(name)
        engine = await self._ready(model)
        model.in_use += 1
        model.fresh = False
        if model.unload is not None:
            model.unload.cancel()
            model.unload = None
        try:
            yield engine
            model.served += 1
        except ProviderError as error:
            lost = isinstance(error, ProviderUnavailable | ProviderProtocolError)
            if lost and not self._closed and await engine.has_ended(within_s=3.0):
                raise self._crashed(model, engine) from error
            raise
        finally:
            self._release(model)

    async def aclose(self) -> None:
        """Stop everything; no process is left. Requests that still run fail."""
        self._closed = True
        loads = [model.loading for model in self._models.values() if model.loading is not None]
        for task in loads:
            task.cancel()
        await asyncio.gather(*loads, return_exceptions=True)
        for model in self._models.values():
            if model.unload is not None:
                model.unload.cancel()
            await self._stop(model)
        await asyncio.gather(*self._stopping)

    def _model(self, name: str) -> Model:
        model = self._models.get(name)
        if model is None:
            served = ", ".join(self._models)
            raise ProviderModelUnknown(
                self._provider,
                f'provider "{self._provider}" has no model "{name}"; it has: {served}.',
                param="model",
            )
        return model

    # --- waiting for an engine ------------------------------------------------------------------------------
    async def _ready(self, model: Model) -> Engine:
        model.waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                while True:
                    if model.engine is not None and model.is_ready:
                        return model.engine
                    await self._step(model)
        except TimeoutError:
            raise ProviderUnavailable(
                self._provider,
                f'model "{model.name}" is not ready after {self._wait_s:g} s'
                f"{f': {model.doing}' if model.doing else ''}; try again in a moment.",
                retry_after="10",
            ) from None
        finally:
            model.waiting -= 1
            self._change()

    async def _step(self, model: Model) -> None:
        """Wait for the next thing that can change whether the model is ready, starting its load if need be."""
        if self._closed:
            raise ProviderUnavailable(self._provider, "the server is shutting down.")
        if model.leaving:
            await self._next_change()
            return
        if model.loading is None:
            self._refuse_while_failing(model)
            model.loading = asyncio.create_task(self._load(model))
            model.loading.add_done_callback(lambda task: self._loaded(model, task))
        task = model.loading
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    def _refuse_while_failing(self, model: Model) -> None:
        left = model.not_before - asyncio.get_running_loop().time()
        if model.failed_loads and left > 0:
            raise self._cannot_load(model, left)

    def _loaded(self, model: Model, task: asyncio.Task[None]) -> None:
        model.loading = None
        model.doing = ""
        if not task.cancelled():
            task.exception()  # seen here, also when every request that waited has left
        self._change()

    async def _next_change(self) -> None:
        await self._changed.wait()

    def _change(self) -> None:
        """Wake everybody who waits for the state of some engine."""
        self._changed.set()
        self._changed = asyncio.Event()

    # --- loading --------------------------------------------------------------------------------------------
    async def _load(self, model: Model) -> None:
        """Make the model's engine run. Raises ProviderError."""
        await self._bury(model)
        try:
            plan = await model.prepare(model.tell)
        except EngineFailed as error:
            raise self._load_failed(model, error) from None
        if self._strict and plan.memory_bytes > self._limit:
            raise ProviderUnavailable(
                self._provider,
                f'model "{model.name}" needs about {shown_bytes(plan.memory_bytes)} and the memory_limit of provider'
                f' "{self._provider}" is {shown_bytes(self._limit)}; raise the limit, or lower its context, slots'
                " or quantisation.",
            )
        await self._wait_out_crashes(model)
        async with self._room:
            await self._make_room(model, plan.memory_bytes)
            model.doing = "it is being loaded"
            model.memory_bytes = plan.memory_bytes
            try:
                model.engine = await plan.start()
            except EngineFailed as error:
                model.memory_bytes = 0
                raise self._load_failed(model, error) from None
            except BaseException:
                model.memory_bytes = 0
                raise
        log.info('model "%s" is loaded in process %d', model.name, model.engine.pid)
        model.fresh = True
        model.failed_loads = 0
        model.served = 0
        self._touch(model)

    async def _bury(self, model: Model) -> None:
        """Take leave of an engine that died by itself, counting the crash."""
        engine = model.engine
        if engine is None:
            return
        model.crashes = 1 if model.served else model.crashes + 1
        wait = CRASH_BACKOFF_S[min(model.crashes, len(CRASH_BACKOFF_S)) - 1]
        model.not_before = asyncio.get_running_loop().time() + wait
        await self._stop(model)
        log.warning('the engine of model "%s" %s', model.name, engine.how_it_ended)

    async def _wait_out_crashes(self, model: Model) -> None:
        left = model.not_before - asyncio.get_running_loop().time()
        if left > 0:
            model.doing = f"its engine crashed {model.crashes} times and is started again in {left:.0f} s"
            await asyncio.sleep(left)

    def _load_failed(self, model: Model, error: EngineFailed) -> ProviderUnavailable:
        model.failed_loads += 1
        model.failure = str(error)
        log.warning('the engine of model "%s" did not start: %s', model.name, error)
        wait = LOAD_BACKOFF_S[min(model.failed_loads, len(LOAD_BACKOFF_S)) - 1]
        model.not_before = asyncio.get_running_loop().time() + wait
        return self._cannot_load(model, wait)

    def _cannot_load(self, model: Model, left_s: float) -> ProviderUnavailable:
        times = f" {model.failed_loads} times" if model.failed_loads > 1 else ""
        return ProviderUnavailable(
            self._provider,
            f'the engine of model "{model.name}" did not start{times}: {model.failure}',
            retry_after=str(max(1, round(left_s))),
        )

    def _crashed(self, model: Model, engine: Engine) -> ProviderUnavailable:
        return ProviderUnavailable(
            self._provider,
            f'the engine of model "{model.name}" {engine.how_it_ended}; the next request starts it again.',
            retry_after="1",
        )

    # --- room -----------------------------------------------------------------------------------------------
    async def _make_room(self, model: Model, needed: int) -> None:
        """Stop idle engines until `needed` bytes fit, waiting for busy ones. One task at a time is in here."""
        marked: list[Model] = []
        try:
            while not self._fits(needed):
                if not model.waiting:
                    raise asyncio.CancelledError  # everybody who asked has left
                victims = self._loaded_by_age(model)
                idle = next((one for one in victims if not one.in_use and not one.is_awaited), None)
                if idle is not None:
                    log.info('model "%s" makes room for "%s"', idle.name, model.name)
                    await self._stop(idle)
                    continue
                if not victims:
                    return  # alone, and not strict: it is tried
                self._mark(victims, needed, marked)
                model.doing = (
                    f"it waits for {', '.join(one.name for one in victims)} to finish, to take its memory"
                )
                await self._next_change()
        finally:
            for one in marked:
                one.leaving = False
            self._change()

    def _fits(self, needed: int) -> bool:
        return sum(one.memory_bytes for one in self._models.values()) + needed <= self._limit

    def _loaded_by_age(self, but: Model) -> list[Model]:
        """The engines there are, the least recently used first."""
        running = [one for one in self._models.values() if one.engine is not None and one is not but]
        return sorted(running, key=lambda one: one.last_used)

    def _mark(self, victims: Sequence[Model], needed: int, marked: list[Model]) -> None:
        """Let as many engines leave as it takes, the least recently used first."""
        total = sum(one.memory_bytes for one in self._models.values()) + needed
        for one in victims:
            if total <= self._limit:
                return
            total -= one.memory_bytes
            if not one.leaving and not one.is_awaited:
                one.leaving = True
                marked.append(one)

    def _release(self, model: Model) -> None:
        model.in_use -= 1
        self._touch(model)
        self._change()

    def _touch(self, model: Model) -> None:
        loop = asyncio.get_running_loop()
        model.last_used = loop.time()
        if self._idle_unload_s is not None and not model.in_use and not self._closed:
            if model.unload is not None:
                model.unload.cancel()
            model.unload = loop.call_later(self._idle_unload_s, self._unload, model)

    def _unload(self, model: Model) -> None:
        """The model was idle for long enough; unless somebody is about to use it."""
        model.unload = None
        if model.engine is None or model.in_use or model.waiting or model.leaving:
            return
        self._see_through(self._stop_if_idle(model))

    async def _stop_if_idle(self, model: Model) -> None:
        async with self._room:
            if not model.in_use and not model.waiting:
                await self._stop(model)

    def _see_through(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Run it to its end, whatever becomes of who asked."""
        task = asyncio.create_task(work)
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)
        return task

    async def _stop(self, model: Model) -> None:
        """End the model's engine. Its memory counts until the process is gone."""
        engine, model.engine = model.engine, None
        if engine is None:
            return
        await asyncio.shield(self._see_through(engine.stop()))
        model.memory_bytes = 0
        self._change()
