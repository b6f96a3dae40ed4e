"""`/v1/uploads`, as the official OpenAPI has it."""

from dataclasses import dataclass

from antiphon.core.parse import load
from antiphon.files.forms import read_part_form
from antiphon.files.shapes import CompleteUpload, CreateUpload, shown_part, shown_upload
from antiphon.files.uploads import UploadService
from antiphon.web.http import Reply, Request, json_reply
from antiphon.web.multipart import OVERHEAD_BYTES, PATIENCE_S, Multipart
from antiphon.web.paging import refuse_unknown
from antiphon.web.routing import Route

_ALL = "/v1/uploads"
_ONE = _ALL + "/{upload_id}"


@dataclass(frozen=True, slots=True)
class UploadRoutes:
    uploads: UploadService
    patience_s: float = PATIENCE_S

    async def create(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), CreateUpload, items=False)
        return json_reply(shown_upload(await self.uploads.create(request.owner, body)))

    async def add_part(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        upload = await self.uploads.pending(request.owner, request.params["upload_id"])
        most = self.uploads.max_part_bytes
        form = Multipart(request, max_bytes=most + OVERHEAD_BYTES, patience_s=self.patience_s)
        received = await read_part_form(form, self.uploads.files.receiver, most)
        return json_reply(shown_part(await self.uploads.add_part(request.owner, upload, received)))

    async def complete(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), CompleteUpload, items=False)
        upload, file = await self.uploads.complete(request.owner, request.params["upload_id"], body)
        return json_reply(shown_upload(upload, file))

    async def cancel(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return json_reply(shown_upload(await self.uploads.cancel(request.owner, request.params["upload_id"])))

    def table(self) -> list[Route]:
        return [
            Route(
                "POST",
                _ALL,
                self.create,
                "Begin a file that comes in parts",
                request="CreateUpload",
                response="Upload",
            ),
            Route(
                "POST",
                _ONE + "/parts",
                self.add_part,
                "Add a part to an upload",
                request="AddUploadPart",
                response="UploadPart",
                body="multipart/form-data",
            ),
            Route(
                "POST",
                _ONE + "/complete",
                self.complete,
                "Put the parts of an upload together",
                request="CompleteUpload",
                response="Upload",
            ),
            Route("POST", _ONE + "/cancel", self.cancel, "Cancel an upload", response="Upload"),
        ]
