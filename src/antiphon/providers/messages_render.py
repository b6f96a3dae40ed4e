"""CallModel → the bytes of a Messages API body.

As on the other wires, each turn of the history is rendered once and kept; a body is spliced from those bytes.
"""

import hashlib
from collections.abc import Mapping

from antiphon.core.commands import CallModel
from antiphon.core.custom_calls import as_function
from antiphon.core.effort import BUDGETS
from antiphon.core.in_words import lines_for
from antiphon.core.request import ResponseRequest
from antiphon.core.response import summary_asked
from antiphon.core.tools import (
    ChooseAllowed,
    ChooseCustom,
    ChooseFunction,
    CustomTool,
    ModelChoice,
    ModelTool,
)
from antiphon.core.transcript import PastTurn, sendable
from antiphon.core.wire import UNSET, JsonObject, encode
from antiphon.providers.chat_parameters import Unsupported
from antiphon.providers.kept_turns import MAX_KEPT_BYTES, KeptTurns
from antiphon.providers.messages_config import MessagesConfig
from antiphon.providers.messages_content import RenderedTurn, answers_fit, render_turn
from antiphon.providers.messages_joined import Conversation, joined
from antiphon.providers.messages_models import NO_MODELS, NOTHING_KNOWN, ModelFacts
from antiphon.providers.messages_parameters import (
    FAST,
    MIN_THINKING,
    TIERS,
    bound_schema,
    mode_of,
    stops_of,
    thinks_of,
    unsupported,
)
from antiphon.providers.messages_schemas import MAX_STRICT_TOOLS, bindable

MAX_BREAKPOINTS = 4
MAX_USER_ID = 256


