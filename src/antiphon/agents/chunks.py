"""The bytes of a turn's stream: `data:` lines of `AgentTurnResponseStreamChunk`, and no end marker."""

from antiphon.agents.shapes import Payload
from antiphon.core.wire import encode

_END = b"}}\n\n"
DELTA_END = b"}}}}\n\n"
CALL_DELTA_END = b',"parse_status":"in_progress"' + DELTA_END


def chunk(payload: Payload) -> bytes:
    return b'data: {"event":{"payload":%b%b' % (encode(payload), _END)


def error_chunk(message: str) -> bytes:
    """What a stream ends with that broke off."""
    return b"data: %b\n\n" % encode({"error": {"message": message}})


def delta_heads(step_id: str) -> tuple[bytes, bytes]:
    """What stands before the deltas of an inference step, which are JSON strings: of texts, and of the arguments of
    calls. Nine chunks of ten are such.
    """
    head = (
        b'data: {"event":{"payload":{"event_type":"step_progress","step_type":"inference","step_id":%b,"delta":'
        % encode(step_id)
    )
    return head + b'{"type":"text","text":', head + b'{"type":"tool_call","tool_call":'
