"""`ChromaIndex`: chunks in a Chroma server, all of them and nowhere else.

Chroma finds vectors and looks values up. What it does not know is built of that: the words of a chunk are a list of
texts in its metadata (a look-up gives the chunks of a word, BM25 is computed here), attributes are flat fields of one
kind (`flat_attributes.py`), and a collection without vectors has one number for each. See ADR 0033.
"""

import hashlib
import heapq
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from yarl import URL

from antiphon.core.asked_words import asked_words
from antiphon.core.errors import InvalidRequest
from antiphon.core.filters import AttributeFilter, Attributes
from antiphon.core.words import words_in
from antiphon.indexes.chroma_http import ChromaServer, NotThere
from antiphon.indexes.chroma_records import (
    BATCH_FLOATS,
    BATCH_ROWS,
    CHUNK,
    FILE,
    OFTEN_MARK,
    Kept,
    Place,
    Records,
    place_of,
    slices,
)
from antiphon.indexes.collection_search import check_vector
from antiphon.indexes.config_keys import Keys
from antiphon.ports.adapters import AdapterConfigError
from antiphon.ports.knowledge import Chunk, Collection, Hit

T = TypeVar("T")

KEYS: Final = ("url", "tenant", "database", "api_token", "timeout_s")
MAX_ASKED: Final = 64
"""Words of a query that are looked for; each is a request."""
SCORED: Final = 400
"""So many chunks of a keyword search are read and scored, or four times as many as are wanted: those that hold most
of what the query asks for.
"""
MAX_COMPARED: Final = 20_000
"""Chunks that pass a filter and are compared one by one, where Chroma's index finds too few of them."""
EF_SEARCH: Final = 200
_PLAIN_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,399}(?<=[a-zA-Z0-9])")

_PREFIX: Final = "antiphon-"


