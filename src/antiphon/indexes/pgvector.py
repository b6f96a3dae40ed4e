"""`PgvectorIndex`: chunks in a PostgreSQL with pgvector.

Vectors are looked at one by one in a small collection; in a larger one an HNSW index finds them. Which words a chunk
has is decided here (`core/words.py`) and kept as a tsvector, so that no configuration of the database changes what is
found; they are ranked by BM25. A filter first finds the sets of attributes that pass, then chunks by those.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from antiphon.core.asked_words import asked_words
from antiphon.core.errors import EmbeddingMismatch, InvalidRequest
from antiphon.core.filters import AttributeFilter, Attributes
from antiphon.core.words import words_in
from antiphon.indexes import pgvector_sql as sql
from antiphon.indexes.collection_search import check_vector
from antiphon.indexes.config_keys import Keys, needed
from antiphon.indexes.pgvector_sql import MissingTable, Tables
from antiphon.ports.adapters import AdapterConfigError
from antiphon.ports.knowledge import Chunk, Collection, Hit

if TYPE_CHECKING:
    from asyncpg import Record

    from antiphon.indexes.postgres_pool import Connection, Work

T = TypeVar("T")

KEYS: Final = ("url", "host", "port", "db", "user", "password", "schema", "pool_size", "timeout_s")
EXACT_FLOATS: Final = 4_000_000
"""Collections whose vectors have fewer numbers in all have no index: to look at all of them takes some 10 ms."""
MAX_ASKED: Final = 256
"""Words of a query that are looked for."""
COMMON: Final = 0.1
"""A word that more of the chunks hold only counts where a rarer one is found, as long as that finds enough."""
MANY: Final = 2_000
FRESH_S: Final = 30.0
"""How long sizes and frequencies are taken for what they were. They only weigh words against one another."""
MAX_STATISTICS: Final = 10_000
MAX_EF_SEARCH: Final = 1_000


@dataclass(slots=True)
class _Statistics:
    """Of one collection: how many chunks, how long in words on average, and in how many a word is."""

    until: float
    chunks: int
    length: float
    frequencies: dict[str, int]


class PgvectorIndex:
    """A `VectorIndex`. Replicas may share one database."""

    def __init__(
        self,
        provider_id: str,
        address: Mapping[str, Any],
        *,
        schema: str = "antiphon_vectors",
        pool_size: int = 10,
        timeout_s: float = 60.0,
        exact_floats: int = EXACT_FLOATS,
    ) -> None:
        from antiphon.indexes.pgvector_schema import Schema
        from antiphon.indexes.postgres_pool import PostgresPool

        self._schema = Schema(provider_id, schema)
        self._pool = PostgresPool(
            provider_id,
            address,
            size=pool_size,
            timeout_s=timeout_s,
            prepare=self._schema.prepare,
            begin=self._begin,
        )
        self._exact_floats = exact_floats
        self._tables: dict[str, Tables] = {}
        self._statistics: dict[int, _Statistics] = {}

    @classmethod
    def from_config(cls, provider_id: str, config: Mapping[str, Any], folder: Path | None) -> Self:  # noqa: ARG003 as `IndexClass` has it
        """Raises AdapterConfigError."""
        keys = Keys(config, *KEYS)
        keys.not_with("url", "host", "port", "db", "user", "password")
        if keys.given("url"):
            url = keys.text("url")
            if not url.startswith(("postgresql://", "postgres://")):
                raise AdapterConfigError("url", "url begins with postgresql://.")
            address: dict[str, Any] = {"dsn": url}
        else:
            address = {
                "host": keys.text("host", "localhost"),
                "port": keys.whole("port", 5432, 1, 65_535),
                "database": keys.text("db", "postgres"),
                "user": keys.text("user", "postgres"),
                "password": keys.text("password") or None,
            }
        schema = keys.text("schema", "antiphon_vectors")
        if len(schema.encode()) > 60 or "\x00" in schema or "{" in schema:
            raise AdapterConfigError("schema", "schema is a name of at most 60 bytes, without braces.")
        size = keys.whole("pool_size", 10, 1, 1_000)
        timeout_s = keys.seconds("timeout_s", 60.0)
        needed("asyncpg", "postgres")
        return cls(provider_id, address, schema=schema, pool_size=size, timeout_s=timeout_s)

    async def _begin(self, connection: "Connection") -> None:
        """Vectors travel as bytes."""
        await connection.set_type_codec(
            "vector",
            schema=self._schema.extension.strip('"'),
            encoder=sql.to_binary,
            decoder=sql.from_binary,
            format="binary",
        )

    # --- collections -----------------------------------------------------------------------------------------
    async def create(self, collection: Collection) -> None:
        if collection.dimension > sql.MAX_DIMENSION:
            raise EmbeddingMismatch(
                f"vectors of {collection.dimension} numbers are too long for pgvector, which takes {sql.MAX_DIMENSION};"
                " choose another model or index."
            )
        await self._run(lambda c: self._schema.create(c, sql.stored(collection.id), collection.dimension))

    async def drop(self, collection: Collection) -> None:
        await self._run(lambda c: self._schema.drop(c, sql.stored(collection.id)))
        self._forget(collection)

    async def _run(self, work: "Work[T]") -> T:
        """Raises IndexUnavailable where even the schema is gone."""
        try:
            return await self._pool.run(work)
        except MissingTable:
            raise self._pool.unavailable(
                "lost its tables; start the server again to make them anew."
            ) from None

    def _forget(self, collection: Collection) -> None:
        tables = self._tables.pop(collection.id, None)
        if tables is not None:
            self._statistics.pop(tables.number, None)

    async def _of(self, collection: Collection) -> Tables:
        """Raises IndexUnavailable when there is no such collection."""
        tables = self._tables.get(collection.id)
        if tables is None:
            tables = await self._run(lambda c: self._schema.find(c, sql.stored(collection.id)))
            if tables is None:
                raise self._pool.unavailable(
                    f"has no collection {collection.id}; it was dropped, or never made."
                )
            self._tables[collection.id] = tables
        return tables

    async def _in(self, collection: Collection, work: "Callable[[Connection, Tables], Awaitable[T]]") -> T:
        """Work on a collection that somebody else may have dropped, and made anew, since we looked it up."""
        tables = await self._of(collection)
        try:
            return await self._pool.run(lambda connection: work(connection, tables))
        except MissingTable:
            self._forget(collection)
        tables = await self._of(collection)
        return await self._run(lambda connection: work(connection, tables))

    # --- writing ---------------------------------------------------------------------------------------------
    async def put(self, collection: Collection, chunks: Sequence[Chunk]) -> None:
        for one in chunks:
            check_vector(collection, one.vector)
        if not chunks:
            await self._of(collection)
            return
        latest = {one.id: one for one in chunks}
        rows = [latest[name] for name in sorted(latest)]
        made = await asyncio.to_thread(_rows, rows) if len(rows) > 20 else _rows(rows)

        async def put(connection: "Connection", tables: Tables) -> None:
            filled = self._filled(tables)
            files = sorted({row[1] for row in made})
            labels = sorted({(row[1], row[2]) for row in made})
            columns = [[file for file, _ in labels], [attributes for _, attributes in labels]]
            await connection.execute(filled(sql.LOCK_FILES), files)
            await connection.execute(filled(sql.PUT_LABELS), *columns)
            keys = [row[1] for row in await connection.fetch(filled(sql.LABELS_OF), *columns)]
            label = dict(zip(labels, keys, strict=True))
            await connection.executemany(
                filled(sql.PUT), [(row[0], label[row[1], row[2]], row[1], *row[3:]) for row in made]
            )
            await connection.execute(filled(sql.UNUSED_LABELS), files)

        await self._in(collection, put)
        await self._index_when_large(collection)

    async def _index_when_large(self, collection: Collection) -> None:
        tables = await self._of(collection)
        if tables.indexed or not 0 < tables.dimension <= 2 * sql.MAX_INDEXED:
            return
        enough = self._exact_floats // tables.dimension + 1

        async def index(connection: "Connection", tables: Tables) -> bool:
            count: int = await connection.fetchval(self._filled(tables)(sql.COUNT_TO), enough)
            return count >= enough and await self._schema.index(connection, tables)

        if await self._in(collection, index):
            self._tables[collection.id] = Tables(tables.number, tables.dimension, indexed=True)

    async def remove_file(self, collection: Collection, file_id: str) -> None:
        async def remove(connection: "Connection", tables: Tables) -> None:
            filled = self._filled(tables)
            await connection.execute(filled(sql.LOCK_FILES), [sql.stored(file_id)])
            await connection.execute(filled(sql.REMOVE_FILE), sql.stored(file_id))
            await connection.execute(filled(sql.REMOVE_LABELS), sql.stored(file_id))

        await self._in(collection, remove)

    async def set_attributes(self, collection: Collection, file_id: str, attributes: Attributes) -> None:
        given = sql.attributes_json(attributes)

        async def change(connection: "Connection", tables: Tables) -> None:
            filled = self._filled(tables)
            await connection.execute(filled(sql.LOCK_FILES), [sql.stored(file_id)])
            await connection.execute(filled(sql.SET_ATTRIBUTES), sql.stored(file_id), given)

        await self._in(collection, change)

    # --- reading ---------------------------------------------------------------------------------------------
    async def chunks(
        self, collection: Collection, file_id: str | None, after: str | None, limit: int
    ) -> Sequence[Chunk]:
        file = None if file_id is None else sql.stored(file_id)

        async def page(connection: "Connection", tables: Tables) -> "list[Record]":
            filled = self._filled(tables)
            place: Any = ("", -1, "")
            if after is not None:
                place = await connection.fetchrow(filled(sql.PLACE), sql.stored(after))
            if place is None:
                raise InvalidRequest(f'`after`: there is no chunk "{after}".', param="after")
            return await connection.fetch(filled(sql.PAGE), file, *place, limit)

        return [_chunk(row) for row in await self._in(collection, page)]

    async def count(self, collection: Collection) -> int:
        async def count(connection: "Connection", tables: Tables) -> int:
            return int(await connection.fetchval(self._filled(tables)(sql.COUNT)))

        return await self._in(collection, count)

    async def nearest(
        self, collection: Collection, vector: bytes, limit: int, where: AttributeFilter | None = None
    ) -> Sequence[Hit]:
        check_vector(collection, vector)

        async def nearest(connection: "Connection", tables: Tables) -> "list[Record]":
            filled = self._filled(tables)
            candidates = min(4 * limit if tables.dimension > sql.MAX_INDEXED else limit, MAX_EF_SEARCH)
            await connection.execute(sql.SETTINGS, str(min(max(100, 2 * candidates), MAX_EF_SEARCH)))
            passing, enough = await self._passing(connection, tables, where, limit)
            if passing == []:
                return []
            if tables.indexed and enough and limit <= candidates:
                await connection.execute(sql.USE_INDEX)
                if self._schema.iterative:
                    await connection.execute(sql.ITERATE)
                rows = await connection.fetch(filled(sql.NEAREST), vector, passing, limit, candidates)
                if len(rows) == limit:
                    return rows
            return await connection.fetch(filled(sql.NEAREST_EXACT), vector, passing, limit)

        return [Hit(_chunk(row), row["score"]) for row in await self._in(collection, nearest)]

    async def _passing(
        self, connection: "Connection", tables: Tables, where: AttributeFilter | None, limit: int
    ) -> tuple[list[int] | None, bool]:
        """The sets of attributes that pass, None for all; and whether so many chunks have them that an index is the
        shorter way.
        """
        if where is None:
            return None, True
        filled = self._filled(tables)
        condition = sql.Condition(where)
        found = await connection.fetch(filled(sql.PASSING) + condition.sql, *condition.arguments)
        keys = [row[0] for row in found]
        enough = max(2 * limit, self._exact_floats // max(tables.dimension, 1))
        count: int = await connection.fetchval(filled(sql.PASSING_TO), keys, enough)
        return keys, count >= enough

    async def keyword(
        self, collection: Collection, text: str, limit: int, where: AttributeFilter | None = None
    ) -> Sequence[Hit]:
        words = asked_words(text, MAX_ASKED)
        if not words:
            await self._of(collection)
            return []

        async def keyword(connection: "Connection", tables: Tables) -> "list[Record]":
            await connection.execute(sql.SETTINGS, "100")
            known, counts = await self._known(connection, tables, words)
            held = [word for word in words if counts[word]]
            passing, _ = await self._passing(connection, tables, where, limit)
            if not held or passing == []:
                return []
            weights = [part for word in held for part in (f"'{word}'", _idf(known.chunks, counts[word]))]
            statement = self._filled(tables)(sql.keyword(len(held)))
            rare = [word for word in held if counts[word] <= COMMON * known.chunks]
            choices = [rare, held] if rare and len(rare) < len(held) and known.chunks > MANY else [held]
            rows: list[Record] = []
            for chosen in choices:
                rows = await connection.fetch(
                    statement, sql.tsquery(chosen), passing, limit, max(known.length, 1.0), *weights
                )
                if len(rows) == limit:
                    break
            return rows

        return [Hit(_chunk(row), row["score"]) for row in await self._in(collection, keyword)]

    async def _known(
        self, connection: "Connection", tables: Tables, words: Sequence[str]
    ) -> tuple[_Statistics, Mapping[str, int]]:
        """Sizes, and in how many chunks each word is. Those of a small collection are counted anew each time, and so
        are words that nothing held: somebody may just have put one.
        """
        filled = self._filled(tables)
        now = asyncio.get_running_loop().time()
        known = self._statistics.get(tables.number)
        if known is None or known.until < now or known.chunks <= MANY:
            ((chunks, length),) = await connection.fetch(filled(sql.SIZES))
            known = _Statistics(now + FRESH_S, chunks, length, {})
            if len(self._statistics) >= MAX_STATISTICS:
                self._statistics.clear()
            self._statistics[tables.number] = known
        counts = {word: known.frequencies[word] for word in words if word in known.frequencies}
        missing = [word for word in words if word not in counts]
        if missing:
            rows = await connection.fetch(filled(sql.FREQUENCIES), [f"'{word}'" for word in missing])
            counted = {word: int(row[0]) for word, row in zip(missing, rows, strict=True)}
            if len(known.frequencies) < MAX_STATISTICS:
                known.frequencies |= {word: count for word, count in counted.items() if count}
            counts |= counted
        return known, counts

    def _filled(self, tables: Tables) -> Callable[[str], str]:
        """Puts the names of these tables into a statement."""
        return partial(self._schema.filled, tables=tables)

    async def aclose(self) -> None:
        await self._pool.aclose()


def _rows(chunks: Sequence[Chunk]) -> list[tuple[Any, ...]]:
    """What is put: (id, file_id, attributes, number, text, context, metadata, length, words, vector)."""
    rows: list[tuple[Any, ...]] = []
    for one in chunks:
        words = words_in(one.searched)
        rows.append(
            (
                sql.stored(one.id),
                sql.stored(one.file_id),
                sql.attributes_json(one.attributes),
                one.number,
                sql.stored(one.text),
                sql.stored(one.context),
                one.metadata,
                words.total(),
                sql.tsvector(words),
                one.vector or None,
            )
        )
    return rows


def _chunk(row: "Record") -> Chunk:
    return Chunk(
        sql.restored(row["id"]),
        sql.restored(row["file_id"]),
        row["number"],
        sql.restored(row["text"]),
        sql.restored(row["context"]),
        row["vector"] or b"",
        sql.attributes_of(row["attributes"]),
        row["metadata"],
    )


def _idf(chunks: int, holding: int) -> float:
    """How much a word tells. Sizes may be older than frequencies."""
    total = max(chunks, holding)
    return math.log(1 + (total - holding + 0.5) / (holding + 0.5))
