"""Turns of agents: a process that dies, a client that leaves, two at once, and what is left of what was deleted."""

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from antiphon.storage import migrate
from bench.program import Program, start_antiphon
from tests.contract.test_store import make_with_schema
from tests.integration.clients import open_stream, read_until

Json = dict[str, Any]
Start = Callable[[], Program]
CONFIG = """\
version: 2
agents: {{volatile_session_ttl_s: 60}}
providers:
  inference:
  - provider_id: scripted
    provider_type: inline::scripted
    config:
      models:
      - name: teller
        rules:
        - when: {{matches: "wait$"}}
          reply: [{{text: "Once upon a time ", by: all}}, {{wait_ms: 60000}}, {{text: never}}]
        - {{reply: [{{text: "You said: "}}, {{echo: true}}]}}
storage: {{url: "sqlite:///{database}"}}
"""
CANARY = "canary-4711"


class Agent:
    """An agent of a program, and sessions with it."""

    def __init__(self, program: Program, agent_id: str = "", **config: Any) -> None:
        self.program = program
        made = {"model": "teller", "instructions": f"{CANARY} of the agent.", **config}
        self.id = agent_id or self.ask("POST", "/v1/agents", {"agent_config": made})["agent_id"]

    def ask(self, method: str, path: str, body: Json | None = None, status: int = 200) -> Any:
        answer = httpx2.request(method, self.program.url + path, json=body, timeout=30)
        assert answer.status_code == status, answer.text
        return answer.json()

    def begin(self) -> str:
        made = self.ask("POST", f"/v1/agents/{self.id}/session", {"session_name": f"{CANARY} session"})
        return str(made["session_id"])

    def path(self, session: str) -> str:
        return f"/v1/agents/{self.id}/session/{session}"

    def say(self, session: str, text: str) -> Json:
        turn: Json = self.ask("POST", f"{self.path(session)}/turn", {"messages": [user(text)]})
        return turn

    def turns(self, session: str) -> list[Json]:
        found: list[Json] = self.ask("GET", self.path(session))["turns"]
        return found

    def wait_for(self, session: str, status: str) -> Json:
        """The last turn, once it has this status."""
        for _ in range(600):
            turns = self.turns(session)
            if turns and turns[-1]["status"] == status:
                return turns[-1]
            # What another process, or a client that left, leads to has no event to wait for.
            threading.Event().wait(0.05)
        raise AssertionError(f"no turn became {status}: {self.turns(session)}")


def user(text: str) -> Json:
    return {"role": "user", "content": text}


def said(turn: Json) -> str:
    return str(turn["output_message"]["content"])


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "antiphon.db"


@pytest.fixture
def start(tmp_path: Path, database: Path) -> Iterator[Start]:
    """Starts a server; a second one finds the first one's database."""
    with ExitStack() as running:

        def started() -> Program:
            program = running.enter_context(start_antiphon(tmp_path, CONFIG.format(database=database)))
            program.wait_ready()
            return program

        yield started


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One server for the tests that do not end it."""
    folder = tmp_path_factory.mktemp("running")
    with start_antiphon(folder, CONFIG.format(database=folder / "antiphon.db")) as program:
        program.wait_ready()
        yield program


def everything(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def let_the_lease_pass(database: Path) -> None:
    """As though some seconds had passed since a process died that said of its turns that they go on."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for turn, inner in connection.execute("SELECT id, inner_body FROM agent_turns").fetchall():
            passed = json.dumps({**json.loads(inner), "until": 0}).encode()
            connection.execute("UPDATE agent_turns SET inner_body = ? WHERE id = ?", (passed, turn))


def test_a_process_that_is_killed_in_a_turn_leaves_it_interrupted_and_the_session_goes_on(
    start: Start, database: Path
) -> None:
    first = start()
    agent = Agent(first)
    session = agent.begin()
    agent.say(session, "hello")
    body = {"messages": [user("wait")], "stream": True}
    with open_stream(first.port, f"{agent.path(session)}/turn", body) as connection:
        read_until(connection, b"Once upon a time")
        assert agent.turns(session)[-1]["status"] == "in_progress"
        first.kill()
    let_the_lease_pass(database)
    again = Agent(start(), agent.id)
    done, cut = again.turns(session)
    assert (done["status"], said(done)) == ("completed", "You said: hello")
    assert (cut["status"], cut["input_messages"]) == ("interrupted", [user("wait")])
    assert again.ask("GET", f"{again.path(session)}/turn/{cut['turn_id']}") == cut
    resume = {"tool_responses": [{"call_id": "c", "tool_name": "t", "content": "x"}]}
    refused = again.ask("POST", f"{again.path(session)}/turn/{cut['turn_id']}/resume", resume, 409)
    assert "interrupted" in refused["error"]["message"]
    assert said(again.say(session, "go on")) == "You said: go on"
    assert [one["status"] for one in again.turns(session)] == ["completed", "interrupted", "completed"]


