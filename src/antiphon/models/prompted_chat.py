"""Chat completions over a model that is told its tools in words: bodies on their way there, answers on their way back.

What a body says of tools is taken out and said in the first message; calls and results of earlier messages become text.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import msgspec

from antiphon.core.call_formats import CallFormat, WrittenCall, written
from antiphon.core.call_reader import CallReader, Piece
from antiphon.core.custom_calls import InputReader, arguments_of
from antiphon.core.errors import InvalidRequest, UnsupportedParameter
from antiphon.core.json_values import is_array, is_object
from antiphon.core.prompted_calls import choice_lines, guide, result_of
from antiphon.core.tools import (
    ChooseAllowed,
    ChooseCustom,
    ChooseFunction,
    CustomTool,
    FunctionTool,
    GrammarFormat,
    ModelChoice,
    ModelTool,
    ToolChoiceMode,
)
from antiphon.core.wire import UNSET, JsonObject, decode_json, encode
from antiphon.ports import UpstreamReply

_TOOL_FIELDS = ("tools", "tool_choice", "parallel_tool_calls")
_SYSTEM = ("system", "developer")


@dataclass(frozen=True, slots=True)
class ChatTools:
    """The tools of one request that its model may call; `custom` are those whose input is text."""

    form: CallFormat
    names: frozenset[str]
    custom: frozenset[str]
    new_id: Callable[[], str]

    def reader(self) -> CallReader:
        return CallReader(self.form, self.names)

    def call(self, call: WrittenCall) -> JsonObject:
        """A call as chat completions have it."""
        if call.name not in self.custom:
            function = {"name": call.name, "arguments": call.arguments}
            return {"id": self.new_id(), "type": "function", "function": function}
        reader = InputReader()
        reader.feed(call.arguments)
        return {
            "id": self.new_id(),
            "type": "custom",
            "custom": {"name": call.name, "input": reader.finish()[0]},
        }


# --- there ----------------------------------------------------------------------------------------------------
def chat_in_words(body: bytes, form: CallFormat, new_id: Callable[[], str]) -> tuple[bytes, ChatTools | None]:
    """The body that is sent, and the tools whose calls its answer is read for; None where there are none.

    Raises UnsupportedParameter for what cannot be said in words beside tools, InvalidRequest for tools that are none.
    """
    given: JsonObject = decode_json(body)
    tools = [_tool(one, f"tools[{at}]") for at, one in enumerate(_objects(given.get("tools")))]
    messages = list(_objects(given.get("messages")))
    for name in ("functions", "function_call"):
        if given.get(name):
            raise UnsupportedParameter(
                f"`{name}`: not known to this model's server; send `tools`.", param=name
            )
    if not tools and not any(_is_of_calls(one) for one in messages):
        return body, None
    choice = _choice(given.get("tool_choice"))
    shown = tools if choice != "none" else []
    wanted: Any = given.get("response_format")
    if shown and is_object(wanted) and wanted.get("type") != "text":
        raise UnsupportedParameter(
            "`response_format`: this model is told its tools in words, and cannot be bound to a format beside them."
            " Leave one of them out, or use /v1/responses, where the answer is checked.",
            param="response_format",
        )
    lines = [guide(shown, form)] if shown else []
    if tools:
        lines += choice_lines(choice, parallel=given.get("parallel_tool_calls") is not False)
    sent = {key: value for key, value in given.items() if key not in _TOOL_FIELDS}
    sent["messages"] = _told(_messages(messages, form), "\n\n".join(lines))
    names = frozenset(tool.name for tool in shown)
    custom = frozenset(tool.name for tool in shown if isinstance(tool, CustomTool))
    return encode(sent), ChatTools(form, names, custom, new_id) if shown else None


class _Format(msgspec.Struct):
    type: str = "text"
    grammar: GrammarFormat | None = None


class _Definition(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    format: _Format | None = None


class _Tool(msgspec.Struct):
    type: Literal["function", "custom"] = "function"
    function: _Definition | None = None
    custom: _Definition | None = None


class _Named(msgspec.Struct):
    name: str


class _NamedTool(msgspec.Struct):
    function: _Named | None = None
    custom: _Named | None = None


class _Allowed(msgspec.Struct):
    mode: Literal["auto", "required"] = "auto"
    tools: list[_NamedTool] = []


class _Mode(msgspec.Struct):
    tool_choice: ToolChoiceMode


class _Choice(_NamedTool):
    allowed_tools: _Allowed | None = None


class _Called(msgspec.Struct):
    name: str
    arguments: str | None = None
    input: str | None = None


class _Call(msgspec.Struct):
    id: str | None = None
    function: _Called | None = None
    custom: _Called | None = None


ReadT = TypeVar("ReadT")


def _read(value: Any, kind: type[ReadT], path: str) -> ReadT:
    """Raises InvalidRequest, with the place in `param`."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$")
        place = f"{path}{place.rstrip('`')}".lstrip(".")
        raise InvalidRequest(f"`{place}`: {problem}.", param=place) from None


