"""From the body of a Messages request to the `ResponseRequest` that the engine runs."""

import hashlib
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from antiphon.core import parse, request_rules
from antiphon.core.body import (
    FormatJsonSchema,
    ReasoningConfig,
    StreamOptions,
    TextConfig,
)
from antiphon.core.effort import effort_of
from antiphon.core.errors import InvalidRequest, UnsupportedParameter
from antiphon.core.json_schemas import is_closed, nesting_exceeds
from antiphon.core.request import ResponseRequest
from antiphon.core.tool_rules import MAX_NESTING
from antiphon.core.tools import ChooseFunction, FunctionTool
from antiphon.core.tools import ToolChoice as EngineChoice
from antiphon.core.wire import UNSET, encode
from antiphon.messages.client_tools import described
from antiphon.messages.conversation import Conversation
from antiphon.messages.places import Places, in_words_of_messages
from antiphon.messages.refused import refuse_json, refuse_tool
from antiphon.messages.types import (
    ChooseAny,
    ChooseNone,
    ChooseTool,
    CountRequest,
    MessagesRequest,
    Prompt,
    ThinkingAdaptive,
    ThinkingEnabled,
    Tool,
)

MAX_IDENTIFIER = 64
PromptT = TypeVar("PromptT", MessagesRequest, CountRequest)
_MESSAGES = msgspec.json.Decoder(MessagesRequest)
_COUNT = msgspec.json.Decoder(CountRequest)


def parse_messages(body: bytes, left_out: list[str] | None = None) -> MessagesRequest:
    """The body of `POST /v1/messages`. With `left_out`, top-level fields that nobody knows are taken out and listed.

    Raises InvalidRequest and UnsupportedParameter, with the path in `param` (`messages.0.content.1.source`).
    """
    return _parsed(_MESSAGES, MessagesRequest, body, left_out)


def parse_count(body: bytes, left_out: list[str] | None = None) -> CountRequest:
    """The body of `POST /v1/messages/count_tokens`, in the same way."""
    return _parsed(_COUNT, CountRequest, body, left_out)


def _parsed(
    decoder: msgspec.json.Decoder[PromptT], wanted: type[PromptT], body: bytes, left_out: list[str] | None
) -> PromptT:
    lenient = left_out is not None
    try:
        asked, unknown = parse.read(body, decoder, wanted, refuse=refuse_json, lenient=lenient, items=False)
    except InvalidRequest as error:
        raise in_words_of_messages(error) from None
    if left_out is not None:
        left_out += unknown
    refuse_json({name: getattr(asked, name) for name in wanted.__struct_fields__})
    for at, tool in enumerate(asked.tools or ()):
        _check_tool(tool, f"tools.{at}")
    return asked


def to_response(
    asked: Prompt, opens: Callable[[str], bool], left_out: list[str]
) -> tuple[ResponseRequest, Places]:
    """The request for the engine, and where in the body each of its items came from.

    `opens` says whether a blob is one that this server sealed for the caller. The paths of signatures that are not go
    to `left_out`: what such a block says stays, unsigned; what it hides is lost, as another server hid it.

    Raises InvalidRequest and UnsupportedParameter, with the path in `param`.
    """
    conversation = Conversation(asked, opens, left_out)
    conversation.read()
    request = ResponseRequest(
        model=asked.model,
        input=conversation.items,
        instructions=conversation.instructions,
        store=False,
        tools=[_tool(tool) for tool in asked.tools] if asked.tools else None,
        tool_choice=_choice(asked),
        parallel_tool_calls=_parallel(asked),
        text=_text(asked),
        reasoning=_reasoning(asked),
        **_settings(asked),
    )
    places = conversation.places
    try:
        request_rules.check(request)
    except InvalidRequest as error:
        raise in_words_of_messages(error, places) from None
    return request, places


def thoughts_wanted(asked: Prompt) -> Literal["none", "sealed", "shown"]:
    """Thinking blocks are part of the answer only where the request asks for thinking; with `display: omitted` they
    show no text and only carry it on.
    """
    match asked.thinking:
        case ThinkingEnabled(display=display) | ThinkingAdaptive(display=display):
            return "sealed" if display == "omitted" else "shown"
        case _:
            return "none"


