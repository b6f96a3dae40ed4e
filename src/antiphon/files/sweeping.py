"""What a server does again and again while it runs."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from antiphon.core.errors import AntiphonError

log = logging.getLogger("antiphon.files")


class Sweeper:
    """Runs each of `sweeps` when it is started, and then every so many seconds. One that fails is tried again then."""

    def __init__(self, sweeps: Sequence[Callable[[], Awaitable[None]]], every_s: float) -> None:
        self._sweeps = sweeps
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="antiphon-sweeper")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            for sweep in self._sweeps:
                await _tried(sweep)
            await asyncio.sleep(self._every_s)


async def _tried(sweep: Callable[[], Awaitable[None]]) -> None:
    try:
        await sweep()
    except AntiphonError as error:
        log.warning("what has expired could not be removed: %s", error)
    except Exception:  # a bug: logged, and the sweeps go on
        log.exception("what has expired could not be removed")
