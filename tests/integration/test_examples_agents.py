"""The use cases of the Agents API in `examples/`, each with two providers: what agents remember, and of whom.

The server is started again between the days. Both models answer from what they are shown and nothing else.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from bench.program import Program
from tests.integration.examples_world import AGENTS, ROOT, run, started
from tests.integration.upstream import Upstream

SUPPORT = ("scripted/support", "up/attentive")
SCHOLARS = ("scripted/scholar", "up/attentive")
LOGIN = "I have a login problem: my account is not found."
TRIED = "I tried the password reset, but it failed."
BACK = "I am back. What do you know of my login problem and the reset?"
SEARCH = "Search for findings on AI safety rules."
AGAIN = "Search again: what is new since yesterday's findings?"


@dataclass(frozen=True)
class Days:
    """What the programs said on the first day, and after the server was started again; by provider."""

    first: Mapping[str, str]
    strangers: Mapping[str, str]
    researched: Mapping[str, str]
    back: Mapping[str, str]
    new: Mapping[str, str]
    lost: Mapping[str, str]


@pytest.fixture(scope="module")
def days(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Days:
    folder = tmp_path_factory.mktemp("days")

    def kept(model: str) -> dict[str, str]:
        """Each provider has agents of its own."""
        files = {"CUSTOMERS": "customers.json", "RESEARCH": "research.json"}
        own = folder / model.replace("/", "-")
        own.mkdir(exist_ok=True)
        return {"MODEL": model, **{name: str(own / file) for name, file in files.items()}}

    with started(folder, upstream) as server:
        first = {one: run(server, "support_chatbot", "ada", LOGIN, **kept(one)) for one in SUPPORT}
        for one in SUPPORT:
            run(server, "support_chatbot", "ada", TRIED, **kept(one))
        strangers = {one: run(server, "support_chatbot", "grace", BACK, **kept(one)) for one in SUPPORT}
        day = "2026-03-02"
        researched = {one: run(server, "research_assistant", day, SEARCH, **kept(one)) for one in SCHOLARS}
    with started(folder, upstream) as server:
        back = {one: run(server, "support_chatbot", "ada", BACK, **kept(one)) for one in SUPPORT}
        day = "2026-03-03"
        new = {one: run(server, "research_assistant", day, AGAIN, **kept(one)) for one in SCHOLARS}
        for one in SCHOLARS:
            lose_session(server, Path(kept(one)["RESEARCH"]))
        lost = {one: run(server, "research_assistant", day, AGAIN, **kept(one)) for one in SCHOLARS}
    return Days(first, strangers, researched, back, new, lost)


def lose_session(server: Program, log: Path) -> None:
    """Have the assistant's log name a new session of the same agent."""
    agent = str(json.loads(log.read_text())["session"]).split("/")[2]
    made = httpx2.post(f"{server.url}/v1/agents/{agent}/session", json={"session_name": "new"}).json()
    log.write_text(json.dumps({"session": f"/agents/{agent}/session/{made['session_id']}"}))


@pytest.mark.parametrize("example", AGENTS)
def test_a_use_case_is_short_and_names_its_model_in_one_line(example: str) -> None:
    text = (ROOT / "examples" / f"{example}.py").read_text()
    assert len(text.splitlines()) <= 70
    assert text.count("# another provider is") == text.count("MODEL") == 1


@pytest.mark.parametrize("model", SUPPORT)
def test_the_support_agent_knows_a_customer_days_later(days: Days, model: str) -> None:
    """The login problem and the reset that failed, after the server was started again."""
    assert days.first[model].strip()
    assert "account is not found" in days.back[model]
    assert "failed" in days.back[model]
    assert "I know nothing of" in days.strangers[model], "a customer's session is theirs alone"


@pytest.mark.parametrize("model", SCHOLARS)
def test_the_research_assistant_tells_what_is_new_since_day_one(days: Days, model: str) -> None:
    assert "Norway adopts the AI Act (2026-03-02)" in days.researched[model]
    assert "Japan" not in days.researched[model]
    assert "Japan publishes rules for testing models (2026-03-03)" in days.new[model]
    assert "forbids social scoring" in days.new[model], "only the document of day one says so"
    assert "Japan" in days.lost[model]
    assert "social scoring" not in days.lost[model], "without its session it knows nothing of day one"


def test_the_use_cases_run_with_nothing_configured(upstream: Upstream, tmp_path: Path) -> None:
    files = {"CUSTOMERS": str(tmp_path / "customers.json"), "RESEARCH": str(tmp_path / "research.json")}
    with started(tmp_path, upstream) as server:
        for example in AGENTS:
            assert run(server, example, **files).strip()
