"""JSON schemas of callers, checked here: refused when they are none, never fetched, never slow."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from antiphon.runs import schemas


class _Asked(BaseHTTPRequestHandler):
    paths: list[str]

    def do_GET(self) -> None:
        self.paths.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"type": "object"}')

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """An address, and what was asked of it."""
    paths: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("_Here", (_Asked,), {"paths": paths}))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/schema", paths
    server.shutdown()
    thread.join()
    server.server_close()


DRAFT_7 = "http://json-schema.org/draft-07/schema#"


ADDRESSED: list[dict[str, Any]] = [
    {"unevaluatedProperties": {"$ref": "URL"}},
    {"unevaluatedItems": {"$ref": "URL"}},
    {"contentSchema": {"$ref": "URL"}},
    {"$dynamicRef": "URL"},
    {"$schema": "URL"},
    {"$schema": DRAFT_7, "dependencies": {"a": {"$ref": "URL"}}},
    {"$schema": DRAFT_7, "items": [{}], "additionalItems": {"$ref": "URL"}},
    {"properties": {"a": {"$ref": "#/x/y"}}, "x": {"y": {"$ref": "URL"}}},
    {"properties": {"a": {"$ref": "file:///etc/hostname"}}},
]


@pytest.mark.parametrize("schema", ADDRESSED)
def test_no_address_in_a_schema_is_asked(schema: dict[str, Any], elsewhere: tuple[str, list[str]]) -> None:
    url, asked = elsewhere
    named: dict[str, Any] = json.loads(json.dumps(schema).replace("URL", url))
    assert schemas.fault(named) is not None
    assert schemas.violation(named, {"a": 1}) is not None
    assert asked == []


@pytest.mark.parametrize(
    "schema",
    [{"minimum": "x"}, {"pattern": "("}, {"type": "thing"}, {"$ref": "#nowhere"}, {"required": 5}],
)
def test_what_is_no_schema_is_named(schema: dict[str, Any]) -> None:
    assert schemas.fault(schema)


@pytest.mark.parametrize(
    "schema",
    [{}, {"$ref": "#"}, {"$defs": {"a": {"type": "string"}}, "$ref": "#/$defs/a"}, {"x-own": {"a": 1}}],
)
def test_what_is_one_is_taken(schema: dict[str, Any]) -> None:
    assert schemas.fault(schema) is None


def test_a_violation_says_where() -> None:
    schema = {"properties": {"a": {"items": {"type": "integer"}}}}
    assert schemas.violation(schema, {"a": [1, 2]}) is None
    assert schemas.violation(schema, {"a": [1, "x"]}) == '"x" is not of type "integer" (at a/1)'


def test_a_recursive_schema_costs_no_more_than_its_value() -> None:
    """Two branches on each of forty levels: explained in full it would never end."""
    both = [
        {"type": "array", "items": {"$ref": "#"}},
        {"type": "array", "minItems": 1, "items": {"$ref": "#"}},
    ]
    value: Any = 1
    for _ in range(40):
        value = [value]
    assert (
        schemas.violation({"anyOf": [*both, {"type": "string"}]}, value) == "it does not fit the JSON schema"
    )


def test_a_schema_that_is_nested_too_deep_is_refused() -> None:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(900):
        schema = {"items": schema}
    assert schemas.fault(schema) is not None
    assert schemas.violation(schema, []) is not None