def _tool(given: JsonObject, path: str) -> ModelTool:
    """Raises InvalidRequest."""
    tool = _read(given, _Tool, path)
    inner = tool.function if tool.type == "function" else tool.custom
    if inner is None:
        raise InvalidRequest(f"`{path}.{tool.type}`: required, and missing.", param=f"{path}.{tool.type}")
    description = inner.description or UNSET
    if tool.type == "function":
        return FunctionTool(name=inner.name, description=description, parameters=inner.parameters)
    bound = inner.format.grammar if inner.format is not None else None
    return CustomTool(name=inner.name, description=description, format=bound or UNSET)


def _choice(given: Any) -> ModelChoice:
    """Raises InvalidRequest."""
    if given is None or isinstance(given, str):
        return _read({"tool_choice": given or "auto"}, _Mode, "").tool_choice
    choice = _read(given, _Choice, "tool_choice")
    if choice.allowed_tools is not None:
        allowed = choice.allowed_tools
        named = [tool.function or tool.custom for tool in allowed.tools]
        return ChooseAllowed(
            mode=allowed.mode, tools=[{"name": one.name} for one in named if one is not None]
        )
    if choice.custom is not None:
        return ChooseCustom(name=choice.custom.name)
    if choice.function is not None:
        return ChooseFunction(name=choice.function.name)
    raise InvalidRequest(
        "`tool_choice`: expected a mode, or the name of a tool below `function` or `custom`.",
        param="tool_choice",
    )


def _is_of_calls(message: JsonObject) -> bool:
    return message.get("role") in ("tool", "function") or bool(message.get("tool_calls"))


def _told(messages: list[JsonObject], text: str) -> list[JsonObject]:
    """The messages with this behind the instructions."""
    if not text:
        return messages
    first = messages[0] if messages else {}
    if first.get("role") not in _SYSTEM:
        return [{"role": "system", "content": text}, *messages]
    return [{**first, "content": f"{_text(first.get('content'))}\n\n{text}"}, *messages[1:]]


def _messages(messages: Sequence[JsonObject], form: CallFormat) -> list[JsonObject]:
    """Raises InvalidRequest for calls that are none."""
    names: dict[str, str] = {}
    made: list[JsonObject] = []
    results: list[str] = []
    for at, message in enumerate(messages):
        if message.get("role") in ("tool", "function"):
            name = names.get(str(message.get("tool_call_id"))) or str(message.get("name") or "unknown")
            results.append(result_of(name, _text(message.get("content"))))
            continue
        if results:
            made.append({"role": "user", "content": "\n".join(results)})
            results = []
        if message.get("tool_calls"):
            calls = _read(message["tool_calls"], list[_Call], f"messages[{at}].tool_calls")
            names |= {str(call.id): _written(call).name for call in calls}
            text = written(form, [_written(call) for call in calls])
            said = _text(message.get("content"))
            made.append({"role": "assistant", "content": f"{said}\n\n{text}" if said else text})
        else:
            made.append(message)
    if results:
        made.append({"role": "user", "content": "\n".join(results)})
    return made


def _written(call: _Call) -> WrittenCall:
    if call.custom is not None:
        return WrittenCall(call.custom.name, arguments_of(call.custom.input or ""))
    if call.function is not None:
        return WrittenCall(call.function.name, call.function.arguments or "")
    return WrittenCall("unknown", "")


def _text(content: Any) -> str:
    """The text of a message, whose content may be parts."""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text") or "") for part in _objects(content))


def _objects(value: Any) -> Iterator[JsonObject]:
    return (one for one in value if is_object(one)) if is_array(value) else iter(())


