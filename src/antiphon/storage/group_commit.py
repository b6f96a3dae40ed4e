"""One writer thread that commits what many callers asked for in one transaction.

While a group is being committed the next one gathers in the event loop. So the price of `synchronous=FULL`,
and of waking a thread and the loop, is paid once per group, whatever its size.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

import apsw

from antiphon.core.errors import StoreUnavailable
from antiphon.storage.queries import execute

T = TypeVar("T")

UNAVAILABLE = (
    apsw.BusyError,
    apsw.LockedError,
    apsw.FullError,
    apsw.ReadOnlyError,
    apsw.IOError,
    apsw.CantOpenError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.ConnectionClosedError,
    apsw.PermissionsError,
    apsw.NoMemError,
)
"""What SQLite raises when the database, not the statement, is at fault."""


def unavailable(error: apsw.Error) -> StoreUnavailable:
    return StoreUnavailable(
        f"the database cannot be used now: {error}. Nothing was written; check its disk, the rights of its"
        " folder, and that no other program holds it locked."
    )


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[apsw.Connection], Any]
    several_statements: bool
    future: asyncio.Future[Any]


_Outcome = tuple[_Job, Any, Exception | None]


class GroupWriter:
    """Owns the writing connection from construction to `aclose`. Belongs to one event loop."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._queue: SimpleQueue[list[_Job] | None] = SimpleQueue()
        self._gathering: list[_Job] = []
        self._committing = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="antiphon-writer", daemon=True)
        self._thread.start()

    def submit(
        self, work: Callable[[apsw.Connection], T], *, several_statements: bool = False
    ) -> asyncio.Future[T]:
        """Run `work` in the writer thread; the future is resolved after the commit that holds it.

        A `work` of several statements is undone as a whole when one of them fails. One caller's failure
        leaves the others in its group alone. Raises, or sets, StoreUnavailable when the database is at
        fault.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed: the server is stopping.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if not self._gathering and not self._committing:
            loop.call_soon(self._flush)
        self._gathering.append(_Job(work, several_statements, future))
        return future

    async def aclose(self) -> None:
        """Commit what was submitted, then stop the thread and close the connection."""
        if not self._closed:
            self._closed = True
            self._flush()
            self._queue.put(None)
        await ended(self._thread.join)

    def _flush(self) -> None:
        if self._gathering:
            group, self._gathering = self._gathering, []
            self._committing = True
            self._queue.put(group)

    def _committed(self, outcomes: list[_Outcome]) -> None:
        self._committing = False
        self._flush()
        for job, result, error in outcomes:
            if job.future.done():  # its caller was cancelled
                continue
            if error is None:
                job.future.set_result(result)
            else:
                job.future.set_exception(error)

    # What follows runs in the writer thread.

    def _run(self) -> None:
        while (group := self._queue.get()) is not None:
            outcomes = self._commit(group)
            loop = group[0].future.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._committed, outcomes)
        self._connection.close()

    def _commit(self, group: Sequence[_Job]) -> list[_Outcome]:
        try:
            execute(self._connection, "BEGIN IMMEDIATE")
        except apsw.Error as error:
            return [_failed(job, error) for job in group]
        try:
            outcomes = [self._attempt(job) for job in group]
            execute(self._connection, "COMMIT")
        except apsw.Error as error:
            if self._connection.in_transaction:
                execute(self._connection, "ROLLBACK")
            if len(group) == 1:
                return [_failed(group[0], error)]
            return [outcome for job in group for outcome in self._commit([job])]
        return outcomes

    def _attempt(self, job: _Job) -> _Outcome:
        """Do one job inside the group's transaction.

        Raises apsw.Error when SQLite took the whole transaction back, as it does when the disk is full.
        """
        if job.several_statements:
            execute(self._connection, "SAVEPOINT job")
        try:
            result = job.work(self._connection)
        except Exception as error:  # one of its own too: the thread goes on for all others
            if isinstance(error, apsw.Error) and not self._connection.in_transaction:
                raise
            if job.several_statements:
                execute(self._connection, "ROLLBACK TO job")
                execute(self._connection, "RELEASE job")
            return _failed(job, error)
        if job.several_statements:
            execute(self._connection, "RELEASE job")
        return job, result, None


def _failed(job: _Job, error: Exception) -> _Outcome:
    return job, None, unavailable(error) if isinstance(error, UNAVAILABLE) else error


async def ended(wait: Callable[[], object]) -> None:
    """Wait for a thread's end beside the loop; on it where none may begin: Python 3.12 at the program's end."""
    try:
        await asyncio.to_thread(wait)
    except RuntimeError:
        wait()
