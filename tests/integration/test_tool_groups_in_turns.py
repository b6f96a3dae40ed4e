"""Tool groups as agents use them: what their turns call, with which arguments, and what becomes of it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.clients import Answer, Raw
from tests.integration.mcp_world import MODEL
from tests.integration.oauth_world import oauth_servers
from tests.integration.obedient import call, calls, script
from tests.integration.test_mcp_oauth_howto import opened
from tests.integration.test_tool_groups import CANARY, SUMS, ann, case, ok, program, refused, register
from tests.integration.upstream import Upstream
from tests.support.mcp_tools import digest
from tests.support.mcp_wire import Case
from tests.support.oauth_server import OAuthServers

__all__ = ["ann", "case", "oauth_servers", "program"]
Json = dict[str, Any]


class Agents:
    """Makes agents with groups, and has turns of them."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self._made: list[str] = []

    def create(self, *groups: Any, **more: Any) -> Answer:
        config = {"model": MODEL, "instructions": "", "toolgroups": list(groups), **more}
        return self.raw.post("/v1/agents", {"agent_config": config})

    def session(self, *groups: Any, **more: Any) -> str:
        """The path of a session of a new agent."""
        self._made.append(str(ok(self.create(*groups))["agent_id"]))
        path = f"/v1/agents/{self._made[-1]}/session"
        return f"{path}/{ok(self.raw.post(path, {'session_name': 's', **more}))['session_id']}"

    def answer(self, session: str, *steps: Any, headers: dict[str, str] | None = None, **more: Any) -> Answer:
        body = {"messages": [{"role": "user", "content": script(*steps)}], **more}
        return self.raw.send("POST", f"{session}/turn", body, headers)

    def turn(self, session: str, *steps: Any, headers: dict[str, str] | None = None, **more: Any) -> Json:
        return dict(ok(self.answer(session, *steps, headers=headers, **more)))

    def delete_all(self) -> None:
        for agent in self._made:
            self.raw.send("DELETE", f"/v1/agents/{agent}")


@pytest.fixture
def agents(ann: Raw) -> Iterator[Agents]:
    made = Agents(ann)
    yield made
    made.delete_all()


def said(turn: Json) -> str:
    return str(turn["output_message"]["content"])


def executed(turn: Json) -> list[Json]:
    return [one for one in turn["steps"] if one["step_type"] == "tool_execution"]


def shown(upstream: Upstream) -> list[str]:
    return sorted(one["function"]["name"] for one in upstream.last_request().get("tools", []))


def test_the_tools_of_a_group_are_called_and_the_group_wins_over_the_model(agents: Agents) -> None:
    session = agents.session({"name": SUMS, "args": {"text": "from the agent"}})
    both = [call("add", a=2, b=2), call("echo", text="from the model")]
    turn = agents.turn(session, both, calls("hello"), calls("total", numbers=[1, 2]), "{outputs}")
    assert said(turn) == "42 | from the agent | hello | 3.0"
    first = executed(turn)[0]["tool_calls"][0]
    assert json.loads(first["arguments_json"]) == {"a": 2, "b": 2}  # what the model said


def test_a_turn_adds_groups_and_a_group_may_be_cut_to_some_tools(agents: Agents, upstream: Upstream) -> None:
    session = agents.session("desk/add", "mcp::desk/hello")
    agents.turn(session, "hi")
    assert shown(upstream) == ["add", "hello"]
    agents.turn(session, "hi", toolgroups=[f"{SUMS}/echo"])
    assert shown(upstream) == ["add", "echo", "hello"]
    args = {"name": "desk/add", "args": {"b": 100}}
    other = agents.session(args, "desk/echo")
    assert said(agents.turn(other, [call("add", a=1, b=1), call("echo", text="x")], "{outputs}")) == "101 | x"


@pytest.mark.parametrize(
    ("groups", "at"),
    [
        (["nowhere"], "[0]"),
        (["desk", "mcp::desk"], "[1]"),
        (["desk/add", "mcp::desk/add"], "[1]"),
        (["desk", {"name": "builtin::websearch"}], "[1]"),
        (["builtin::code_interpreter/x"], "[0]"),
        (["builtin::rag/search"], "[0]"),
        ([{"name": "builtin::rag", "args": {"vector_dbs": ["x"]}}], "[0].args.vector_dbs"),
        (
            [{"name": "builtin::rag", "args": {"query_config": {"max_tokens_in_context": 5}}}],
            "[0].args.query_config.max_tokens_in_context",
        ),
        (["house", "builtin::rag"], "[1].args.query_config"),
        (["mcp::seconds"], "[0]"),
    ],
)
def test_groups_that_cannot_be_had_are_refused_by_their_place(
    agents: Agents, groups: list[Any], at: str
) -> None:
    refused(agents.create(*groups), 400, f"agent_config.toolgroups{at}")
    session = agents.session()
    refused(agents.answer(session, "hi", toolgroups=groups), 400, f"toolgroups{at}")


