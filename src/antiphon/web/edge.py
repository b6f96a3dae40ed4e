"""The ASGI application: request id, caller, route, error envelope. Every answer leaves through here."""

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping

from starlette.types import Message, Receive, Scope, Send

from antiphon.core.errors import AntiphonError, ShuttingDown
from antiphon.core.wire import JsonObject, encode
from antiphon.ports import Ids
from antiphon.web.auth import ANONYMOUS, Authenticator
from antiphon.web.http import ClientGone, Request, send_whole
from antiphon.web.routing import Router
from antiphon.web.socket import Socket, SocketClosed, SocketHandler, check_origin
from antiphon.web.sse import LAST_WORDS_S

log = logging.getLogger("antiphon.http")
_SAFE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

Hook = Callable[[], Awaitable[None]]
ErrorShape = Callable[[AntiphonError, str, str, Mapping[bytes, bytes]], tuple[JsonObject, Mapping[str, str]]]
"""The body of an error and its own headers, for a request id, the path and the headers of the request."""


def openai_shape(
    error: AntiphonError, request_id: str, path: str, headers: Mapping[bytes, bytes]
) -> tuple[JsonObject, Mapping[str, str]]:
    """The envelope of the OpenAI APIs."""
    del request_id, path, headers
    return error.envelope(), {}


class Edge:
    """Serves a route table. `startup` and `shutdown` run with the server's lifespan."""

    def __init__(
        self,
        router: Router,
        authenticator: Authenticator,
        ids: Ids,
        *,
        max_body: int,
        startup: Hook,
        shutdown: Hook,
        error_shape: ErrorShape = openai_shape,
    ) -> None:
        self.router = router
        self._error_shape = error_shape
        self._authenticator = authenticator
        self._ids = ids
        self._max_body = max_body
        self._startup = startup
        self._shutdown = shutdown
        self._sockets: set[Socket] = set()
        self._ending = False
        self._under_way = 0
        self._idle = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self._websocket(scope, receive, send)

    def end(self) -> None:
        """Say that the server is about to stop: a request that is cancelled from now on is told so, and sockets
        close when what runs on them is done.
        """
        self._ending = True
        for socket in self._sockets:
            socket.ending.set()

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = self._request_id(headers)
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
            await self._refuse(sent, error, request_id, scope, headers)
        except ClientGone:
            return
        except asyncio.CancelledError:
            if not self._ending:
                raise
            if not sent.started:
                await self._refuse(sent, ShuttingDown(), request_id, scope, headers)
        except Exception:
            log.exception("request %s failed", request_id)
            if not sent.started:
                await self._refuse(sent, _internal(request_id), request_id, scope, headers)
            else:
                raise
        finally:
            self._leave()

    async def _refuse(
        self, send: Send, error: AntiphonError, request_id: str, scope: Scope, headers: Mapping[bytes, bytes]
    ) -> None:
        body, more = self._error_shape(error, request_id, scope["path"], headers)
        await send_whole(send, error.status, encode(body), request_id, {**error.headers, **more})

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        socket = Socket(scope, headers, receive, send, ANONYMOUS, self._request_id(headers))
        self._under_way += 1
        self._sockets.add(socket)
        try:
            await receive()  # the handshake
            await self._handler(socket, scope["path"])(socket)
        except AntiphonError as error:
            await socket.refuse(error)
        except SocketClosed:
            return
        except asyncio.CancelledError:
            if not self._ending:
                raise
        except Exception:
            log.exception("socket %s failed", socket.request_id)
            if socket.accepted:
                await socket.close(1011, "the server failed")
            else:
                await socket.refuse(_internal(socket.request_id))
        finally:
            self._sockets.discard(socket)
            self._leave()

    def _handler(self, socket: Socket, path: str) -> SocketHandler:
        """Who serves it, now that its caller is known. Raises what the upgrade is refused with."""
        route = self.router.find_socket(path)
        socket.owner = self._authenticator.owner(socket.headers)
        if not self._authenticator.has_keys:
            check_origin(socket.headers)
        if self._ending:
            raise ShuttingDown
        return route.handler

    def _request_id(self, headers: dict[bytes, bytes]) -> str:
        given = headers.get(b"x-request-id")
        return given.decode() if given and _SAFE_ID.fullmatch(given) else self._ids.new("req_")

    def _leave(self) -> None:
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


class _Sent:
    """`send`, and whether the head has left: after it an error can no longer be a status."""

    __slots__ = ("_send", "started")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    def __call__(self, message: Message) -> Awaitable[None]:
        self.started = True
        return self._send(message)


def _internal(request_id: str) -> AntiphonError:
    return AntiphonError(f"the server failed on this request; its log has the reason under {request_id}.")
