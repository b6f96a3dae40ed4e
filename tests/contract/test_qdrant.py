"""The contract of vector indexes over Qdrant in its client's local mode, and what only it promises.

No Qdrant server is tried: what is sent to one is looked at where it leaves.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.indexes.qdrant import QdrantIndex
from antiphon.ports.knowledge import VectorIndex
from antiphon.testing.index_contract import VectorIndexContract


class TestQdrantIndex(VectorIndexContract):
    @pytest.fixture
    async def index(self, tmp_path: Path) -> AsyncIterator[VectorIndex]:
        self.path = str(tmp_path / "qdrant")
        index = QdrantIndex.from_config("qdrant", {"path": self.path}, None)
        yield index
        await index.aclose()

    async def reopened(self, index: VectorIndex) -> VectorIndex:
        await index.aclose()
        return QdrantIndex.from_config("qdrant", {"path": self.path}, None)
