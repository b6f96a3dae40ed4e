"""Calls of tools on a connection, and what servers ask while they go on."""

import asyncio
import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import mcp_types as types
from mcp.shared.exceptions import MCPError
from pydantic import TypeAdapter

from antiphon.core.wire import JsonObject
from antiphon.mcp import contents
from antiphon.mcp.connection import Connection
from antiphon.mcp.exchange import CURRENT, Exchange
from antiphon.mcp.failures import about, failure_of
from antiphon.mcp.limits import MAX_ROUNDS
from antiphon.mcp.questions import Unfit, digest_of, elicitation, question
from antiphon.mcp.tokens import Given, Token, as_result
from antiphon.ports.mcp import (
    CallHost,
    CallResult,
    McpFailure,
    McpProtocolFailure,
    McpRefused,
    Question,
    SamplingRefused,
)

_RESULT: Final[TypeAdapter[types.CallToolResult | types.InputRequiredResult]] = TypeAdapter(
    types.CallToolResult | types.InputRequiredResult
)
_URLS_FIRST: Final = types.URL_ELICITATION_REQUIRED
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 0.5


class Unexecuted(Exception):
    """The call surely did nothing: it may be made again, on another connection. `failure` is why."""

    def __init__(self, failure: McpFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class UrlsFirst(Exception):
    """A server wants URLs to be visited before the call is made (error -32042)."""

    def __init__(self, error: MCPError) -> None:
        super().__init__()
        self.error = error


class CallClock:
    """The time limit of a call. It stands still while somebody of ours is waited for: a user, a model."""

    def __init__(self, limit: asyncio.Timeout) -> None:
        self._limit = limit
        self._over = False
        self._pauses = 0
        self._left = 0.0

    @contextlib.contextmanager
    def stopped(self) -> Generator[None]:
        now = asyncio.get_running_loop().time
        if self._pauses == 0 and not self._over:
            self._left = (self._limit.when() or now()) - now()
            self._limit.reschedule(None)
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            if self._pauses == 0 and not self._over:
                self._limit.reschedule(now() + self._left)

    def end(self) -> None:
        """The limit counts no more."""
        self._over = True


@contextlib.contextmanager
def asking(connection: Connection) -> Generator[None]:
    """Around one request: what it fails with becomes what the port has. Raises Unexecuted, McpFailure."""
    exchange = Exchange()
    mine = CURRENT.set(exchange)
    connection.renew()
    try:
        yield
    except UrlsFirst:
        raise
    except Exception as error:  # noqa: BLE001 whatever a server makes the SDK raise is an answer that failed
        exchange = connection.seen(exchange)
        failure = failure_of(error, exchange, connection.server)
        if exchange.unsent or is_session_over(exchange):
            raise Unexecuted(failure) from None
        raise failure from None
    finally:
        CURRENT.reset(mine)


async def send(
    connection: Connection,
    tool: str,
    arguments: JsonObject,
    *,
    responses: types.InputResponses | None = None,
    state: str | None = None,
) -> types.CallToolResult | types.InputRequiredResult:
    """One `tools/call`. Not by the SDK's `call_tool`, which lists tools to check the result against the server's own
    schema. Raises as `asking` does, and UrlsFirst.
    """
    params = types.CallToolRequestParams(
        name=tool, arguments=arguments, input_responses=responses, request_state=state
    )
    with asking(connection):
        try:
            return await connection.session.send_request(types.CallToolRequest(params=params), _RESULT)
        except MCPError as error:
            if error.code == _URLS_FIRST:
                raise UrlsFirst(error) from None
            raise


def is_session_over(exchange: Exchange) -> bool:
    """Whether the server knows the session no more, so that it did not take the request."""
    return exchange.in_session and exchange.status == 404


# --- the revision without sessions -------------------------------------------------------------------------------
async def call_stateless(
    connection: Connection,
    tool: str,
    arguments: JsonObject,
    host: CallHost,
    clock: CallClock,
    token: Token | None,
) -> CallResult | Question:
    """Call, and answer what the server asks for, until there is a result or a question to a user."""
    label = connection.server.label
    token = token or Token()
    asked = _next_question(token, label)
    pause = _FIRST_PAUSE_S
    for _ in range(MAX_ROUNDS):
        if asked is not None:
            return asked
        responses = await _responses(token, host, clock, label) if token.inputs else None
        result = await _sent_with_headers(connection, tool, arguments, responses, token.state)
        if isinstance(result, types.CallToolResult):
            return contents.call_result(result, label)
        wanted = result.input_requests or {}
        token = Token(
            replies=token.replies,
            state=result.request_state,
            inputs={
                key: one.model_dump(by_alias=True, mode="json", exclude_none=True)
                for key, one in wanted.items()
            },
        )
        asked = _next_question(token, label)
        if not wanted:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
    raise McpProtocolFailure(about(label, "asks for input again and again"), types.INVALID_REQUEST)


def _next_question(token: Token, label: str) -> Question | None:
    """For the first elicitation that has no answer yet."""
    for key, wanted in token.inputs.items():
        if wanted.get("method") == "elicitation/create" and key not in token.answers:
            params = elicitation(wanted.get("params"))
            token.asked = digest_of(params)
            if (given := taken(token.replies, token.asked)) is not None:
                token.answers[key] = as_result(given.action, given.content)
                continue
            token.key = key
            try:
                return question(params, token)
            except Unfit as unfit:
                raise McpRefused(about(label, f"asks a question that is not passed on: {unfit}")) from None
    return None


async def _responses(token: Token, host: CallHost, clock: CallClock, label: str) -> types.InputResponses:
    """The users' answers, and ours to what needs no user."""
    responses: types.InputResponses = {}
    for key, wanted in token.inputs.items():
        match wanted.get("method"):
            case "elicitation/create":
                responses[key] = types.ElicitResult.model_validate(token.answers[key])
            case "roots/list":
                responses[key] = types.ListRootsResult(roots=[])
            case _:
                params = types.CreateMessageRequestParams.model_validate(wanted.get("params"))
                sampled = await sample(params, host, clock)
                if isinstance(sampled, types.ErrorData):
                    raise McpRefused(
                        about(label, f"asks for a model call, which was refused: {sampled.message}")
                    )
                responses[key] = sampled
    return responses


async def _sent_with_headers(
    connection: Connection,
    tool: str,
    arguments: JsonObject,
    responses: types.InputResponses | None,
    state: str | None,
) -> types.CallToolResult | types.InputRequiredResult:
    """A server may want arguments in headers, which its list of tools says: where it misses them, the tools are
    listed, and the call, which it refused, is made again.
    """
    try:
        return await send(connection, tool, arguments, responses=responses, state=state)
    except McpProtocolFailure as failure:
        if failure.code != types.HEADER_MISMATCH:
            raise
    await list_page(connection, None)
    return await send(connection, tool, arguments, responses=responses, state=state)


async def list_page(connection: Connection, cursor: str | None) -> types.ListToolsResult:
    """One page of tools. Raises as `asking` does."""
    params = types.PaginatedRequestParams(cursor=cursor) if cursor is not None else None
    with asking(connection):
        return await connection.session.list_tools(params=params)


async def prove(connection: Connection) -> None:
    """Have a server answer something. Raises as `asking` does."""
    with asking(connection):
        if connection.modern:
            await connection.session.send_discover(connection.session.protocol_version or "")
        else:
            await connection.session.send_ping()


async def sample(
    params: types.CreateMessageRequestParams, host: CallHost, clock: CallClock | None
) -> types.CreateMessageResult | types.ErrorData:
    """Have the run's model asked; its time is not the server's."""
    asked = contents.sampling(params)
    if isinstance(asked, types.ErrorData):
        return asked
    try:
        with clock.stopped() if clock is not None else contextlib.nullcontext():
            sampled = await host.sample(asked)
    except SamplingRefused as refused:
        return types.ErrorData(code=types.INVALID_REQUEST, message=str(refused))
    return types.CreateMessageResult(
        role="assistant",
        content=types.TextContent(text=sampled.text),
        model=sampled.model,
        stop_reason=sampled.stop_reason,
    )


# --- servers with sessions ---------------------------------------------------------------------------------------
class SessionCall:
    """A call that has a connection for itself, in a task of its own: it outlives the request that began it while a
    user is asked. `waits`: its last turn was a question of its server. `done` is told once it needs its connection no
    more; `failed` then says that nobody else should have that.
    """

    def __init__(
        self,
        id: str,
        connection: Connection,
        tool: str,
        arguments: JsonObject,
        host: CallHost,
        token: Token | None,
        done: Callable[["SessionCall"], None],
    ) -> None:
        self.id = id
        self.connection = connection
        self.tool = tool
        self.arguments = arguments
        self.host = host
        self.failed = False
        self.cancelled = False
        self.waits = False
        self.clock: CallClock | None = None
        self._before = list(token.replies) if token is not None else []
        self._unused = list(self._before)
        self._done = done
        self._turn: asyncio.Future[CallResult | Question] = asyncio.get_running_loop().create_future()
        self._has_begun = self._has_ended = False
        self._open: _Open | None = None
        self._one_by_one = asyncio.Lock()
        connection.asked = self
        self._task = asyncio.create_task(self._run(), name=f"mcp call {connection.server.label}")

    async def turn(self, clock: CallClock) -> CallResult | Question:
        """What comes next: its end, or a question. Raises McpFailure, Unexecuted."""
        self.clock = clock
        try:
            return await asyncio.shield(self._turn)
        finally:
            self.clock = None

    def go_on(self, given: Given, host: CallHost) -> None:
        """Answer the question that was asked. A server may have withdrawn it meanwhile, for another one or its end."""
        self.host = host
        self.waits = False
        if self._has_ended:
            return
        self._turn = asyncio.get_running_loop().create_future()
        if self._open is None:
            return
        if self._open.digest == given.digest:
            self._open.reply.set_result(given)
        else:
            self._ask(self._open)

    def cancel(self) -> None:
        """Give it up, at the server too."""
        self.failed = self.cancelled = True
        self._task.cancel()
        if not self._has_begun:  # nor will it
            self._done(self)

    async def _run(self) -> None:
        self._has_begun = True
        try:
            result = await self._called()
        except Exception as error:  # noqa: BLE001 it is raised to whoever waits for the call
            self.failed = not isinstance(error, McpProtocolFailure)
            self._end()
            self._turn.set_exception(error)
            self._turn.exception()  # nobody may be waiting any more
        except BaseException:
            self.failed = True
            self._end()
            self._turn.cancel()
            raise
        else:
            self._end()
            self._turn.set_result(result)
        finally:
            self._done(self)

    def _end(self) -> None:
        self._has_ended = True
        if self._turn.done():  # it ended while a user was asked: whoever brings the reply gets the end
            self._turn = asyncio.get_running_loop().create_future()

    async def _called(self) -> CallResult | Question:
        label = self.connection.server.label
        try:
            result = await send(self.connection, self.tool, self.arguments)
        except UrlsFirst as urls:
            return links_first(urls.error, label)
        if isinstance(result, types.InputRequiredResult):
            raise McpProtocolFailure(
                about(label, "asks in a way that its revision has not"), types.INVALID_REQUEST
            )
        return contents.call_result(result, label)

    # --- what the server asks ------------------------------------------------------------------------------------
    async def elicit(self, params: types.ElicitRequestParams) -> types.ElicitResult | types.ErrorData:
        """From the replies that were given before, or by the user, one question at a time."""
        asked = digest_of(params)
        if (before := taken(self._unused, asked)) is not None:
            return _result(before)
        async with self._one_by_one:
            token = Token(parked=self.id, asked=asked, replies=self._before)
            try:
                shown = question(params, token)
            except (Unfit, McpFailure) as unfit:
                return types.ErrorData(code=types.INVALID_PARAMS, message=str(unfit))
            self._open = _Open(asked, shown, asyncio.get_running_loop().create_future())
            try:
                if not self._turn.done():
                    self._ask(self._open)
                given = await self._open.reply
            finally:
                self._open = None
            self._before.append(given)
            return _result(given)

    def _ask(self, open: "_Open") -> None:
        self.waits = True
        self._turn.set_result(open.shown)

    async def sample(
        self, params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult | types.ErrorData:
        return await sample(params, self.host, self.clock)


@dataclass(frozen=True, slots=True)
class _Open:
    """A question that waits for its reply."""

    digest: str
    shown: Question
    reply: asyncio.Future[Given]


def taken(replies: list[Given], asked: str) -> Given | None:
    """The first reply to this question, which is used by it."""
    for at, given in enumerate(replies):
        if given.digest == asked:
            return replies.pop(at)
    return None


def _result(given: Given) -> types.ElicitResult:
    return types.ElicitResult.model_validate(as_result(given.action, given.content))


# --- URLs to visit before a call ---------------------------------------------------------------------------------
def links_first(error: MCPError, label: str) -> Question:
    """The question of error -32042, for the first of its URLs. Raises McpFailure."""
    try:
        data = types.ElicitationRequiredErrorData.model_validate(error.error.data)
    except ValueError:
        data = None
    if data is None or not data.elicitations:
        raise McpProtocolFailure(
            about(label, "wants a URL to be visited and does not say which"), _URLS_FIRST
        )
    links = [one.model_dump(by_alias=True, mode="json", exclude_none=True) for one in data.elicitations]
    return next_link(links, label)


def next_link(links: Sequence[Mapping[str, object]], label: str) -> Question:
    first, *rest = links
    params = types.ElicitRequestURLParams.model_validate(first)
    token = Token(asked=digest_of(params), links=[dict(one) for one in rest], key="")
    try:
        return question(params, token)
    except Unfit as unfit:
        raise McpRefused(about(label, f"asks a question that is not passed on: {unfit}")) from None
