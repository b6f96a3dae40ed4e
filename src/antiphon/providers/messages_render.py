"""CallModel → the bytes of a Messages API body."""

from antiphon.core.body import FormatJsonSchema
from antiphon.core.commands import CallModel
from antiphon.core.items import Message, Reasoning
from antiphon.core.request import ResponseRequest
from antiphon.core.tools import ChooseAllowed, ChooseCustom, ChooseFunction, CustomTool, Tool, ToolChoice
from antiphon.core.transcript import TranscriptItem, sendable
from antiphon.core.wire import UNSET, JsonObject, encode
from antiphon.providers.chat_parameters import Unsupported
from antiphon.providers.chat_render import NO_ARGUMENTS
from antiphon.providers.custom_calls import as_function
from antiphon.providers.in_words import lines_for
from antiphon.providers.messages_config import MessagesConfig
from antiphon.providers.messages_content import Content, content_of
from antiphon.providers.messages_parameters import BUDGETS, MIN_THINKING, TIERS, unsupported

MAX_BREAKPOINTS = 4
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "max", "max": "max"}


class MessagesRenderer:
    """Renders for one upstream. With `lenient`, what the upstream cannot honour is left out, not refused."""

    def __init__(self, provider: str, config: MessagesConfig, *, lenient: bool = False) -> None:
        self._provider = provider
        self._config = config
        self._lenient = lenient

    def unsupported(self, request: ResponseRequest) -> list[Unsupported]:
        return list(unsupported(request, self._config))

    def render(self, model: str, call: CallModel) -> bytes:
        """Raises UnsupportedParameter for what this upstream cannot honour, unless lenient."""
        found = self.unsupported(call.request)
        if found and not self._lenient:
            raise found[0].error(self._provider)
        left_out = {one.param for one in found}
        request = call.request
        content = content_of(self._provider, _items(call))
        limit = call.max_output_tokens or self._config.max_tokens
        body: JsonObject = {"model": model, "max_tokens": limit, "stream": call.stream}
        self._sampling(request, left_out, body)
        if "reasoning.effort" not in left_out:
            self._thinking(request, limit, body)
        self._format(request, body)
        self._tools(request, call.tool_choice, body)
        system = _system(call, content, self._config)
        if system:
            body["system"] = system
        self._caching(request, content, system)
        body["messages"] = content.messages
        return encode(body)

    def _sampling(self, request: ResponseRequest, left_out: set[str], body: JsonObject) -> None:
        for name in ("temperature", "top_p", "top_k"):
            value = getattr(request, name)
            if value is not None and name not in left_out:
                body[name] = value
        if request.stop is not None:
            body["stop_sequences"] = [request.stop] if isinstance(request.stop, str) else request.stop
        user = request.safety_identifier or request.user
        if user is not None:
            body["metadata"] = {"user_id": user}
        if request.service_tier in TIERS:
            body["service_tier"] = TIERS[request.service_tier]

    def _thinking(self, request: ResponseRequest, limit: int, body: JsonObject) -> None:
        effort = request.reasoning.effort if request.reasoning is not None else None
        if not isinstance(effort, str) or self._config.thinking == "off":
            return
        if effort == "none":
            body["thinking"] = {"type": "disabled"}
        elif self._config.thinking == "adaptive":
            body["thinking"] = {"type": "adaptive"}
            body["output_config"] = {"effort": _EFFORTS[effort]}
        else:
            budget = max(MIN_THINKING, min(BUDGETS[effort], limit - 1))
            body["thinking"] = {"type": "enabled", "budget_tokens": budget}
            body["max_tokens"] = max(limit, budget + 1) if request.max_output_tokens is None else limit

    def _format(self, request: ResponseRequest, body: JsonObject) -> None:
        wanted = request.text.format if request.text is not None else None
        if isinstance(wanted, FormatJsonSchema) and self._config.json_schema:
            output = body.setdefault("output_config", {})
            output["format"] = {"type": "json_schema", "schema": wanted.schema}

    def _tools(self, request: ResponseRequest, choice: ToolChoice, body: JsonObject) -> None:
        if not request.tools:
            return
        body["tools"] = [_tool(tool) for tool in request.tools]
        sent = _choice(choice)
        if request.parallel_tool_calls is False and sent["type"] != "none":
            sent["disable_parallel_tool_use"] = True
        if sent != {"type": "auto"}:
            body["tool_choice"] = sent

    def _caching(self, request: ResponseRequest, content: Content, system: list[JsonObject]) -> None:
        """At most four breakpoints, the latest ones; implicitly the end of the prompt is one."""
        options = request.prompt_cache_options
        mode = options.mode if options is not None and options.mode is not UNSET else self._config.cache
        control: JsonObject = {"type": "ephemeral"}
        if options is not None and options.ttl is not UNSET:
            control["ttl"] = "1h"
        marked = content.marked
        if mode == "implicit":
            ends = [content.messages[-1]["content"][-1]] if content.messages else system[-1:]
            marked = [*(block for block in marked if block is not ends[-1]), *ends] if ends else marked
        for block in marked[-MAX_BREAKPOINTS:]:
            if block.get("type") not in ("thinking", "redacted_thinking"):
                block["cache_control"] = control


def _items(call: CallModel) -> list[TranscriptItem]:
    items = sendable(call.transcript.all_items())
    reasoning = call.request.reasoning
    if reasoning is None or reasoning.context != "current_turn":
        return items
    asked = [at for at, item in enumerate(items) if isinstance(item, Message) and item.role == "user"]
    start = asked[-1] if asked else 0
    return [item for at, item in enumerate(items) if at >= start or not isinstance(item, Reasoning)]


def _system(call: CallModel, content: Content, config: MessagesConfig) -> list[JsonObject]:
    """The instructions, the system messages, and the lines that stand for what this wire has no parameter for."""
    instructions = call.transcript.instructions
    lines = [*([instructions] if instructions and instructions.strip() else []), *content.system]
    lines += lines_for(call.request, verbosity=False, json_schema=config.json_schema, json_object=False)
    return [{"type": "text", "text": line} for line in lines]


def _tool(tool: Tool) -> JsonObject:
    if isinstance(tool, CustomTool):
        function = as_function(tool, patterns=False)
        return {
            "name": tool.name,
            "description": function["description"],
            "input_schema": function["parameters"],
        }
    sent: JsonObject = {
        "name": tool.name,
        "input_schema": tool.parameters if tool.parameters is not None else NO_ARGUMENTS,
    }
    if isinstance(tool.description, str):
        sent["description"] = tool.description
    if tool.strict:
        sent["strict"] = True
    return sent


def _choice(choice: ToolChoice) -> JsonObject:
    match choice:
        case "none":
            return {"type": "none"}
        case "required" | ChooseAllowed(mode="required"):
            return {"type": "any"}
        case ChooseFunction(name=name) | ChooseCustom(name=name):
            return {"type": "tool", "name": name}
        case _:
            return {"type": "auto"}
