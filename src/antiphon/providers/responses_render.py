"""CallModel → the bytes of a `POST /responses` body.

As on the chat wire, each turn of the history is rendered once and kept.
"""

from antiphon.core.commands import CallModel
from antiphon.core.custom_calls import as_function
from antiphon.core.in_words import lines_for
from antiphon.core.request import FormatJsonObject, FormatJsonSchema, ResponseRequest
from antiphon.core.response import summary_asked
from antiphon.core.tools import CustomTool, FunctionTool, GrammarFormat, ModelTool
from antiphon.core.transcript import PastTurn, Transcript
from antiphon.core.wire import UNSET, JsonObject, encode
from antiphon.providers.capabilities import ResponsesCapabilities
from antiphon.providers.chat_parameters import Plan, Unsupported
from antiphon.providers.kept_turns import MAX_KEPT_BYTES, KeptTurns
from antiphon.providers.openai_settings import OpenAISettings, template_effort
from antiphon.providers.responses_items import RenderedItems, render_items
from antiphon.providers.responses_parameters import SCALARS, unsupported

NO_ARGUMENTS: JsonObject = {
    "type": "object",
    "properties": {},
    "required": [],
    "additionalProperties": False,
}
FEWEST_TOKENS = 16
"""`max_output_tokens` of the official document has this minimum."""

ENCRYPTED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"


