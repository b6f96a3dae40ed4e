"""Reads documents in a pool of confined child processes. See `ports.knowledge.Extractor`."""

import asyncio
import logging
from collections.abc import AsyncIterable
from contextlib import suppress
from typing import Final

from antiphon.core.documents import Document
from antiphon.extraction.limits import ExtractionLimits
from antiphon.extraction.worker import Worker, WorkerGone, WorkerLost
from antiphon.ports.knowledge import Unreadable

ATTEMPTS: Final = 3
"""Children may end while nobody looks: the system is short of memory, say."""
log = logging.getLogger("antiphon.extraction")


class DocumentExtractor:
    """Children are started when they are needed, at most `limits.workers`, and kept for the next files.

    One that ends over a file, goes beyond a limit or has served its time is replaced; the file that it ended over is
    not tried again.
    """

    def __init__(self, limits: ExtractionLimits | None = None) -> None:
        self.limits = limits or ExtractionLimits()
        self._places = asyncio.Semaphore(self.limits.workers)
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """Of the children that there are now."""
        return [one.pid for one in (*self._idle, *self._busy) if one.alive]

    async def extract(self, content: AsyncIterable[bytes], filename: str, media_type: str) -> Document:
        """See `ports.knowledge.Extractor.extract`. Waits for its turn where all children are busy."""
        async with self._places:
            for _ in range(ATTEMPTS):
                with suppress(WorkerGone):
                    return await self._read(await self._worker(), content, filename, media_type)
        raise Unreadable("server_error", "the readers of documents end before they are given a file.")

    async def _read(
        self, worker: Worker, content: AsyncIterable[bytes], filename: str, media_type: str
    ) -> Document:
        self._busy.add(worker)
        usable = False
        try:
            document = await worker.read(content, filename, media_type)
        except WorkerGone:
            raise
        except WorkerLost as lost:
            if self._closed:
                raise _shutting_down() from None
            log.info("a file of type %r ended its reader: %s", media_type[:100], lost.message)
            raise Unreadable("invalid_file", f"the file cannot be read: {lost.message}.") from None
        except Exception:  # the child is as it was
            usable = True
            raise
        else:
            usable = True
            return document
        finally:
            self._busy.discard(worker)
            await self._give_back(worker, usable=usable)

    async def aclose(self) -> None:
        """End all children; files that are being read end as unreadable ones."""
        self._closed = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*(one.stop() for one in (*idle, *self._busy)))

    async def _worker(self) -> Worker:
        if self._closed:
            raise _shutting_down()
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            await worker.stop()
        try:
            return await Worker.start(self.limits)
        except WorkerLost as lost:
            log.warning("documents cannot be read: the reader does not start: %s", lost.message)
            raise Unreadable(
                "server_error", f"the reader of documents did not start: {lost.message}."
            ) from None

    async def _give_back(self, worker: Worker, *, usable: bool) -> None:
        fresh = worker.served < self.limits.documents_per_worker and not worker.spent
        if usable and fresh and worker.alive and not self._closed:
            self._idle.append(worker)
        else:
            await worker.stop()


def _shutting_down() -> Unreadable:
    return Unreadable("server_error", "the server is shutting down.")
