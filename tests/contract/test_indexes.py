"""The contract of vector indexes over the adapters that need nothing installed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.indexes import collection_search
from antiphon.indexes.faiss import FaissIndex
from antiphon.indexes.sqlite_vec import SqliteVecIndex
from antiphon.ports.knowledge import VectorIndex
from antiphon.testing.index_contract import VectorIndexContract
from antiphon.testing.naive_index import NaiveIndex


class TestNaiveIndex(VectorIndexContract):
    """The meaning itself: what fails here is wrong in the contract."""

    @pytest.fixture
    async def index(self) -> AsyncIterator[VectorIndex]:
        index = NaiveIndex()
        yield index
        await index.aclose()

    async def reopened(self, index: VectorIndex) -> VectorIndex:
        assert isinstance(index, NaiveIndex)
        await index.aclose()
        return NaiveIndex(index.data)


class TestSqliteVecIndex(VectorIndexContract):
    @pytest.fixture
    async def index(self, tmp_path: Path) -> AsyncIterator[VectorIndex]:
        self.folder = tmp_path / "vector_stores"
        index = SqliteVecIndex(self.folder)
        yield index
        await index.aclose()

    async def reopened(self, index: VectorIndex) -> VectorIndex:
        await index.aclose()
        return SqliteVecIndex(self.folder)


class TestFaissIndex(VectorIndexContract):
    @pytest.fixture
    async def index(self, tmp_path: Path) -> AsyncIterator[VectorIndex]:
        self.folder = tmp_path / "vector_stores"
        index = FaissIndex(self.folder)
        yield index
        await index.aclose()

    async def reopened(self, index: VectorIndex) -> VectorIndex:
        await index.aclose()
        return FaissIndex(self.folder)


class TestFaissIndexWithSelectors(TestFaissIndex):
    """As it is where more chunks pass a filter than are compared one by one."""

    @pytest.fixture(autouse=True)
    def large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(collection_search, "EXACT_PASSING", -1)


class TestLargeSqliteVecIndex(TestSqliteVecIndex):
    """As it is in a collection that is too large to compare every vector."""

    @pytest.fixture(autouse=True)
    def large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(collection_search, "EXACT_PASSING", -1)
        monkeypatch.setattr(collection_search, "EXACT_CHUNKS", -1)