class ResponsesRenderer(OpenAISettings[ResponsesCapabilities]):
    """Renders for one upstream. With `lenient`, what the upstream cannot honour is left out, not refused."""

    def __init__(
        self,
        provider_id: str,
        capabilities: ResponsesCapabilities,
        *,
        lenient: bool = False,
        max_kept_bytes: int = MAX_KEPT_BYTES,
    ) -> None:
        super().__init__(capabilities, Plan.of(capabilities, SCALARS))
        self._provider_id = provider_id
        self._lenient = lenient
        self._turns: KeptTurns[RenderedItems] = KeptTurns(max_kept_bytes)

    def render(self, model: str, call: CallModel, *, encrypted: bool = True) -> bytes:
        """`encrypted`: whether to ask for encrypted reasoning where the upstream has it.

        Raises UnsupportedParameter for what this upstream cannot honour, unless lenient.
        """
        if not self._lenient:
            for found in self.unsupported(call.request):
                raise found.error(self._provider_id)
        settings = encode(self._settings(call, encrypted=encrypted))
        items = self._items(call.transcript, call.request)
        return b'{"model":%b,"input":[%b],%b' % (encode(model), items, settings[1:])

    def unsupported(self, request: ResponseRequest) -> list[Unsupported]:
        return unsupported(request, self._can, self._plan)

    # --- items ----------------------------------------------------------------------------------------------
    def _items(self, transcript: Transcript, request: ResponseRequest) -> bytes:
        reasoning = request.reasoning
        if reasoning is not None and reasoning.context == "current_turn" and not self._can.reasoning_context:
            transcript = transcript.without_earlier_thoughts()
        past = [self._turns.get(turn.id) or self._keep(turn) for turn in transcript.history]
        now = render_items(transcript.items, self._provider_id, self._can)
        return b",".join([piece.json for piece in (*past, now) if piece.json])

    def _keep(self, turn: PastTurn) -> RenderedItems:
        rendered = render_items(turn.items(), self._provider_id, self._can)
        self._turns.put(turn.id, rendered)
        return rendered

    # --- settings -------------------------------------------------------------------------------------------
    def _settings(self, call: CallModel, *, encrypted: bool) -> JsonObject:
        request = call.request
        body: JsonObject = {"store": False, "stream": call.stream}
        self._scalars(request, body)
        instructions = self._instructions(call)
        if instructions:
            body["instructions"] = instructions
        if call.max_output_tokens is not None:
            body["max_output_tokens"] = max(call.max_output_tokens, FEWEST_TOKENS)
        if request.tools:
            self._tools(request.model_tools, call.tool_choice, request, body)
        if request.text is not None:
            self._text(request, body)
        if request.reasoning is not None:
            self._reasoning(request, body)
        self._labels(request, body)
        self._include(request, body, encrypted=encrypted)
        if call.stream and self._can.stream_options:
            body["stream_options"] = {"include_obfuscation": False}
        return body

    def _instructions(self, call: CallModel) -> str:
        can, given = self._can, call.transcript.instructions
        lines = [given] if given else []
        lines += lines_for(
            call.request,
            verbosity=can.verbosity,
            json_schema=can.json_schema,
            json_object=can.json_object,
            grammar=self._sends_grammar(call.request),
        )
        return "\n\n".join(lines)

    def _named(self, kind: str, name: str) -> JsonObject:
        return {"type": kind if self._can.custom_tools else "function", "name": name}

    def _allowed(self, mode: str, named: list[JsonObject]) -> JsonObject:
        return {"type": "allowed_tools", "mode": mode, "tools": named}

    def _tool(self, tool: ModelTool) -> JsonObject:
        if isinstance(tool, CustomTool):
            if not self._can.custom_tools:
                return {
                    "type": "function",
                    **as_function(tool, patterns=self._can.schema_patterns),
                    "strict": False,
                }
            custom: JsonObject = {"type": "custom", "name": tool.name}
            if tool.description is not UNSET:
                custom["description"] = tool.description
            if isinstance(tool.format, GrammarFormat):
                custom["format"] = tool.format
            return custom
        return _function(tool)

    def _text(self, request: ResponseRequest, body: JsonObject) -> None:
        text = request.text
        if text is None:
            return
        sent: JsonObject = {}
        if self._can.verbosity and isinstance(text.verbosity, str):
            sent["verbosity"] = text.verbosity
        self._grammar(request, body)
        known = (isinstance(text.format, FormatJsonSchema) and self._can.json_schema) or (
            isinstance(text.format, FormatJsonObject) and self._can.json_object
        )
        if known and self._can.format_field == "text":
            sent["format"] = text.format
        elif known:
            body["response_format"] = _chat_format(text.format)
        if sent:
            body["text"] = sent

    def _reasoning(self, request: ResponseRequest, body: JsonObject) -> None:
        asked = request.reasoning
        if asked is None:
            return
        sent: JsonObject = {}
        if isinstance(asked.effort, str) and self._can.reasoning_effort == "field":
            sent["effort"] = asked.effort
        elif isinstance(asked.effort, str) and self._can.reasoning_effort == "template":
            body["chat_template_kwargs"] = template_effort(asked.effort, request)
        if self._can.reasoning_summary and (summary := summary_asked(request)) is not None:
            sent["summary"] = summary
        if self._can.reasoning_mode and asked.mode is not UNSET:
            sent["mode"] = asked.mode
        if self._can.reasoning_context and isinstance(asked.context, str):
            sent["context"] = asked.context
        if sent:
            body["reasoning"] = sent

    def _include(self, request: ResponseRequest, body: JsonObject, *, encrypted: bool) -> None:
        include: list[str] = []
        if encrypted and self._can.reasoning_items == "encrypted":
            include.append(ENCRYPTED)
        if self._can.logprobs and (request.top_logprobs or LOGPROBS in (request.include or ())):
            include.append(LOGPROBS)
            if request.top_logprobs:
                body["top_logprobs"] = request.top_logprobs
        if include:
            body["include"] = include


def _chat_format(wanted: object) -> JsonObject:
    """A format in the words of chat's `response_format`."""
    if not isinstance(wanted, FormatJsonSchema):
        return {"type": "json_object"}
    schema: JsonObject = {"name": wanted.name, "schema": wanted.schema}
    if wanted.strict is not UNSET and wanted.strict is not None:
        schema["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": schema}


def _function(tool: FunctionTool) -> JsonObject:
    """The document wants `parameters` and `strict` on each, null included."""
    function: JsonObject = {"type": "function", "name": tool.name}
    if tool.description is not UNSET and tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.parameters if tool.parameters is not None else NO_ARGUMENTS
    function["strict"] = tool.strict
    return function
