"""The tools of a request as one model call has them, and its calls as the client gets them.

Tools with `defer_loading` are shown once a tool search has found them, or an item of the conversation has brought
them. They are shown at once where `tool_choice` names them, and where there is no `tool_search` tool to find them.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from antiphon.core.body import FormatText
from antiphon.core.client_tools import BadArguments, ClientCall, FixedTool, item_of
from antiphon.core.file_search import as_function as file_search_function
from antiphon.core.hosted_calls import HostedTool
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.items import Call, FunctionCall
from antiphon.core.mcp_turn import NO_LISTS, Lists
from antiphon.core.request import ResponseRequest
from antiphon.core.shown_tools import Shown, as_entry, distinct, named, server_tool_name, shown
from antiphon.core.tools import (
    ChooseAllowed,
    ChooseCustom,
    ChooseFunction,
    ChooseMcp,
    CustomTool,
    FileSearchTool,
    ModelChoice,
    ModelTool,
    Tool,
    ToolChoice,
    ToolSearchTool,
)
from antiphon.core.wire import UNSET, JsonObject

MAX_LISTED = 200
"""Names of tools that the description of a search holds."""


class Toolbox:
    """What one model call may use. `brought` are the definitions that the conversation has loaded."""

    __slots__ = ("_brought", "_lists", "_request", "findable", "names", "search")

    def __init__(
        self, request: ResponseRequest, brought: Sequence[AnyTool] = (), lists: Lists = NO_LISTS
    ) -> None:
        """`lists` are those of the request's MCP servers that are known, by label."""
        self._request = request
        self._brought = tuple(brought)
        self._lists = lists
        tools = shown(request.tools or (), lists)
        every = distinct(tools) if lists else list(tools)  # names that the client gave differ
        own = {one.face.name: one for one in every}
        loaded = {one.face.name: one for one in self._loaded(every)} if brought else {}
        searches = (one for one in (*every, *loaded.values()) if isinstance(one.fixed, ToolSearchTool))
        self.search = next(searches, None)
        self.findable: Sequence[Shown] = ()
        """What a search of the server's own looks among, loaded or not."""
        self.names: Mapping[str, Shown] = own
        if self.search is not None:
            self.findable = [one for one in every if one.deferred]
            at_once = {one.face.name for one in _chosen(request.tool_choice, every)} | loaded.keys()
            self.names = {name: one for name, one in own.items() if not one.deferred or name in at_once}
        if loaded:
            self.names = {**self.names, **{name: one for name, one in loaded.items() if name not in own}}
        self._list_contents()
        if not wants_text(request):
            self._cite_nothing()

    def _loaded(self, own: Sequence[Shown]) -> Iterator[Shown]:
        """What the conversation has loaded. A server's tools are called by what the request says of that server."""
        for one in shown(self._brought, self._lists):
            if one.listed is None:
                yield one
            else:
                wanted = {"type": "mcp", "server_label": one.server, "name": one.name}
                yield from named(wanted, own)

    def _cite_nothing(self) -> None:
        """An answer in JSON holds no citations: do not ask for them."""
        for name, one in self.names.items():
            if isinstance(one.hosted, FileSearchTool):
                face = file_search_function(one.hosted, cites=False)
                self.names = {**self.names, name: msgspec.structs.replace(one, face=face)}

    def _list_contents(self) -> None:
        """Say in the description of a search of the server's own what it can find."""
        hidden = [one for one in self.findable if one.face.name not in self.names]
        if self.search is not None and hidden and self.is_search(self.search.face.name):
            name = self.search.face.name
            self.names = {**self.names, name: _with_contents(self.search, hidden)}

    @property
    def is_plain(self) -> bool:
        """Whether the model is shown the request's tools as they are."""
        given = self._request.tools or ()
        return len(given) == len(self.names) and all(isinstance(tool, ModelTool) for tool in given)

    def request(self) -> ResponseRequest:
        """The request with the tools, and the choice among them, in the form that models know."""
        if self.is_plain:
            return self._request
        faces: list[Tool] = [one.face for one in self.names.values()]
        return msgspec.structs.replace(self._request, tools=faces or None, tool_choice=self.choice())

    def choice(self) -> ModelChoice | None:
        """`tool_choice` by the names that the model knows."""
        given = self._request.tool_choice
        match given:
            case None | str():
                return given
            case ChooseMcp():
                return self._choice_of_server(given)
            case ChooseAllowed(mode=mode, tools=entries):
                allowed = {one.face.name: one for entry in entries for one in self._named(entry)}
                return ChooseAllowed(mode=mode, tools=[_entry(one) for one in allowed.values()])
            case _:
                chosen = self._named(as_entry(given))[0].face  # `tool_rules` saw to it that there is one
                is_custom = isinstance(chosen, CustomTool)
                return ChooseCustom(name=chosen.name) if is_custom else ChooseFunction(name=chosen.name)

    def _choice_of_server(self, given: ChooseMcp) -> ModelChoice:
        """One tool by its name, one of several as those allowed; until they are listed, none."""
        found = self._named(as_entry(given))
        if not found:
            return "auto"
        if len(found) == 1:
            return ChooseFunction(name=found[0].face.name)
        return ChooseAllowed(mode="required", tools=[_entry(one) for one in found])

    def lacking(self) -> str | None:
        """Why `tool_choice` cannot be followed with what the MCP servers turned out to have; None if it can."""
        choice = self._request.tool_choice
        if isinstance(choice, ChooseMcp) and not self._named(as_entry(choice)):
            wanted = f'the tool "{choice.name}"' if choice.name else "a tool"
            label = choice.server_label
            server = "an MCP server" if label is UNSET else f'the MCP server "{label}"'
            why = self._why_none(*(self._lists if label is UNSET else [label]))
            return f"tool_choice wants {wanted} of {server}: {why}"
        if choice == "required" and not self.names:
            return f"tool_choice is required, and there are no tools: {self._why_none(*self._lists)}"
        return None

    def _why_none(self, *labels: str) -> str:
        errors = [known.error for label in labels if (known := self._lists.get(label)) and known.error]
        return "; ".join(errors) or "there is none that the request allows"

    def name_of(self, server_label: str, name: str) -> str:
        """The name under which the model knows a tool of an MCP server."""
        found = named({"type": "mcp", "server_label": server_label, "name": name}, self.names.values())
        return found[0].face.name if found else server_tool_name(server_label, name)

    def _named(self, entry: Mapping[str, object]) -> list[Shown]:
        return named(entry, self.names.values())

    def with_loaded(self, found: Sequence[AnyTool]) -> "Toolbox":
        return Toolbox(self._request, (*self._brought, *found), self._lists)

    # --- calls ----------------------------------------------------------------------------------------------
    def is_search(self, name: str) -> bool:
        """Whether a call of this name is a search that the server makes."""
        fixed = self._fixed(name)
        return isinstance(fixed, ToolSearchTool) and fixed.execution != "client"

    def is_whole(self, name: str) -> bool:
        """Whether a call of this name is shown once it is complete, as an item of its own type."""
        return self._fixed(name) is not None

    @property
    def searches_files(self) -> bool:
        """Whether the model can search files."""
        return any(isinstance(one.hosted, FileSearchTool) for one in self.names.values())

    def hosted(self, name: str) -> HostedTool | None:
        """The tool of this name, where this server runs it."""
        one = self.names.get(name)
        return None if one is None else one.hosted

    def outward(self, call: Call) -> Call:
        """A call of a function or custom tool by the names that the client knows."""
        one = self.names.get(call.name)
        if one is None or one.namespace is None:
            return call
        return msgspec.structs.replace(call, name=one.name, namespace=one.namespace)

    def own_name(self, call: Call) -> Call:
        """A call by the tool's own name: that of a server's tool is the server's."""
        one = self.names.get(call.name)
        return call if one is None else msgspec.structs.replace(call, name=one.name)

    def item_of(self, call: Call) -> ClientCall:
        """The item of a call that `is_whole`. Raises BadArguments."""
        fixed = self._fixed(call.name)
        if fixed is None or not isinstance(call, FunctionCall):
            raise BadArguments("it is no call of this tool")
        return item_of(fixed, call)

    def _fixed(self, name: str) -> FixedTool | None:
        one = self.names.get(name)
        return None if one is None else one.fixed


def wants_text(request: ResponseRequest) -> bool:
    """Whether the answer may be any text."""
    wanted = request.text.format if request.text is not None else UNSET
    return wanted is UNSET or isinstance(wanted, FormatText)


def _chosen(choice: ToolChoice | None, among: Sequence[Shown]) -> list[Shown]:
    """Those that `tool_choice` names."""
    match choice:
        case None | str():
            return []
        case ChooseAllowed(tools=entries):
            return [one for entry in entries for one in named(entry, among)]
        case _:
            return named(as_entry(choice), among)


def _with_contents(search: Shown, deferred: Sequence[Shown]) -> Shown:
    """The search, with the names of what it can find."""
    names = dict.fromkeys(one.face.name for one in deferred)
    listed = ", ".join([*names][:MAX_LISTED])
    about = f"{search.face.description} There are: {listed}{' and more' if len(names) > MAX_LISTED else ''}."
    return msgspec.structs.replace(search, face=msgspec.structs.replace(search.face, description=about))


def _entry(one: Shown) -> JsonObject:
    kind = "custom" if isinstance(one.face, CustomTool) else "function"
    return {"type": kind, "name": one.face.name}
