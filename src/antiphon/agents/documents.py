"""`TurnDocuments`: what the documents of a turn, and those of earlier ones, give to the model.

Small ones are shown whole. Large ones are cut into chunks, kept in the session's memory, and what fits the question is
retrieved: now, and in later turns. An agent that can search asks by itself; then nothing is retrieved for it. Nothing
of a session that is not stored is written anywhere: its large documents are cut and ranked in memory, for one turn.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from antiphon.agents import framing
from antiphon.agents.memory import SessionMemory
from antiphon.agents.reading import ReadDocument, TurnReader
from antiphon.agents.shapes import Attachment
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
from antiphon.vector_io.service import document_of

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
    """`parts` go behind those of the last user message; what was retrieved is among them. `session` is as it is now:
    its stores are those that there are.
    """

    session: StoredSession
    parts: tuple[InputText | InputImage, ...] = ()
    retrieved: Retrieved | None = None


@dataclass(frozen=True, slots=True)
class _Large:
    """A document that is too large to be shown, in chunks."""

    read: ReadDocument
    file_id: str
    chunks: Sequence[Chunk]


class TurnDocuments:
    """One per server. It keeps nothing itself."""

    def __init__(
        self, rag: RagTool, sessions: AgentStore, *, inline_tokens: int, retrieved_chunks: int
    ) -> None:
        """`inline_tokens`: a document of so many is shown whole; `retrieved_chunks`: the most of one turn."""
        self.memory = SessionMemory(rag.vector_io, sessions)
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
        the session. `keeps`: the session is stored. When this raises, nothing of the documents can be found anywhere.

        Raises InvalidRequest and FetchRefused, naming the document; NotFound for a session that is gone; and what the
        index and the embedding model raise.
        """
        session = await self.memory.live(owner, session)
        small, large = self._split(await self._reader.read(documents, field)) if documents else ([], [])
        parts = framing.whole(small)
        cuts = await asyncio.to_thread(_cut_all, large) if large else []
        if cuts and keeps:
            chunks = [chunk for one in cuts for chunk in one.chunks]
            session = await self.memory.put(owner, session, chunks, [one.file_id for one in cuts])
        if searches and keeps:
            return Given(session, (*parts, *framing.indexed(large)))
        found = await self._found(owner, session, cuts, question, keeps=keeps)
        if not found:
            return Given(session, tuple(parts))
        context = framing.passages(found)
        ids = ",".join(dict.fromkeys(one.store_id for one in found if one.store_id))
        return Given(session, (*parts, InputText(text=context)), Retrieved(ids, context))

    def _split(self, documents: Sequence[ReadDocument]) -> tuple[list[ReadDocument], list[ReadDocument]]:
        """Those that are shown whole, in their order, and those that are too large, or for which no room is left."""
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
        return small, large

    # --- what is retrieved --------------------------------------------------------------------------------------
    async def _found(
        self, owner: Owner, session: StoredSession, cuts: Sequence[_Large], question: str, *, keeps: bool
    ) -> list[FoundChunk]:
        limit = self._retrieved_chunks
        question = _asked(question)
        found: list[FoundChunk] = []
        if cuts and not keeps:
            found += await asyncio.to_thread(_ranked, cuts, question, limit)
        stores = (*((session.memory,) if session.memory else ()), *session.stores)
        if stores and question:
            new = {one.file_id for one in cuts}
            asked = await self.memory.search(owner, stores, question, limit)
            earlier = [one for one in asked if one.file_id not in new]
            known = await self.memory.relevant(owner, earlier, question)
            found += [one for one in asked if one.file_id in new or one in known]
        found = sorted(found, key=lambda one: -one.score)[:limit]
        own = (session.memory or "") if keeps else ""
        return [*found, *_beginnings(cuts, found, limit, own)]


def _asked(question: str) -> str:
    text = " ".join(question.split())
    if len(text) <= MAX_QUESTION:
        return text
    half = MAX_QUESTION // 2
    return f"{text[:half]} {text[-half:]}"


def _cut_all(documents: Sequence[ReadDocument]) -> list[_Large]:
    return [_cut(one, one.document) for one in documents if one.document is not None]


def _cut(read: ReadDocument, document: Document) -> _Large:
    """A document of the same name and text is the same document: it is kept once."""
    digest = hashlib.sha256(document.text.encode("utf-8", "surrogatepass")).hexdigest()
    document_id = f"{digest[:16]}/{read.name}"
    about: JsonObject = {"name": read.name, "mime_type": read.media_type}
    if read.source:
        about["source"] = read.source
    return _Large(read, document_of(document_id), cut(document_id, document, CHUNKS, about))


def _ranked(cuts: Sequence[_Large], question: str, limit: int) -> list[FoundChunk]:
    chunks = [chunk for one in cuts for chunk in one.chunks]
    return [
        _as_found(chunks[at], "", score)
        for at, score in ranked(question, [one.text for one in chunks], limit)
    ]


def _beginnings(
    cuts: Sequence[_Large], found: Sequence[FoundChunk], limit: int, store_id: str
) -> list[FoundChunk]:
    """How those documents of this turn begin of which nothing was found; more of them where nothing was found at all: a
    question like "What is this about?" has no words that a document holds.
    """
    known = {one.file_id for one in found}
    missing = [one.chunks for one in cuts if one.file_id not in known]
    deep = limit if not found else 1
    rows = [chunks[at] for at in range(deep) for chunks in missing if at < len(chunks)]
    return [_as_found(one, store_id, 0.0) for one in rows[:limit]]


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
