"""One request under way: answered in one piece if it can be, else as a stream of server-sent events.

It becomes a stream when there is something to send before the answer (progress, a question for the user), or when the
answer takes so long that what stands between might close a silent connection.
"""

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from starlette.types import Send

from antiphon.core.errors import AntiphonError, ShuttingDown
from antiphon.core.wire import JsonObject, encode
from antiphon.mcp_server.errors import rpc_error
from antiphon.mcp_server.messages import (
    CANCELLED,
    HTTP_STATUS,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    Answer,
    Call,
    RequestId,
    RpcError,
    error_of,
    event,
    notification,
    request_of,
    result_of,
)
from antiphon.mcp_server.questions import question_params, said
from antiphon.mcp_server.service import Caller, McpService
from antiphon.mcp_server.tools import UserAnswer, UserAsked
from antiphon.ports import Ids, Owner
from antiphon.web.http import JsonReply, Request
from antiphon.web.sse import HEARTBEAT, SseSender, Watch, last_words
from antiphon.web.streams import OpenStreams

log = logging.getLogger("antiphon.mcp_server")
COMMIT_S: Final = 10.0
_WorkKey = tuple[Owner, str, RequestId]


@dataclass(slots=True)
class UnderWay:
    """What goes on in this process for clients with a session: calls that they may cancel, questions to their users."""

    calls: dict[_WorkKey, asyncio.Task[JsonObject]] = field(
        default_factory=dict[_WorkKey, "asyncio.Task[JsonObject]"]
    )
    questions: dict[tuple[Owner, RequestId], asyncio.Future[JsonObject | None]] = field(
        default_factory=dict[tuple[Owner, RequestId], "asyncio.Future[JsonObject | None]"]
    )

    def cancel(self, owner: Owner, session: str, request_id: object) -> None:
        """Cancel one call; one that is unknown or over is no fault."""
        if isinstance(request_id, str | int) and (work := self.calls.get((owner, session, request_id))):
            work.cancel()

    def end(self, owner: Owner, session: str) -> None:
        """Cancel all calls of a session."""
        for (whose, where, _), work in list(self.calls.items()):
            if (whose, where) == (owner, session):
                work.cancel()

    def answer(self, owner: Owner, given: Answer) -> bool:
        """Take the answer to a question. False: nobody waits for it."""
        waiting = self.questions.get((owner, given.id))
        if waiting is None or waiting.done():
            return False
        waiting.set_result(given.result)
        return True

    @contextmanager
    def holding(self, key: _WorkKey, work: "asyncio.Task[JsonObject]") -> Generator[None]:
        """Raises RpcError while another request of the session has this id."""
        if key in self.calls:
            work.cancel()
            raise RpcError(
                INVALID_REQUEST, "`id`: another request of this session has it and is still going on."
            )
        self.calls[key] = work
        try:
            yield
        finally:
            del self.calls[key]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a client reads. One that names neither is taken to read JSON."""

    json: bool
    events: bool

    @classmethod
    def of(cls, header: bytes | None) -> "Accepted":
        if header is None:
            return cls(json=True, events=False)
        kinds = {part.partition(b";")[0].strip().lower() for part in header.split(b",")}
        everything = b"*/*" in kinds
        events = everything or bool(kinds & {b"text/event-stream", b"text/*"})
        return cls(json=everything or bool(kinds & {b"application/json", b"application/*"}), events=events)


class HttpExchange:
    """The exchange of one request over HTTP. What goes out before the answer are events, for clients that read them."""

    def __init__(
        self,
        call: Call,
        caller: Caller,
        sender: SseSender | None,
        under_way: UnderWay,
        ids: Ids,
        patience_s: float,
    ) -> None:
        """`sender` None: only the answer can be sent. `patience_s`: how long a user may take to answer."""
        self._caller = caller
        self._sender = sender
        self._under_way = under_way
        self._ids = ids
        self._patience_s = patience_s
        token = call.meta.get("progressToken")
        self._token = token if isinstance(token, str | int) and not isinstance(token, bool) else None

    @property
    def from_server(self) -> bool:
        return self._caller.from_server

    @property
    def wants_progress(self) -> bool:
        return self._token is not None and self._sender is not None

    async def progress(self, done: float, message: str) -> None:
        if self._token is None or self._sender is None:
            return
        params: JsonObject = {"progressToken": self._token, "progress": done, "message": message}
        await self._sender.write(event(notification("notifications/progress", params)))

    async def ask(self, asked: UserAsked) -> UserAnswer:
        """See `AskingExchange`."""
        asks = self._caller.asks
        if self._sender is None or not (asks.form if asked.mode == "form" else asks.url):
            return UserAnswer(asked.state, "cancel")
        question_id = self._ids.new("elicit_")
        waiting: asyncio.Future[JsonObject | None] = asyncio.get_running_loop().create_future()
        key = (self._caller.owner, question_id)
        self._under_way.questions[key] = waiting
        params = question_params(asked, question_id if asked.mode == "url" else "")
        try:
            await self._sender.write(event(request_of(question_id, "elicitation/create", params)))
            async with asyncio.timeout(self._patience_s):
                result = await waiting
            action, content = said(result, "result")
        except TimeoutError:
            gone: JsonObject = {"requestId": question_id, "reason": "the question has expired"}
            await self._sender.write(event(notification("notifications/cancelled", gone)))
            return UserAnswer(asked.state, "cancel")
        except RpcError:
            return UserAnswer(asked.state, "cancel")
        finally:
            del self._under_way.questions[key]
        return UserAnswer(asked.state, action, content)


class MuteExchange:
    """The exchange of a call in a batch: nothing goes out but the answers."""

    wants_progress = False

    def __init__(self, *, from_server: bool) -> None:
        self.from_server = from_server

    async def progress(self, done: float, message: str) -> None:
        """Nobody hears it."""

    async def ask(self, asked: UserAsked) -> UserAnswer:
        return UserAnswer(asked.state, "cancel")


class Answering:
    """A reply that works while it is waited for. `session` is "" where calls cannot be cancelled by a message."""

    def __init__(
        self,
        service: McpService,
        caller: Caller,
        call: Call,
        *,
        session: str,
        under_way: UnderWay,
        streams: OpenStreams,
        heartbeat_s: float,
    ) -> None:
        self._service = service
        self._caller = caller
        self._call = call
        self._session = session
        self._under_way = under_way
        self._streams = streams
        self._every_s = min(COMMIT_S, heartbeat_s)

    async def respond(self, request: Request, send: Send) -> None:
        accepted = Accepted.of(request.headers.get(b"accept"))
        sender = SseSender(send, request.request_id)

        async def on_silence() -> None:
            if not accepted.events:
                return
            if sender.started:
                await sender.heartbeat()
            else:
                await sender.write(HEARTBEAT)

        status, message = 200, self._failed(rpc_error(ShuttingDown()))
        with (
            self._streams.one(),
            Watch(request.receive, on_silence=on_silence, every_s=self._every_s) as watch,
        ):
            try:
                status, message = await self._answer(request, sender if accepted.events else None)
            except asyncio.CancelledError:
                if sender.started and not watch.gone:  # the server stops: the reader is still there
                    await last_words(sender.finish(event(message)))
                raise
        if watch.gone:
            return
        if sender.started or not accepted.json:
            await sender.finish(event(message))
        else:
            await JsonReply(encode(message), status=status).respond(request, send)

    async def _answer(self, request: Request, sender: SseSender | None) -> tuple[int, JsonObject]:
        """The answer, and its status if it is sent in one piece."""
        exchange = HttpExchange(
            self._call,
            self._caller,
            sender,
            self._under_way,
            self._service.ids,
            self._service.questions.ttl_s,
        )
        try:
            result = await self._worked(exchange)
        except RpcError as error:
            status = HTTP_STATUS.get(error.code, 200) if self._caller.stateless else 200
            return status, self._failed(error)
        except Exception as error:
            if sender is None or not sender.started:
                raise
            if isinstance(error, AntiphonError):
                return 200, self._failed(rpc_error(error))
            log.exception("request %s failed", request.request_id)
            why = f"the server failed on this request; its log has the reason under {request.request_id}."
            return 200, self._failed(RpcError(INTERNAL_ERROR, why))
        return 200, result_of(self._call.id, result)

    async def _worked(self, exchange: HttpExchange) -> JsonObject:
        work = self._service.result(self._caller, self._call, exchange)
        if not self._session:
            return await work
        task = asyncio.create_task(work)
        with self._under_way.holding((self._caller.owner, self._session, self._call.id), task):
            try:
                return await task
            except asyncio.CancelledError:
                me = asyncio.current_task()
                if me is not None and me.cancelling():
                    raise
                raise RpcError(CANCELLED, "the client cancelled this request.") from None

    def _failed(self, error: RpcError) -> JsonObject:
        return error_of(error, self._call.id)