class ChromaIndex:
    """A `VectorIndex`. Replicas may share one Chroma."""

    def __init__(self, server: ChromaServer) -> None:
        self._server = server
        self._known: dict[str, Kept] = {}

    @classmethod
    def from_config(cls, provider_id: str, config: Mapping[str, Any], folder: Path | None) -> Self:  # noqa: ARG003 as `IndexClass` has it
        """Raises AdapterConfigError."""
        keys = Keys(config, *KEYS)
        if not keys.given("url"):
            raise AdapterConfigError(
                "url", "url is required: where Chroma listens, as http://localhost:8000."
            )
        server = ChromaServer(
            provider_id,
            _address(keys.text("url")),
            keys.text("tenant", "default_tenant"),
            keys.text("database", "default_database"),
            keys.text("api_token"),
            keys.seconds("timeout_s", 60.0),
        )
        return cls(server)

    # --- collections -----------------------------------------------------------------------------------------
    async def create(self, collection: Collection) -> None:
        body = {
            "name": _name(collection.id),
            "get_or_create": True,
            "metadata": {"id": collection.id, "dimension": collection.dimension},
            "configuration": {"hnsw": {"space": "ip", "ef_search": EF_SEARCH}},
        }
        if await self._found(collection.id) is not None:
            return
        await self._server.make_database()
        await self._server.ask("POST", "collections", body=body)

    async def drop(self, collection: Collection) -> None:
        self._known.pop(collection.id, None)
        with suppress(NotThere):
            await self._server.ask("DELETE", "collections", _name(collection.id))

    async def _found(self, collection_id: str) -> Kept | None:
        try:
            found = await self._server.ask("GET", "collections", _name(collection_id))
        except NotThere:
            return None
        return Kept(found["id"], found["metadata"]["dimension"])

    async def _of(self, collection: Collection) -> Kept:
        """Raises IndexUnavailable when there is no such collection."""
        kept = self._known.get(collection.id) or await self._found(collection.id)
        if kept is None:
            raise self._server.unavailable(
                f"has no collection {collection.id}; it was dropped, or never made."
            )
        self._known[collection.id] = kept
        return kept

    async def _in(self, collection: Collection, work: Callable[["Records"], Awaitable[T]]) -> T:
        """Work on a collection that somebody else may have dropped, and made anew, since we looked it up."""
        kept = await self._of(collection)
        try:
            return await work(Records(self._server, kept))
        except NotThere:
            self._known.pop(collection.id, None)
        kept = await self._of(collection)
        try:
            return await work(Records(self._server, kept))
        except NotThere:
            raise self._server.unavailable(f"lost its collection {collection.id} meanwhile.") from None

    # --- writing ---------------------------------------------------------------------------------------------
    async def put(self, collection: Collection, chunks: Sequence[Chunk]) -> None:
        for one in chunks:
            check_vector(collection, one.vector)
        kept = await self._of(collection)
        latest = {one.id: one for one in chunks}
        rows = max(1, min(BATCH_ROWS, BATCH_FLOATS // (kept.dimension + 1_000)))
        for some in slices([*latest.values()], rows):
            await self._in(collection, partial(Records.put, chunks=some))

    async def remove_file(self, collection: Collection, file_id: str) -> None:
        await self._in(collection, lambda records: records.delete(where={FILE: file_id}))

    async def set_attributes(self, collection: Collection, file_id: str, attributes: Attributes) -> None:
        await self._in(collection, lambda records: records.set_attributes(file_id, attributes))

    # --- reading ---------------------------------------------------------------------------------------------
    async def chunks(
        self, collection: Collection, file_id: str | None, after: str | None, limit: int
    ) -> Sequence[Chunk]:
        """Reads the places of all chunks, or of the file's, for each page."""

        async def page(records: Records) -> Sequence[Chunk]:
            places = await records.places(None if file_id is None else {FILE: file_id})
            if after is not None:
                start = [place_of(name) for name in await records.names({CHUNK: after})]
                if not start:
                    raise InvalidRequest(f'`after`: there is no chunk "{after}".', param="after")
                places = [one for one in places if one > start[0]]
            return await records.read(heapq.nsmallest(limit, places), vectors=True)

        return await self._in(collection, page)

    async def count(self, collection: Collection) -> int:
        return await self._in(collection, lambda records: records.count())

    async def nearest(
        self, collection: Collection, vector: bytes, limit: int, where: AttributeFilter | None = None
    ) -> Sequence[Hit]:
        check_vector(collection, vector)

        async def nearest(records: Records) -> Sequence[Hit]:
            condition = await records.condition(where)
            hits = await records.query(vector, limit, condition)
            if len(hits) < limit and where is not None:
                # The index gives up before it has found all that pass: then they are few, and looked at one by one.
                passing = await records.places(condition)
                if len(hits) < len(passing) <= MAX_COMPARED:
                    scores = await records.compared(vector, passing)
                    return await records.hits(scores, limit)
            return sorted(hits, key=_order)

        return await self._in(collection, nearest)

    async def keyword(
        self, collection: Collection, text: str, limit: int, where: AttributeFilter | None = None
    ) -> Sequence[Hit]:
        words = asked_words(text, MAX_ASKED)
        if not words:
            await self._of(collection)
            return []

        async def keyword(records: Records) -> Sequence[Hit]:
            condition = await records.condition(where)
            found = dict(zip(words, await records.holding(words, condition), strict=True))
            total = await records.count()
            weights = {word: _idf(total, len(names)) for word, names in found.items() if names}
            sums: dict[str, float] = {}
            for word, weight in weights.items():
                for name in found[word]:
                    sums[name] = sums.get(name, 0.0) + weight
            most = max(SCORED, 4 * limit)
            if len(sums) > most:
                asked = [*weights]
                for word, names in zip(
                    asked,
                    await records.holding([word + OFTEN_MARK for word in asked], condition),
                    strict=True,
                ):
                    for name in names:
                        sums[name] = sums.get(name, 0.0) + 0.4 * weights[word]
            chosen = heapq.nsmallest(most, sums, key=lambda name: (-sums[name], name))
            scores = _bm25(weights, await records.texts(chosen))
            return await records.hits(scores, limit)

        return await self._in(collection, keyword)

    async def aclose(self) -> None:
        await self._server.aclose()


def _address(text: str) -> URL:
    try:
        url = URL(text)
    except ValueError as error:
        raise AdapterConfigError("url", "url is no URL.") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise AdapterConfigError("url", "url begins with http:// or https:// and a host.")
    if url.user or url.password or url.query_string or url.fragment:
        raise AdapterConfigError(
            "url", "url is without user, query and fragment; a token goes into api_token."
        )
    return url


def _name(collection_id: str) -> str:
    """The name of a collection; one that Chroma would not take is hashed."""
    if _PLAIN_NAME.fullmatch(collection_id):
        return _PREFIX + collection_id
    return f"{_PREFIX}sha256.{hashlib.sha256(collection_id.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _order(hit: Hit) -> tuple[float, str, int, str]:
    return (-hit.score, hit.chunk.file_id, hit.chunk.number, hit.chunk.id)


def _idf(total: int, holding: int) -> float:
    total = max(total, holding)
    return math.log(1 + (total - holding + 0.5) / (holding + 0.5))


def _bm25(weights: Mapping[str, float], texts: Mapping[str, str]) -> Mapping[Place, float]:
    """With k1 = 1.2, b = 0.75, and the length of these texts for that of all. None that holds no word of them."""
    counted = {name: words_in(text) for name, text in texts.items()}
    average = sum(words.total() for words in counted.values()) / max(len(counted), 1)
    scores: dict[Place, float] = {}
    for name, words in counted.items():
        norm = 0.3 + 0.9 * words.total() / max(average, 1.0)
        score = math.fsum(
            weight * words[word] * 2.2 / (words[word] + norm)
            for word, weight in weights.items()
            if words[word]
        )
        if score:
            scores[place_of(name)] = score
    return scores
