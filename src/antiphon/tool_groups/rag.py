"""The search of vector stores as a tool group: `knowledge_search`, in an agent's run and by itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from msgspec import Meta

from antiphon.core.errors import InvalidRequest, NotFound, UnsupportedParameter
from antiphon.core.parse import load
from antiphon.core.tools import FileSearchTool, HybridSearch, KnowledgeSearchTool, RankingOptions
from antiphon.core.wire import UNSET, JsonObject, UnsetType, Wire, encode
from antiphon.ports import Owner
from antiphon.tool_groups.places import below
from antiphon.tool_groups.shapes import ResultImage, ResultText, ToolInvocationResult
from antiphon.vector_io.rag import RagTool
from antiphon.vector_io.shapes import MAX_FOUND, Content, RagQuery, RagQueryConfig, Ranker, StoreName
from antiphon.vector_io.stores import NamedStores

MAX_STORES: Final = 20
DESCRIPTION: Final = "Search for information in the vector stores."
SCHEMA: Final[JsonObject] = {
    "type": "object",
    "properties": {
        "query": {
            "type": "string",
            "description": "What to look for, as a question or in words of the answer.",
        }
    },
    "required": ["query"],
}
_WEIGHTS: Final = {
    "vector": HybridSearch(embedding_weight=1, text_weight=0),
    "keyword": HybridSearch(embedding_weight=0, text_weight=1),
}
"""What the modes of a search are that is not a hybrid one."""
_StoreNames = Annotated[list[StoreName], Meta(max_length=MAX_STORES)]


class _Config(Wire):
    """Of `query_config`, what a search in a run can follow; `RagQueryConfig` has all of it."""

    max_chunks: Annotated[int, Meta(ge=1, le=MAX_FOUND)] | UnsetType | None = UNSET
    mode: Literal["vector", "keyword", "hybrid"] | UnsetType | None = UNSET
    ranker: Ranker | UnsetType | None = UNSET
    query_generator_config: JsonObject | UnsetType | None = UNSET
    max_tokens_in_context: int | UnsetType | None = UNSET
    chunk_template: str | UnsetType | None = UNSET


class _Args(Wire):
    vector_db_ids: _StoreNames | UnsetType | None = UNSET
    vector_store_ids: _StoreNames | UnsetType | None = UNSET
    query_config: _Config | UnsetType | None = UNSET


class _Asked(Wire):
    """What `knowledge_search` takes when it is called by itself."""

    query: Content
    vector_db_ids: _StoreNames | UnsetType | None = UNSET
    vector_store_ids: _StoreNames | UnsetType | None = UNSET
    query_config: RagQueryConfig | UnsetType | None = UNSET
    session_id: str | UnsetType | None = UNSET


@dataclass(frozen=True, slots=True)
class Search:
    """What a group's arguments say of its search. `field` is the argument that names the stores."""

    stores: tuple[str, ...] = ()
    field: str = "vector_db_ids"
    limit: int | None = None
    options: RankingOptions | None = None

    def tool(self, store_ids: Sequence[str]) -> FileSearchTool:
        return KnowledgeSearchTool(
            vector_store_ids=list(store_ids),
            max_num_results=UNSET if self.limit is None else self.limit,
            ranking_options=UNSET if self.options is None else self.options,
        )


def with_args(args: JsonObject, more: JsonObject) -> JsonObject:
    """What of both counts: of `more` first. The two names of the stores are one argument."""
    names = {"vector_db_ids", "vector_store_ids"}
    kept = {name: value for name, value in args.items() if not (name in names and names & more.keys())}
    return {**kept, **more}


def search_of(args: JsonObject, path: str) -> Search:
    """Raises InvalidRequest, with the place below `path`, for arguments that a search in a run cannot follow."""
    try:
        given = load(encode(args), _Args, items=False)
    except InvalidRequest as error:
        raise below(error, path) from None
    if given.vector_db_ids and given.vector_store_ids:
        param = f"{path}.vector_store_ids"
        raise InvalidRequest(f"`{param}`: says the same as `vector_db_ids`; send one of them.", param=param)
    field = "vector_store_ids" if given.vector_store_ids else "vector_db_ids"
    stores = tuple(dict.fromkeys(given.vector_db_ids or given.vector_store_ids or ()))
    config = given.query_config or _Config()
    _check_config(config, f"{path}.query_config")
    weights = _WEIGHTS.get(config.mode or "")
    options = None if weights is None else RankingOptions(hybrid_search=weights)
    return Search(stores, field, config.max_chunks or None, options)


def _check_config(config: _Config, path: str) -> None:
    """Raises UnsupportedParameter for what only `knowledge_search` by itself can follow."""
    refused = {
        "max_tokens_in_context": (bool(config.max_tokens_in_context), "say `max_chunks` instead"),
        "chunk_template": (
            bool(config.chunk_template),
            "results have a form of their own here; leave it out",
        ),
        "query_generator_config.type": (
            (config.query_generator_config or {}).get("type", "default") != "default",
            'the model writes its queries itself here; send "default", or leave it out',
        ),
        "ranker": (
            bool(config.ranker) and not _is_default(config.ranker or None),
            'results are ranked by {"type": "rrf"} here; leave it out',
        ),
    }
    for name, (is_given, advice) in refused.items():
        if is_given:
            param = f"{path}.{name}"
            raise UnsupportedParameter(f"`{param}`: {advice}.", param=param)


def _is_default(ranker: Ranker | None) -> bool:
    return ranker is None or (ranker.type == "rrf" and not ranker.impact_factor)


@dataclass(frozen=True, slots=True)
class KnowledgeSearch:
    """`knowledge_search` by itself, and the stores that names mean."""

    rag: RagTool

    @property
    def stores(self) -> NamedStores:
        return self.rag.vector_io.stores

    async def ids(self, owner: Owner, names: Sequence[str], path: str) -> list[str]:
        """The ids of stores, each once. Raises NotFound, and InvalidRequest for one that has expired."""
        found = [await self.stores.get(owner, name, f"{path}[{at}]") for at, name in enumerate(names)]
        return list(dict.fromkeys(one.id for one in found))

    async def usable(self, owner: Owner, names: Sequence[str]) -> list[str]:
        """The ids of those of them that are still there: what is bound to a session may go while the session stays."""
        found: list[str] = []
        for name in names:
            try:
                found.append((await self.stores.get(owner, name, "")).id)
            except (NotFound, InvalidRequest):
                continue
        return found

    async def call(self, owner: Owner, arguments: JsonObject) -> ToolInvocationResult:
        """Raises InvalidRequest and NotFound with the argument in `param`, and what a search raises."""
        asked = load(encode(arguments), _Asked, items=False)
        if not (asked.vector_db_ids or asked.vector_store_ids):
            raise InvalidRequest(
                "`vector_db_ids`: required; name vector stores, in the arguments or in those of the group.",
                param="vector_db_ids",
            )
        query = RagQuery(
            content=asked.query,
            vector_db_ids=asked.vector_db_ids or UNSET,
            vector_store_ids=asked.vector_store_ids or UNSET,
            query_config=asked.query_config,
        )
        found = await self.rag.query(owner, query)
        content: list[ResultText | ResultImage] | None = None
        if found.content is not None:
            content = [ResultText(text=one.text) for one in found.content]
        return ToolInvocationResult(content=content or "Nothing was found.", metadata=found.metadata)
