"""Turns: begun, resumed and shown. A turn is one or more runs, each a response in the chain of its session."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import msgspec

from antiphon.agents.attachments_out import taken_out
from antiphon.agents.definition import Effective, check_turn, effective, name_of
from antiphon.agents.documents import Given, TurnDocuments
from antiphon.agents.inputs import (
    TurnInput,
    input_of,
    observed_input,
    open_calls_of,
    resumed_input,
    with_contexts,
)
from antiphon.agents.places import in_words_of_agents
from antiphon.agents.projection import Output, Surroundings, TurnProjection, completed, started
from antiphon.agents.record import Inner, Pending, TurnRecord, asked_again, first_response_id, iso, new_uuid
from antiphon.agents.rendering import Generation, shown_step
from antiphon.agents.running import TurnRun
from antiphon.agents.service import AgentService
from antiphon.agents.sessions import Place, no_turn
from antiphon.agents.shapes import (
    CreateTurn,
    GroupWithArgs,
    MemoryRetrievalStep,
    ResumeTurn,
    Step,
    ToolExecutionStep,
    ToolResponse,
    UserMessage,
)
from antiphon.config.group_settings import BUILTIN_RAG
from antiphon.core.errors import AntiphonError, Conflict, InvalidRequest, NotFound
from antiphon.core.ids import RESPONSE_PREFIX
from antiphon.core.removals import as_left
from antiphon.core.transcript import PastTurn
from antiphon.core.wire import encode
from antiphon.ports import Owner
from antiphon.ports.agents import StoredTurn
from antiphon.responses.service import ResponseService
from antiphon.responses.setup import RunSetup

_NAMING_STORES = ("vector_db_ids", "vector_store_ids")


@dataclass(frozen=True, slots=True)
class Asking:
    """How a turn was asked for. `headers` are those of the HTTP request."""

    owner: Owner
    generation: Generation
    stream: bool
    headers: Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class _Beginning:
    """Of a run: what its stream says first, what came before, and the id of the response that it is."""

    opening: bytes
    history: Sequence[PastTurn]
    response_id: str


@dataclass(frozen=True, slots=True)
class TurnService:
    agents: AgentService
    documents: TurnDocuments
    responses: ResponseService

    @asynccontextmanager
    async def session(self, owner: Owner, agent_id: str, session_id: str) -> AsyncGenerator[Place]:
        """A session while a turn of it goes on: one at a time. Raises NotFound, and ConversationLocked."""
        sessions = self.agents.sessions
        async with self.responses.turns.one(owner, session_id):
            place = await sessions.find(owner, agent_id, session_id)
            with sessions.held(owner, place):
                yield place

    # --- runs -----------------------------------------------------------------------------------------------
    async def create(self, asking: Asking, body: CreateTurn, place: Place) -> TurnRun:
        """A new turn, whose run has not begun. Nothing of it is stored yet, but its large documents.

        Raises InvalidRequest with the field, and what `ResponseService.prepare` raises, in the words of this API.
        """
        check_turn(body)
        now = self.agents.clock.now_us()
        counts = effective(place.config, body)
        history = await _history(asking.owner, place)
        given = input_of(body.messages, open_calls_of(history))
        if body.documents and not any(isinstance(one, UserMessage) for one in body.messages):
            raise InvalidRequest("`documents`: they come with a user message; send one.", param="documents")
        found = await self._documents(asking.owner, place, body, counts, given)
        record = TurnRecord(
            id=new_uuid(self.agents.ids),
            session_id=place.session.id,
            input_messages=body.messages,
            started_at=now,
            inner=Inner(asked=asked_again(body)),
        )
        record.steps += self._retrieved(record, found)
        opening = started(record.id, record.steps, asking.generation)
        return await self._run(
            asking,
            replace(place, session=found.session),
            counts,
            record,
            given.with_documents(found),
            _Beginning(opening, history, first_response_id(record.id)),
        )

    async def resume(self, asking: Asking, turn_id: str, body: ResumeTurn, place: Place) -> TurnRun:
        """The next run of a turn that waits for its client. Raises NotFound, Conflict, and what `create` raises."""
        stored = await self._turn(asking.owner, place, turn_id)
        record = TurnRecord.of(stored)
        status, pending = self.agents.status(stored, place.session), record.inner.pending
        if pending is None and status == "completed" and _reads_calls_itself(place, record):
            now = self.agents.clock.now_us()
            pending = Pending(new_uuid(self.agents.ids), now, ())
            given, said = observed_input(body.tool_responses), list(body.tool_responses)
        elif pending is None or status != "awaiting_input":
            raise _not_waiting(turn_id, status)
        else:
            calls = [call.call_id for call in pending.calls]
            given = resumed_input(body.tool_responses, calls)
            said = _in_order(body.tool_responses, calls)
        step = ToolExecutionStep(
            turn_id=turn_id,
            step_id=pending.step_id,
            started_at=iso(pending.started_at),
            completed_at=iso(self.agents.clock.now_us()),
            tool_calls=list(pending.calls),
            tool_responses=said,
        )
        record.steps.append(step)
        record.status, record.completed_at = "in_progress", None
        record.inner = msgspec.structs.replace(record.inner, pending=None)
        history = with_contexts(await _history(asking.owner, place), record.inner.contexts)
        session = await self.documents.memory.live(asking.owner, place.session)
        return await self._run(
            asking,
            replace(place, session=session),
            effective(place.config, record.inner.asked),
            record,
            given,
            _Beginning(completed(step, asking.generation), history, self.agents.ids.new(RESPONSE_PREFIX)),
        )

    async def _run(
        self,
        asking: Asking,
        place: Place,
        counts: Effective,
        record: TurnRecord,
        given: TurnInput,
        beginning: "_Beginning",
    ) -> TurnRun:
        """Put a run together, of which `beginning` says where it begins."""
        built = await self.agents.requests.build(
            asking.owner,
            counts,
            session=place.session,
            steps_used=record.model_calls,
            stream=asking.stream,
            headers=asking.headers,
        )
        projection = TurnProjection(
            record, self._around(asking), opening=beginning.opening, streams=asking.stream
        )
        made = TurnRun(
            asking.owner,
            place.store.agents,
            self.agents.going,
            record,
            projection,
            continues=place.session.tip,
            kept=given.kept,
            places=replace(built.places, input=given.paths),
        )
        request = msgspec.structs.replace(
            built.request, input=list(given.items), previous_response_id=place.session.tip
        )
        setup = RunSetup(
            response_id=beginning.response_id,
            rules=built.rules,
            tools=built.tools,
            before=built.before,
            events=True,
            history=beginning.history,
            keeper=made,
        )
        try:
            return made.follow(await self.responses.prepare(asking.owner, request, setup=setup))
        except AntiphonError as error:
            raise in_words_of_agents(error, made.places) from None

    def _around(self, asking: Asking) -> Surroundings:
        return Surroundings(
            new_id=lambda: new_uuid(self.agents.ids),
            now=self.agents.clock.now_us,
            generation=asking.generation,
            output_of=lambda said: Output(*taken_out(said)),
        )

    async def _documents(
        self, owner: Owner, place: Place, body: CreateTurn, counts: Effective, given: TurnInput
    ) -> Given:
        return await self.documents.read(
            owner,
            place.session,
            body.documents or (),
            given.question,
            searches=_searches(counts),
            keeps=counts.keeps,
        )

    def _retrieved(self, record: TurnRecord, found: Given) -> list[Step]:
        if found.retrieved is None:
            return []
        return [
            MemoryRetrievalStep(
                turn_id=record.id,
                step_id=new_uuid(self.agents.ids),
                started_at=iso(record.started_at),
                completed_at=iso(self.agents.clock.now_us()),
                vector_db_ids=found.retrieved.vector_db_ids,
                inserted_context=found.retrieved.inserted_context,
            )
        ]

    # --- what is there --------------------------------------------------------------------------------------
    async def get(
        self, owner: Owner, agent_id: str, session_id: str, turn_id: str, generation: Generation
    ) -> bytes:
        """Raises NotFound."""
        place = await self.agents.sessions.find(owner, agent_id, session_id)
        return self.agents.shown(await self._turn(owner, place, turn_id), place.session, generation)

    async def get_step(
        self, asking: Asking, agent_id: str, session_id: str, turn_id: str, step_id: str
    ) -> bytes:
        """Raises NotFound."""
        place = await self.agents.sessions.find(asking.owner, agent_id, session_id)
        record = TurnRecord.of(await self._turn(asking.owner, place, turn_id))
        step = next((one for one in record.steps if one.step_id == step_id), None)
        if step is None:
            raise NotFound(f'there is no step "{step_id[:200]}" in this turn.', param="step_id")
        return encode({"step": shown_step(step, asking.generation)})

    async def _turn(self, owner: Owner, place: Place, turn_id: str) -> StoredTurn:
        found = await place.store.agents.get_turn(owner, place.session.id, turn_id)
        if found is None:
            raise no_turn(turn_id)
        return found


async def _history(owner: Owner, place: Place) -> Sequence[PastTurn]:
    return as_left(await place.store.conversations.get_turns(owner, place.session.tip))


def _searches(counts: Effective) -> bool:
    """Whether there is a tool that searches the stores of a session: one that names no others, and may be called."""
    return counts.tool_choice != "none" and any(
        name_of(group).partition("/")[0] == BUILTIN_RAG
        and not (isinstance(group, GroupWithArgs) and any(group.args.get(name) for name in _NAMING_STORES))
        for group in counts.groups
    )


def _reads_calls_itself(place: Place, record: TurnRecord) -> bool:
    """Whether a turn that is complete may be what its client goes on with: the last one of an agent whose instructions
    stand in place of what a model is told of tools. Such a client, as the ReAct agent of Llama Stack's, finds calls in
    the text itself.
    """
    counts = effective(place.config, record.inner.asked)
    is_last = record.last_response_id == place.session.tip
    return is_last and counts.system_message_behavior == "replace" and not record.output.tool_calls


def _in_order(responses: Sequence[ToolResponse], calls: Sequence[str]) -> list[ToolResponse]:
    """In that of the calls."""
    by_id = {one.call_id: one for one in responses}
    return [by_id[call_id] for call_id in calls]


def _not_waiting(turn_id: str, status: str) -> Conflict:
    why = {
        "in_progress": "it is still going on",
        "completed": "it is complete, or its session went on without an answer",
        "failed": "it failed; answer its calls in a new turn, by messages of the role tool",
        "cancelled": "it was cancelled; answer its calls in a new turn, by messages of the role tool",
        "interrupted": "it was interrupted; answer its calls in a new turn, by messages of the role tool",
    }.get(status, f"it is {status}")
    return Conflict(f'turn "{turn_id}" waits for no tool responses: {why}.', param="turn_id")
