"""The ASGI application: request id, caller, route, error envelope. Every answer leaves through here."""

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable

from starlette.types import Message, Receive, Scope, Send

from antiphon.core.errors import AntiphonError, ShuttingDown
from antiphon.core.wire import encode
from antiphon.ports import Ids
from antiphon.web.auth import ANONYMOUS, Authenticator
from antiphon.web.http import ClientGone, Request, send_whole
from antiphon.web.routing import Router
from antiphon.web.sse import LAST_WORDS_S

log = logging.getLogger("antiphon.http")
_SAFE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

Hook = Callable[[], Awaitable[None]]


class Edge:
    """Serves a route table. `startup` and `shutdown` run with the server's lifespan.

    `ending` is set by whoever stops the server: a request that is cancelled from then on is told so.
    """

    def __init__(
        self,
        router: Router,
        authenticator: Authenticator,
        ids: Ids,
        *,
        max_body: int,
        startup: Hook,
        shutdown: Hook,
    ) -> None:
        self.router = router
        self._authenticator = authenticator
        self._ids = ids
        self._max_body = max_body
        self._startup = startup
        self._shutdown = shutdown
        self.ending = False
        self._under_way = 0
        self._idle = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self._refuse_websocket(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(b"x-request-id")
        request_id = given.decode() if given and _SAFE_ID.fullmatch(given) else self._ids.new("req_")
        sent = _Sent(send)
        self._under_way += 1
        try:
            route, params = self.router.find(scope["method"], scope["path"])
            request = Request(scope, headers, receive, ANONYMOUS, request_id, params, self._max_body)
            if not route.public:
                request.owner = self._authenticator.owner(request.headers)
            reply = await route.handler(request)
            await reply.respond(request, sent)
        except AntiphonError as error:
            if sent.started:
                raise
            await _send_error(sent, error, request_id)
        except ClientGone:
            return
        except asyncio.CancelledError:
            if not self.ending:
                raise
            if not sent.started:
                await _send_error(sent, ShuttingDown(), request_id)
        except Exception:
            log.exception("request %s failed", request_id)
            if not sent.started:
                await _send_error(sent, _internal(request_id), request_id)
            else:
                raise
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._startup()
        except Exception as error:
            log.exception("start-up failed")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._last_words()
        await self._shutdown()
        await send({"type": "lifespan.shutdown.complete"})

    async def _last_words(self) -> None:
        """Requests that were cancelled still store how they ended, and say so."""
        self._idle.clear()
        if self._under_way:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), 2 * LAST_WORDS_S)

    async def _refuse_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A clean refusal of the upgrade, so that clients fall back to HTTP."""
        await receive()
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        error = AntiphonError("WebSocket is not served here; use POST with `stream: true`.")
        error.code = "websocket_not_supported"
        headers = [(b"content-type", b"application/json")]
        await send({"type": "websocket.http.response.start", "status": 404, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": encode(error.envelope())})


class _Sent:
    """`send`, and whether the head has left: after it an error can no longer be a status."""

    __slots__ = ("_send", "started")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    def __call__(self, message: Message) -> Awaitable[None]:
        self.started = True
        return self._send(message)


async def _send_error(send: Send, error: AntiphonError, request_id: str) -> None:
    await send_whole(send, error.status, encode(error.envelope()), request_id, error.headers)


def _internal(request_id: str) -> AntiphonError:
    return AntiphonError(f"the server failed on this request; its log has the reason under {request_id}.")
