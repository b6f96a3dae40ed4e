"""`TurnRecord`: a turn as far as it has come. It is stored as a `Turn`, and with what its next run needs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec

from antiphon.agents.shapes import (
    Attachment,
    CompletionMessage,
    CreateTurn,
    InferenceStep,
    Step,
    ToolCall,
    Turn,
    TurnMessage,
    TurnStatus,
    UserMessage,
)
from antiphon.core.ids import RESPONSE_PREFIX
from antiphon.core.items import InputImage, InputText
from antiphon.core.wire import JsonObject, encode
from antiphon.ports import Ids
from antiphon.ports.agents import StoredTurn

NOTHING_SAID = CompletionMessage(content="", stop_reason="end_of_turn")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TURN = msgspec.json.Decoder(Turn)
Parts = list[InputText | InputImage]


def iso(at_us: int) -> str:
    """Unix microseconds as ISO 8601 in UTC."""
    seconds, micros = divmod(at_us, 1_000_000)
    return f"{_second(seconds)}.{micros:06d}+00:00"


@lru_cache(maxsize=64)
def _second(at: int) -> str:
    return (_EPOCH + timedelta(seconds=at)).strftime("%Y-%m-%dT%H:%M:%S")


def new_uuid(ids: Ids) -> str:
    """A bare UUID of version 4."""
    digits = ids.new("")[-32:]
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def first_response_id(turn_id: str) -> str:
    """The id of the response that the first run of a turn is."""
    return RESPONSE_PREFIX + turn_id.replace("-", "")


class Pending(msgspec.Struct, frozen=True):
    """Calls that the client makes, and the step that they are. Times are Unix microseconds."""

    step_id: str
    started_at: int
    calls: tuple[ToolCall, ...]


class Inner(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the next run of a turn needs to know. `asked` is the request that created it, but for its messages and
    documents; `contexts` the whole contents, by the id of the item, of messages that were stored without what was for
    this turn alone. `until` is when a run that is said to go on must have said so again, in Unix seconds.
    """

    asked: CreateTurn
    contexts: dict[str, Parts] = {}
    pending: Pending | None = None
    until: int = 0


_INNER = msgspec.json.Decoder(Inner)
_NO_MESSAGES: list[TurnMessage] = [UserMessage(content="")]


def inner_of(turn: StoredTurn) -> Inner:
    return _INNER.decode(turn.inner)


def asked_again(body: CreateTurn) -> CreateTurn:
    """What of a request holds for all runs of its turn."""
    return msgspec.structs.replace(body, messages=_NO_MESSAGES, documents=None)


@dataclass(slots=True)
class TurnRecord:
    """Times are Unix microseconds. `steps` are those that are complete."""

    id: str
    session_id: str
    input_messages: Sequence[TurnMessage]
    started_at: int
    inner: Inner
    steps: list[Step] = field(default_factory=list[Step])
    response_ids: list[str] = field(default_factory=list[str])
    attachments: list[Attachment] = field(default_factory=list[Attachment])
    status: TurnStatus = "in_progress"
    output: CompletionMessage = NOTHING_SAID
    completed_at: int | None = None
    error: JsonObject | None = None

    @classmethod
    def of(cls, stored: StoredTurn) -> "TurnRecord":
        turn = _TURN.decode(stored.body)
        return cls(
            id=stored.id,
            session_id=stored.session_id,
            input_messages=turn.input_messages,
            started_at=stored.started_at,
            inner=inner_of(stored),
            steps=turn.steps,
            response_ids=turn.response_ids,
            attachments=turn.output_attachments,
            status=turn.status,
            output=turn.output_message,
            completed_at=stored.completed_at,
            error=turn.error,
        )

    @property
    def last_response_id(self) -> str:
        return self.response_ids[-1] if self.response_ids else ""

    @property
    def model_calls(self) -> int:
        """How often a model was asked, in all runs."""
        return sum(isinstance(step, InferenceStep) for step in self.steps)

    def shown(self) -> Turn:
        return Turn(
            turn_id=self.id,
            session_id=self.session_id,
            input_messages=list(self.input_messages),
            steps=list(self.steps),
            output_message=self.output,
            output_attachments=list(self.attachments),
            started_at=iso(self.started_at),
            completed_at=None if self.completed_at is None else iso(self.completed_at),
            status=self.status,
            response_ids=list(self.response_ids),
            error=self.error,
        )

    def stored(self) -> StoredTurn:
        return StoredTurn(
            id=self.id,
            session_id=self.session_id,
            status=self.status,
            started_at=self.started_at,
            body=encode(self.shown()),
            inner=encode(self.inner),
            completed_at=self.completed_at,
        )
