"""Moves the write-ahead log into the database file, in a thread and a connection of its own.

SQLite would do it inside the commit that crosses a size, and that commit would take many times as long.
"""

import threading

import apsw

PAGES = 1_000
PAGES_AT_MOST = 16_000
"""From here on (64 MB) writers wait until the log is empty; or steady traffic could let it grow for ever."""


class Checkpoints:
    """Watches the writer's log size through SQLite's WAL hook."""

    def __init__(self, writer: apsw.Connection, own: apsw.Connection) -> None:
        self._connection = own
        self._due = threading.Event()
        self._pages = 0
        self._closed = False
        writer.wal_autocheckpoint(0)
        writer.set_wal_hook(self._after_commit)
        self._thread = threading.Thread(target=self._run, name="antiphon-checkpoint", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed = True
        self._due.set()
        self._thread.join()

    def _after_commit(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        """In the writer thread."""
        self._pages = pages
        if pages >= PAGES:
            self._due.set()
        return apsw.SQLITE_OK

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            if self._closed:
                break
            self._checkpoint()
        self._connection.close()

    def _checkpoint(self) -> None:
        mode = (
            apsw.SQLITE_CHECKPOINT_RESTART if self._pages > PAGES_AT_MOST else apsw.SQLITE_CHECKPOINT_PASSIVE
        )
        try:
            self._connection.wal_checkpoint(mode=mode)
        except apsw.Error:
            # Busy, or the disk is full. Nothing is lost, the log only stays longer; the next commit asks
            # again.
            return
