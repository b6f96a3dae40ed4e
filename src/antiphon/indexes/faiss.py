"""`FaissIndex`: the files of `SqliteVecIndex`, with their vectors in memory under FAISS.

The files are the truth. What is in memory is made when it is first asked for, brought up to date by the version that
each vector was written at, and dropped when others need the room.
"""

import importlib
import threading
from array import array
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import apsw

from antiphon.core.filters import AttributeFilter
from antiphon.indexes import collection_search as searching
from antiphon.indexes.collection_search import SQL, Found, check_vector, with_condition
from antiphon.indexes.config_keys import Keys, needed
from antiphon.indexes.sqlite_collections import MAX_OPEN
from antiphon.indexes.sqlite_filters import Condition
from antiphon.indexes.sqlite_vec import SqliteVecIndex
from antiphon.indexes.statements import batches, number, row, run
from antiphon.ports.knowledge import Collection

MEMORY_MB = 1024
_BYTES_OF_A_NUMBER = 4
_ROWS_AT_ONCE = 10_000


class FaissIndex(SqliteVecIndex):
    """Exact in collections of any size, as long as their vectors fit into the memory that is set aside; the others are
    searched as `SqliteVecIndex` does.
    """

    def __init__(
        self, folder: Path | None, max_open: int = MAX_OPEN, memory_bytes: int = MEMORY_MB << 20
    ) -> None:
        super().__init__(folder, max_open)
        self._memory_bytes = memory_bytes
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self._guard = threading.Lock()

    @classmethod
    def from_config(
        cls,
        provider_id: str,  # noqa: ARG003  as `IndexClass` has it
        config: Mapping[str, Any],
        folder: Path | None,
    ) -> Self:
        """As that of `SqliteVecIndex`, and `memory_mb`, for vectors. Raises AdapterConfigError, also without FAISS."""
        keys = Keys(config, "path", "db_path", "max_open", "memory_mb")
        needed("faiss", "faiss")
        memory_bytes = keys.whole("memory_mb", MEMORY_MB, 1, 1_000_000) << 20
        return cls(cls.folder_of(keys, folder), keys.whole("max_open", MAX_OPEN, 1, 10_000), memory_bytes)

    async def drop(self, collection: Collection) -> None:
        await super().drop(collection)
        with self._guard:
            self._loaded.pop(collection.id, None)

    def _nearest(
        self,
        connection: apsw.Connection,
        collection: Collection,
        vector: bytes,
        limit: int,
        where: AttributeFilter | None,
    ) -> Found:
        check_vector(collection, vector)
        condition = None if where is None else Condition(where)
        if condition is not None and self._passing(connection, condition) <= searching.EXACT_PASSING:
            return searching.nearest(connection, collection, vector, limit, where)
        loaded = self._one(connection, collection)
        if loaded is None:
            return searching.nearest(connection, collection, vector, limit, where)
        with loaded.using:
            # The state of the file that is read from here on is the first one seen under this lock.
            run(connection, "COMMIT")
            run(connection, "BEGIN")
            loaded.catch_up(connection)
            return loaded.search(vector, limit, self._selected(connection, condition))

    @staticmethod
    def _passing(connection: apsw.Connection, condition: Condition) -> int:
        return number(connection, with_condition(SQL["passing"], condition.sql), condition.bindings)

    @staticmethod
    def _selected(connection: apsw.Connection, condition: Condition | None) -> "array[int] | None":
        if condition is None:
            return None
        sql = with_condition(SQL["passing_numbers"], condition.sql)
        return array("q", [n for (n,) in run(connection, sql, condition.bindings)])

    def _one(self, connection: apsw.Connection, collection: Collection) -> "_Loaded | None":
        """What is in memory of a collection, empty at first; None for one that is too large, or has no vectors."""
        facts = row(connection, SQL["facts"])
        chunks = 0 if facts is None else int(facts[1])
        if not chunks or not collection.dimension or self._bytes(collection, chunks) > self._memory_bytes:
            return None
        with self._guard:
            found = self._loaded.get(collection.id)
            if found is None:
                found = self._loaded[collection.id] = _Loaded(collection)
            self._loaded.move_to_end(collection.id)
            found.bytes = self._bytes(collection, chunks)
            while sum(one.bytes for one in self._loaded.values()) > self._memory_bytes:
                self._loaded.popitem(last=False)
            return found

    @staticmethod
    def _bytes(collection: Collection, chunks: int) -> int:
        return chunks * collection.dimension * _BYTES_OF_A_NUMBER


class _Loaded:
    """The vectors of one collection in memory, as they were at `version`. Used by one thread at a time."""

    def __init__(self, collection: Collection) -> None:
        self.using = threading.Lock()
        self.bytes = 0
        self._faiss: Any = importlib.import_module("faiss")
        self._numpy: Any = importlib.import_module("numpy")
        self._dimension = collection.dimension
        self._begin(None)

    def _begin(self, made: int | None) -> None:
        """With nothing, for the file that was made so."""
        self._made = made
        self._version = -1
        self._numbers: set[int] = set()
        self._index: Any = self._faiss.IndexIDMap2(self._faiss.IndexFlatIP(self._dimension))

    def catch_up(self, connection: apsw.Connection) -> None:
        """Take over what was written since, and let go of what was removed."""
        facts = row(connection, SQL["facts"])
        if facts is None or (facts[3], facts[2]) == (self._made, self._version):
            return
        if facts[3] != self._made:
            self._begin(facts[3])
        for rows in batches(connection, SQL["vectors_since"], (self._version,), _ROWS_AT_ONCE):
            self._remove({n for n, _ in rows} & self._numbers)
            self._add(rows)
        if len(self._numbers) != facts[1]:
            self._remove(self._numbers - {n for (n,) in run(connection, SQL["vector_numbers"])})
        self._version = facts[2]

    def _add(self, rows: list[tuple[Any, ...]]) -> None:
        vectors = self._numpy.frombuffer(b"".join(vector for _, vector in rows), dtype="<f4")
        numbers = [n for n, _ in rows]
        self._index.add_with_ids(
            vectors.reshape(len(rows), self._dimension), self._numpy.array(numbers, dtype="int64")
        )
        self._numbers.update(numbers)

    def _remove(self, numbers: set[int]) -> None:
        if numbers:
            self._index.remove_ids(self._numpy.array(sorted(numbers), dtype="int64"))
            self._numbers -= numbers

    def search(self, vector: bytes, limit: int, only: "array[int] | None") -> Found:
        """`only`: the numbers of the chunks that are looked at; None for all."""
        asked = self._numpy.frombuffer(vector, dtype="<f4").reshape(1, self._dimension)
        parameters = None
        if only is not None:
            chosen = self._faiss.IDSelectorBatch(self._numpy.frombuffer(only, dtype="int64"))
            parameters = self._faiss.SearchParameters(sel=chosen)
        scores, numbers = self._index.search(asked, min(limit, len(self._numbers)), params=parameters)
        found = zip(numbers[0].tolist(), scores[0].tolist(), strict=True)
        return [(int(n), float(score)) for n, score in found if n >= 0]
