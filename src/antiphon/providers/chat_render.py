"""CallModel → the bytes of a chat completions body.

Turns of the history never change, so each is rendered once and kept; a body is spliced from those bytes,
which makes turn 200 cost what turn 2 costs, but for the copying.
"""

from itertools import pairwise

from antiphon.core.body import FormatJsonObject, FormatJsonSchema
from antiphon.core.commands import CallModel
from antiphon.core.custom_calls import as_function
from antiphon.core.in_words import lines_for
from antiphon.core.request import ResponseRequest
from antiphon.core.tools import CustomTool, FunctionTool, GrammarFormat, ModelTool
from antiphon.core.transcript import PastTurn, Transcript, TranscriptItem, sendable
from antiphon.core.wire import UNSET, JsonObject, encode
from antiphon.providers.chat_messages import Rendered, render_items
from antiphon.providers.chat_parameters import Plan, Unsupported, unsupported
from antiphon.providers.kept_turns import MAX_KEPT_BYTES, KeptTurns
from antiphon.providers.openai_settings import OpenAISettings, template_effort
from antiphon.providers.presets import Capabilities

NO_ARGUMENTS: JsonObject = {"type": "object", "properties": {}}


class ChatRenderer(OpenAISettings[Capabilities]):
    """Renders for one upstream. With `lenient`, what the upstream cannot honour is left out, not refused."""

    def __init__(
        self,
        provider: str,
        capabilities: Capabilities,
        *,
        lenient: bool = False,
        max_kept_bytes: int = MAX_KEPT_BYTES,
    ) -> None:
        super().__init__(capabilities, Plan.of(capabilities))
        self._provider = provider
        self._lenient = lenient
        self._turns: KeptTurns[Rendered] = KeptTurns(max_kept_bytes)

    def render(self, model: str, call: CallModel) -> bytes:
        """Raises UnsupportedParameter for what this upstream cannot honour, unless lenient."""
        if not self._lenient:
            for found in self.unsupported(call.request):
                raise found.error(self._provider)
        settings = encode(self._settings(call))
        messages = self._messages(call.transcript, call.request)
        return b'{"model":%b,"messages":[%b],%b' % (encode(model), messages, settings[1:])

    @property
    def kept_bytes(self) -> int:
        """How much the kept turns take."""
        return self._turns.size_bytes

    def unsupported(self, request: ResponseRequest) -> list[Unsupported]:
        return unsupported(request, self._can, self._plan)

    # --- messages -------------------------------------------------------------------------------------------
    def _messages(self, transcript: Transcript, request: ResponseRequest) -> bytes:
        reasoning = request.reasoning
        if reasoning is not None and reasoning.context == "current_turn" and self._can.reasoning_field:
            transcript = transcript.without_earlier_thoughts()
        past = [self._turns.get(turn.id) or self._keep(turn) for turn in transcript.history]
        pieces = [piece for piece in (*past, render_items(transcript.items, self._can)) if piece.json]
        if not all(one.joins(later) for one, later in pairwise(pieces)):
            pieces = [render_items(_in_order(transcript), self._can)]
        system = self._system(transcript.instructions, request)
        parts = [piece.json for piece in pieces]
        return b",".join([system, *parts] if system else parts)

    def _keep(self, turn: PastTurn) -> Rendered:
        rendered = render_items(turn.items(), self._can)
        self._turns.put(turn.id, rendered)
        return rendered

    def _system(self, instructions: str | None, request: ResponseRequest) -> bytes:
        """The instructions, and the lines that stand for what this upstream has no parameter for."""
        lines = [instructions] if instructions else []
        written = self._writes_format(request)
        lines += lines_for(
            request,
            verbosity=self._can.verbosity,
            json_schema=self._can.json_schema and not written,
            json_object=self._can.json_object and not written,
            grammar=self._sends_grammar(request),
        )
        if not lines:
            return b""
        role = "developer" if self._can.developer_role else "system"
        return encode({"role": role, "content": "\n\n".join(lines)})

    # --- settings -------------------------------------------------------------------------------------------
    def _settings(self, call: CallModel) -> JsonObject:
        request = call.request
        body: JsonObject = {}
        self._scalars(request, body)
        self._adjust(body)
        if call.max_output_tokens is not None:
            body[self._can.max_tokens_field] = call.max_output_tokens
        if request.tools:
            self._tools(request.model_tools, call.tool_choice, request, body)
        if request.text is not None:
            self._text(request, body)
        if request.reasoning is not None:
            self._reasoning(request, body)
        self._labels(request, body)
        if request.top_logprobs or _wants_logprobs(request):
            self._logprobs(request, body)
        body["stream"] = call.stream
        if call.stream and self._can.stream_usage:
            body["stream_options"] = {"include_usage": True}
        return body

    def _adjust(self, body: JsonObject) -> None:
        """Values in the form that every server takes: TGI has no single `stop`, and no `top_p` of 1."""
        if isinstance(stop := body.get("stop"), str):
            body["stop"] = [stop]
        if not self._can.top_p_one and body.get("top_p") == 1:
            del body["top_p"]

    def _writes_format(self, request: ResponseRequest) -> bool:
        """Whether the instructions ask for the format, as the upstream takes none beside tools."""
        return bool(request.tools) and not self._can.format_beside_tools

    def _named(self, kind: str, name: str) -> JsonObject:
        kind = kind if self._can.custom_tools else "function"
        return {"type": kind, kind: {"name": name}}

    def _allowed(self, mode: str, named: list[JsonObject]) -> JsonObject:
        return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": named}}

    def _tool(self, tool: ModelTool) -> JsonObject:
        if isinstance(tool, CustomTool):
            if self._can.custom_tools:
                return {"type": "custom", "custom": _custom(tool)}
            return {"type": "function", "function": as_function(tool, patterns=self._can.schema_patterns)}
        return {"type": "function", "function": _function(tool)}

    def _text(self, request: ResponseRequest, body: JsonObject) -> None:
        text = request.text
        if text is None:
            return
        if self._can.verbosity and isinstance(text.verbosity, str):
            body["verbosity"] = text.verbosity
        self._grammar(request, body)
        wanted = None if self._writes_format(request) else _response_format(text.format, self._can)
        if wanted is not None:
            body["response_format"] = wanted

    def _reasoning(self, request: ResponseRequest, body: JsonObject) -> None:
        effort = request.reasoning.effort if request.reasoning is not None else None
        if not isinstance(effort, str) or self._can.reasoning_effort is None:
            return
        if self._can.reasoning_effort == "field":
            body["reasoning_effort"] = effort
            return
        body["chat_template_kwargs"] = template_effort(effort, request)

    def _logprobs(self, request: ResponseRequest, body: JsonObject) -> None:
        if self._can.logprobs:
            body["logprobs"] = True
            if request.top_logprobs:
                body["top_logprobs"] = request.top_logprobs


