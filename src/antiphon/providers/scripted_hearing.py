"""What a scripted model looks at in a call, and the behaviour of the built-in model `demo`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from antiphon.core.body import FormatJsonObject, FormatJsonSchema
from antiphon.core.commands import CallModel
from antiphon.core.compaction import UpstreamContext, presents
from antiphon.core.file_search import FILE_SEARCH, KNOWLEDGE_SEARCH, MAX_QUERY
from antiphon.core.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputText,
    Message,
    OutputText,
    Reasoning,
)
from antiphon.core.tools import ChooseAllowed, ChooseCustom, ChooseFunction, ModelTool
from antiphon.core.transcript import TranscriptItem
from antiphon.core.wire import JsonObject
from antiphon.providers.script import Call, Rule, Step, When

DEMO_LINE = 200
DEMO_PASSAGE = 400
_FOUND = re.compile(r"\[(\d+)\] (.+?):\n(.*?)(?=\n\n\[\d+\] |\Z)", re.DOTALL)


@dataclass(frozen=True)
class Hearing:
    """One call, as the model hears it."""

    call: CallModel

    @cached_property
    def items(self) -> list[TranscriptItem]:
        return self.call.transcript.all_items()

    @cached_property
    def since_user(self) -> list[TranscriptItem]:
        """What came after the last user message."""
        users = [
            at for at, item in enumerate(self.items) if isinstance(item, Message) and item.role == "user"
        ]
        return self.items[users[-1] + 1 :] if users else self.items

    @cached_property
    def last_user_text(self) -> str:
        for item in reversed(self.items):
            if isinstance(item, Message) and item.role == "user":
                return text_of(item)
        return ""

    @cached_property
    def all_text(self) -> str:
        """Everything that the model is shown, folded."""
        shown = [self.call.transcript.instructions or "", *map(text_of, self.items)]
        return "\n".join(shown).casefold()

    @cached_property
    def tool_outputs(self) -> list[tuple[str, str]]:
        """(name of the tool, its output) after the last user message."""
        names = {
            item.call_id: item.name for item in self.items if isinstance(item, FunctionCall | CustomToolCall)
        }
        return [
            (names.get(item.call_id, "a tool"), text_of(item))
            for item in self.since_user
            if isinstance(item, FunctionCallOutput | CustomToolCallOutput)
        ]

    @cached_property
    def step(self) -> int:
        """1, and one more for each group of tool outputs since the last user message."""
        groups, inside = 0, False
        for item in self.since_user:
            is_output = isinstance(item, FunctionCallOutput | CustomToolCallOutput)
            groups += is_output and not inside
            inside = is_output
        return groups + 1

    @cached_property
    def tools(self) -> dict[str, ModelTool]:
        return {tool.name: tool for tool in self.call.request.model_tools}

    @cached_property
    def callable_tools(self) -> dict[str, ModelTool]:
        """The tools that `tool_choice` leaves, in the order of the request."""
        choice = self.call.tool_choice
        if choice == "none":
            return {}
        if isinstance(choice, ChooseFunction | ChooseCustom):
            return {name: tool for name, tool in self.tools.items() if name == choice.name}
        if isinstance(choice, ChooseAllowed):
            allowed = {str(tool.get("name")) for tool in choice.tools}
            return {name: tool for name, tool in self.tools.items() if name in allowed}
        return self.tools

    @property
    def must_call(self) -> bool:
        choice = self.call.tool_choice
        if isinstance(choice, ChooseAllowed):
            return choice.mode == "required"
        return choice == "required" or isinstance(choice, ChooseFunction | ChooseCustom)

    @cached_property
    def schema(self) -> JsonObject | None:
        """The JSON schema that the answer has to fit, if it has to."""
        config = self.call.request.text
        wanted = config.format if config is not None else None
        if isinstance(wanted, FormatJsonSchema):
            return wanted.schema
        if isinstance(wanted, FormatJsonObject):
            return {"type": "object", "properties": {"answer": {"const": self.last_user_text}}}
        return None

    @cached_property
    def input_tokens(self) -> int:
        return words(self.call.transcript.instructions or "") + sum(
            words(text_of(item)) for item in self.items
        )

    def matches(self, when: When) -> bool:
        text = self.last_user_text
        return (
            (when.summary is True) == self.call.summarises
            and (when.text is None or when.text.casefold() in text.casefold())
            and (when.matches is None or re.search(when.matches, text) is not None)
            and (when.seen is None or all(one.casefold() in self.all_text for one in when.seen))
            and (when.tool_outputs is None or when.tool_outputs == bool(self.tool_outputs))
            and (when.step is None or when.step == self.step)
            and (when.tools is None or all(name in self.tools for name in when.tools))
        )

    def filled(self, text: str) -> str:
        """`text` with `{{input}}` and `{{tool_outputs}}` put in."""
        outputs = ", ".join(output for _, output in self.tool_outputs)
        return text.replace("{{tool_outputs}}", outputs).replace("{{input}}", self.last_user_text)


def words(text: str) -> int:
    """Tokens of a scripted model."""
    return len(text.split())


def text_of(item: TranscriptItem) -> str:
    match item:
        case FunctionCall(name=name, arguments=arguments):
            return f"{name} {arguments}"
        case CustomToolCall(name=name, input=text):
            return f"{name} {text}"
        case FunctionCallOutput(output=parts) | CustomToolCallOutput(output=parts):
            pass
        case UpstreamContext():
            return ""
        case Reasoning(summary=summary):
            return "".join(part.text for part in summary)
        case Message(content=parts):
            pass
    if isinstance(parts, str):
        return parts
    return "".join(part.text for part in parts if isinstance(part, InputText | OutputText))


_SEARCHES = (FILE_SEARCH, KNOWLEDGE_SEARCH)


def demo_rule(heard: Hearing) -> Rule:
    """The built-in model: calls the tools one names, tells what they said, fits schemas, sums up, or echoes."""
    if heard.call.summarises:
        return Rule(reply=(Step(text=_demo_summary(heard)),))
    calls = _demo_calls(heard)
    if calls:
        return Rule(reply=(Step(calls=tuple(calls)),))
    if heard.schema is not None:
        return Rule(reply=(Step(instance=True),))
    found = [output for name, output in heard.tool_outputs if name in _SEARCHES]
    if found:
        return Rule(reply=(Step(text=_demo_found(found[-1])),))
    if heard.tool_outputs:
        said = "; ".join(f"{name} answered {output}" for name, output in heard.tool_outputs)
        return Rule(reply=(Step(text=f"Here is what I found: {said}"),))
    return Rule(reply=(Step(text=_demo_greeting(heard)),))


def _demo_calls(heard: Hearing) -> Sequence[Call]:
    offered = list(heard.callable_tools)
    if heard.must_call:
        return [_demo_call(heard, name) for name in offered[:1]]
    if heard.tool_outputs:
        return []
    searches = [name for name in offered if name in _SEARCHES]
    if searches:  # who gives files wants them searched
        return [_demo_call(heard, searches[0])]
    text = heard.last_user_text.casefold()
    named = [name for name in offered if _is_named(name.casefold(), text)]
    if heard.call.request.parallel_tool_calls is False:
        named = named[:1]
    return [Call(name=name) for name in named]


def _demo_call(heard: Hearing, name: str) -> Call:
    asked = heard.last_user_text[:MAX_QUERY]
    if name not in _SEARCHES or not asked.strip():
        return Call(name=name)
    return Call(name=name, arguments={"query": asked} if name == KNOWLEDGE_SEARCH else {"queries": [asked]})


def _demo_found(output: str) -> str:
    """The first passage that a search found, with its citation."""
    first = _FOUND.match(output)
    if first is None:
        return "I searched the files, and found nothing about that."
    number, place, text = first.groups()
    passage = " ".join(text.split())
    shown = passage if len(passage) <= DEMO_PASSAGE else passage[:DEMO_PASSAGE].rsplit(" ", 1)[0] + " …"
    return f"This is in {place}: {shown} [cite:{number}]"


def _is_named(name: str, text: str) -> bool:
    """By its whole name, or by its last word: "the weather in Rome" asks for `get_weather`."""
    last = name.replace("-", "_").rpartition("_")[2]
    return name in text or name.replace("_", " ") in text or (len(last) > 3 and last in text.split())


def _demo_summary(heard: Hearing) -> str:
    """The beginning of each thing that was said, but for the request to sum it up."""
    lines = [
        f"- {item.role}: {text_of(item)[:DEMO_LINE]}"
        for item in heard.items[:-1]
        if isinstance(item, Message) and not presents(item)
    ]
    return "\n".join(["The conversation so far:", *lines])


def _demo_greeting(heard: Hearing) -> str:
    text = heard.last_user_text.strip()
    said = f'Hello! You said: "{text}".' if text else "Hello!"
    return (
        f"{said} I am demo, a scripted model: I repeat what I hear, and call a tool when you name it."
        " To talk to a real model, set OPENAI_API_KEY, OLLAMA_URL or VLLM_URL and restart,"
        " or name a provider in antiphon.yaml."
    )
