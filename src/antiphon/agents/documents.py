"""`TurnDocuments`: what the documents of a turn, and those of earlier ones, give to the model.

Small ones are shown whole. Large ones are cut into chunks, kept in the session's memory, and what fits the question is
retrieved: now, and in later turns. An agent that can search asks by itself; then nothing is retrieved for it. Nothing
of a session that is not stored is written anywhere: its large documents are cut, kept and ranked in memory alone.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final

from antiphon.agents import framing
from antiphon.agents.memory import SessionMemory, is_relevant, stores_of
from antiphon.agents.reading import ReadDocument, TurnReader
from antiphon.agents.shapes import Attachment
from antiphon.agents.volatile import VolatileSessions
from antiphon.core.chunking_strategy import ChunkSizes
from antiphon.core.documents import Document
from antiphon.core.items import InputImage, InputText
from antiphon.core.keyword_ranking import ranked
from antiphon.core.searching import FoundChunk
from antiphon.core.wire import JsonObject
from antiphon.ports import Owner
from antiphon.ports.agents import AgentStore, StoredSession
from antiphon.ports.knowledge import Chunk
from antiphon.vector_io.cutting import cut
from antiphon.vector_io.rag import RagTool

CHUNKS: Final = ChunkSizes(512, 64, by_section=True)
INLINE_TOGETHER: Final = 8
"""So many times the room of one small document is that of all of them."""
MAX_QUESTION: Final = 4_000
"""Characters of a message that are looked for: of its beginning and its end, where questions stand."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What a memory_retrieval step says. `vector_db_ids` have commas between them; "" for what is in none."""

    vector_db_ids: str
    inserted_context: str


@dataclass(frozen=True, slots=True)
class Given:
    """`parts` go behind those of the last user message; what was retrieved is the last of them, for this turn alone.
    `session` is as it is now: its stores are those that there are.
    """

    session: StoredSession
    parts: tuple[InputText | InputImage, ...] = ()
    retrieved: Retrieved | None = None

    @property
    def lasting(self) -> tuple[InputText | InputImage, ...]:
        """The parts that later turns are shown too."""
        return self.parts if self.retrieved is None else self.parts[:-1]


class TurnDocuments:
    """One per server."""

    def __init__(
        self,
        rag: RagTool,
        sessions: AgentStore,
        volatile: VolatileSessions,
        *,
        inline_tokens: int,
        retrieved_chunks: int,
    ) -> None:
        """`inline_tokens`: a document of so many is shown whole; `retrieved_chunks`: the most of one turn."""
        self.memory = SessionMemory(rag.vector_io, sessions)
        self._volatile = volatile
        self._reader = TurnReader(rag.reader)
        self._inline_tokens = inline_tokens
        self._retrieved_chunks = retrieved_chunks

    async def read(
        self,
        owner: Owner,
        session: StoredSession,
        documents: Sequence[Attachment],
        question: str,
        *,
        searches: bool,
        keeps: bool,
        field: str = "documents",
    ) -> Given:
        """The documents of a turn, and what its question brings to mind of earlier ones.

        `question` is the text of its last user message. `searches`: the agent has a tool that searches the stores of
        the session. `keeps`: the session is stored, else it is a volatile one. When this raises while documents are
        read, nothing of them was written; what is written later goes with the session.

        Raises InvalidRequest and FetchRefused, naming the document; NotFound for a session that is gone; and what the
        index and the embedding model raise.
        """
        session = await self.memory.live(owner, session)
        small, large = self._split(await self._reader.read(documents, field)) if documents else ([], [])
        parts = framing.whole(small)
        chunks = await asyncio.to_thread(_cut_all, large) if large else []
        if chunks and keeps:
            session = await self.memory.put(owner, session, chunks, _documents_of(chunks))
        if searches and keeps:
            return Given(session, (*parts, *framing.indexed(large)))
        found = await self._found(owner, session, chunks, question, keeps=keeps)
        if chunks and not keeps:
            self._volatile.remember(owner, session.id, chunks)
        if not found:
            return Given(session, tuple(parts))
        context = framing.passages(found)
        ids = ",".join(dict.fromkeys(one.store_id for one in found if one.store_id))
        return Given(session, (*parts, framing.apart(context)), Retrieved(ids, context))

    def _split(self, documents: Sequence[ReadDocument]) -> tuple[list[ReadDocument], list[ReadDocument]]:
        """What is shown whole, in order, and what is too large, or has no room any more. Images are always shown."""
        limit = self._inline_tokens
        room = limit * INLINE_TOGETHER
        small: list[ReadDocument] = []
        large: list[ReadDocument] = []
        for one in documents:
            if one.tokens <= min(limit, room):
                room -= one.tokens
                small.append(one)
            else:
                large.append(one)
                if one.images:
                    small.append(replace(one, document=None))
        return small, large

    # --- what is retrieved --------------------------------------------------------------------------------------
    async def _found(
        self, owner: Owner, session: StoredSession, chunks: Sequence[Chunk], question: str, *, keeps: bool
    ) -> list[FoundChunk]:
        """The best first, then how documents of this turn begin, where that is needed. `chunks` are those of this
        turn's documents.
        """
        limit, question = self._retrieved_chunks, _asked(question)
        new = frozenset(one.file_id for one in chunks)
        found = await self._in_stores(owner, session, question, new)
        if not keeps:
            there = [one for one in self._volatile.chunks(owner, session.id) if one.file_id not in new]
            found += await asyncio.to_thread(_in_memory, [*there, *chunks], question, limit, new)
        best = sorted(found, key=lambda one: -one.score)[:limit]
        return [*best, *_beginnings(chunks, best, limit, (session.memory or "") if keeps else "")]

    async def _in_stores(
        self, owner: Owner, session: StoredSession, question: str, new: AbstractSet[str]
    ) -> list[FoundChunk]:
        stores = stores_of(session)
        if not stores or not question:
            return []
        found = await self.memory.search(owner, stores, question, self._retrieved_chunks)
        known = await self.memory.relevant(owner, [one for one in found if one.file_id not in new], question)
        return [one for one in found if one.file_id in new or one in known]


