"""Waiting for tasks that must have ended, however often whoever waits is cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def cancelled(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel tasks and wait for their end. Raises only the waiter's own CancelledError, and after their end."""
    for task in tasks:
        task.cancel()
    try:
        await ended(*tasks)
    finally:
        for task in tasks:
            if not task.cancelled():
                task.exception()  # seen


async def whole(work: Coroutine[Any, Any, T]) -> T:
    """Do work to its end. A cancellation of the one who waits is raised after it."""
    task = asyncio.ensure_future(work)
    try:
        await ended(task)
    except asyncio.CancelledError:
        if not task.cancelled():
            task.exception()  # seen
        raise
    return task.result()


async def ended(*tasks: "asyncio.Future[Any]") -> None:
    """Wait for the end of tasks, whatever it is. The waiter's own CancelledError is raised after it."""
    interrupted: asyncio.CancelledError | None = None
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted
