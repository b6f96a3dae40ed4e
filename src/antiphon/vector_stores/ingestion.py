"""Takes files into vector stores: claims jobs, works on several at once, and clears away what is to go.

A row that says `in_progress` is the job; nothing else is kept of it, so that a restart goes on where the rows stand.
Nothing here polls: those who make jobs `wake` it, what was put off has its time, and a slow timer looks after leases
that others let run out and stores that expire.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from antiphon.core.errors import AntiphonError, StoreUnavailable
from antiphon.ports import Clock, Ids, Owner
from antiphon.ports.knowledge import IngestionClaim, VectorStoreRecords
from antiphon.vector_stores.indexes import Indexes, collection_of, left_overs
from antiphon.vector_stores.jobs import Jobs
from antiphon.vector_stores.lease import Lease, LeaseLost
from antiphon.vector_stores.tasks import cancelled, ended, whole

log = logging.getLogger("antiphon.ingestion")
_SHORTEST_PAUSE_S = 0.05
_SWEPT_AT_ONCE = 20
_LONGEST_WAIT_S = 5
_FileKey = tuple[Owner, str, str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class IngestionTimes:
    """In seconds. A claim is good for `lease`, and renewed each `renew`."""

    lease: int = 60
    renew: float = 20
    sweep: float = 60
    after_trouble: float = 1


@dataclass(slots=True)
class _Running:
    """A job that a worker is at. It is told to end, never cancelled: a task that has not begun could not let go of its
    claim.
    """

    claim: IngestionClaim
    told: asyncio.Event
    task: asyncio.Task[None]


class Ingestion:
    """The workers of one server. `start` and `stop` once each."""

    def __init__(
        self,
        records: VectorStoreRecords,
        indexes: Indexes,
        jobs: Jobs,
        clock: Clock,
        ids: Ids,
        *,
        workers: int = 2,
        times: IngestionTimes = IngestionTimes(),
    ) -> None:
        self._records = records
        self._indexes = indexes
        self._jobs = jobs
        self._clock = clock
        self._ids = ids
        self._workers = workers
        self._times = times
        self._running: dict[_FileKey, _Running] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._kept_back: set[str] = set()
        self._woken = asyncio.Event()
        self._sweep_wanted = asyncio.Event()

    def start(self) -> None:
        self._loops = [
            asyncio.create_task(self._dispatch(), name="ingestion"),
            asyncio.create_task(self._sweep(), name="ingestion-sweep"),
        ]

    async def stop(self) -> None:
        """Let go of all that is being done, so that the next start goes on with it at once."""
        loops, self._loops = self._loops, []
        await cancelled(*loops)
        await self._end(list(self._running.values()))

    @property
    def busy(self) -> bool:
        """Whether a worker is at a job."""
        return bool(self._running)

    def wake(self) -> None:
        """There are jobs."""
        self._woken.set()

    def sweep_soon(self) -> None:
        """There are stores to be cleared away."""
        self._sweep_wanted.set()

    async def interrupt(
        self, owner: Owner, store_id: str, file_id: str | None = None, *, batch_id: str | None = None
    ) -> None:
        """End what is being done here for a file, for those of a batch, or for all of a store: their claims were
        lost.
        """
        await self._end(
            [
                one
                for key, one in self._running.items()
                if key[:2] == (owner, store_id)
                and file_id in (None, key[2])
                and batch_id in (None, one.claim.file.batch_id)
            ]
        )

    async def do_now(self, owner: Owner, store_id: str, file_id: str) -> None:
        """Do a small job of a file here and now, if nobody else is at it; else it is done in the background. A failure
        leaves it to be done later.
        """
        await whole(self._do_now(owner, store_id, file_id))

    async def _do_now(self, owner: Owner, store_id: str, file_id: str) -> None:
        await self.interrupt(owner, store_id, file_id)
        now = self._clock.now()
        until = now + self._times.lease
        claim = await self._records.claim_file(owner, store_id, file_id, self._token(), now, until)
        if claim is not None and claim.task == "read":  # added again meanwhile: that is nothing small
            await self._records.release(claim)
        elif claim is not None:
            await self._do(claim, asyncio.Event())
        elif (owner, store_id, file_id) in self._running:  # a worker was faster
            await asyncio.wait({self._running[owner, store_id, file_id].task}, timeout=_LONGEST_WAIT_S)
        self.wake()

    # --- jobs -------------------------------------------------------------------------------------------------
    async def _dispatch(self) -> None:
        await self._troubled(self._records.take_over)
        while True:
            self._woken.clear()
            pause = await self._troubled(self._claim_all)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._times.after_trouble if pause is None else pause):
                    await self._woken.wait()

    async def _claim_all(self) -> float:
        """Begin as many jobs as there is room for. How long there will be nothing to do, if nobody says otherwise."""
        while len(self._running) < self._workers:
            if not await whole(self._claim()):
                due = await self._records.next_due()
                wait = self._times.sweep if due is None else due - self._clock.now()
                return max(_SHORTEST_PAUSE_S, min(self._times.sweep, wait))
        return self._times.sweep

    async def _claim(self) -> bool:
        now = self._clock.now()
        claim = await self._records.claim(self._token(), now, now + self._times.lease)
        if claim is not None:
            self._begin(claim)
        return claim is not None

    def _begin(self, claim: IngestionClaim) -> None:
        key = (claim.owner, claim.file.store_id, claim.file.file_id)
        told = asyncio.Event()
        task = asyncio.create_task(self._do(claim, told), name=f"ingestion of {claim.file.file_id}")
        self._running[key] = _Running(claim, told, task)

        def on_end(task: asyncio.Task[None]) -> None:
            one = self._running.get(key)
            if one is not None and one.task is task:  # else the next job of this file
                del self._running[key]
            if not task.cancelled() and task.exception() is not None:
                log.error("a job could not be ended: %s", task.exception())
            self.wake()

        task.add_done_callback(on_end)

    @staticmethod
    async def _end(jobs: "list[_Running]") -> None:
        for one in jobs:
            one.told.set()
        await ended(*(one.task for one in jobs))

    async def _do(self, claim: IngestionClaim, told: asyncio.Event) -> None:
        """One job to its end. It ends early when it is told to, and when the claim is lost; it is let go of then."""
        lease = Lease(self._records, claim, self._clock, self._times.lease)
        work = asyncio.ensure_future(self._jobs.do(claim, lease))
        others = (asyncio.ensure_future(lease.keep(self._times.renew)), asyncio.ensure_future(told.wait()))
        try:
            await asyncio.wait({work, *others}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
        except LeaseLost:
            log.info("%s in %s: the claim was lost", claim.file.file_id, claim.file.store_id)
        finally:
            try:
                await cancelled(work, *others)
            finally:
                if not lease.ended:
                    await whole(self._troubled(lease.release))
                    self.sweep_soon()  # the store may be one that ends, and waited for this

    # --- what is to go ----------------------------------------------------------------------------------------
    async def _sweep(self) -> None:
        while True:
            self._sweep_wanted.clear()
            await self._troubled(self._sweep_once)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._times.sweep):
                    await self._sweep_wanted.wait()

    async def _sweep_once(self) -> None:
        now = self._clock.now()
        while await self._records.expire_stores(now, _SWEPT_AT_ONCE) == _SWEPT_AT_ONCE:
            pass
        for owner, store in await self._records.ending_stores(now, 10 * _SWEPT_AT_ONCE):
            await self.interrupt(owner, store.id)
            try:
                await self._indexes.of(store).drop(collection_of(store))
                for left_over in left_overs(store):
                    for index in self._indexes.by_id.values():
                        with suppress(AntiphonError):  # an index that is away must not keep the store
                            await index.drop(left_over)
                await self._records.forget_store(owner, store.id)
            except AntiphonError as error:
                self._not_dropped(store.id, error.message)
            except Exception:
                log.exception("what vector store %s held is not dropped yet", store.id)

    def _not_dropped(self, store_id: str, why: str) -> None:
        """It is tried at each sweep, and told once."""
        if store_id not in self._kept_back:
            self._kept_back.add(store_id)
            log.warning("what vector store %s held is not dropped yet: %s", store_id, why)

    async def _troubled(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """None where the database, or a bug, is in the way: that is logged, and tried again later."""
        try:
            return await work()
        except StoreUnavailable as error:
            log.warning("vector stores are not filled now: %s", error.message)
        except Exception:
            log.exception("vector stores are not filled now")
        return None

    def _token(self) -> str:
        return self._ids.new("job_")
