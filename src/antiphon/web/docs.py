"""`/openapi.json` and `/docs`, both made from the route table when first asked for."""

from collections.abc import Sequence
from html import escape

from antiphon.core.wire import JsonObject, encode
from antiphon.version import __version__
from antiphon.web.http import JsonReply, Reply, Request
from antiphon.web.routing import Route, SocketRoute

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; padding: .5rem .8rem; }
summary { cursor: pointer; } code { font: 13px/1.5 ui-monospace, monospace; }
.method { display: inline-block; min-width: 4.5rem; font-weight: 600; }
.about { opacity: .75; margin-left: .8rem; } table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--soft); vertical-align: top; }
pre { background: var(--soft); padding: .8rem; border-radius: 6px; overflow-x: auto; }
"""


class DocsRoutes:
    """The document is built on the first request for it, so that start-up need not pay for it."""

    def __init__(self, routes: Sequence[Route], sockets: Sequence[SocketRoute] = ()) -> None:
        self._routes = [*routes, *self.table()]
        self._sockets = sockets
        self._document: JsonObject | None = None

    @property
    def document(self) -> JsonObject:
        if self._document is None:
            from antiphon.web.openapi import build

            self._document = build(self._routes, self._sockets)
        return self._document

    async def openapi(self, request: Request) -> Reply:
        return JsonReply(encode(self.document))

    async def page(self, request: Request) -> Reply:
        return JsonReply(_page(self.document).encode(), media=b"text/html; charset=utf-8")

    def table(self) -> list[Route]:
        return [
            Route("GET", "/openapi.json", self.openapi, "This API as OpenAPI 3.1", "Operations", public=True),
            Route("GET", "/docs", self.page, "This API as a page", "Operations", public=True),
        ]


def _page(document: JsonObject) -> str:
    """A page without scripts or outside resources, so that it works on a machine without a network."""
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append(_operation(path, method, operation))
    for path, socket in document.get("x-websockets", {}).items():
        by_tag["OpenAI"].append(_operation(path, "socket", {"parameters": [], **socket}))
    sections = "".join(f"<h2>{escape(tag)}</h2>{''.join(parts)}" for tag, parts in by_tag.items())
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Antiphon API</title><style>{_STYLE}</style><h1>Antiphon API</h1>"
        f"<p>Version {__version__}. The whole document, with every schema: "
        f"<a href='/openapi.json'>/openapi.json</a>.</p>{sections}"
    )


def _operation(path: str, method: str, operation: JsonObject) -> str:
    rows = [
        _row(parameter["name"], parameter["in"], parameter["description"])
        for parameter in operation["parameters"]
    ]
    rows += [
        _row(name, "body", "required" if required else "")
        for name, required in operation.get("x-fields", {}).items()
    ]
    table = f"<table><tr><th>name<th>in<th>about</tr>{''.join(rows)}</table>" if rows else ""
    return (
        f"<details><summary><span class=method>{method.upper()}</span><code>{escape(path)}</code>"
        f"<span class=about>{escape(operation['summary'])}</span></summary>{table}</details>"
    )


def _row(name: str, place: str, about: str) -> str:
    return f"<tr><td><code>{escape(name)}</code><td>{escape(place)}<td>{escape(about)}</tr>"
