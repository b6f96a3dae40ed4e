"""`PostgresPool`: connections to one PostgreSQL, and what its failures are called here."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from antiphon.core.errors import IndexUnavailable
from antiphon.indexes.pgvector_sql import MissingTable

T = TypeVar("T")

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Work: TypeAlias = Callable[[Connection], Awaitable[T]]

CONNECT_S: Final = 10.0
_LOST = (
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    ConnectionError,
)
_CONFLICTS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


class PostgresPool:
    """Opens on first use, inside the running loop, and again when that failed. Messages hold no host and no secret."""

    def __init__(
        self,
        provider_id: str,
        address: Mapping[str, Any],
        *,
        size: int,
        timeout_s: float,
        prepare: Work[None],
        begin: Work[None],
    ) -> None:
        """`address` are arguments of `asyncpg.connect`. `prepare` is done once, before anything else, on a connection
        of its own; `begin` on every new connection. `timeout_s` is for a statement, and for the wait for a connection.
        """
        self._name = f'vector index "{provider_id}"'
        self._address = address
        self._size = size
        self._timeout_s = timeout_s
        self._prepare = prepare
        self._begin = begin
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    def __repr__(self) -> str:
        return f"PostgresPool({self._name})"

    async def run(self, work: Work[T]) -> T:
        """What `work` gives, done in one transaction. It is done a second time, so it must be fit for that, when the
        connection was lost or when two transactions stood in each other's way.

        Raises IndexUnavailable and MissingTable.
        """
        try:
            return await self._once(work)
        except (*_LOST, *_CONFLICTS) as error:
            if self._closed:
                raise self.unavailable("is closed.") from error
        except (asyncpg.PostgresError, OSError, TimeoutError) as error:
            raise self._named(error) from error
        try:
            return await self._once(work)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise self._named(error) from error

    async def _once(self, work: Work[T]) -> T:
        pool = await self._opened()
        async with pool.acquire(timeout=self._timeout_s) as connection, connection.transaction():
            return await work(connection)

    async def _opened(self) -> "asyncpg.Pool[asyncpg.Record]":
        if self._closed:
            raise self.unavailable("is closed.")
        if self._pool is not None:
            return self._pool
        async with self._opening:
            if self._pool is None:
                await self._prepared()
                self._pool = await self._made()
            return self._pool

    async def _made(self) -> "asyncpg.Pool[asyncpg.Record]":
        async def begin(connection: Connection) -> None:
            await self._begin(connection)

        return await asyncpg.create_pool(
            **self._address,
            min_size=0,
            max_size=self._size,
            timeout=CONNECT_S,
            command_timeout=self._timeout_s,
            init=begin,
            record_class=asyncpg.Record,
        )

    async def _prepared(self) -> None:
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
            **self._address, timeout=CONNECT_S, command_timeout=self._timeout_s
        )
        try:
            async with connection.transaction():
                await self._prepare(connection)
        finally:
            await connection.close(timeout=CONNECT_S)

    def _named(self, error: Exception) -> Exception:
        if isinstance(error, asyncpg.UndefinedTableError | asyncpg.InvalidSchemaNameError):
            return MissingTable()
        if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):  # and of a wrong password
            return self.unavailable(
                "was refused by PostgreSQL: check user and password in its configuration."
            )
        if isinstance(error, asyncpg.InvalidCatalogNameError):
            return self.unavailable("has no database of that name on its PostgreSQL: check db, or create it.")
        if isinstance(error, asyncpg.InsufficientPrivilegeError):
            return self.unavailable(
                "lacks a right in PostgreSQL: its user must own the schema, or be granted it."
            )
        if isinstance(error, TimeoutError | asyncpg.QueryCanceledError):
            return self.unavailable(
                "did not answer in time; try again, or raise timeout_s in its configuration."
            )
        if isinstance(error, asyncpg.PostgresError) and not isinstance(error, _LOST):
            return self.unavailable(f"failed: PostgreSQL answered {type(error).__name__} ({error.sqlstate}).")
        return self.unavailable(
            "cannot be reached: there is no connection to its PostgreSQL. See that it runs."
        )

    def unavailable(self, what: str) -> IndexUnavailable:
        return IndexUnavailable(f"{self._name} {what}")

    async def aclose(self) -> None:
        """What runs is let end for a moment, then it is cut off."""
        self._closed = True
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), CONNECT_S)
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pool.terminate()
