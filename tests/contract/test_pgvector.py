"""The contract of vector indexes over a real PostgreSQL, and what only it promises."""

from collections.abc import AsyncIterator

import pytest

from antiphon.indexes.pgvector import PgvectorIndex
from antiphon.ports.knowledge import VectorIndex
from antiphon.testing.index_contract import VectorIndexContract
from tests.support.postgres import Postgres


class TestPgvectorIndex(VectorIndexContract):
    @pytest.fixture
    async def index(self, postgres: Postgres, postgres_module_database: str) -> AsyncIterator[VectorIndex]:
        self.url = postgres.url(postgres_module_database)
        index = PgvectorIndex("pg", {"dsn": self.url})
        yield index
        await index.aclose()

    async def reopened(self, index: VectorIndex) -> VectorIndex:
        await index.aclose()
        return PgvectorIndex("pg", {"dsn": self.url})


class TestPgvectorIndexWithHnsw(TestPgvectorIndex):
    """Every collection has an index of its vectors from its second chunk on."""

    @pytest.fixture
    async def index(self, postgres: Postgres, postgres_module_database: str) -> AsyncIterator[VectorIndex]:
        self.url = postgres.url(postgres_module_database)
        index = PgvectorIndex("pg", {"dsn": self.url}, exact_floats=8)
        yield index
        await index.aclose()
