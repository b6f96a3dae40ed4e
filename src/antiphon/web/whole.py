"""A body that is answered in one piece, for a client that may leave before it is there."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.types import Send

from antiphon.web.http import JsonReply, Request
from antiphon.web.sse import Watch


async def answer_whole(
    request: Request,
    send: Send,
    work: Callable[[], Awaitable[bytes]],
    headers: Callable[[], Mapping[str, str]],
) -> None:
    """Send what `work` gives. A client that leaves cancels it. `headers` are asked for when the work is done."""
    body = b""
    with Watch(request.receive) as watch:
        body = await work()
    if not watch.gone:
        await JsonReply(body, headers=headers()).respond(request, send)
