"""`SqliteVecIndex`: a SQLite file for each collection, with FTS5 for keywords and sqlite-vec for vectors."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import apsw

from antiphon.core.errors import InvalidRequest
from antiphon.core.filters import AttributeFilter, Attributes
from antiphon.indexes import collection_search as searching
from antiphon.indexes import collection_writes as writing
from antiphon.indexes.collection_search import Found
from antiphon.indexes.config_keys import Keys
from antiphon.indexes.sqlite_collections import MAX_OPEN, SqliteCollections
from antiphon.indexes.statements import row, run
from antiphon.ports.knowledge import Chunk, Collection, Hit

SQL = searching.SQL


class SqliteVecIndex:
    """Exact up to 20,000 chunks; above, short codes choose whose vectors are compared."""

    def __init__(self, folder: Path | None, max_open: int = MAX_OPEN) -> None:
        """`folder` holds the files; None: a temporary one. Nothing is opened yet."""
        self._files = SqliteCollections(folder, max_open)

    @classmethod
    def from_config(
        cls,
        provider_id: str,  # noqa: ARG003  as `IndexClass` has it
        config: Mapping[str, Any],
        folder: Path | None,
    ) -> Self:
        """`path` (or `db_path`), a folder, else `vector_stores` in the server's `folder`; `max_open`, how many files
        are kept open. Raises AdapterConfigError.
        """
        keys = Keys(config, "path", "db_path", "max_open")
        return cls(cls.folder_of(keys, folder), keys.whole("max_open", MAX_OPEN, 1, 10_000))

    @staticmethod
    def folder_of(keys: Keys, folder: Path | None) -> Path | None:
        """Where the configuration wants the files. Raises AdapterConfigError."""
        keys.not_with("path", "db_path")
        given = keys.text("path") or keys.text("db_path")
        if given:
            return Path(given).expanduser()
        return None if folder is None else folder / "vector_stores"

    async def create(self, collection: Collection) -> None:
        await self._files.create(collection)

    async def drop(self, collection: Collection) -> None:
        await self._files.drop(collection)

    async def put(self, collection: Collection, chunks: Sequence[Chunk]) -> None:
        for one in chunks:
            searching.check_vector(collection, one.vector)
        await self._files.write(collection, lambda connection: writing.put(connection, collection, chunks))

    async def remove_file(self, collection: Collection, file_id: str) -> None:
        await self._files.write(collection, lambda connection: writing.remove_file(connection, file_id))

    async def set_attributes(self, collection: Collection, file_id: str, attributes: Attributes) -> None:
        await self._files.write(
            collection, lambda connection: writing.set_attributes(connection, file_id, attributes)
        )

    async def keyword(
        self, collection: Collection, text: str, limit: int, where: AttributeFilter | None = None
    ) -> Sequence[Hit]:
        return await self._files.read(
            collection,
            lambda connection, file: hits(
                connection, searching.keyword(connection, file.word_counts, text, limit, where)
            ),
        )

    async def nearest(
        self, collection: Collection, vector: bytes, limit: int, where: AttributeFilter | None = None
    ) -> Sequence[Hit]:
        return await self._files.read(
            collection,
            lambda connection, _: hits(
                connection, self._nearest(connection, collection, vector, limit, where)
            ),
        )

    def _nearest(
        self,
        connection: apsw.Connection,
        collection: Collection,
        vector: bytes,
        limit: int,
        where: AttributeFilter | None,
    ) -> Found:
        """In a thread, on one state of the file."""
        return searching.nearest(connection, collection, vector, limit, where)

    async def chunks(
        self, collection: Collection, file_id: str | None, after: str | None, limit: int
    ) -> Sequence[Chunk]:
        return await self._files.read(
            collection, lambda connection, _: page(connection, file_id, after, limit)
        )

    async def count(self, collection: Collection) -> int:
        return await self._files.read(collection, lambda connection, _: size(connection))

    async def aclose(self) -> None:
        await self._files.aclose()


def size(connection: apsw.Connection) -> int:
    """How many chunks there are."""
    facts = row(connection, SQL["facts"])
    return 0 if facts is None else int(facts[1])


def hits(connection: apsw.Connection, found: Found) -> list[Hit]:
    rows = [(row(connection, SQL["chunk"], (n,)), score) for n, score in found]
    return [Hit(_chunk(one), score) for one, score in rows if one is not None]


def page(connection: apsw.Connection, file_id: str | None, after: str | None, limit: int) -> list[Chunk]:
    """Raises InvalidRequest for an `after` that is not there."""
    place = ("", -(2**63), "")
    if after is not None:
        found = row(connection, SQL["place"], (after,))
        if found is None:
            raise InvalidRequest(f'`after`: there is no chunk "{after}" here.', param="after")
        place = (found[0], found[1], found[2])
    if file_id is None:
        rows = run(connection, SQL["page"], (*place, limit))
    else:
        rows = run(connection, SQL["page_of_file"], (file_id, *place[1:], limit))
    return [_chunk(one) for one in rows]


def _chunk(one: Sequence[Any]) -> Chunk:
    id, file_id, number, text, context, vector, attributes, metadata = one
    return Chunk(id, file_id, number, text, context, vector, writing.decoded(attributes), metadata)
