"""The indexes that can be measured here, each with a place of its own for its data, and the server that it needs.

Their processes are those of the tests; what cannot be started or installed is left out, with the reason.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from antiphon.index_plugins import index_class
from antiphon.ports.adapters import AdapterConfigError
from antiphon.ports.knowledge import VectorIndex

Configs = AbstractContextManager[Mapping[str, object]]


class LeftOut(Exception):
    """Why an index cannot be measured here."""


@contextmanager
def _files(folder: Path) -> Generator[Mapping[str, object]]:
    yield {"path": str(folder)}


@contextmanager
def _postgres(folder: Path) -> Generator[Mapping[str, object]]:
    try:
        from tests.support.postgres import PostgresProcess

        process = PostgresProcess(folder / "postgres")
        process.start()
    except Exception as error:
        raise LeftOut(f"no PostgreSQL could be started: {error}") from error
    try:
        with process.postgres.database() as name:
            yield {"url": process.postgres.url(name)}
    finally:
        process.stop()


@contextmanager
def _chroma(folder: Path) -> Generator[Mapping[str, object]]:
    import pytest

    try:
        from tests.support.chroma import ChromaProcess

        process = ChromaProcess(folder)
        process.start()
    except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:
        raise LeftOut(f"no Chroma could be started: {error}") from error
    try:
        yield {"url": process.url}
    finally:
        process.stop()


@dataclass(frozen=True, slots=True)
class Place:
    """`needs` runs what it needs over a folder, and gives its configuration."""

    provider_type: str
    needs: Callable[[Path], Configs] = _files

    def open(self, config: Mapping[str, object], folder: Path) -> VectorIndex:
        """Raises LeftOut where a package is missing."""
        try:
            return index_class(self.provider_type).from_config("bench", config, folder)
        except AdapterConfigError as error:
            raise LeftOut(str(error)) from error


PLACES: Mapping[str, Place] = {
    "sqlite-vec": Place("inline::sqlite-vec"),
    "faiss": Place("inline::faiss"),
    "pgvector": Place("remote::pgvector", _postgres),
    "chroma": Place("remote::chromadb", _chroma),
    "qdrant-local": Place("remote::qdrant"),
}
