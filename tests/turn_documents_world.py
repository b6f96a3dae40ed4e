"""Sessions of agents over a real store, index, extractor and fetcher: what the default install has."""

import base64
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from antiphon.agents.content import text_of
from antiphon.agents.documents import Given, TurnDocuments
from antiphon.agents.shapes import Attachment
from antiphon.agents.volatile import VolatileSessions
from antiphon.config.load import load_mapping
from antiphon.core.errors import ProviderUnavailable
from antiphon.core.items import InputText
from antiphon.knowledge import Knowledge, make_knowledge
from antiphon.models.catalog import Catalog
from antiphon.ports import Owner, UpstreamReply
from antiphon.ports.agents import StoredAgent, StoredSession
from antiphon.storage.sqlite import SqliteStore
from antiphon.testing import FakeClock, FakeIds, MemoryStore, Scripted
from antiphon.web.paging import Page

ANN, BOB = Owner("acme", "ann"), Owner("acme", "bob")
AGENT = StoredAgent("a0", 1, b"{}")
INLINE_TOKENS = 200
CHUNKS = 3

FILLER = "The harbour master writes down which boats come and go, and what they carry. "
FACTS = {
    "turbine": "The turbine on the north quay was made by Halvorsen in 1987 and turns at 1,500 revolutions.",
    "ferry": "The night ferry to Gothenburg leaves at 23:40 from berth seven, but never on Sundays.",
    "fee": "Mooring fees are waived for vessels that carry medical supplies.",
}
QUESTION = "Who made the turbine on the north quay?"


def handbook(*facts: str, between: int = 60) -> str:
    """A text of several chunks, each fact in one of them."""
    return "\n\n".join([FILLER * between, *(f"{fact}\n\n{FILLER * between}" for fact in facts)])


LARGE = handbook(*FACTS.values())


def doc(content: Any, mime_type: str = "text/plain") -> Attachment:
    return Attachment(content=content, mime_type=mime_type)


def data_url(content: bytes, media_type: str = "text/plain") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def shown(given: Given) -> str:
    """The text that the model sees."""
    return "".join(one.text for one in given.parts if isinstance(one, InputText)).strip()


class Model(Scripted):
    """A model that may be down."""

    down = False

    async def open(self, path: str, body: bytes, *, model: str) -> UpstreamReply:
        if self.down:
            raise ProviderUnavailable("scripted", "the model is down.")
        return await super().open(path, body, model=model)


@dataclass(slots=True)
class TurnWorld:
    """`turn` reads the documents of one turn, and notes what became of the session."""

    store: SqliteStore
    knowledge: Knowledge
    documents: TurnDocuments
    volatile: VolatileSessions
    model: Model
    folder: Path
    session: StoredSession

    async def turn(
        self, question: str, *documents: Attachment, searches: bool = False, keeps: bool = True
    ) -> Given:
        there = await self.store.agents.get_session(ANN, AGENT.id, self.session.id)
        return await self.documents.read(
            ANN, there or self.session, documents, text_of(question), searches=searches, keeps=keeps
        )

    async def bind(self, *names: str) -> None:
        """Another session, over these vector stores."""
        stores = await self.documents.memory.bound(ANN, names)
        self.session = replace(self.session, id=f"{self.session.id}-b", stores=stores, memory=None)
        assert await self.store.agents.add_session(ANN, self.session)

    async def stores(self, owner: Owner = ANN) -> Sequence[Any]:
        return (await self.knowledge.vector_stores.list_page(owner, Page(limit=100, order="asc"))).data

    def on_disk(self, word: str) -> list[str]:
        """The files that hold a word."""
        files = [one for one in self.folder.rglob("*") if one.is_file()]
        return [one.name for one in files if word.encode() in one.read_bytes()]


@asynccontextmanager
async def turn_world(
    folder: Path, *, embedded: bool = False, provider: str = "scripted"
) -> AsyncGenerator[TurnWorld]:
    """`embedded`: stores have vectors, made by the scripted model. A folder may be opened again."""
    default = {"default_embedding_model": {"provider_id": "scripted", "model_id": "demo"}}
    stores = {"vector_stores": default} if embedded else {}
    egress = {"server": {"egress": {"allow_private": ["127.0.0.0/8"]}}}
    settings = load_mapping({"version": 2, **stores, **egress}, environ={}, cwd=folder)
    clock, ids = FakeClock(), FakeIds()
    store = SqliteStore.open(f"sqlite:///{folder}/antiphon.db")
    model = Model(provider)
    catalog = Catalog({provider: model}, clock=clock)
    knowledge = make_knowledge(settings, catalog, store, clock, ids, folder)
    volatile = VolatileSessions(MemoryStore, clock, ttl_s=3600, max_bytes=1_000_000)
    documents = TurnDocuments(
        knowledge.rag, store.agents, volatile, inline_tokens=INLINE_TOKENS, retrieved_chunks=CHUNKS
    )
    session = StoredSession("s0", AGENT.id, "Harbour", 2)
    await volatile.add(ANN, session)
    if await store.agents.get_agent(ANN, AGENT.id) is None:
        await store.agents.add_agent(ANN, AGENT)
        assert await store.agents.add_session(ANN, session)
    await knowledge.start()
    try:
        yield TurnWorld(store, knowledge, documents, volatile, model, folder, session)
    finally:
        await knowledge.stop()
        await store.aclose()