class MessagesRenderer:
    """Renders for one upstream. With `lenient`, what the upstream cannot honour is left out, not refused.

    `facts` is what is known about its models; it may grow.
    """

    def __init__(
        self,
        provider: str,
        config: MessagesConfig,
        *,
        lenient: bool = False,
        facts: Mapping[str, ModelFacts] = NO_MODELS,
        max_kept_bytes: int = MAX_KEPT_BYTES,
    ) -> None:
        self._provider = provider
        self._config = config
        self._can = config.capabilities
        self._lenient = lenient
        self._facts = facts
        self._turns: KeptTurns[RenderedTurn] = KeptTurns(max_kept_bytes)

    def unsupported(self, request: ResponseRequest, model: str = "") -> list[Unsupported]:
        return list(unsupported(request, self._can, self._facts.get(model, NOTHING_KNOWN)))

    @property
    def kept_bytes(self) -> int:
        """How much the kept turns take."""
        return self._turns.size_bytes

    def render(self, model: str, call: CallModel) -> bytes:
        """Raises UnsupportedParameter for what this upstream cannot honour, unless lenient."""
        found = self.unsupported(call.request, model)
        if found and not self._lenient:
            raise found[0].error(self._provider)
        left_out = frozenset(one.param for one in found)
        facts = self._facts.get(model, NOTHING_KNOWN)
        conversation = self._conversation(call)
        request = call.request
        limit = call.max_output_tokens or min(self._config.max_tokens, facts.max_tokens or 2**31)
        body: JsonObject = {"model": model, "max_tokens": limit, "stream": call.stream}
        self._sampling(request, left_out, body)
        if "reasoning.effort" not in left_out:
            self._reasoning(call, facts, conversation, body)
        schema = bound_schema(request, self._can)
        if schema is not None:
            body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": schema}
        self._tools(request, call.tool_choice, body)
        system = _system(call, conversation, json_schema=schema is not None)
        if system:
            body["system"] = system
        messages = self._cached(request, conversation, body)
        return b'%b,"messages":[%b]}' % (encode(body)[:-1], messages)

    # --- messages -------------------------------------------------------------------------------------------
    def _conversation(self, call: CallModel) -> Conversation:
        transcript, reasoning = call.transcript, call.request.reasoning
        if reasoning is not None and reasoning.context == "current_turn":
            transcript = transcript.without_earlier_thoughts()
        past = [self._turns.get(turn.id) or self._keep(turn) for turn in transcript.history]
        conversation = joined([*past, render_turn(self._provider, transcript.items)])
        if answers_fit(conversation.segments):
            return conversation
        # A result came after something else in a later turn: only items can be put in order.
        return joined([render_turn(self._provider, sendable(transcript.all_items()))])

    def _keep(self, turn: PastTurn) -> RenderedTurn:
        rendered = render_turn(self._provider, turn.items())
        self._turns.put(turn.id, rendered)
        return rendered

    def _cached(self, request: ResponseRequest, conversation: Conversation, body: JsonObject) -> bytes:
        """The messages, with four breakpoints at most, the latest ones. Implicitly these are at the end of what
        comes before the conversation, which others share, and at its end.
        """
        options = request.prompt_cache_options
        mode = options.mode if options is not None and options.mode is not UNSET else self._config.cache
        control: JsonObject = {"type": "ephemeral"}
        if options is not None and options.ttl is not UNSET:
            control["ttl"] = "1h"
        places = conversation.places(end=mode == "implicit")[-MAX_BREAKPOINTS:]
        if mode == "implicit" and len(places) < MAX_BREAKPOINTS:
            shared: list[JsonObject] = body.get("system") or body.get("tools") or []
            if shared:
                shared[-1]["cache_control"] = control
        return conversation.messages(places, b',"cache_control":%b' % encode(control))

    # --- settings -------------------------------------------------------------------------------------------
    def _sampling(self, request: ResponseRequest, left_out: frozenset[str], body: JsonObject) -> None:
        for name in ("temperature", "top_p", "top_k"):
            value = getattr(request, name)
            if value is not None and name not in left_out:
                body[name] = value
        if body.get("top_k", 1) <= 0:
            del body["top_k"]
        stops = [stop for stop in stops_of(request) if stop.strip()]
        if stops:
            body["stop_sequences"] = stops
        user = request.safety_identifier or request.user
        if user:
            short = user if len(user) <= MAX_USER_ID else hashlib.sha256(user.encode()).hexdigest()
            body["metadata"] = {"user_id": short}
        if request.service_tier == FAST:
            body["speed"] = "fast"
        elif request.service_tier in TIERS:
            body["service_tier"] = TIERS[request.service_tier]

    def _reasoning(
        self, call: CallModel, facts: ModelFacts, conversation: Conversation, body: JsonObject
    ) -> None:
        request = call.request
        effort = request.reasoning.effort if request.reasoning is not None else None
        if not isinstance(effort, str):
            return
        mode = mode_of(self._can, facts)
        if effort == "none":
            if mode is not None:
                body["thinking"] = {"type": "disabled"}
            return
        level = facts.nearest(effort)
        if mode == "adaptive" and level is not None:
            body["output_config"] = {"effort": level}
        thinking = thinks_of(request, self._can, facts, forced=_forces(call.tool_choice))
        if thinking == "adaptive":
            body["thinking"] = {"type": "adaptive"}
        elif thinking == "budget" and body["max_tokens"] > MIN_THINKING and not conversation.thoughtless:
            most = max(MIN_THINKING, body["max_tokens"] * 3 // 4)  # the rest is for the answer
            body["thinking"] = {"type": "enabled", "budget_tokens": min(BUDGETS[effort], most)}
        if "thinking" in body and summary_asked(request) is not None:
            body["thinking"]["display"] = "summarized"

    def _tools(self, request: ResponseRequest, choice: ModelChoice, body: JsonObject) -> None:
        if not request.tools:
            return
        tools = [_tool(tool) for tool in request.model_tools]
        strict = [tool for tool in tools if tool.get("strict")]
        for tool in strict[MAX_STRICT_TOOLS:] if self._can.strict_tools else strict:
            del tool["strict"]
        body["tools"] = tools
        sent = _choice(choice)
        if request.parallel_tool_calls is False and sent["type"] != "none":
            sent["disable_parallel_tool_use"] = True
        if sent != {"type": "auto"}:
            body["tool_choice"] = sent


def _system(call: CallModel, conversation: Conversation, *, json_schema: bool) -> list[JsonObject]:
    """Instructions, system messages, and the lines that stand for what this wire has no parameter for."""
    instructions = call.transcript.instructions
    lines = [instructions] if instructions and instructions.strip() else []
    lines += conversation.system
    lines += lines_for(call.request, verbosity=False, json_schema=json_schema, json_object=False)
    return [{"type": "text", "text": line} for line in lines]


def _tool(tool: ModelTool) -> JsonObject:
    if isinstance(tool, CustomTool):
        function = as_function(tool, patterns=False)
        sent: JsonObject = {"name": tool.name, "input_schema": function["parameters"]}
        description: object = function["description"]
    else:
        # The API wants a type at the top, and there only an object.
        sent = {"name": tool.name, "input_schema": {**(tool.parameters or {}), "type": "object"}}
        description = tool.description
        closed = bindable(sent["input_schema"]) if tool.strict else None
        if closed is not None:
            sent |= {"input_schema": closed, "strict": True}
    if isinstance(description, str) and description.strip():
        sent["description"] = description
    return sent


def _forces(choice: ModelChoice) -> bool:
    return _choice(choice)["type"] in ("any", "tool")


def _choice(choice: ModelChoice) -> JsonObject:
    match choice:
        case "none":
            return {"type": "none"}
        case "required" | ChooseAllowed(mode="required"):
            return {"type": "any"}
        case ChooseFunction(name=name) | ChooseCustom(name=name):
            return {"type": "tool", "name": name}
        case _:
            return {"type": "auto"}
