"""`GET /v1/responses`: the stored responses of a caller, newest first. An extension that Llama Stack has too."""

from antiphon.core.wire import encode
from antiphon.ports import Owner, ResponsePage
from antiphon.responses.rendering import Visible
from antiphon.responses.service import ResponseService
from antiphon.web.paging import Page


async def list_responses(
    service: ResponseService, owner: Owner, page: Page, visible: Visible, *, model: str | None = None
) -> bytes:
    """The list object. Raises InvalidRequest for a cursor that names no response of this owner."""
    asked = ResponsePage(page.limit + 1, page.order == "desc", page.after, page.before, model)
    found = await service.store.list_responses(owner, asked)
    has_more = len(found) > page.limit
    rows = found[-page.limit :] if page.backwards else found[: page.limit]
    data = b",".join([service.shown(owner, row.head, row.output, visible) for row in rows])
    first, last = (encode(rows[0].id), encode(rows[-1].id)) if rows else (b"null", b"null")
    return b'{"object":"list","data":[%b],"first_id":%b,"last_id":%b,"has_more":%b}' % (
        data,
        first,
        last,
        b"true" if has_more else b"false",
    )
