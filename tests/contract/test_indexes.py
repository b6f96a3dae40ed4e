"""The contract of vector indexes over the adapters that need nothing installed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

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