def test_a_tool_that_the_server_does_not_have_is_refused_when_it_can_be_asked(agents: Agents) -> None:
    refused(agents.create("desk/add", "desk/nothing_such"), 400, "agent_config.toolgroups[1]")
    session = agents.session("desk/add")
    refused(agents.answer(session, "hi", toolgroups=["desk/nothing_such"]), 400, "toolgroups[0]")
    ok(register(agents.raw, "mcp::dead", "http://127.0.0.1:9/mcp"))
    assert said(agents.turn(agents.session("mcp::dead/add"), "hello")) == "hello"


def test_a_group_that_is_gone_is_refused_in_the_turn(agents: Agents, mcp_case: Case) -> None:
    ok(register(agents.raw, "mcp::docs", mcp_case.url()))
    session = agents.session("mcp::docs")
    assert said(agents.turn(session, calls("add", a=1, b=2), "{outputs}")) == "3"
    ok(agents.raw.send("DELETE", "/v1/toolgroups/mcp::docs"))
    refused(agents.answer(session, "hi"), 400, "agent_config.toolgroups[0]")


def test_questions_of_servers_are_declined_and_the_turn_goes_on(agents: Agents) -> None:
    turn = agents.turn(agents.session("desk"), calls("ask_name"), "{outputs}")
    assert said(turn) == "user said: decline"
    assert turn["status"] == "completed"


def test_failing_tools_are_told_to_the_model(agents: Agents) -> None:
    turn = agents.turn(agents.session("desk"), calls("fails", why="no paper"), "it said {outputs}")
    assert "no paper" in said(turn)
    assert [len(one["tool_responses"]) for one in executed(turn)] == [1]


def test_who_has_to_authorise_is_told_where_and_the_next_turn_goes_on(
    agents: Agents, oauth_servers: OAuthServers
) -> None:
    server = oauth_servers.case()
    ok(agents.raw.post("/v1/connectors", {"connector_id": "mine", "url": server.mcp, "oauth": {}}))
    try:
        session = agents.session("mcp::mine")
        turn = agents.turn(session, calls("authorize"), "{outputs}")
        assert turn["status"] == "completed"
        link = re.search(r"http\S+", said(turn))
        assert link is not None
        opened(link[0], "ann")
        assert said(agents.turn(session, calls("whoami"), "{outputs}")) == "you are ann"
    finally:
        agents.raw.send("DELETE", "/v1/connectors/mine")


def test_headers_of_old_clients_reach_the_servers_of_a_turn(agents: Agents, mcp_case: Case) -> None:
    ok(register(agents.raw, "mcp::docs", mcp_case.url()))
    session = agents.session("mcp::docs")
    data = {"mcp_headers": {mcp_case.url(): {"X-Token": CANARY}}}
    headers = {"x-llamastack-provider-data": json.dumps(data)}
    turn = agents.turn(session, calls("whoami"), "{outputs}", headers=headers)
    assert json.loads(said(turn))["x-token"] == digest(CANARY)
    assert CANARY not in json.dumps(turn)
    wrong = agents.answer(session, "hi", headers={"x-llamastack-provider-data": "{"})
    refused(wrong, 400, "X-LlamaStack-Provider-Data")


def test_a_search_is_over_the_stores_of_the_group_and_of_the_session(
    agents: Agents, upstream: Upstream
) -> None:
    raw = agents.raw
    texts = {"plans": "The lamp is red.", "notes": "The boat is blue."}
    for name, text in texts.items():
        ok(raw.post("/v1/vector-dbs", {"vector_db_id": name}))
        chunk = {"content": text, "metadata": {"document_id": name}}
        ok(raw.post("/v1/vector-io/insert", {"vector_db_id": name, "chunks": [chunk]}))
    group = {"name": "builtin::rag/knowledge_search", "args": {"vector_db_ids": ["plans"]}}
    search = calls("knowledge_search", query="Which lamp, which boat?")
    turn = agents.turn(agents.session(group, vector_db_ids=["notes"]), search, "{outputs}")
    assert all(text in said(turn) for text in texts.values())
    ok(raw.send("DELETE", "/v1/vector-dbs/notes"))
    assert said(agents.turn(agents.session("builtin::rag"), "hi")) == "hi"
    assert shown(upstream) == []  # nothing to search in
    missing = {"name": "builtin::rag", "args": {"vector_db_ids": ["plans", "notes"]}}
    gone = agents.answer(agents.session(missing), "hi")
    refused(gone, 404, "agent_config.toolgroups[0].args.vector_db_ids[1]")
    assert "red" in said(agents.turn(agents.session("house"), search, "{outputs}"))
    ok(raw.send("DELETE", "/v1/vector-dbs/plans"))
