"""`TurnRun`: one run of a turn, and the rows that it writes.

It stands on both sides of its run: as the watcher it sees the first event before any reader does, and writes the row of
the turn; as the keeper it is handed the response before the terminal event is written, and puts it, the turn as it is
then, and the session's new tip into the store in one transaction.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Self, cast

import msgspec

from antiphon.agents.going import RENEW_S, Going
from antiphon.agents.inputs import thinned
from antiphon.agents.places import Places, in_words_of_agents
from antiphon.agents.projection import Ended, TurnProjection
from antiphon.agents.record import Parts, TurnRecord
from antiphon.agents.sessions import no_session
from antiphon.core.errors import AntiphonError, ConversationChanged, StoreUnavailable, failure_status
from antiphon.core.wire import JsonObject
from antiphon.core.writer import Event
from antiphon.ports import Owner, StoredResponse
from antiphon.ports.agents import AgentStore, StoredTurnEnd
from antiphon.runs.runner import Emit, Run, RunWatcher


class TurnFailed(AntiphonError):
    """A turn that had begun and failed. `code` is that of its response, the rest that of the error that ended it, where
    there is one.
    """

    def __init__(self, turn_id: str, code: str, message: str, failure: AntiphonError | None) -> None:
        super().__init__(f"{message.rstrip('.')}. The turn is stored as {turn_id}.")
        self.code = code
        self.status, self.type = failure_status(code)
        if failure is not None:
            self.status, self.type, self.param = failure.status, failure.type, failure.param


class _Head(msgspec.Struct):
    error: JsonObject | None = None


_HEAD = msgspec.json.Decoder(_Head)


@dataclass(slots=True)
class TurnRun:
    """A `ResponseKeeper` and `RunWatcher`. `continues` is the session's tip that the run was made for; `kept` the
    contents of messages, by their places in the input, without what is for this turn alone.
    """

    owner: Owner
    store: AgentStore
    going: Going
    record: TurnRecord
    projection: TurnProjection
    continues: str | None
    kept: Mapping[int, Parts]
    places: Places
    """What errors of the engine are about, in the body."""
    _run: Run | None = None
    _before: RunWatcher | None = None
    _begun: bool = False
    _ended: bool = False
    _is_heard: bool = False
    """Whether somebody else is told of the events of a run that nobody reads."""
    _lost: AntiphonError | None = None
    """Why there is no session any more that this turn could be a part of."""
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _timer: asyncio.TimerHandle | None = None
    _renewing: asyncio.Task[None] | None = None

    @property
    def run(self) -> Run:
        if self._run is None:
            raise RuntimeError("the run was not made yet")
        return self._run

    def follow(self, run: Run) -> Self:
        """Stand beside this run, which has not begun."""
        self._run, self._before, run.watcher = run, run.watcher, self
        self.record.response_ids.append(run.response.id)
        return self

    @property
    def begun(self) -> bool:
        """Whether the turn is stored: until then it never was."""
        return self._begun

    async def execute(self, also: Emit | None = None) -> TurnRecord:
        """Run to the end without a reader; `also` is told of the events. Raises what went wrong before the run began,
        and after it TurnFailed, or NotFound and ConversationChanged where its session is gone or went on elsewhere.
        """

        async def hear(events: list[Event]) -> None:
            self.projection.hear(events)
            if also is not None:
                await also(events)

        self.run.emit, self._is_heard = hear, also is not None
        try:
            await self.run.execute()
        except AntiphonError as error:
            raise in_words_of_agents(error, self.places) from None
        state = self.run.state
        if self._lost is not None:
            raise self._lost
        if state.status == "failed":
            code, message = state.error_code or "server_error", state.error_message or "the turn failed"
            failed = TurnFailed(self.record.id, code, message, self.run.failure)
            raise in_words_of_agents(failed, self.places)
        return self.record

    def close(self) -> None:
        """Nobody carries the run out any more."""
        self.going.end(self.record.id)
        for one in (self._timer, self._renewing):
            if one is not None:
                one.cancel()

    # --- beside the run -------------------------------------------------------------------------------------
    def around(self, emit: Emit | None) -> Emit | None:
        """See `RunWatcher`."""
        inner = self._before.around(emit) if self._before is not None else emit
        if inner is None:
            return None
        passed = inner

        async def announced(events: list[Event]) -> None:
            self._begun, self.run.emit = True, passed
            await self._begin()
            await passed(events)

        return announced

    def ended(self, final: bytes) -> None:
        """See `RunWatcher`."""
        if self._before is not None:
            self._before.ended(final)

    async def _begin(self) -> None:
        """Raises NotFound when the session is gone."""
        self.going.begin(self.record.id)
        if not await self._put():
            self._lost = no_session(self.record.session_id)
            raise self._lost
        self._timer = asyncio.get_running_loop().call_later(RENEW_S, self._start_renewing)

    async def _put(self) -> bool:
        record = self.record
        record.inner = msgspec.structs.replace(record.inner, until=self.going.until())
        return await self.store.put_turn(self.owner, record.stored())

    def _start_renewing(self) -> None:
        """Most turns have ended before."""
        self._renewing = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        """Say from time to time that the turn goes on, and how far it has come."""
        while True:
            async with self._writing:
                if self._ended:
                    return
                with suppress(StoreUnavailable):
                    await self._put()
            await asyncio.sleep(RENEW_S)

    # --- the end --------------------------------------------------------------------------------------------
    async def put_response(self, owner: Owner, response: StoredResponse) -> None:
        """See `ResponseKeeper`. Raises ConversationChanged when the session is gone, or went on elsewhere."""
        if self._before is not None or self._is_heard:
            await self.run.flush()  # they are told of what leaves
        self.projection.hear(self.run.writer.take())
        status = cast("Ended", response.status)
        record = self.projection.end(status, _HEAD.decode(response.head).error)
        items, whole = thinned(response.input, self.kept)
        if record.status == "awaiting_input":
            record.inner = msgspec.structs.replace(record.inner, contexts={**record.inner.contexts, **whole})
        moves = status in ("completed", "incomplete")
        end = StoredTurnEnd(record.stored(), moves_tip=moves)
        async with self._writing:
            self._ended = True
            written = await self.store.end_turn(
                owner, end, replace(response, input=items), continues=self.continues
            )
            if not written and not moves:  # it is shown beside a session that went on without it
                await self.store.put_turn(owner, end.turn)
        if not written and moves:
            self._lost = _session_changed(record.session_id)
            raise self._lost


def _session_changed(session_id: str) -> ConversationChanged:
    """In the words of this API."""
    error = ConversationChanged(session_id)
    error.message = (
        f'session "{session_id}" was deleted meanwhile, or went on elsewhere, so this turn was not added to it; send it'
        " again."
    )
    error.param = "session_id"
    return error
