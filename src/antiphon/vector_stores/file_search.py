"""`FileSearch`: the tool runtime that carries out `file_search`. All other calls go to the runtime behind it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from antiphon.core.commands import CallTool, ListTools
from antiphon.core.errors import AntiphonError
from antiphon.core.file_search import DEFAULT_RESULTS
from antiphon.core.filters import Attributes, Scalar, checked
from antiphon.core.hosted_items import FileSearchCall, FileSearchResult, McpListTools
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.json_values import is_object
from antiphon.core.ranking_options import ranking_of
from antiphon.core.searching import FoundChunk, SearchRequest
from antiphon.core.signals import ToolDone, ToolsListed
from antiphon.core.tools import FileSearchTool, McpTool
from antiphon.core.wire import UNSET, decode_json
from antiphon.ports import Clock, Owner, ToolRuntime
from antiphon.ports.knowledge import Searcher, VectorStoreRecords
from antiphon.ports.mcp import CallHost
from antiphon.vector_stores.refusals import expired, has_expired, unknown_store

log = logging.getLogger("antiphon.tools")
_PLACES = ("page", "start", "end")
_MAX_ATTRIBUTES = 16


@dataclass(frozen=True, slots=True)
class FileSearch:
    """A `ToolRuntime`."""

    searcher: Searcher
    stores: VectorStoreRecords
    clock: Clock
    others: ToolRuntime

    async def check(self, owner: Owner, tools: Sequence[AnyTool]) -> None:
        """Raises NotFound for a store that is unknown or foreign, InvalidRequest for one that has expired and for
        ranking options that cannot be had.
        """
        for at, tool in enumerate(tools):
            if isinstance(tool, FileSearchTool):
                await self._check(owner, tool, f"tools[{at}]")
        await self.others.check(owner, tools)

    async def _check(self, owner: Owner, tool: FileSearchTool, path: str) -> None:
        ranking_of(tool.ranking_options, f"{path}.ranking_options")
        found = await self.stores.find_stores(owner, tool.vector_store_ids)
        for at, store_id in enumerate(tool.vector_store_ids):
            param = f"{path}.vector_store_ids[{at}]"
            if store_id not in found:
                raise unknown_store(store_id, param)
            if has_expired(found[store_id], self.clock.now()):
                raise expired(store_id, param)

    async def list_tools(self, owner: Owner, asked: ListTools) -> ToolsListed:
        return await self.others.list_tools(owner, asked)

    def outdated(self, owner: Owner, tool: McpTool, known: McpListTools) -> bool:
        return self.others.outdated(owner, tool, known)

    async def run(self, owner: Owner, call: CallTool, host: CallHost) -> ToolDone:
        """A search that fails is an item of status `failed`, of which the model is told."""
        if not isinstance(call.tool, FileSearchTool) or not isinstance(call.item, FileSearchCall):
            return await self.others.run(owner, call, host)
        item = call.item
        try:
            answer = await self.searcher.search(owner, _request(call.tool, item))
        except AntiphonError as error:
            log.warning("a file search failed: %s", error.message)
            return ToolDone(call.call.call_id, "", _ended(item, "failed", ()))
        return ToolDone(call.call.call_id, "", _ended(item, "completed", answer.found))


def _request(tool: FileSearchTool, item: FileSearchCall) -> SearchRequest:
    return SearchRequest(
        store_ids=tuple(dict.fromkeys(tool.vector_store_ids)),
        queries=tuple(item.queries),
        limit=DEFAULT_RESULTS if tool.max_num_results is UNSET else tool.max_num_results,
        where=checked(tool.filters, "filters") if tool.filters else None,
        ranking=ranking_of(tool.ranking_options),
    )


def _ended(item: FileSearchCall, status: str, found: Sequence[FoundChunk]) -> FileSearchCall:
    results = [_result(one) for one in found]
    return msgspec.structs.replace(item, status=status, results=results)


def _result(one: FoundChunk) -> FileSearchResult:
    return FileSearchResult(
        file_id=one.file_id,
        filename=one.filename,
        score=one.score,
        text=one.text,
        attributes=with_place(one.attributes, one.metadata),
    )


def with_place(attributes: Attributes, metadata: bytes) -> dict[str, Scalar]:
    """The attributes of a file, and where in it the chunk stands: `page`, and `start` and `end` in characters of its
    text. An attribute of the file's own of such a name wins; there are never more than 16.
    """
    told: object = decode_json(metadata)
    place: Mapping[str, object] = told if is_object(told) else {}
    found = dict(attributes)
    for name in _PLACES:
        value = place.get(name)
        if isinstance(value, int | float) and name not in found and len(found) < _MAX_ATTRIBUTES:
            found[name] = value
    return found
