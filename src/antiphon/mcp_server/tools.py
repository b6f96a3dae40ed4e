"""`ToolSource`: where the tools of this MCP server come from. Whoever has tools for callers is one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

from antiphon.core import parse
from antiphon.core.hosted_items import ElicitationAction
from antiphon.core.wire import JsonObject, encode
from antiphon.ports import Owner

WantedT = TypeVar("WantedT")
Mode = Literal["form", "url"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as clients see it. `name` has up to 64 characters; schemas are JSON Schemas of objects."""

    name: str
    description: str
    input_schema: JsonObject
    title: str = ""
    output_schema: JsonObject | None = None
    annotations: JsonObject | None = None

    def shown(self) -> JsonObject:
        found: JsonObject = {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": self.input_schema,
            "outputSchema": self.output_schema,
            "annotations": self.annotations,
        }
        return {key: value for key, value in found.items() if value or key in ("name", "inputSchema")}


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call gave: blocks of content as MCP writes them. `is_error`: it failed, and says so in its content."""

    content: Sequence[JsonObject]
    structured: JsonObject | None = None
    is_error: bool = False

    @classmethod
    def of(cls, text: str, structured: JsonObject | None = None) -> "ToolResult":
        return cls([text_block(text)], structured)

    @classmethod
    def failed(cls, text: str) -> "ToolResult":
        return cls([text_block(text)], is_error=True)

    def shown(self) -> JsonObject:
        found: JsonObject = {"content": list(self.content), "isError": self.is_error}
        if self.structured is not None:
            found["structuredContent"] = self.structured
        return found


def text_block(text: str) -> JsonObject:
    return {"type": "text", "text": text}


@dataclass(frozen=True, slots=True)
class UserAsked:
    """A call has a question for the user and waits. `state` is opaque: what its source needs to go on."""

    message: str
    state: bytes = field(repr=False)
    mode: Mode = "form"
    schema: JsonObject | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class UserAnswer:
    """What the user said to a `UserAsked`; `content` is there with "accept" to a form."""

    state: bytes = field(repr=False)
    action: ElicitationAction
    content: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class AuthorizationNeeded:
    """The user has to authorise something at `url` first; then the call is to be made again."""

    message: str
    url: str


Outcome = ToolResult | UserAsked | AuthorizationNeeded


class Exchange(Protocol):
    """The request that a call belongs to, while it is going on."""

    @property
    def from_server(self) -> bool:
        """Whether another server of ours asks: then nothing may lead on to a third."""
        ...

    @property
    def wants_progress(self) -> bool: ...

    async def progress(self, done: float, message: str) -> None:
        """Tell how far it is, to a client that asked for that. `done` grows from call to call."""
        ...


class ToolSource(Protocol):
    """Tools of one kind. What a caller may not use answers exactly as what does not exist."""

    async def tools(self, owner: Owner, *, from_server: bool) -> Sequence[Tool]:
        """The tools that this caller may use now. A part that is out of order is left out and logged, never raised.
        `from_server` is that of `Exchange`.
        """
        ...

    async def call(
        self,
        owner: Owner,
        name: str,
        arguments: JsonObject,
        exchange: Exchange,
        answer: UserAnswer | None = None,
    ) -> Outcome | None:
        """Run a tool, or with `answer` go on with the call that asked. None: it is no tool of this source.

        A tool that fails is a `ToolResult` that says so. Raises AntiphonError, which becomes such a result; its
        message names the argument at fault.
        """
        ...


def read_arguments(arguments: JsonObject, wanted: type[WantedT]) -> WantedT:
    """The arguments of a tool of ours; null means left out, as models often write it. Raises InvalidRequest, naming the
    argument at fault.
    """
    given = {key: value for key, value in arguments.items() if value is not None}
    return parse.load(encode(given), wanted, items=False)