# --- back -----------------------------------------------------------------------------------------------------
def read_completion(body: bytes, tools: ChatTools) -> bytes:
    """A whole completion with the calls that its texts hold. What is no completion passes as it is."""
    try:
        answer: Any = decode_json(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    if not is_object(answer):
        return body
    for choice in _objects(answer.get("choices")):
        message: Any = choice.get("message")
        if is_object(message) and isinstance(content := message.get("content"), str):
            reader = tools.reader()
            pieces = [*reader.feed(content), *reader.finish()]
            texts = [piece for piece in pieces if isinstance(piece, str)]
            calls = [tools.call(piece) for piece in pieces if not isinstance(piece, str)]
            message["content"] = ("\n\n" if calls else "").join(texts) or (None if calls else "")
            if calls:
                message["tool_calls"] = [*_objects(message.get("tool_calls")), *calls]
                choice["finish_reason"] = _finish(choice.get("finish_reason"))
    return encode(answer)


def _finish(reason: Any) -> Any:
    return "tool_calls" if reason == "stop" else reason


@dataclass(slots=True)
class _ChoiceReading:
    """One choice of a stream. `finished`: its end was seen."""

    reader: CallReader
    calls: int = 0
    finished: bool = False


@dataclass(slots=True)
class StreamReader:
    """A chat stream, in network reads, with the calls that its texts hold; each result holds whole events."""

    tools: ChatTools
    _rest: bytes = b""
    _head: JsonObject = field(default_factory=dict[str, Any])
    """The last chunk without its choices."""
    _choices: dict[int, _ChoiceReading] = field(default_factory=dict[int, _ChoiceReading])

    def feed(self, data: bytes) -> bytes:
        *events, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n\n")
        return b"".join(self._event(event) for event in events if event)

    def finish(self) -> bytes:
        """The last event, where its blank line is missing, and what was held until the stream broke off."""
        last, self._rest = self._rest.strip(b"\r\n"), b""
        return (self._event(last) if last else b"") + _events(self._held())

    def _event(self, event: bytes) -> bytes:
        chunk = _chunk(event)
        if chunk is not None:
            return _events(self._read(chunk))
        ends = event.removeprefix(b"data:").strip() == b"[DONE]"
        return (_events(self._held()) if ends else b"") + event + b"\n\n"

    def _held(self) -> Iterator[JsonObject]:
        for index, reading in self._choices.items():
            if not reading.finished:
                reading.finished = True
                for shown in self._deltas(reading.reader.finish(), reading):
                    choice = {"index": index, "delta": shown, "finish_reason": None}
                    yield {**self._head, "choices": [choice]}

    def _read(self, chunk: JsonObject) -> Iterator[JsonObject]:
        """The chunks that come out of one: those of its texts, then what else it says."""
        self._head = {key: value for key, value in chunk.items() if key not in ("choices", "usage")}
        choices = list(_objects(chunk.get("choices")))
        for choice in choices:
            delta: Any = choice.get("delta")
            if is_object(delta):
                for shown in self._shown(choice, delta):
                    part = {**choice, "delta": shown, "finish_reason": None}
                    yield {**self._head, "choices": [part]}
        if not choices or chunk.get("usage") or any(_says(choice) for choice in choices):
            yield chunk

    def _shown(self, choice: JsonObject, delta: JsonObject) -> Iterator[JsonObject]:
        """The deltas that come of the text of one, which is left without it."""
        given: Any = choice.get("index")
        index = given if isinstance(given, int) else 0
        reading = self._choices.setdefault(index, _ChoiceReading(self.tools.reader()))
        text: Any = delta.pop("content", None)
        pieces = reading.reader.feed(text) if isinstance(text, str) else []
        if choice.get("finish_reason") is not None:
            reading.finished = True
            pieces += reading.reader.finish()
        for shown in self._deltas(pieces, reading):
            role = {"role": delta.pop("role")} if "role" in delta else {}
            yield {**role, **shown}
        if "role" in delta:
            delta["content"] = ""
        if reading.calls:
            choice["finish_reason"] = _finish(choice.get("finish_reason"))

    def _deltas(self, pieces: Sequence[Piece], reading: _ChoiceReading) -> Iterator[JsonObject]:
        for piece in pieces:
            if isinstance(piece, str):
                yield {"content": piece}
            else:
                yield {"tool_calls": [{"index": reading.calls, **self.tools.call(piece)}]}
                reading.calls += 1


def _events(chunks: Iterator[JsonObject]) -> bytes:
    return b"".join(b"data: %b\n\n" % encode(one) for one in chunks)


def _says(choice: JsonObject) -> bool:
    return bool(choice.get("delta")) or choice.get("finish_reason") is not None


def _chunk(event: bytes) -> JsonObject | None:
    """The chunk of an event; None for what is none, as `[DONE]` and comments."""
    if not event.startswith(b"data:"):
        return None
    try:
        chunk: Any = decode_json(event[len(b"data:") :].strip())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return chunk if is_object(chunk) and "choices" in chunk else None


@dataclass(frozen=True, slots=True)
class ReadReply:
    """A `ports.UpstreamReply` whose calls are read from its texts."""

    reply: UpstreamReply
    tools: ChatTools

    async def read(self) -> bytes:
        """See `ports.UpstreamReply.read`."""
        return read_completion(await self.reply.read(), self.tools)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        reader = StreamReader(self.tools)
        async for data in self.reply:
            if read := reader.feed(data):
                yield read
        if rest := reader.finish():
            yield rest

    async def __aenter__(self) -> Self:
        await self.reply.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.reply.__aexit__(kind, error, trace)
