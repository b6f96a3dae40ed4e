"""What later turns are told of a response that a shield stopped: that it was, and not what.

The response itself, its steps and its input items keep all of it, for whoever looks into what was stopped.
"""

from dataclasses import replace
from typing import Any

from antiphon.core.ids import PREFIX_BY_TYPE, STOPPED_INPUT, STOPPED_OUTPUT
from antiphon.core.transcript import THINNED, PastTurn
from antiphon.core.wire import decode_json, encode

WITHHELD = "[This was withheld: a safety check stopped it.]"
_INPUT = PREFIX_BY_TYPE[STOPPED_INPUT]
_STOPPED = (_INPUT, PREFIX_BY_TYPE[STOPPED_OUTPUT])
_EMPTIED = {
    "function_call": {"arguments": "{}"},
    "function_call_output": {"output": WITHHELD},
    "custom_tool_call": {"input": ""},
    "custom_tool_call_output": {"output": WITHHELD},
}
"""By the types of items what stands in them instead: a call and its output belong together."""
_AS_THEY_ARE = frozenset({"additional_tools", "compaction", "mcp_list_tools"})


def as_told(turn: PastTurn) -> PastTurn:
    """The turn without what a shield stopped: the refusal stays, and of what had come in, where that was it, that
    something did.
    """
    if not turn.may_be_stopped:
        return turn
    *made, refusal = decode_json(turn.output)
    if not refusal["id"].startswith(_STOPPED):
        return turn
    given = turn.input
    if refusal["id"].startswith(_INPUT):
        given = encode([told for item in decode_json(given) if (told := _emptied(item)) is not None])
    kept = [item for item in made if item["type"] in _AS_THEY_ARE]
    return replace(turn, id=f"{turn.id}{THINNED}stopped", input=given, output=encode([*kept, refusal]))


def _emptied(item: dict[str, Any]) -> dict[str, Any] | None:
    """The item without its content; None for one that is nothing without."""
    if item["type"] in _AS_THEY_ARE:
        return item
    if item["type"] == "message":
        kind = "output_text" if item["role"] == "assistant" else "input_text"
        return {**item, "content": [{"type": kind, "text": WITHHELD}]}
    instead = _EMPTIED.get(item["type"])
    return None if instead is None else item | instead
