"""What both wires of OpenAI's family are sent alike. Each has its own words for a tool and for a choice."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from antiphon.core.request import FormatGrammar, ResponseRequest
from antiphon.core.tools import (
    ChooseAllowed,
    ChooseCustom,
    ChooseFunction,
    CustomTool,
    ModelChoice,
    ModelTool,
)
from antiphon.core.wire import JsonObject
from antiphon.providers.capabilities import Capabilities, ResponsesCapabilities
from antiphon.providers.chat_parameters import Plan

CanT = TypeVar("CanT", Capabilities, ResponsesCapabilities)


class OpenAISettings(ABC, Generic[CanT]):
    """The base of the two renderers."""

    def __init__(self, can: CanT, plan: Plan) -> None:
        self._can: CanT = can
        self._plan = plan

    @abstractmethod
    def _tool(self, tool: ModelTool) -> JsonObject: ...

    @abstractmethod
    def _named(self, kind: str, name: str) -> JsonObject:
        """A tool by its name, as `tool_choice` has it. Where custom tools are unknown they are functions."""

    @abstractmethod
    def _allowed(self, mode: str, named: list[JsonObject]) -> JsonObject: ...

    def translated(self, request: ResponseRequest) -> frozenset[str]:
        """The custom tools that go over as functions."""
        if self._can.custom_tools or not request.tools:
            return frozenset()
        return frozenset(tool.name for tool in request.model_tools if isinstance(tool, CustomTool))

    def _scalars(self, request: ResponseRequest, body: JsonObject) -> None:
        for name, field in self._plan.passed:
            value = getattr(request, name)
            if value is not None:
                body[field] = value

    def _tools(
        self, tools: Sequence[ModelTool], choice: ModelChoice, request: ResponseRequest, body: JsonObject
    ) -> None:
        if choice == "none" and not self._can.tool_choice:
            return
        body["tools"] = [self._tool(tool) for tool in tools]
        if self._can.tool_choice and choice != "auto":
            sent = self._choice(choice)
            if sent != "auto":
                body["tool_choice"] = sent
        if self._can.parallel_tool_calls and request.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.parallel_tool_calls

    def _choice(self, choice: ModelChoice) -> str | JsonObject:
        match choice:
            case ChooseFunction(name=name):
                return self._named("function", name)
            case ChooseCustom(name=name):
                return self._named("custom", name)
            case ChooseAllowed(mode=mode, tools=tools):
                if not self._can.allowed_tools:
                    return mode
                named = [self._named(str(tool.get("type")), str(tool.get("name"))) for tool in tools]
                return self._allowed(mode, named)
            case str():
                return choice

    def _sends_grammar(self, request: ResponseRequest) -> bool:
        """Whether the answer's grammar goes over as a parameter. Beside tools it would bind their calls as well."""
        return self._can.grammars is not None and not request.tools

    def _grammar(self, request: ResponseRequest, body: JsonObject) -> None:
        wanted = request.text.format if request.text is not None else None
        if not isinstance(wanted, FormatGrammar) or not self._sends_grammar(request):
            return
        kind = "grammar" if wanted.syntax == "lark" else "regex"
        if self._can.grammars == "guided":
            body[f"guided_{kind}"] = wanted.definition
        else:
            body["structured_outputs"] = {kind: wanted.definition}

    def _labels(self, request: ResponseRequest, body: JsonObject) -> None:
        if request.safety_identifier is not None:
            if self._can.safety_identifier:
                body["safety_identifier"] = request.safety_identifier
            elif self._can.user:
                body.setdefault("user", request.safety_identifier)
        if request.service_tier is not None and self._can.service_tier:
            body["service_tier"] = request.service_tier
        if self._can.prompt_cache_options:
            if request.prompt_cache_options is not None:
                body["prompt_cache_options"] = request.prompt_cache_options
            if request.prompt_cache_retention is not None:
                body["prompt_cache_retention"] = request.prompt_cache_retention


def template_effort(effort: str, request: ResponseRequest) -> JsonObject:
    """`chat_template_kwargs` for an effort; what the caller put there wins."""
    steering: JsonObject = {"enable_thinking": False} if effort == "none" else {"reasoning_effort": effort}
    return steering | (request.chat_template_kwargs or {})
