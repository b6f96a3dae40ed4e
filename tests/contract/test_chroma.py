"""The contract of vector indexes over Chroma's own server, and what only it promises."""

from collections.abc import AsyncIterator

import pytest

from antiphon.indexes.chroma import ChromaIndex
from antiphon.ports.knowledge import VectorIndex
from antiphon.testing.index_contract import VectorIndexContract
from tests.support.chroma import ChromaProcess


class TestChromaIndex(VectorIndexContract):
    @pytest.fixture
    async def index(self, chroma: ChromaProcess) -> AsyncIterator[VectorIndex]:
        self.url = chroma.url
        index = ChromaIndex.from_config("chroma", {"url": self.url}, None)
        yield index
        await index.aclose()

    async def reopened(self, index: VectorIndex) -> VectorIndex:
        await index.aclose()
        return ChromaIndex.from_config("chroma", {"url": self.url}, None)