# --- settings -----------------------------------------------------------------------------------------------
def _settings(asked: Prompt) -> dict[str, Any]:
    """What only a request for an answer has. Tiers and speeds share one field."""
    fast = asked.speed == "fast"
    if not isinstance(asked, MessagesRequest):
        return {"service_tier": "fast" if fast else None}
    tier = {"auto": "auto", "standard_only": "default"}.get(asked.service_tier or "")
    return {
        "max_output_tokens": asked.max_tokens,
        "stream": asked.stream or False,
        "stream_options": StreamOptions(include_obfuscation=False) if asked.stream else None,
        "stop": asked.stop_sequences or None,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "top_k": asked.top_k,
        "safety_identifier": _identifier(asked),
        "service_tier": "fast" if fast else tier,
    }


def _identifier(asked: MessagesRequest) -> str | None:
    """`metadata.user_id`, hashed where it is longer than what other APIs take: Claude Code sends a JSON object."""
    user = asked.metadata.user_id if asked.metadata is not None else None
    if not user:
        return None
    return user if len(user) <= MAX_IDENTIFIER else hashlib.sha256(user.encode()).hexdigest()


def _reasoning(asked: Prompt) -> ReasoningConfig | None:
    """An effort that is told wins over a number of tokens, and thinking that is off over an effort."""
    effort = asked.output_config.effort if asked.output_config is not None else None
    match asked.thinking:
        case None:
            return ReasoningConfig(effort=effort) if effort is not None else None
        case ThinkingEnabled(budget_tokens=budget, display=display):
            effort = effort or effort_of(budget)
        case ThinkingAdaptive(display=display):
            pass
        case _:
            return ReasoningConfig(effort="none")
    return ReasoningConfig(effort=effort or UNSET, summary=UNSET if display == "omitted" else "auto")


def _text(asked: Prompt) -> TextConfig | None:
    given = [asked.output_format, asked.output_config.format if asked.output_config is not None else None]
    formats = [one for one in given if one is not None]
    if not formats:
        return None
    if len(formats) > 1:
        raise InvalidRequest(
            "`output_format`: `output_config.format` says the same; send one of them.", param="output_format"
        )
    schema = formats[0].schema
    strict = (not nesting_exceeds(schema, MAX_NESTING) and is_closed(schema)) or UNSET
    return TextConfig(format=FormatJsonSchema(name="answer", schema=schema, strict=strict))


# --- tools --------------------------------------------------------------------------------------------------
def _check_tool(tool: Tool, path: str) -> None:
    refuse_tool(tool.type, f"{path}.type")
    own = tool.type in (None, "custom")
    if own and tool.input_schema is None:
        raise InvalidRequest(
            f"`{path}.input_schema`: required, and missing; send the JSON Schema of the tool's input.",
            param=f"{path}.input_schema",
        )
    if not own and (tool.input_schema is not None or tool.description is not None):
        raise InvalidRequest(
            f'`{path}.type`: a tool of type "{tool.type}" has its own schema and description; leave them out.',
            param=f"{path}.type",
        )
    if own and tool.max_characters is not None:
        raise InvalidRequest(
            f"`{path}.max_characters`: only a text editor has it; leave it out.",
            param=f"{path}.max_characters",
        )
    if tool.defer_loading:
        raise _unsupported(
            f"{path}.defer_loading", "tools are not searched for in this API; send all of them"
        )
    if set(tool.allowed_callers or ["direct"]) != {"direct"}:
        raise _unsupported(f"{path}.allowed_callers", "only the model itself calls tools here")


def _unsupported(path: str, why: str) -> UnsupportedParameter:
    return UnsupportedParameter(f"`{path}`: {why}.", param=path)


def _tool(tool: Tool) -> FunctionTool:
    if tool.type in (None, "custom"):
        description, schema = tool.description or "", tool.input_schema
    else:
        description, schema = described(tool.type or "", tool.max_characters)
    for example in tool.input_examples or ():
        description += f"\nExample of an input: {encode(example).decode()}"
    return FunctionTool(
        name=tool.name,
        parameters=schema,
        strict=tool.strict is True,
        description=description.strip() or UNSET,
    )


def _choice(asked: Prompt) -> EngineChoice | None:
    match asked.tool_choice:
        case ChooseTool(name=name):
            return ChooseFunction(name=name)
        case ChooseAny():
            return "required"
        case ChooseNone():
            return "none"
        case _:
            return None


def _parallel(asked: Prompt) -> bool | None:
    choice = asked.tool_choice
    if choice is None or isinstance(choice, ChooseNone):
        return None
    return False if choice.disable_parallel_tool_use else None
