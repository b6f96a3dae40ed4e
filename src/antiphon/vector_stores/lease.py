"""`Lease`: the claim of a job while it is worked on."""

import asyncio

from antiphon.core.errors import StoreUnavailable
from antiphon.ports import Clock
from antiphon.ports.knowledge import IngestionClaim, StoredVectorFile, VectorStoreRecords


class LeaseLost(Exception):
    """Somebody else decides about the file now: nothing more may be written for it."""


class Lease:
    """A claim with its time. `ended` when nobody holds it any more."""

    def __init__(
        self, records: VectorStoreRecords, claim: IngestionClaim, clock: Clock, seconds: int
    ) -> None:
        self.claim = claim
        self.ended = False
        self._records = records
        self._clock = clock
        self._seconds = seconds
        self._until = clock.now() + seconds

    async def keep(self, each_s: float) -> None:
        """Renew it until it is lost; returns then."""
        while True:
            await asyncio.sleep(each_s)
            try:
                await self._renew()
            except LeaseLost:
                return
            except StoreUnavailable:
                if self._clock.now() >= self._until:
                    return

    async def hold(self) -> None:
        """Asked before anything is written outside of the database. Raises LeaseLost.

        A process that was stopped for a while asks here before the timer does.
        """
        if self._clock.now() >= self._until - self._seconds // 3:
            await self._renew()

    async def finish(self, file: StoredVectorFile | None = None, *, clean: bool = False) -> None:
        """The job is done. Raises LeaseLost."""
        if not await self._records.finish(self.claim, file, clean=clean):
            raise LeaseLost
        self.ended = True

    async def defer(self, seconds: int) -> None:
        await self._records.defer(self.claim, self._clock.now() + seconds)
        self.ended = True

    async def release(self) -> None:
        await self._records.release(self.claim)
        self.ended = True

    async def _renew(self) -> None:
        until = self._clock.now() + self._seconds
        if not await self._records.renew(self.claim, until):
            raise LeaseLost
        self._until = until
