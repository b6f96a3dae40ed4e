"""`/mcp`, over streamable HTTP: one message in a POST, its answer as JSON or as events.

Nothing is kept between requests: a session id says itself what was agreed upon. So there is no stream of the server's
own to be read by GET; what goes on is cancelled by closing its request, or by `notifications/cancelled`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.types import Send

from antiphon.core.wire import JsonObject, encode
from antiphon.mcp_server.errors import PATH
from antiphon.mcp_server.exchanges import Accepted, Answering, MuteExchange, UnderWay
from antiphon.mcp_server.messages import (
    HTTP_STATUS,
    INVALID_REQUEST,
    Answer,
    Call,
    Notice,
    RpcError,
    checked,
    error_of,
    read,
    result_of,
)
from antiphon.mcp_server.origins import Origins
from antiphon.mcp_server.revisions import (
    BATCHES,
    SESSION_HEADER,
    VERSION_HEADER,
    Asks,
    Session,
    agreed,
    asks_of,
    check_stateless,
    is_stateless,
    refuse_half_stateless,
    session_id,
    session_of,
)
from antiphon.mcp_server.service import Caller, McpService, handshake
from antiphon.ports.mcp import HOP_HEADER
from antiphon.web.http import JsonReply, Reply, Request
from antiphon.web.paging import refuse_unknown
from antiphon.web.routing import Route
from antiphon.web.sse import Watch
from antiphon.web.streams import OpenStreams

_HOP = HOP_HEADER.encode()
_TAG = "MCP"


class _NotAcceptable(RpcError):
    """A client that reads neither JSON nor events."""

    def __init__(self) -> None:
        super().__init__(
            INVALID_REQUEST, "answers are JSON or events; send `Accept: application/json, text/event-stream`."
        )


@dataclass(frozen=True, slots=True)
class _Empty:
    """An answer without a body."""

    status: int

    async def respond(self, request: Request, send: Send) -> None:
        headers = [(b"x-request-id", request.request_id.encode("latin-1"))]
        headers += [(b"content-length", b"0")] if self.status != HTTPStatus.NO_CONTENT else []
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


@dataclass(frozen=True, slots=True)
class McpRoutes:
    service: McpService
    origins: Origins
    streams: OpenStreams
    heartbeat_s: float = 15.0
    under_way: UnderWay = field(default_factory=UnderWay)

    async def post(self, request: Request) -> Reply:
        self.origins.check(request.headers)
        refuse_unknown(request.query())
        body = await request.json_body()
        call: Call | None = None
        try:
            _check_accept(request)
            stateless = is_stateless(request.headers.get(VERSION_HEADER))
            message = read(body)
            if stateless:
                call = _only_call(message)
                return _Empty(202) if call is None else self._stateless(request, call)
            session = session_of(request.headers)
            if isinstance(message, list):
                return self._batch(session, message)
            call = message if isinstance(message, Call) else None
            return self._handshaken(request, session, message)
        except RpcError as error:
            return _refused(error, call)

    def _stateless(self, request: Request, call: Call) -> Reply:
        capabilities = check_stateless(call, request.scope["headers"], request.headers)
        asks = asks_of(capabilities, request.headers[VERSION_HEADER].decode())
        return self._answering(request, call, _caller(request, asks, stateless=True), "")

    def _handshaken(self, request: Request, session: Session, message: Call | Notice | Answer) -> Reply:
        match message:
            case Notice():
                self._notice(request, session, message)
                return _Empty(202)
            case Answer():
                if not self.under_way.answer(request.owner, message):
                    raise RpcError(INVALID_REQUEST, "`id`: no question of this id waits for an answer here.")
                return _Empty(202)
            case Call(method="initialize"):
                return self._initialized(message)
            case Call():
                refuse_half_stateless(message)
                return self._answering(request, message, _caller(request, session.asks), session.id)

    def _answering(self, request: Request, call: Call, caller: Caller, session: str) -> Reply:
        return Answering(
            self.service,
            caller,
            call,
            session=session,
            under_way=self.under_way,
            streams=self.streams,
            heartbeat_s=self.heartbeat_s,
        )

    def _initialized(self, call: Call) -> Reply:
        revision, asks = agreed(call.params)
        session = session_id(revision, asks, self.service.ids.new(""))
        answer = result_of(call.id, handshake(revision))
        return JsonReply(encode(answer), headers={SESSION_HEADER.decode(): session})

    def _notice(self, request: Request, session: Session, notice: Notice) -> None:
        """Others than a cancellation need nothing done."""
        if notice.method == "notifications/cancelled" and session.id:
            self.under_way.cancel(request.owner, session.id, notice.params.get("requestId"))

    def _batch(self, session: Session, members: Sequence[Any]) -> Reply:
        """Several messages at once, as the revisions up to 2025-03-26 have it."""
        if session.revision not in BATCHES:
            raise RpcError(
                INVALID_REQUEST, f"MCP {session.revision} has no batches; send one message in a request."
            )
        return _Batch(self, session, members)

    async def member(self, request: Request, session: Session, member: Any) -> JsonObject | None:
        """The answer to one message of a batch; None where none is owed."""
        call: Call | None = None
        try:
            match checked(member):
                case Notice() as notice:
                    self._notice(request, session, notice)
                    return None
                case Answer() as answer:
                    self.under_way.answer(request.owner, answer)
                    return None
                case Call() as call:
                    _refuse_initialize(call)
                    caller = _caller(request, session.asks)
                    exchange = MuteExchange(from_server=caller.from_server)
                    return result_of(call.id, await self.service.result(caller, call, exchange))
        except RpcError as error:
            return error_of(error, call.id if call is not None else None)

    async def delete(self, request: Request) -> Reply:
        """The client is done with a session: what goes on in it ends."""
        self.origins.check(request.headers)
        try:
            session = _ended(request)
        except RpcError as error:
            return _refused(error, None)
        self.under_way.end(request.owner, session.id)
        return _Empty(204)

    def table(self) -> list[Route]:
        return [
            Route(
                "POST",
                PATH,
                self.post,
                "A message of an MCP client: list tools, call one",
                _TAG,
                request="McpMessage",
                response="McpMessage",
                events="McpMessage",
                errors="McpRefusal",
            ),
            Route("DELETE", PATH, self.delete, "End a session of an MCP client", _TAG, errors="McpRefusal"),
        ]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Answers to several messages, in their order, one after the other. A client that leaves ends it."""

    routes: McpRoutes
    session: Session
    members: Sequence[Any]

    async def respond(self, request: Request, send: Send) -> None:
        answers: list[JsonObject] = []
        with self.routes.streams.one(), Watch(request.receive) as watch:
            for member in self.members:
                answer = await self.routes.member(request, self.session, member)
                answers += [answer] if answer is not None else []
        if not watch.gone:
            reply = JsonReply(encode(answers)) if answers else _Empty(202)
            await reply.respond(request, send)


