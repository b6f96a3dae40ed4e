"""The memory of a session: one vector store of its own for its documents, beside those that it was bound to.

The id of a session's own store is noted before the store is made, and a store that is not there is made under the id
that was noted. So nothing that dies between the two leaves a store that no session knows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from antiphon.core.errors import AntiphonError, EmbeddingMismatch, ModelNotFound, NotFound
from antiphon.core.keyword_ranking import telling_share
from antiphon.core.searching import FoundChunk, SearchMode, SearchRequest
from antiphon.ports import Owner
from antiphon.ports.agents import AgentStore, StoredSession
from antiphon.ports.knowledge import Chunk, StoredVectorStore
from antiphon.vector_io.service import VectorIo
from antiphon.vector_stores.refusals import has_expired
from antiphon.vector_stores.service import PREFIX, VectorStores
from antiphon.vector_stores.shapes import CreateVectorStore

SESSION: Final = "agent_session_id"
"""In the metadata of such a store: the session that it belongs to, and goes with."""
LEAST_SHARE: Final = 1 / 3
"""Of the telling words of a message, in a passage that it brings to mind by words alone."""
MAX_NAME: Final = 256


@dataclass(frozen=True, slots=True)
class SessionMemory:
    vector_io: VectorIo
    sessions: AgentStore

    @property
    def _service(self) -> VectorStores:
        return self.vector_io.stores.service

    async def bound(
        self, owner: Owner, names: Sequence[str], field: str = "vector_db_ids"
    ) -> tuple[str, ...]:
        """The ids of vector stores that a new session is bound to, named by id or by the name of their registration.

        Raises NotFound, and InvalidRequest for one that has expired.
        """
        stores = self.vector_io.stores
        found = [await stores.get(owner, name, f"{field}[{at}]") for at, name in enumerate(names)]
        return tuple(dict.fromkeys(one.id for one in found))

    async def live(self, owner: Owner, session: StoredSession) -> StoredSession:
        """The session with those of its stores that are still there; nothing is written. One that its owner deleted
        takes nothing from the others.
        """
        wanted = stores_of(session)
        if not wanted:
            return session
        there = await self._there(owner, wanted)
        own = session.memory if session.memory in there else None
        return replace(session, stores=tuple(one for one in session.stores if one in there), memory=own)

    async def put(
        self, owner: Owner, session: StoredSession, chunks: Sequence[Chunk], documents: Sequence[str]
    ) -> StoredSession:
        """Write documents into the session's own store, each in place of what there was of it; it is made where there
        is none. The session as it is then. All of them are written, or none.

        Raises NotFound for a session that is gone, and what the embedding model and the index raise.
        """
        session, store = await self._own(owner, session)
        try:
            await self.vector_io.put(owner, store, chunks, documents)
        except ModelNotFound:
            raise EmbeddingMismatch(
                f'the memory of this session was embedded by model "{store.embedding_model}", which is not served here'
                " any more. The operator can serve it again, or embed the memory anew:"
                f" antiphon reindex {store.id} --embedding-model MODEL."
            ) from None
        return session

    async def search(
        self, owner: Owner, store_ids: Sequence[str], question: str, limit: int
    ) -> Sequence[FoundChunk]:
        """The best first. A store whose vectors cannot be asked any more is searched by words.

        Raises IndexUnavailable, and what the embedding model raises.
        """
        try:
            return await self._search(owner, store_ids, question, limit, "auto")
        except EmbeddingMismatch:
            return await self._search(owner, store_ids, question, limit, "keyword")

    async def relevant(
        self, owner: Owner, found: Sequence[FoundChunk], question: str
    ) -> Sequence[FoundChunk]:
        """Without passages that only share a word or two with the message. What was found by vectors stays: how near is
        near depends on the model.
        """
        there = await self._there(owner, sorted({one.store_id for one in found}))
        embedded = {store_id for store_id, store in there.items() if store.embedding_model}
        return [one for one in found if one.store_id in embedded or is_relevant(question, one.text)]

    async def forget(self, owner: Owner, store_id: str | None) -> None:
        """Delete the store of a session that is gone; none there is fine."""
        if store_id is None:
            return
        try:
            await self._service.delete(owner, store_id)
        except NotFound:
            return

    # --- the store ----------------------------------------------------------------------------------------------
    async def _own(self, owner: Owner, session: StoredSession) -> tuple[StoredSession, StoredVectorStore]:
        noted = await self._noted(owner, session)
        found = await self._service.records.find_stores(owner, [noted])
        if noted not in found:
            await self._make(owner, session, noted)
            found = await self._service.records.find_stores(owner, [noted])
        if noted not in found:
            raise _gone(session)
        return replace(session, memory=noted), found[noted]

    async def _noted(self, owner: Owner, session: StoredSession) -> str:
        """The id that is noted with the session, from now on at least."""
        if session.memory is not None:
            return session.memory
        made = self._service.ids.new(PREFIX)
        if await self.sessions.set_memory(owner, session.id, made):
            return made
        there = await self.sessions.get_session(owner, session.agent_id, session.id)
        if there is None or there.memory is None:
            raise _gone(session)
        return there.memory

    async def _make(self, owner: Owner, session: StoredSession, store_id: str) -> None:
        body = CreateVectorStore(
            name=f"Memory of session {session.name or session.id}"[:MAX_NAME],
            description="Made for the documents of an agent's session. It is deleted with the session.",
            metadata={SESSION: session.id},
        )
        await self._service.create(owner, body, store_id=store_id)
        if await self.sessions.get_session(owner, session.agent_id, session.id) is None:
            await self.forget(owner, store_id)
            raise _gone(session)

    async def _there(self, owner: Owner, store_ids: Sequence[str]) -> dict[str, StoredVectorStore]:
        if not store_ids:
            return {}
        now = self._service.clock.now()
        found = await self._service.records.find_stores(owner, store_ids)
        return {name: one for name, one in found.items() if not has_expired(one, now)}

    async def _search(
        self, owner: Owner, store_ids: Sequence[str], question: str, limit: int, mode: SearchMode
    ) -> Sequence[FoundChunk]:
        request = SearchRequest(tuple(store_ids), (question,), limit, mode=mode)
        return (await self._service.searcher.search(owner, request)).found


def is_relevant(question: str, text: str) -> bool:
    """Whether a passage that was found by words has to do with a message."""
    return telling_share(question, text) >= LEAST_SHARE


def stores_of(session: StoredSession) -> tuple[str, ...]:
    """Its own first."""
    own = () if session.memory is None else (session.memory,)
    return tuple(dict.fromkeys((*own, *session.stores)))


def _gone(session: StoredSession) -> AntiphonError:
    return NotFound(
        f'`session_id`: there is no session "{session.id}"; it was deleted meanwhile.', param="session_id"
    )