def _asked(question: str) -> str:
    text = " ".join(question.split())
    if len(text) <= MAX_QUESTION:
        return text
    half = MAX_QUESTION // 2
    return f"{text[:half]} {text[-half:]}"


def _cut_all(documents: Sequence[ReadDocument]) -> list[Chunk]:
    """In order; those of a document that is there twice once."""
    found = [
        cut(_document_id(one, one.document), one.document, CHUNKS, _about(one))
        for one in documents
        if one.document is not None
    ]
    return list({chunk.id: chunk for chunks in found for chunk in chunks}.values())


def _document_id(read: ReadDocument, document: Document) -> str:
    """A document of the same name and text is the same document: it is kept once."""
    digest = hashlib.sha256(document.text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{digest[:16]}/{read.name}"


def _about(read: ReadDocument) -> JsonObject:
    about: JsonObject = {**read.metadata, "filename": read.name, "mime_type": read.media_type}
    return {**about, "source": read.source} if read.source else about


def _documents_of(chunks: Sequence[Chunk]) -> list[str]:
    return list(dict.fromkeys(one.file_id for one in chunks))


def _in_memory(chunks: Sequence[Chunk], question: str, limit: int, new: AbstractSet[str]) -> list[FoundChunk]:
    """What fits the question; of documents of earlier turns only what has to do with it."""
    texts = [one.text for one in chunks]
    return [
        _as_found(chunks[at], "", score)
        for at, score in ranked(question, texts, limit)
        if chunks[at].file_id in new or is_relevant(question, texts[at])
    ]


def _beginnings(
    chunks: Sequence[Chunk], found: Sequence[FoundChunk], limit: int, store_id: str
) -> list[FoundChunk]:
    """How those documents of this turn begin of which nothing was found; more of them where nothing was found at all: a
    question like "What is this about?" has no words that a document holds.
    """
    known = {one.file_id for one in found}
    deep = 1 if found else limit
    wanted = [one for one in chunks if one.file_id not in known and one.number < deep]
    wanted.sort(key=lambda one: one.number)
    return [_as_found(one, store_id, 0.0) for one in wanted[:limit]]


def _as_found(chunk: Chunk, store_id: str, score: float) -> FoundChunk:
    return FoundChunk(
        store_id=store_id,
        file_id=chunk.file_id,
        filename=chunk.file_id,
        chunk_id=chunk.id,
        text=chunk.text,
        score=score,
        attributes=chunk.attributes,
        metadata=chunk.metadata,
    )