def test_a_turn_that_was_answered_is_there_after_the_process_was_killed(start: Start) -> None:
    first = start()
    agent = Agent(first)
    session = agent.begin()
    made = agent.say(session, "hello")
    body = {"messages": [user("and?")], "stream": True}
    with open_stream(first.port, f"{agent.path(session)}/turn", body) as connection:
        streamed = read_until(connection, b"turn_complete")
        first.kill()
    assert b"turn_awaiting_input" not in streamed
    again = Agent(start(), agent.id)
    kept, last = again.turns(session)
    assert kept == made
    assert (last["status"], said(last)) == ("completed", "You said: and?")
    response = again.ask("GET", f"/v1/responses/{last['response_ids'][0]}")
    assert response["previous_response_id"] == made["response_ids"][0]


def test_a_client_that_leaves_leaves_a_turn_that_is_marked(running: Program) -> None:
    agent = Agent(running)
    session = agent.begin()
    body = {"messages": [user("wait")], "stream": True}
    with open_stream(agent.program.port, f"{agent.path(session)}/turn", body) as connection:
        read_until(connection, b"Once upon a time")
    left = agent.wait_for(session, "cancelled")
    assert left["input_messages"] == [user("wait")]
    assert left["completed_at"] is not None
    assert agent.ask("GET", f"/v1/responses/{left['response_ids'][0]}")["status"] == "cancelled"
    assert said(agent.say(session, "go on")) == "You said: go on"


def test_turns_of_one_session_wait_for_one_another(running: Program) -> None:
    agent = Agent(running)
    session = agent.begin()
    body = {"messages": [user("wait")], "stream": True}
    waits = threading.Thread(target=agent.say, args=(session, "second"))
    with open_stream(agent.program.port, f"{agent.path(session)}/turn", body) as connection:
        read_until(connection, b"Once upon a time")
        waits.start()
        others = agent.begin()
        assert said(agent.say(others, "beside")) == "You said: beside"
        assert [one["status"] for one in agent.turns(session)] == ["in_progress"]
    waits.join(30)
    assert [one["status"] for one in agent.turns(session)] == ["cancelled", "completed"]


def test_many_turns_of_one_session_at_once_are_one_after_the_other(running: Program) -> None:
    agent = Agent(running)
    session = agent.begin()
    words = [f"word {number}" for number in range(8)]
    threads = [threading.Thread(target=agent.say, args=(session, word)) for word in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    turns = agent.turns(session)
    assert sorted(said(one) for one in turns) == [f"You said: {word}" for word in words]
    before: str | None = None
    for turn in turns:
        response = agent.ask("GET", f"/v1/responses/{turn['response_ids'][0]}")
        assert response["previous_response_id"] == before
        before = response["id"]


def test_nothing_of_what_was_deleted_is_on_disk(start: Start, tmp_path: Path) -> None:
    server = start()
    agent, kept = Agent(server, instructions="Answer."), Agent(server, instructions="Answer.")
    other = kept.ask("POST", f"/v1/agents/{kept.id}/session", {"session_name": "kept"})["session_id"]
    kept.say(other, "the kept words")
    sessions = [agent.begin() for _ in range(3)]
    for session in sessions:
        agent.say(session, f"{CANARY} " * 900)
        agent.say(session, f"{CANARY} again")
    with open_stream(
        server.port, f"{agent.path(sessions[0])}/turn", {"messages": [user(f"{CANARY} wait")], "stream": True}
    ) as connection:
        read_until(connection, b"Once upon a time")
    agent.wait_for(sessions[0], "cancelled")
    agent.ask("DELETE", agent.path(sessions[0]))
    agent.ask("GET", agent.path(sessions[0]), status=404)
    agent.ask("DELETE", f"/v1/agents/{agent.id}")
    agent.ask("GET", agent.path(sessions[1]), status=404)
    assert said(kept.turns(other)[0]) == "You said: the kept words"
    assert server.stop() == 0
    stored = everything(tmp_path)
    assert b"the kept words" in stored
    assert CANARY.encode() not in stored


def test_nothing_of_a_session_that_is_not_stored_is_ever_on_disk(start: Start, tmp_path: Path) -> None:
    server = start()
    agent = Agent(server, instructions="Answer.", enable_session_persistence=False)
    session = agent.begin()
    turns = [agent.say(session, f"{CANARY} {number}") for number in range(3)]
    assert agent.turns(session) == turns
    agent.ask("GET", f"/v1/responses/{turns[0]['response_ids'][0]}", status=404)
    assert CANARY.encode() not in everything(tmp_path)
    server.kill()
    assert CANARY.encode() not in everything(tmp_path)
    again = Agent(start(), agent.id)
    gone = again.ask("GET", agent.path(session), status=404)
    assert gone["error"]["param"] == "session_id"
    assert again.turns(again.begin()) == []


def test_two_processes_may_migrate_a_database_from_before_agents_at_once(tmp_path: Path) -> None:
    database = tmp_path / "there" / "antiphon.db"
    make_with_schema(database, "0006")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # as a server leaves it
    program = (
        "import asyncio, sys\n"
        "from antiphon.ports import Owner\n"
        "from antiphon.storage.sqlite import SqliteStore\n"
        "async def main():\n"
        "    store = SqliteStore.open(sys.argv[1])\n"
        "    assert await store.get_response(Owner('acme', 'alice'), 'resp_old') is not None\n"
        "    assert not await store.agents.list_agents(Owner('acme', 'alice'), 0, None)\n"
        "    await store.aclose()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, str(database)]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [one.communicate(timeout=60)[1] for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert migrate.current(database) == migrate.head()
