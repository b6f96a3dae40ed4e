"""What reaches an MCP server of the tests, and what becomes of the calls: by case, so that tests share a server."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from antiphon.core.json_values import is_object

Json = dict[str, Any]
LIMIT_S = 20.0
TOOL_CALL: Final = "tools/call"
TOOL_LIST: Final = "tools/list"


@dataclass(frozen=True, slots=True)
class Asked:
    """One HTTP request. `method` and `tool` are "" where it was no JSON-RPC request, or of no tool."""

    verb: str
    path: str
    headers: Mapping[str, str]
    body: Json
    method: str
    tool: str


def asked_of(verb: str, path: str, headers: Mapping[str, str], body: bytes) -> Asked:
    """What a request asks. A body that is no JSON object counts as none."""
    try:
        parsed: Any = json.loads(body) if body else {}
    except ValueError:
        parsed = {}
    message: Json = parsed if is_object(parsed) else {}
    method = str(message.get("method", ""))
    tool = str(message["params"].get("name", "")) if method == TOOL_CALL else ""
    return Asked(verb, path, headers, message, method, tool)


@dataclass(slots=True)
class Events:
    """What a case observed. Guarded by its condition."""

    asked: list[Asked] = field(default_factory=list[Asked])
    calls: Counter[str] = field(default_factory=Counter[str])
    holding: int = 0
    cancelled: int = 0
    meeting: int = 0
    redirected: list[Asked] = field(default_factory=list[Asked])


class Case:
    """A server of its own as far as anybody sees: its addresses, its tools, what was asked of it.

    Read from the test's thread, written from the server's.
    """

    def __init__(self, base: str, name: str, wake: Callable[[asyncio.Event], None]) -> None:
        self.base = base
        self.name = name
        self.seen = Events()
        self.redefined: dict[str, Json | None] = {}
        self.gate = asyncio.Event()
        self.met = asyncio.Event()
        self._wake = wake
        self._changed = threading.Condition()

    def url(self, flavour: str = "mcp") -> str:
        return f"{self.base}/{self.name}/{flavour}"

    # --- for tests
    def count(self, method: str) -> int:
        """How many requests of a JSON-RPC method came, or of an HTTP verb (`DELETE`)."""
        with self._changed:
            return sum(method in (one.method, one.verb) for one in self.seen.asked)

    def calls(self, tool: str) -> int:
        """How many calls of a tool came."""
        with self._changed:
            return sum(tool == one.tool for one in self.seen.asked)

    def arguments(self, tool: str) -> list[Any]:
        """Those of every call of a tool."""
        with self._changed:
            return [one.body["params"].get("arguments") for one in self.seen.asked if one.tool == tool]

    def headers(self, method: str) -> list[Mapping[str, str]]:
        """Those of every request of a JSON-RPC method."""
        with self._changed:
            return [one.headers for one in self.seen.asked if one.method == method]

    def redefine(self, tool: str, **changes: Any) -> None:
        """Say something else of a tool from the next list on: `description`, `inputSchema`, `annotations`, `name`."""
        with self._changed:
            self.redefined[tool] = changes

    def hide(self, tool: str) -> None:
        """List a tool no more; it can still be called."""
        with self._changed:
            self.redefined[tool] = None

    def release(self) -> None:
        """Let the calls of `hold` return, those to come too."""
        self._wake(self.gate)

    def wait_for(self, what: str, state: Callable[[Events], bool]) -> None:
        """Return as soon as `state` is true; fail with `what` when it is not within a generous limit."""
        with self._changed:
            assert self._changed.wait_for(lambda: state(self.seen), LIMIT_S), f"never saw: {what}"

    # --- for servers
    def note(self, change: Callable[[Events], None]) -> None:
        with self._changed:
            change(self.seen)
            self._changed.notify_all()

    def asked(self, one: Asked) -> None:
        self.note(lambda seen: seen.asked.append(one))

    def shown(self, tools: list[Json]) -> list[Json]:
        """A list of tools with what was redefined."""
        with self._changed:
            kept = [(one, self.redefined.get(one["name"], {})) for one in tools]
        return [{**one, **changes} for one, changes in kept if changes is not None]
