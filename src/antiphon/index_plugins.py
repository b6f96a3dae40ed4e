"""Which class serves which provider type of `providers.vector_io`. Ours are named here; others come by the entry point
`antiphon.vector_io`.

An entry point's name is the provider type (`remote::my-database`) and its object a class with `from_config`, as
`antiphon.indexes.sqlite_vec.SqliteVecIndex` has it; `antiphon.testing.index_contract` tells whether it does its work.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol, cast

from antiphon.plugin_types import PluginTypes, UnknownType
from antiphon.ports.knowledge import VectorIndex

GROUP = "antiphon.vector_io"
DEFAULT_TYPE = "inline::sqlite-vec"
BUILT_IN: Mapping[str, str] = {
    DEFAULT_TYPE: "antiphon.indexes.sqlite_vec:SqliteVecIndex",
    "inline::faiss": "antiphon.indexes.faiss:FaissIndex",
    "remote::chromadb": "antiphon.indexes.chroma:ChromaIndex",
    "remote::pgvector": "antiphon.indexes.pgvector:PgvectorIndex",
    "remote::qdrant": "antiphon.indexes.qdrant:QdrantIndex",
}
_OWN = "its files are not read here; use inline::sqlite-vec, and put the files into their vector stores again"
INSTEAD: Final[Mapping[str, str]] = {
    "inline::meta-reference": "it is Llama Stack's old name of inline::faiss; use inline::faiss or inline::sqlite-vec",
    "inline::sqlite_vec": "it is written inline::sqlite-vec",
    "inline::chromadb": f"{_OWN}, or run Chroma's server and use remote::chromadb",
    "inline::qdrant": f"{_OWN}, or run Qdrant's server and use remote::qdrant",
    "inline::milvus": _OWN,
    "remote::milvus": "use remote::qdrant, remote::pgvector or inline::sqlite-vec",
    "remote::weaviate": "use remote::qdrant, remote::pgvector or inline::sqlite-vec",
    "remote::elasticsearch": "use remote::qdrant, remote::pgvector or inline::sqlite-vec",
    "remote::infinispan": "use remote::qdrant, remote::pgvector or inline::sqlite-vec",
    "remote::oci": "use remote::pgvector or inline::sqlite-vec",
}
"""Provider types that other servers have and this one has not, and what to use instead."""


class UnknownIndexType(UnknownType):
    pass


class IndexClass(Protocol):
    def from_config(self, provider_id: str, config: Mapping[str, Any], folder: Path | None) -> VectorIndex:
        """The index that a configuration describes; nothing is opened or asked yet. `folder` is where the server's
        state is, None where nothing is kept.

        Raises AdapterConfigError, naming the key at fault; for "" the provider itself, as when a package is missing.
        """
        ...


_TYPES = PluginTypes("vector_io provider type", GROUP, BUILT_IN, UnknownIndexType, INSTEAD)


def known_types() -> list[str]:
    """Every provider type that can be configured, those of installed plugins included."""
    return _TYPES.known()


def index_class(provider_type: str) -> IndexClass:
    """Raises UnknownIndexType, which lists the known ones."""
    return cast("IndexClass", _TYPES.find(provider_type))
