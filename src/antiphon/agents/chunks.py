"""The bytes of a turn's stream: `data:` lines of `AgentTurnResponseStreamChunk`, and no end marker."""

from antiphon.agents.shapes import Payload
from antiphon.core.wire import encode

_END = b"}}\n\n"
_DELTA_END = b"}}}}\n\n"
_IN_PROGRESS = b',"parse_status":"in_progress"' + _DELTA_END


def chunk(payload: Payload) -> bytes:
    return b'data: {"event":{"payload":%b%b' % (encode(payload), _END)


def error_chunk(message: str) -> bytes:
    """What a stream ends with that broke off."""
    return b"data: %b\n\n" % encode({"error": {"message": message}})


class DeltaChunks:
    """The `step_progress` chunks of an inference step. Deltas come and go as JSON: nine chunks of ten are made here."""

    __slots__ = ("_call", "_text")

    def __init__(self, step_id: str) -> None:
        head = (
            b'data: {"event":{"payload":{"event_type":"step_progress","step_type":"inference","step_id":%b,"delta":'
            % encode(step_id)
        )
        self._text = head + b'{"type":"text","text":'
        self._call = head + b'{"type":"tool_call","tool_call":'

    def text(self, delta: bytes) -> bytes:
        return self._text + delta + _DELTA_END

    def call(self, delta: bytes) -> bytes:
        """A piece of the arguments of a call."""
        return self._call + delta + _IN_PROGRESS
