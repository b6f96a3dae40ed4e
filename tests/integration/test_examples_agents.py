"""The use cases of the Agents API in `examples/`, each with two providers: what agents remember, and of whom.

The server is started again between the days. Both models answer from what they are shown and nothing else.
"""

import json
from pathlib import Path

import httpx2
import pytest

from bench.program import Program
from tests.integration.examples_world import AGENTS, ROOT, run, started
from tests.integration.upstream import Upstream

SUPPORT = ("scripted/support", "up/attentive")
SCHOLARS = ("scripted/scholar", "up/attentive")
BACK = "I am back. What do you know of my login problem and the reset?"


def test_the_use_cases_are_short_and_run_with_nothing_configured(upstream: Upstream, tmp_path: Path) -> None:
    files = {"CUSTOMERS": str(tmp_path / "customers.json"), "RESEARCH": str(tmp_path / "research.json")}
    with started(tmp_path, upstream) as server:
        for example in AGENTS:
            text = (ROOT / "examples" / f"{example}.py").read_text()
            assert len(text.splitlines()) <= 70
            assert text.count("# another provider is") == 1
            assert run(server, example, **files).strip()


@pytest.mark.parametrize("model", SUPPORT)
def test_the_support_agent_knows_a_customer_days_later(
    upstream: Upstream, tmp_path: Path, model: str
) -> None:
    """The login problem and the reset that failed, after the server was started again."""
    settings = {"MODEL": model, "CUSTOMERS": str(tmp_path / "customers.json")}
    with started(tmp_path, upstream) as server:
        run(server, "support_chatbot", "ada", "I have a login problem: my account is not found.", **settings)
        run(server, "support_chatbot", "ada", "I tried the password reset, but it failed.", **settings)
        other = run(server, "support_chatbot", "grace", BACK, **settings)
    with started(tmp_path, upstream) as server:
        answer = run(server, "support_chatbot", "ada", BACK, **settings)
    assert "account is not found" in answer
    assert "failed" in answer
    assert "I know nothing of" in other, "a customer's session is theirs alone"


def new_session(server: Program, log: Path) -> str:
    """What the assistant's log would say had its session been lost, and a new one of the same agent been made."""
    agent = str(json.loads(log.read_text())["session"]).split("/")[2]
    made = httpx2.post(f"{server.url}/v1/agents/{agent}/session", json={"session_name": "new"}).json()
    return json.dumps({"session": f"/agents/{agent}/session/{made['session_id']}"})


@pytest.mark.parametrize("model", SCHOLARS)
def test_the_research_assistant_tells_what_is_new_since_day_one(
    upstream: Upstream, tmp_path: Path, model: str
) -> None:
    settings = {"MODEL": model, "RESEARCH": str(tmp_path / "research.json")}
    questions = (
        "Search for findings on AI safety rules.",
        "Search again: what is new since yesterday's findings?",
    )
    with started(tmp_path, upstream) as server:
        first = run(server, "research_assistant", "2026-03-02", questions[0], **settings)
    with started(tmp_path, upstream) as server:
        second = run(server, "research_assistant", "2026-03-03", questions[1], **settings)
        forgetful = {**settings, "RESEARCH": str(tmp_path / "other.json")}
        (tmp_path / "other.json").write_text(new_session(server, tmp_path / "research.json"))
        lost = run(server, "research_assistant", "2026-03-03", questions[1], **forgetful)
    assert "Norway adopts the AI Act (2026-03-02)" in first
    assert "Japan" not in first
    assert "Japan publishes rules for testing models (2026-03-03)" in second
    assert "forbids social scoring" in second, "only the document of day one says so"
    assert "Japan" in lost
    assert "social scoring" not in lost, "without its session it knows nothing of day one"
