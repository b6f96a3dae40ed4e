"""The route table: what is served, as data. Dispatch, `/openapi.json` and the coverage page are made from it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from starlette.routing import compile_path

from antiphon.core.errors import MethodNotAllowed, NotFound
from antiphon.web.http import NO_PARAMS, Handler
from antiphon.web.socket import SocketHandler

Method = Literal["GET", "POST", "PUT", "DELETE"]
OLD_PREFIX = "/v1/openai/v1"


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter. `schema` is its JSON Schema."""

    name: str
    schema: Mapping[str, Any]
    description: str


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `path` has `{name}` for a segment and `{name:path}` for the rest; `public` needs no key.

    `request` and `response` are the types of the JSON bodies, for the OpenAPI document; `events` the type of the
    events where the operation can stream; `form` says that the body may also be a form; `errors` names their type.
    `body` and `answer` are the media types of bodies that are not JSON.
    """

    method: Method
    path: str
    handler: Handler
    summary: str
    tag: str = "OpenAI"
    request: Any = None
    response: Any = None
    events: Any = None
    query: Sequence[Query] = ()
    public: bool = False
    form: bool = False
    body: str = ""
    answer: str = ""
    errors: str = "ErrorEnvelope"


@dataclass(frozen=True, slots=True)
class SocketRoute:
    """A path where a WebSocket is taken. `frames` and `events` name the types of what either side sends."""

    path: str
    handler: SocketHandler
    summary: str
    frames: str
    events: str


class Router:
    """Finds the route of a method and a path, with and without a trailing slash, also below the old prefix."""

    def __init__(self, routes: Sequence[Route], sockets: Sequence[SocketRoute] = ()) -> None:
        self.routes = tuple(routes)
        self._sockets = {one.path: one for one in sockets}
        self._exact: dict[str, dict[str, Route]] = {}
        patterns: dict[str, dict[str, Route]] = {}
        for route in routes:
            table = patterns if "{" in route.path else self._exact
            table.setdefault(route.path, {})[route.method] = route
        self._patterns: dict[str, list[tuple[re.Pattern[str], dict[str, Route]]]] = {}
        for path, methods in patterns.items():
            if "{" in _family(path):
                raise ValueError(f"{path}: no route has a variable part in its first two segments")
            self._patterns.setdefault(_family(path), []).append((compile_path(path)[0], methods))

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]]:
        """The route and the variable parts of the path. Raises NotFound or MethodNotAllowed."""
        methods = self._exact.get(path)
        if methods is not None and (route := methods.get(method)) is not None:
            return route, NO_PARAMS
        plain = _plain(path)
        methods, params = self._methods(plain)
        if methods is None:
            raise NotFound(f"there is no route {path[:200]}; GET /openapi.json lists them.")
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            raise MethodNotAllowed(method, path[:200], sorted(methods))
        return route, params

    def find_socket(self, path: str) -> SocketRoute:
        """The route of a WebSocket. Raises NotFound."""
        route = self._sockets.get(_plain(path))
        if route is None:
            known = ", ".join(self._sockets) or "none"
            raise NotFound(f"there is no WebSocket at {path[:200]}; there: {known}. Use HTTP here.")
        return route

    def _methods(self, path: str) -> tuple[dict[str, Route] | None, Mapping[str, str]]:
        methods = self._exact.get(path)
        if methods is not None:
            return methods, NO_PARAMS
        for pattern, found in self._patterns.get(_family(path), ()):
            match = pattern.match(path)
            if match is not None:
                return found, match.groupdict()
        return None, NO_PARAMS


def _family(path: str) -> str:
    """Its first two segments, `/v1/files`, by which the patterns that may match are found."""
    return "/".join(path.split("/", 3)[:3])


def _plain(path: str) -> str:
    if path.startswith(OLD_PREFIX + "/"):
        path = "/v1" + path[len(OLD_PREFIX) :]
    return path.rstrip("/") or "/"
