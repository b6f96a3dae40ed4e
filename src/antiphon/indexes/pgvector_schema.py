"""The tables of `PgvectorIndex`, and how they are made.

A collection has two tables of its own, found by a number: `chunks_N`, and `labels_N` with each set of attributes that
files in it have. To search one never costs more for the others, to drop one is to drop its tables, and to change the
attributes of a file is to change one short row, whatever vectors its chunks have.
"""

from typing import Final

import asyncpg

from antiphon.core.errors import IndexUnavailable
from antiphon.indexes.pgvector_sql import CREATE, INDEX, MAX_INDEXED, PREPARE, Tables
from antiphon.indexes.postgres_pool import Connection

OLDEST_POSTGRES: Final = 130_000
ITERATIVE: Final = (0, 8)
"""The pgvector from which on a filtered search goes on until it has found enough."""


class Schema:
    """Names of everything in the database. `vector` is known once `prepare` was done: where the extension lives."""

    def __init__(self, provider_id: str, name: str) -> None:
        self._name = f'vector index "{provider_id}"'
        self.schema = _quoted(name)
        self._plain = name
        self.extension = ""
        self.version: tuple[int, ...] = (0,)

    @property
    def iterative(self) -> bool:
        return self.version[:2] >= ITERATIVE

    def filled(self, sql: str, tables: Tables | None = None) -> str:
        """`sql` with the names put in for `{schema}`, `{vector}`, `{number}` …"""
        names = {"schema": self.schema, "vector": f"{self.extension}.vector"}
        if tables is not None:
            halved = tables.dimension > MAX_INDEXED
            kind = f"{self.extension}.{'halfvec' if halved else 'vector'}({tables.dimension})"
            names |= {
                "number": str(tables.number),
                "size": str(max(tables.dimension, 1)),
                "indexed": f"(vector::{kind})" if halved else "vector",
                "class": f"{self.extension}.{'halfvec' if halved else 'vector'}_ip_ops",
                "asked": f"$1::{self.extension}.vector::{kind}" if halved else "$1",
                "by": f"OPERATOR({self.extension}.<#>)",
            }
        for key, name in names.items():
            sql = sql.replace(f"{{{key}}}", name)
        return sql

    async def prepare(self, connection: Connection) -> None:
        """Make what is not there yet; any number of servers may do it at once. Raises IndexUnavailable that says what
        an administrator has to do.
        """
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", self._plain)
        version: int = await connection.fetchval("SELECT current_setting('server_version_num')::int")
        encoding: str = await connection.fetchval("SELECT current_setting('server_encoding')")
        if version < OLDEST_POSTGRES:
            raise self._wants("PostgreSQL 13 or newer")
        if encoding != "UTF8":
            raise self._wants(f"a database of encoding UTF8, and this one has {encoding}; create another one")
        await self._find_extension(connection)
        if not await connection.fetchval("SELECT true FROM pg_namespace WHERE nspname = $1", self._plain):
            try:
                await connection.execute(self.filled("CREATE SCHEMA {schema}"))
            except asyncpg.InsufficientPrivilegeError as error:
                raise self._wants(
                    f"its schema {self._plain}, which its user may not create; as an administrator of that database"
                    f" run: CREATE SCHEMA {self.schema} AUTHORIZATION its user"
                ) from error
        await connection.execute(self.filled(PREPARE))

    async def _find_extension(self, connection: Connection) -> None:
        sql = (
            "SELECT quote_ident(n.nspname), e.extversion FROM pg_extension e"
            " JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
        )
        found = await connection.fetch(sql)
        if not found:
            await self._create_extension(connection)
            found = await connection.fetch(sql)
        ((self.extension, version),) = found
        self.version = tuple(int(part) for part in str(version).split(".") if part.isdigit())

    async def _create_extension(self, connection: Connection) -> None:
        try:
            await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        except asyncpg.InsufficientPrivilegeError as error:
            raise self._wants(
                "the extension pgvector, which its user may not create; as an administrator of that database run:"
                " CREATE EXTENSION vector"
            ) from error
        except (asyncpg.FeatureNotSupportedError, asyncpg.UndefinedFileError) as error:
            raise self._wants(
                "the extension pgvector, which is not installed on the machine of its PostgreSQL; an administrator has"
                " to install it there (Debian: postgresql-NN-pgvector), and then to run: CREATE EXTENSION vector"
            ) from error

    async def create(self, connection: Connection, collection: str, dimension: int) -> None:
        """Its tables, if it has none yet."""
        number = await connection.fetchval(
            self.filled(
                "INSERT INTO {schema}.collections (id, dimension) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING"
                " RETURNING number"
            ),
            collection,
            dimension,
        )
        if number is not None:
            await connection.execute(self.filled(CREATE, Tables(number, dimension, indexed=False)))

    async def drop(self, connection: Connection, collection: str) -> None:
        number = await connection.fetchval(
            self.filled("DELETE FROM {schema}.collections WHERE id = $1 RETURNING number"), collection
        )
        if number is not None:
            tables = Tables(number, 0, indexed=False)
            await connection.execute(
                self.filled("DROP TABLE {schema}.chunks_{number}, {schema}.labels_{number}", tables)
            )

    async def find(self, connection: Connection, collection: str) -> Tables | None:
        row = await connection.fetchrow(
            self.filled("SELECT number, dimension, indexed FROM {schema}.collections WHERE id = $1"),
            collection,
        )
        return None if row is None else Tables(row[0], row[1], row[2])

    async def index(self, connection: Connection, tables: Tables) -> bool:
        """Make the index of the vectors; False when somebody else is at it. Readers go on meanwhile, writers wait."""
        free = await connection.fetchval(
            "SELECT pg_try_advisory_xact_lock(hashtext($1), $2::bigint::int)", self._plain, tables.number
        )
        if free:
            await connection.execute("SET LOCAL maintenance_work_mem = '256MB'")
            await connection.execute(self.filled(INDEX, tables))
            await connection.execute(
                self.filled("UPDATE {schema}.collections SET indexed = true WHERE number = {number}", tables)
            )
        return bool(free)

    def _wants(self, what: str) -> IndexUnavailable:
        return IndexUnavailable(f"{self._name} needs {what}.")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
