"""`QdrantIndex`: chunks in Qdrant, a server or a folder of this process, all of them and nowhere else.

Each collection is one of Qdrant's. See `qdrant_points.py` for what a point has, and ADR 0033.
"""

import heapq
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from antiphon.core.asked_words import asked_words
from antiphon.core.errors import InvalidRequest
from antiphon.core.filters import AttributeFilter, Attributes
from antiphon.indexes.collection_search import check_vector
from antiphon.indexes.config_keys import Keys, needed
from antiphon.ports.adapters import AdapterConfigError
from antiphon.ports.knowledge import Chunk, Collection, Hit

if TYPE_CHECKING:
    from antiphon.indexes.qdrant_calls import QdrantCalls

PLACES: Final = ("url", "host", "path", "location")
KEYS: Final = (*PLACES, "port", "https", "prefix", "api_key", "timeout_s")
MEMORY: Final = ":memory:"
MAX_ASKED: Final = 256
"""Words of a query that are looked for."""


class QdrantIndex:
    """A `VectorIndex`. Replicas may share one server; a folder is for one process."""

    def __init__(self, calls: "QdrantCalls") -> None:
        from antiphon.indexes.qdrant_points import Points

        self._calls = calls
        self._points = Points(calls)

    @classmethod
    def from_config(
        cls,
        provider_id: str,
        config: Mapping[str, Any],
        folder: Path | None,  # noqa: ARG003  as `IndexClass` has it
    ) -> Self:
        """Raises AdapterConfigError."""
        keys = Keys(config, *KEYS)
        local, address = _address(keys)
        timeout_s = keys.seconds("timeout_s", 30.0)
        needed("qdrant_client", "qdrant")
        from antiphon.indexes.qdrant_calls import QdrantCalls

        return cls(QdrantCalls(provider_id, local=local, address=address, timeout_s=timeout_s))

    async def create(self, collection: Collection) -> None:
        await self._points.create(collection)

    async def drop(self, collection: Collection) -> None:
        await self._points.drop(collection)

    async def put(self, collection: Collection, chunks: Sequence[Chunk]) -> None:
        for one in chunks:
            check_vector(collection, one.vector)
        latest = {one.id: one for one in chunks}
        if latest:
            await self._points.put(collection, [*latest.values()])

    async def remove_file(self, collection: Collection, file_id: str) -> None:
        await self._points.remove_file(collection, file_id)

    async def set_attributes(self, collection: Collection, file_id: str, attributes: Attributes) -> None:
        await self._points.set_attributes(collection, file_id, attributes)

    async def keyword(
        self, collection: Collection, text: str, limit: int, where: AttributeFilter | None = None
    ) -> Sequence[Hit]:
        words = asked_words(text, MAX_ASKED)
        if not words:
            await self._points.count(collection)
            return []
        condition = await self._points.condition(collection, where)
        return sorted(await self._points.holding(collection, words, limit, condition), key=_order)

    async def nearest(
        self, collection: Collection, vector: bytes, limit: int, where: AttributeFilter | None = None
    ) -> Sequence[Hit]:
        check_vector(collection, vector)
        condition = await self._points.condition(collection, where)
        hits = await self._points.nearest(collection, vector, limit, condition, exact=False)
        if len(hits) < limit and condition is not None and not self._calls.local:
            # The index gives up before it has found all that pass.
            hits = await self._points.nearest(collection, vector, limit, condition, exact=True)
        return sorted(hits, key=_order)

    async def chunks(
        self, collection: Collection, file_id: str | None, after: str | None, limit: int
    ) -> Sequence[Chunk]:
        """Reads the places of all chunks, or of the file's, for each page."""
        places = await self._points.places(collection, file_id=file_id)
        if after is not None:
            start = await self._points.places(collection, chunk_id=after)
            if not start:
                raise InvalidRequest(f'`after`: there is no chunk "{after}".', param="after")
            places = [place for place in places if place > start[0]]
        return await self._points.read(collection, heapq.nsmallest(limit, places))

    async def count(self, collection: Collection) -> int:
        return await self._points.count(collection)

    async def aclose(self) -> None:
        await self._calls.aclose()


def _order(hit: Hit) -> tuple[float, str, int, str]:
    return (-hit.score, hit.chunk.file_id, hit.chunk.number, hit.chunk.id)


def _address(keys: Keys) -> tuple[bool, Mapping[str, Any]]:
    """Whether it is a folder of this process, and the arguments of the client."""
    given = [key for key in PLACES if keys.given(key)]
    if len(given) != 1:
        raise AdapterConfigError(
            given[1] if given else "",
            f"one of {', '.join(PLACES)} says where Qdrant is; {len(given)} are given.",
        )
    if given == ["path"]:
        return True, {"path": str(Path(keys.text("path")).expanduser())}
    if given == ["location"] and keys.text("location") == MEMORY:
        return True, {"location": MEMORY}
    port = keys.whole("port", 6333, 1, 65_535)
    shared: dict[str, Any] = {"prefix": keys.text("prefix") or None, "api_key": keys.text("api_key") or None}
    if given == ["host"]:
        secure = keys.flag("https", default=False)
        return False, {
            "host": keys.text("host"),
            "port": keys.whole("port", 6333, 1, 65_535),
            "https": secure,
            **shared,
        }
    url = keys.text(given[0])
    if not url.startswith(("http://", "https://")):
        raise AdapterConfigError(
            given[0], f"{given[0]} begins with http:// or https://, or location is {MEMORY}."
        )
    return False, {"url": url, "port": port, **shared}