def _response_format(wanted: object, can: Capabilities) -> JsonObject | None:
    """`response_format` for `text.format`, in the upstream's own words; None where it has none."""
    if isinstance(wanted, FormatJsonSchema) and can.json_schema:
        if can.format_shape == "value":
            return {"type": "json", "value": wanted.schema}
        schema: JsonObject = {"name": wanted.name, "schema": wanted.schema}
        if wanted.description is not UNSET:
            schema["description"] = wanted.description
        if wanted.strict is not UNSET and wanted.strict is not None:
            schema["strict"] = wanted.strict
        return {"type": "json_schema", "json_schema": schema}
    if isinstance(wanted, FormatJsonSchema | FormatJsonObject) and can.json_object:
        value = {"type": "json", "value": {"type": "object"}}
        return value if can.format_shape == "value" else {"type": "json_object"}
    return None


def _in_order(transcript: Transcript) -> list[TranscriptItem]:
    return sendable(transcript.all_items())


def _function(tool: FunctionTool) -> JsonObject:
    function: JsonObject = {"name": tool.name}
    if tool.description is not UNSET and tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.parameters if tool.parameters is not None else NO_ARGUMENTS
    if tool.strict is not None:
        function["strict"] = tool.strict
    return function


def _custom(tool: CustomTool) -> JsonObject:
    custom: JsonObject = {"name": tool.name}
    if tool.description is not UNSET:
        custom["description"] = tool.description
    if isinstance(tool.format, GrammarFormat):
        grammar = {"syntax": tool.format.syntax, "definition": tool.format.definition}
        custom["format"] = {"type": "grammar", "grammar": grammar}
    return custom


def _wants_logprobs(request: ResponseRequest) -> bool:
    return request.include is not None and "message.output_text.logprobs" in request.include
