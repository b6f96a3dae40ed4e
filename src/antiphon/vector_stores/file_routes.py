"""`/v1/vector_stores/{vector_store_id}/files` and `/file_batches`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from antiphon.core.errors import InvalidRequest
from antiphon.core.parse import load
from antiphon.core.wire import encode
from antiphon.ports.knowledge import FileStatus
from antiphon.vector_stores.answers import FileBatchObject, VectorStoreFileObject
from antiphon.vector_stores.shapes import AddFile, CreateFileBatch, UpdateFile
from antiphon.vector_stores.store_files import StoreFiles
from antiphon.web.http import JsonReply, Reply, Request, json_reply
from antiphon.web.paging import PAGE_QUERY, Page, refuse_unknown
from antiphon.web.routing import Query, Route

_FILES = "/v1/vector_stores/{vector_store_id}/files"
_FILE = _FILES + "/{file_id}"
_BATCHES = "/v1/vector_stores/{vector_store_id}/file_batches"
_BATCH = _BATCHES + "/{batch_id}"
_STATUSES: tuple[FileStatus, ...] = get_args(FileStatus)
_FILTER = Query("filter", {"type": "string", "enum": [*_STATUSES]}, "Only files of this status.")
_POLL_MS, _POLL_MS_PER_FILE, _LONGEST_POLL_MS = 150, 10, 2000
_MAX_CHUNKS = 10_000
_NUMBER = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_BOOLEAN = {"type": "boolean", "default": False}
_CONTENT_QUERY = (
    Query("include_embeddings", _BOOLEAN, "The vector of each chunk."),
    Query("include_metadata", _BOOLEAN, "Where each chunk stands, and the attributes of the file."),
    Query("limit", {"type": "integer", "minimum": 1, "maximum": _MAX_CHUNKS}, "Chunks on a page."),
    Query("after", {"type": "string"}, "`next_page` of the page before."),
)


@dataclass(frozen=True, slots=True)
class StoreFileRoutes:
    service: StoreFiles

    async def add(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), AddFile, items=False)
        return _polled(await self.service.add(request.owner, _store(request), body), 1)

    async def list_all(self, request: Request) -> Reply:
        page, status = _page(request)
        return json_reply(await self.service.list_page(request.owner, _store(request), page, status))

    async def get(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return _polled(await self.service.get(request.owner, _store(request), _file(request)), 1)

    async def update(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), UpdateFile, items=False)
        return json_reply(await self.service.update(request.owner, _store(request), _file(request), body))

    async def remove(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        await self.service.remove(request.owner, _store(request), _file(request))
        return json_reply({"id": _file(request), "object": "vector_store.file.deleted", "deleted": True})

    async def content(self, request: Request) -> Reply:
        query = request.query()
        refuse_unknown(query, *(parameter.name for parameter in _CONTENT_QUERY))
        page = await self.service.content(
            request.owner,
            _store(request),
            _file(request),
            limit=_limit(query),
            after=_last(query, "after") or None,
            embeddings=_flag(query, "include_embeddings"),
            metadata=_flag(query, "include_metadata"),
        )
        return json_reply(page)

    async def create_batch(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), CreateFileBatch, items=False)
        return _batch_polled(await self.service.create_batch(request.owner, _store(request), body))

    async def get_batch(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return _batch_polled(await self.service.get_batch(request.owner, _store(request), _batch(request)))

    async def cancel_batch(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return json_reply(await self.service.cancel_batch(request.owner, _store(request), _batch(request)))

    async def list_batch(self, request: Request) -> Reply:
        page, status = _page(request)
        found = await self.service.list_page(request.owner, _store(request), page, status, _batch(request))
        return json_reply(found)

    def table(self) -> list[Route]:
        one, page, batch = "VectorStoreFile", "VectorStoreFileList", "VectorStoreFileBatch"
        listed = (*PAGE_QUERY, _FILTER)
        return [
            Route(
                "POST", _FILES, self.add, "Take a file into a vector store", request="AddFile", response=one
            ),
            Route(
                "GET", _FILES, self.list_all, "List the files of a vector store", response=page, query=listed
            ),
            Route("GET", _FILE, self.get, "Get a file of a vector store, and how far it is", response=one),
            Route(
                "POST",
                _FILE,
                self.update,
                "Replace the attributes of a file in a vector store",
                request="UpdateFile",
                response=one,
            ),
            Route(
                "DELETE",
                _FILE,
                self.remove,
                "Take a file out of a vector store; the file stays",
                response="Deleted",
            ),
            Route(
                "GET",
                _FILE + "/content",
                self.content,
                "Get the text of a file in a vector store, chunk by chunk",
                response="VectorStoreFileContent",
                query=_CONTENT_QUERY,
            ),
            Route(
                "POST",
                _BATCHES,
                self.create_batch,
                "Take many files into a vector store",
                request="CreateFileBatch",
                response=batch,
            ),
            Route("GET", _BATCH, self.get_batch, "Get a batch of files, and how far it is", response=batch),
            Route(
                "POST",
                _BATCH + "/cancel",
                self.cancel_batch,
                "Cancel what is not done of a batch",
                response=batch,
            ),
            Route(
                "GET",
                _BATCH + "/files",
                self.list_batch,
                "List the files of a batch",
                response=page,
                query=listed,
            ),
        ]


def _polled(file: VectorStoreFileObject, waiting: int) -> JsonReply:
    """The official clients ask again after as many milliseconds as this header says."""
    headers = {"openai-poll-after-ms": str(_poll_ms(waiting))} if file.status == "in_progress" else None
    return JsonReply(encode(file), headers=headers)


def _batch_polled(batch: FileBatchObject) -> JsonReply:
    waiting = batch.file_counts.in_progress
    headers = {"openai-poll-after-ms": str(_poll_ms(waiting))} if batch.status == "in_progress" else None
    return JsonReply(encode(batch), headers=headers)


def _poll_ms(waiting: int) -> int:
    return min(_LONGEST_POLL_MS, _POLL_MS + _POLL_MS_PER_FILE * waiting)


def _store(request: Request) -> str:
    return request.params["vector_store_id"]


def _file(request: Request) -> str:
    return request.params["file_id"]


def _batch(request: Request) -> str:
    return request.params["batch_id"]


def _page(request: Request) -> tuple[Page, FileStatus | None]:
    query = request.query()
    refuse_unknown(query, _FILTER.name, *(parameter.name for parameter in PAGE_QUERY))
    status = _last(query, _FILTER.name)
    if status and status not in _STATUSES:
        raise InvalidRequest(
            f'`filter`: one of {", ".join(_STATUSES)}, not "{status[:50]}".', param=_FILTER.name
        )
    return Page.of(query), status or None


def _limit(query: Mapping[str, Sequence[str]]) -> int:
    given = _last(query, "limit") or str(_MAX_CHUNKS)
    if not _NUMBER.fullmatch(given) or int(given) > _MAX_CHUNKS:
        raise InvalidRequest(
            f"limit is a whole number from 1 to {_MAX_CHUNKS}, not {given[:50]!r}.", param="limit"
        )
    return int(given)


def _flag(query: Mapping[str, Sequence[str]], name: str) -> bool:
    given = _last(query, name).lower()
    if given not in ("", "true", "false", "1", "0"):
        raise InvalidRequest(f'`{name}`: true or false, not "{given[:50]}".', param=name)
    return given in ("true", "1")


def _last(query: Mapping[str, Sequence[str]], name: str) -> str:
    return (query.get(name) or [""])[-1]
