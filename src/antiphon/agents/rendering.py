"""The two generations of clients, and what each is shown of a tool call.

Clients of 0.2 read its arguments as an object, with the text beside it; those of 0.3 as JSON text. Text is stored.
"""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import structs

from antiphon.agents.shapes import CompletionMessage, InferenceStep, Step, ToolCall, ToolExecutionStep, Turn
from antiphon.core.json_values import is_object
from antiphon.core.wire import decode_json, encode

Generation = Literal["object", "text"]
"""What the arguments of a call are."""

_HEADER = b"x-llamastack-client-version"
_VERSION = re.compile(rb"(\d{1,4})\.(\d{1,4})")
_TEXT_SINCE = (0, 3)
_ARGUMENTS = b'"arguments":'
"""In the JSON of a turn only where there is a call: inside of texts quotes are escaped."""
_TURN = msgspec.json.Decoder(Turn)


def generation_of(prefix: str, headers: Mapping[bytes, bytes]) -> Generation:
    """By the path (`/v1` or `/v1alpha`), and by the version that clients of Llama Stack send. None is refused."""
    version = _VERSION.match(headers.get(_HEADER, b""))
    is_newer = version is not None and (int(version[1]), int(version[2])) >= _TEXT_SINCE
    return "text" if is_newer or prefix != "/v1" else "object"


def shown_call(call: ToolCall, generation: Generation) -> ToolCall:
    """A call whose arguments are text, as it is shown. What is no JSON object stays text."""
    text = call.arguments
    if generation == "text" or not isinstance(text, str):
        return call
    try:
        parsed = decode_json(text)
    except (msgspec.DecodeError, RecursionError):
        parsed = None
    arguments = parsed if is_object(parsed) else text
    return structs.replace(call, arguments=arguments, arguments_json=text)


def shown_message(message: CompletionMessage, generation: Generation) -> CompletionMessage:
    if generation == "text" or not message.tool_calls:
        return message
    return structs.replace(message, tool_calls=[shown_call(one, generation) for one in message.tool_calls])


def shown_step(step: Step, generation: Generation) -> Step:
    if isinstance(step, InferenceStep):
        return structs.replace(step, model_response=shown_message(step.model_response, generation))
    if isinstance(step, ToolExecutionStep):
        return structs.replace(step, tool_calls=[shown_call(one, generation) for one in step.tool_calls])
    return step


def shown_turn(turn: Turn, generation: Generation) -> Turn:
    if generation == "text":
        return turn
    steps = [shown_step(step, generation) for step in turn.steps]
    return structs.replace(turn, steps=steps, output_message=shown_message(turn.output_message, generation))


def turn_body(body: bytes, generation: Generation) -> bytes:
    """The JSON of a stored turn as it is shown; most have no call, and go as they are."""
    if generation == "text" or _ARGUMENTS not in body:
        return body
    return encode(shown_turn(_TURN.decode(body), generation))
