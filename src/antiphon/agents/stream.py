"""A turn as an answer: streamed, or whole. A client that leaves while the session is busy stops waiting for it."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from starlette.types import Send

from antiphon.agents.places import in_words_of_agents
from antiphon.agents.rendering import shown_turn
from antiphon.agents.running import TurnRun
from antiphon.agents.sessions import Place
from antiphon.agents.turns import Asking, TurnService
from antiphon.core.errors import AntiphonError, ConversationLocked
from antiphon.core.wire import encode
from antiphon.responses.routes import ResponseStream, StreamSettings, response_headers
from antiphon.web.http import Request
from antiphon.web.sse import Framing, Watch
from antiphon.web.streams import OpenStreams
from antiphon.web.whole import answer_whole

MakeRun = Callable[[Place], Awaitable[TurnRun]]


@dataclass(frozen=True, slots=True)
class TurnReply:
    """`make` makes the run, once the session is free. An error before the run begins is raised, and a real status."""

    service: TurnService
    asking: Asking
    agent_id: str
    session_id: str
    make: MakeRun
    settings: StreamSettings
    streams: OpenStreams

    async def respond(self, request: Request, send: Send) -> None:
        session = self.service.session(self.asking.owner, self.agent_id, self.session_id)
        async with AsyncExitStack() as until_answered:
            made: TurnRun | None = None
            with Watch(request.receive) as watch:
                try:
                    place = await until_answered.enter_async_context(session)
                except ConversationLocked as error:
                    raise _locked(error) from None
                made = await self.make(place)
            if watch.gone or made is None:
                return
            until_answered.callback(made.close)
            if self.asking.stream:
                await self._stream(made, request, send)
            else:
                await self._whole(made, request, send)

    async def _stream(self, made: TurnRun, request: Request, send: Send) -> None:
        framing = Framing(made.projection.frame)
        stream = ResponseStream(made.run, self.settings, self.streams, framing=framing)
        try:
            await stream.respond(request, send)
        except AntiphonError as error:
            raise in_words_of_agents(error, made.places) from None

    async def _whole(self, made: TurnRun, request: Request, send: Send) -> None:
        async def work() -> bytes:
            record = await made.execute()
            return encode(shown_turn(record.shown(), self.asking.generation))

        await answer_whole(request, send, work, lambda: response_headers(made.run))


def _locked(error: ConversationLocked) -> ConversationLocked:
    """In the words of this API."""
    error.message = error.message.replace("the conversation", "the session", 1)
    error.param = "session_id"
    return error
