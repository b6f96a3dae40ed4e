"""One collection's SQLite file: made, opened, written in one place at a time, read beside that."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import apsw

from antiphon.core.errors import IndexUnavailable
from antiphon.indexes.collection_search import WordCounts
from antiphon.indexes.statements import row, run, statements
from antiphon.ports.knowledge import Collection

T = TypeVar("T")

SQL: Final = statements("collection")
APPLICATION_ID = 0x416E7449  # "AntI"
SCHEMA = 1
BUSY_MS = 10_000
CLOSED = "the vector index is closed: the server is stopping."
READERS_KEPT = 2
_BESIDE = ("-wal", "-shm", "-journal")
_PAGE_BYTES = 8192  # five vectors of 384 numbers, two of 768, one of 1,536
_READER_KIB, _WRITER_KIB = 4096, 2048


class CollectionFile:
    """Its connections are opened when they are first needed. Raises IndexUnavailable for a file that is not there, is
    not one of ours, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.word_counts = WordCounts()
        self.users = 0
        self._writing = asyncio.Lock()
        self._writer: apsw.Connection | None = None
        self._readers: list[apsw.Connection] = []
        self._guard = threading.Lock()
        self._closings = 0

    async def create(self, threads: ThreadPoolExecutor, collection: Collection) -> None:
        async with self._writing:
            await _in(threads, lambda: self._guarded(lambda: self._create(collection.dimension)))

    async def write(self, threads: ThreadPoolExecutor, work: Callable[[apsw.Connection], T]) -> T:
        """In one transaction, which is on the disk when this returns."""
        async with self._writing:
            return await _in(threads, lambda: self._guarded(lambda: self._write(work)))

    async def read(self, threads: ThreadPoolExecutor, work: Callable[[apsw.Connection], T]) -> T:
        """Of one state of the file, whatever is written meanwhile."""
        return await _in(threads, lambda: self._guarded(lambda: self._read(work)))

    async def remove(self, threads: ThreadPoolExecutor) -> None:
        """Remove the file and what SQLite keeps beside it. Who reads it still reads on."""
        async with self._writing:
            await _in(threads, self._remove)

    def close(self) -> None:
        """Let go of the file; who reads it still reads on. The writer goes last: closing it empties the log.
        It may be used again, and is opened anew then.
        """
        with self._guard:
            self._closings += 1
            readers, self._readers = self._readers, []
        for reader in readers:
            reader.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    # --- in a thread ---------------------------------------------------------------------------------------
    def _guarded(self, work: Callable[[], T]) -> T:
        """What fails is told to callers of the server: with the name of the file, and not with where it is."""
        name = self.path.name
        try:
            return work()
        except apsw.CantOpenError as error:
            raise IndexUnavailable(
                f"the file {name} of a vector store is not there, or cannot be opened."
            ) from error
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise IndexUnavailable(
                f"the file {name} of a vector store is damaged, or none of ours ({error}). Bring it back from a backup;"
                " or delete the vector store, and add its files to another one."
            ) from error
        except apsw.Error as error:
            raise IndexUnavailable(f"the file {name} of a vector store cannot be used: {error}.") from error
        except OSError as error:
            raise IndexUnavailable(
                f"the file {name} of a vector store cannot be used: {error.strerror}."
            ) from error

    def _create(self, dimension: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        connection = _connect(self.path)
        try:
            run(connection, f"PRAGMA page_size = {_PAGE_BYTES}")
            _prepare_writer(connection)
            run(connection, "BEGIN IMMEDIATE")
            if not _made(connection):
                run(connection, SQL["schema"])
                run(connection, SQL["begin_facts"], (dimension,))
                run(connection, f"PRAGMA application_id = {APPLICATION_ID}")
                run(connection, f"PRAGMA user_version = {SCHEMA}")
            run(connection, "COMMIT")
        finally:
            connection.close()
        _sync_folder(self.path.parent)

    def _open(self) -> apsw.Connection:
        """A connection to a file that is one of ours."""
        connection = _connect(self.path)
        try:
            made = _made(connection)
        except BaseException:
            connection.close()
            raise
        if not made:
            connection.close()
            raise IndexUnavailable(f'the collection "{self.path.stem}" was never made whole.')
        return connection

    def _write(self, work: Callable[[apsw.Connection], T]) -> T:
        if self._writer is None:
            writer = self._open()
            _prepare_writer(writer)
            self._writer = writer
        run(self._writer, "BEGIN IMMEDIATE")
        try:
            done = work(self._writer)
            run(self._writer, "COMMIT")
        except BaseException:
            with contextlib.suppress(apsw.Error):
                run(self._writer, "ROLLBACK")
            raise
        return done

    def _read(self, work: Callable[[apsw.Connection], T]) -> T:
        with self._guard:
            closings = self._closings
            reader = self._readers.pop() if self._readers else None
        if reader is None:
            reader = self._open()
            run(reader, f"PRAGMA cache_size = -{_READER_KIB}")
            run(reader, "PRAGMA query_only = 1")
        try:
            run(reader, "BEGIN")
            return work(reader)
        finally:
            self._give_back(reader, closings)

    def _give_back(self, reader: apsw.Connection, closings: int) -> None:
        """Keep it for the next one, unless there are enough, or what it reads was let go of meanwhile."""
        if reader.in_transaction:
            run(reader, "COMMIT")
        with self._guard:
            keep = closings == self._closings and len(self._readers) < READERS_KEPT
            if keep:
                self._readers.append(reader)
        if not keep:
            reader.close()

    def _remove(self) -> None:
        self.close()
        try:
            for path in (self.path, *(self.path.with_name(self.path.name + end) for end in _BESIDE)):
                path.unlink(missing_ok=True)
            if self.path.parent.exists():
                _sync_folder(self.path.parent)
        except OSError as error:
            message = f"the file {self.path.name} of a vector store cannot be removed: {error.strerror}."
            raise IndexUnavailable(message) from error


async def _in(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    try:
        done = asyncio.get_running_loop().run_in_executor(threads, work)
    except RuntimeError as error:  # its threads have ended
        raise IndexUnavailable(CLOSED) from error
    return await done


def _connect(path: Path) -> apsw.Connection:
    import sqlite_vec  # type: ignore[import-untyped]  # it has no types

    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW)
    connection.set_busy_timeout(BUSY_MS)
    connection.enable_load_extension(True)  # noqa: FBT003 positional in C
    connection.load_extension(str(sqlite_vec.loadable_path()))
    connection.enable_load_extension(False)  # noqa: FBT003 the same
    return connection


def _prepare_writer(connection: apsw.Connection) -> None:
    run(connection, "PRAGMA journal_mode = WAL")
    run(connection, "PRAGMA synchronous = FULL")
    run(connection, f"PRAGMA cache_size = -{_WRITER_KIB}")
    run(connection, "PRAGMA journal_size_limit = 16777216")
    run(connection, "PRAGMA secure_delete = ON")  # what is removed is overwritten, not only let go of


def _made(connection: apsw.Connection) -> bool:
    """False for an empty file. Raises apsw.NotADBError for one that is not ours, IndexUnavailable for a newer one."""
    application = row(connection, "PRAGMA application_id")
    version = row(connection, "PRAGMA user_version")
    if application == (APPLICATION_ID,) and version is not None and version[0]:
        if version[0] > SCHEMA:
            raise IndexUnavailable("the file of a vector store was made by a newer version of this program.")
        return True
    if row(connection, "SELECT 1 FROM sqlite_master LIMIT 1") is not None:
        raise apsw.NotADBError("another program's database")
    return False


def _sync_folder(folder: Path) -> None:
    """So that a file that was made or removed in it is so after a power cut as well."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
