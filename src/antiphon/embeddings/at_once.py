"""Several things done at the same time, as one."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def at_once(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All their results, in their order. The first that fails ends the others, and its error is raised; nothing goes on
    when this returns.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        for done in asyncio.as_completed(tasks):
            await done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [task.result() for task in tasks]
