"""`/v1/files`, as the official OpenAPI has it."""

from dataclasses import dataclass
from typing import get_args

from antiphon.core.errors import InvalidRequest
from antiphon.files.download import Download
from antiphon.files.forms import read_file_form
from antiphon.files.service import FileService
from antiphon.files.shapes import OUTPUT_PURPOSES, DeletedFile, FileList, Purpose, shown_file
from antiphon.web.http import Reply, Request, json_reply
from antiphon.web.multipart import OVERHEAD_BYTES, PATIENCE_S, Multipart
from antiphon.web.paging import Page, refuse_unknown
from antiphon.web.routing import Query, Route

_ALL = "/v1/files"
_ONE = _ALL + "/{file_id}"
_MOST = 10_000
_PURPOSES = (*get_args(Purpose), *OUTPUT_PURPOSES)
_LIST = (
    Query("purpose", {"type": "string", "enum": list(_PURPOSES)}, "Only files of this purpose."),
    Query(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": _MOST, "default": _MOST},
        "Files on a page.",
    ),
    Query(
        "order",
        {"type": "string", "enum": ["asc", "desc"], "default": "desc"},
        "By age; desc is newest first.",
    ),
    Query("after", {"type": "string"}, "The id of the last file of the page before."),
)


@dataclass(frozen=True, slots=True)
class FileRoutes:
    files: FileService
    patience_s: float = PATIENCE_S

    async def create(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        most = self.files.max_file_bytes
        form = Multipart(request, max_bytes=most + OVERHEAD_BYTES, patience_s=self.patience_s)
        read = await read_file_form(form, self.files.receiver, most)
        file = await self.files.add(
            request.owner, read.received, read.filename, read.purpose, read.media_type, read.expires_after_s
        )
        return json_reply(shown_file(file))

    async def list_all(self, request: Request) -> Reply:
        query = request.query()
        refuse_unknown(query, *(one.name for one in _LIST))
        purpose = query.get("purpose", [""])[-1] or None
        if purpose is not None and purpose not in _PURPOSES:
            raise InvalidRequest(
                f"expected one of {', '.join(_PURPOSES)}; found {purpose[:100]!r}.", param="purpose"
            )
        page = Page.of(query, limit=_MOST, most=_MOST)
        found = await self.files.list_page(
            request.owner,
            limit=page.limit + 1,
            newest_first=page.order == "desc",
            after=page.after,
            purpose=purpose,
        )
        rows = [shown_file(one) for one in found[: page.limit]]
        first, last = (rows[0].id, rows[-1].id) if rows else (None, None)
        more = len(found) > page.limit
        return json_reply(FileList(data=rows, has_more=more, first_id=first, last_id=last))

    async def get(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return json_reply(shown_file(await self.files.get(request.owner, request.params["file_id"])))

    async def content(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return Download(self.files, await self.files.get(request.owner, request.params["file_id"]))

    async def delete(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        file_id = request.params["file_id"]
        await self.files.delete(request.owner, file_id)
        return json_reply(DeletedFile(id=file_id))

    def table(self) -> list[Route]:
        return [
            Route(
                "POST",
                _ALL,
                self.create,
                "Upload a file",
                request="NewFile",
                response="File",
                body="multipart/form-data",
            ),
            Route("GET", _ALL, self.list_all, "List files", response="FileList", query=_LIST),
            Route("GET", _ONE, self.get, "Get a file", response="File"),
            Route(
                "GET",
                _ONE + "/content",
                self.content,
                "Get what a file holds, or a range of its bytes",
                answer="application/octet-stream",
            ),
            Route("DELETE", _ONE, self.delete, "Delete a file", response="DeletedFile"),
        ]
