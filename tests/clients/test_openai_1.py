"""openai-python 1.107, the last that some frameworks work with, in an environment of its own."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

import antiphon
from bench.program import Program
from tests.clients.installed import HERE, facts, install_python, installed_once

FOLDER = HERE / "openai_1"


@pytest.fixture(scope="module")
def python(cache: Path) -> str:
    requirements = FOLDER / "requirements.txt"
    folder = installed_once(cache, "openai-1", [requirements], install_python(requirements))
    return str(folder / "venv" / "bin" / "python")


@pytest.fixture(scope="module")
def seen(python: str, server: Program) -> dict[str, Any]:
    return facts([python, "-W", "error", str(FOLDER / "flow.py")], f"{server.url}/v1")


def test_it_runs_a_streamed_tool_flow_by_chaining(seen: dict[str, Any]) -> None:
    assert seen["version"] == "1.107.0"
    chained = seen["chained"]
    assert chained["calls"] == [["get_weather", '{"city":"Oslo"}'], ["get_time", '{"city":"Oslo"}']]
    assert chained["text"] == "It says: rain, noon."
    assert (chained["first_event"], chained["last_event"]) == ("response.created", "response.completed")


def test_it_runs_a_streamed_tool_flow_by_items_sent_back(seen: dict[str, Any]) -> None:
    assert seen["sent_back"] == "It says: rain, noon."


def test_it_parses_a_structured_answer(seen: dict[str, Any]) -> None:
    assert seen["parsed"] == "Weather"


def test_items_have_no_key_that_it_does_not_know(seen: dict[str, Any]) -> None:
    """AG2 0.10, which needs it, rejects any further key of a message item."""
    assert seen["chained"]["unknown_keys"] == [[], []]


EMBEDDED = """
import json, sys
sys.path += sys.argv[1:]
import httpx, openai
import antiphon

with antiphon.embedded("demo") as server:
    client = server.client()
    said = client.responses.create(model="demo", input="hi").status
    *_, last = client.responses.create(model="demo", input="hi", stream=True)
    over_httpx = isinstance(client._client, httpx.Client)
print(json.dumps({"version": openai.__version__, "httpx": over_httpx, "said": said, "last": last.type}))
"""


def test_an_embedded_server_gives_clients_of_it(python: str) -> None:
    """Its own packages come first; ours stand behind them."""
    ours = [antiphon.__path__[0] + "/..", msgspec.__path__[0] + "/.."]
    found = facts([python, "-W", "error", "-c", EMBEDDED, *ours])
    assert found == {
        "version": "1.107.0",
        "httpx": True,
        "said": "completed",
        "last": "response.completed",
    }