def _caller(request: Request, asks: Asks, *, stateless: bool = False) -> Caller:
    return Caller(request.owner, stateless, asks, from_server=_HOP in request.headers)


def _ended(request: Request) -> Session:
    """Raises RpcError."""
    session = session_of(request.headers)
    if not session.id:
        raise RpcError(INVALID_REQUEST, "the header `Mcp-Session-Id` is missing; it says which session ends.")
    return session


def _refuse_initialize(call: Call) -> None:
    if call.method == "initialize":
        raise RpcError(INVALID_REQUEST, "`initialize` stands alone, not in a batch.")


def _check_accept(request: Request) -> None:
    accepted = Accepted.of(request.headers.get(b"accept"))
    if not accepted.json and not accepted.events:
        raise _NotAcceptable


def _only_call(message: object) -> Call | None:
    """The one request of a stateless POST; None for a notification: none of that generation means anything here."""
    if isinstance(message, Call):
        return message
    if isinstance(message, Notice):
        return None
    raise RpcError(INVALID_REQUEST, "a POST has one request or one notification; no batch, and no answer.")


def _refused(error: RpcError, call: Call | None) -> Reply:
    """An error before there is any work."""
    status = 406 if isinstance(error, _NotAcceptable) else HTTP_STATUS.get(error.code, 400)
    return JsonReply(encode(error_of(error, call.id if call is not None else None)), status=status)
