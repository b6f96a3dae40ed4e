"""The response object, from one function, on every path.

What does not change during a run (the echo of the request) is encoded once; a snapshot joins it with what does.
Required keys: `Response` of the official OpenAPI and `ResponseResource` of Open Responses, their union.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from antiphon.core import mcp
from antiphon.core.commands import Finish
from antiphon.core.items import Message
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import OutputItem
from antiphon.core.tools import ComputerTool, ComputerUseTool, McpTool, Tool
from antiphon.core.usage import Usage
from antiphon.core.wire import UNSET, JsonObject, encode

_TIERS = {"fast": "priority"}
"""Tiers that are shown under another name than they are asked for."""


@dataclass(frozen=True, slots=True)
class ResponseState:
    """What changes while a response comes to be. `status` is one of the six of the specification."""

    status: str
    completed_at: int | None = None
    incomplete_reason: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    usage: Usage = Usage()
    service_tier: str | None = None

    @classmethod
    def finished(
        cls, finish: Finish, *, now: int, usage: Usage | None, service_tier: str | None
    ) -> "ResponseState":
        return cls(
            status=finish.status,
            completed_at=now if finish.status == "completed" else None,
            incomplete_reason=finish.incomplete_reason,
            error_code=finish.error_code,
            error_message=finish.error_message,
            usage=usage or Usage(),
            service_tier=service_tier,
        )


class ResponseObject:
    """Renders one response. `model` is echoed as the client named it."""

    __slots__ = ("_echo", "_identity", "created_at", "id")

    def __init__(
        self,
        response_id: str,
        created_at: int,
        request: ResponseRequest,
        instructions: Sequence[Message] | None = None,
    ) -> None:
        """`instructions` are shown in place of the request's: those of a filled prompt are items."""
        self.id = response_id
        self.created_at = created_at
        self._identity = b'{"id":%b,"object":"response","created_at":%d' % (encode(response_id), created_at)
        echo = _echo(request)
        if instructions is not None:
            echo["instructions"] = instructions
        self._echo = encode(echo)[1:-1]

    def head(self, state: ResponseState) -> bytes:
        """The object without `output`, as it is stored."""
        return b"%b,%b,%b}" % (self._identity, encode(_changing(state))[1:-1], self._echo)

    def whole(self, state: ResponseState, output: bytes) -> bytes:
        return with_output(self.head(state), output)


def with_output(head: bytes, output: bytes) -> bytes:
    """A stored head and its output items (a JSON array) as one object."""
    return b'%b,"output":%b}' % (head[:-1], output)


def encode_items(items: Sequence[OutputItem]) -> bytes:
    return encode(items)


def _changing(state: ResponseState) -> JsonObject:
    incomplete = {"reason": state.incomplete_reason} if state.incomplete_reason else None
    error = {"code": state.error_code, "message": state.error_message} if state.error_code else None
    return {
        "status": state.status,
        "completed_at": state.completed_at,
        "error": error,
        "incomplete_details": incomplete,
        "usage": state.usage,
        "service_tier": _TIERS.get(state.service_tier or "", state.service_tier or "default"),
    }


def _echo(request: ResponseRequest) -> JsonObject:
    """The settings as they are in effect: defaults filled in, numbers where a number is, tools as the official
    document spells them.
    """
    fields: dict[str, Any] = {
        "instructions": request.instructions,
        "model": request.model,
        "tools": [_shown_tool(tool) for tool in request.tools or ()],
        "tool_choice": "auto" if request.tool_choice is None else request.tool_choice,
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "metadata": request.metadata or {},
        "temperature": 1.0 if request.temperature is None else request.temperature,
        "top_p": 1.0 if request.top_p is None else request.top_p,
        "presence_penalty": request.presence_penalty or 0.0,
        "frequency_penalty": request.frequency_penalty or 0.0,
        "top_logprobs": request.top_logprobs or 0,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "previous_response_id": request.previous_response_id,
        "reasoning": _reasoning(request),
        "text": _text(request),
        "truncation": request.truncation or "disabled",
        "store": request.store is not False,
        "background": False,
        "safety_identifier": request.safety_identifier,
        "prompt_cache_key": request.prompt_cache_key,
    }
    if request.conversation_id is not None:
        fields["conversation"] = {"id": request.conversation_id}
    if request.prompt is not None:
        fields["prompt"] = request.prompt
    if request.user is not None:
        fields["user"] = request.user
    if request.prompt_cache_retention is not None:
        fields["prompt_cache_retention"] = request.prompt_cache_retention
    if request.prompt_cache_options is not None:
        options = request.prompt_cache_options
        fields["prompt_cache_options"] = {"mode": options.mode or "implicit", "ttl": options.ttl or "30m"}
    return fields


def _shown_tool(tool: Tool) -> Tool:
    if isinstance(tool, McpTool):
        return mcp.without_secrets(tool)
    return ComputerTool() if isinstance(tool, ComputerUseTool) else tool


def _reasoning(request: ResponseRequest) -> JsonObject:
    asked = request.reasoning
    if asked is None:
        return {"effort": None, "summary": None}
    effort = asked.effort if asked.effort is not UNSET else None
    fields: JsonObject = {"effort": effort, "summary": summary_asked(request)}
    if asked.mode is not UNSET:
        fields["mode"] = asked.mode
    if asked.context is not UNSET and asked.context is not None:
        fields["context"] = asked.context
    return fields


def summary_asked(request: ResponseRequest) -> str | None:
    """The kind of reasoning summary the caller wants; None for none. `generate_summary` is its old name."""
    asked = request.reasoning
    if asked is None:
        return None
    for value in (asked.summary, asked.generate_summary):
        if value is not UNSET and value is not None:
            return value
    return None


def _text(request: ResponseRequest) -> JsonObject:
    fields: JsonObject = {"format": {"type": "text"}}
    text = request.text
    if text is None:
        return fields
    if text.format is not UNSET:
        fields["format"] = text.format
    if text.verbosity is not UNSET and text.verbosity is not None:
        fields["verbosity"] = text.verbosity
    return fields
