"""The shapes by which any server is checked find what the official document finds."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.client import Client
from antiphon.conformance.response_cases import ASK_WEATHER, WEATHER
from antiphon.conformance.server import Server
from antiphon.conformance.shapes import event_violation, order_violation, response_violation
from bench.program import start_antiphon
from tests.conformance import official

Json = dict[str, Any]
WRONG: Json = {"no": ["such", "thing"]}

needs_documents = pytest.mark.skipif(not official.available(), reason=official.MISSING)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("shapes")
    config = f"""\
providers: {{inference: [{{provider_id: s, provider_type: "inline::scripted"}}]}}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""
    with start_antiphon(folder, config) as program:
        program.wait_ready()
        yield Server(Client(program.url), "demo")


@pytest.fixture(scope="module")
def bodies(server: Server) -> list[Json]:
    asked: Json = {"tools": [WEATHER], "tool_choice": "required"}
    return [server.create(input="hello", metadata={"a": "b"}), server.create(input=ASK_WEATHER, **asked)]


@pytest.fixture(scope="module")
def events(server: Server) -> list[Json]:
    return server.events(input="hello") + server.events(
        input=ASK_WEATHER, tools=[WEATHER], tool_choice="required"
    )


def spoiled(value: Json) -> Iterator[tuple[str, Json]]:
    """The value without each of its keys, and with something else under each: items and parts included."""
    for key, inner in value.items():
        yield f"without {key}", {name: one for name, one in value.items() if name != key}
        yield f"another {key}", {**value, key: WRONG}
        if key in {"response", "item", "part"}:
            for name, changed in spoiled(inner):
                yield f"{key}: {name}", {**value, key: changed}
        if key in {"output", "content"} and isinstance(inner, list) and inner:
            for name, changed in spoiled(inner[0]):  # pyright: ignore[reportUnknownArgumentType] JSON of any shape
                yield f"{key}[0]: {name}", {**value, key: [changed, *inner[1:]]}  # pyright: ignore[reportUnknownArgumentType] the same


@needs_documents
def test_what_the_document_finds_in_a_response_is_found(bodies: list[Json]) -> None:
    found, missed = 0, list[str]()
    for body in bodies:
        assert response_violation(body) is None
        for name, changed in spoiled(body):
            if official.openai().errors("Response", changed):
                found += 1
                missed += [name] if response_violation(changed) is None else []
    assert not missed
    assert found > 60


@needs_documents
def test_what_the_document_finds_in_an_event_is_found(events: list[Json]) -> None:
    kinds, found, missed = set[str](), 0, list[str]()
    assert event_violation(events) is None
    for event in events:
        if event["type"] in kinds:
            continue
        kinds.add(event["type"])
        for name, changed in spoiled(event):
            if isinstance(changed.get("type"), str) and official.openai().event_errors(changed):
                found += 1
                missed += [f"{event['type']} {name}"] if event_violation([changed]) is None else []
    assert not missed
    assert len(kinds) > 9
    assert found > 150


def test_keys_that_nobody_knows_are_left_alone_at_any_depth(bodies: list[Json], events: list[Json]) -> None:
    for body in bodies:
        more = json.loads(json.dumps(body).replace('"id":', '"x_extra": {"a": [1]}, "id":'))
        assert more != body
        assert response_violation(more) is None
    more = json.loads(json.dumps(events).replace('"id":', '"x_extra": null, "id":'))
    assert event_violation(more) is None


def test_an_implementers_own_event_is_no_violation(server: Server) -> None:
    events = server.framed(input="hello")
    events.insert(2, {"type": "acme:heartbeat", "load": 0.5})
    assert event_violation(events) is None
    assert order_violation(events) is None
