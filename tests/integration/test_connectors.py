"""`/v1/connectors` in the installed program: both kinds, tenants, secrets, restarts, what Llama Stack's users call."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.program import Program, antiphon_command, environment, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Answer, Raw
from tests.integration.mcp_world import MCP, MODEL, StartMcp, mcp_configuration, start_mcp
from tests.integration.obedient import calls, script
from tests.integration.test_keys import key
from tests.integration.upstream import Upstream
from tests.support.mcp_servers import McpServers
from tests.support.mcp_wire import Case

__all__ = ["start_mcp"]
Json = dict[str, Any]
CANARY = "canary-5e1d90c4"
KEYS = ", ".join((key("ann", "first"), key("bob", "first"), key("cyd", "second")))
SERVER = f'server: {{egress: {{allow_private: ["127.0.0.0/8"]}}, auth: {{keys: [{KEYS}]}}}}'
POLICY = MCP.replace("mcp: {", "mcp: {servers: any, ")
ONE = "/v1/connectors/docs"


def configured(case: Case) -> str:
    return f"""\
connectors:
- connector_id: desk
  url: "{case.url()}?key={CANARY}-q"
  description: Of the desk.
  headers: {{x-token: {CANARY}-c}}
- {{connector_id: seconds, url: "{case.url()}", tenants: [second]}}
- {{connector_id: dead, url: "http://127.0.0.1:9/mcp"}}
- {{connector_id: connector_gmail, url: "{case.url("sse")}", transport: sse}}
"""


@pytest.fixture(scope="module")
def case(mcp_servers: McpServers) -> Case:
    """The server behind those of the configuration."""
    return mcp_servers.case()


@pytest.fixture(scope="module")
def program(
    upstream: Upstream, case: Case, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Program, Path]]:
    folder = tmp_path_factory.mktemp("connectors")
    text = mcp_configuration(upstream, folder, SERVER, POLICY, configured(case))
    with start_antiphon(folder, text) as running:
        running.wait_ready()
        yield running, folder


def as_user(name: str, program: Program, recorder: Recorder) -> Raw:
    return Raw(program.port, recorder, {"authorization": f"Bearer key-of-{name}"})


@pytest.fixture
def ann(program: tuple[Program, Path], recorder: Recorder) -> Iterator[Raw]:
    with as_user("ann", program[0], recorder) as raw:
        yield raw
        raw.send("DELETE", ONE)


@pytest.fixture
def cyd(program: tuple[Program, Path], recorder: Recorder) -> Iterator[Raw]:
    with as_user("cyd", program[0], recorder) as raw:
        yield raw
        raw.send("DELETE", ONE)


def make(raw: Raw, url: str, **more: Any) -> Json:
    made = raw.post("/v1/connectors", {"connector_id": "docs", "url": url, **more})
    assert made.status == 200, made.body
    return made.json


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body
    return [one["connector_id"] for one in answer.json["data"]]


# --- the routes ----------------------------------------------------------------------------------------------
def test_a_connector_is_made_got_listed_changed_and_deleted(ann: Raw, mcp_case: Case) -> None:
    made = make(ann, mcp_case.url(), server_label="Docs", metadata={"team": "a"})
    assert made["object"] == "connector"
    assert (made["id"], made["connector_id"], made["connector_type"]) == ("docs", "docs", "mcp")
    assert (made["url"], made["server_label"], made["source"]) == (mcp_case.url(), "Docs", "api")
    assert ann.get(ONE).json == made
    assert made in ann.get("/v1/connectors").json["data"]
    again = ann.post("/v1/connectors", {"connector_id": "docs", "url": mcp_case.url()})
    assert (again.status, again.error["param"]) == (409, "connector_id")
    changed = ann.post(ONE, {"server_description": "More.", "updated_at": made["updated_at"]})
    assert changed.json == made | {
        "server_description": "More.",
        "updated_at": changed.json["updated_at"],
    }
    late = ann.post(ONE, {"server_description": "Less.", "updated_at": made["updated_at"]})
    assert (late.status, late.error["param"]) == (409, "updated_at")
    assert ann.send("DELETE", ONE).json == {
        "id": "docs",
        "connector_id": "docs",
        "object": "connector.deleted",
        "deleted": True,
    }
    assert ann.get(ONE).status == ann.send("DELETE", ONE).status == 404
    assert mcp_case.seen.asked == []


def test_lists_are_paged_newest_first_and_end_with_the_configuration(ann: Raw, mcp_case: Case) -> None:
    make(ann, mcp_case.url())
    whole = ids(ann.get("/v1/connectors"))
    assert whole == ["docs", "connector_gmail", "dead", "desk"]
    page = ann.get("/v1/connectors?limit=2").json
    assert (page["object"], page["first_id"], page["last_id"]) == ("list", "docs", "connector_gmail")
    assert page["has_more"] is True
    assert ids(ann.get("/v1/connectors?limit=2&after=connector_gmail")) == ["dead", "desk"]
    assert ids(ann.get("/v1/connectors?order=asc")) == whole[::-1]
    for query, param in (("limit=0", "limit"), ("order=up", "order"), ("after=x", "after"), ("q=1", "q")):
        answer = ann.get(f"/v1/connectors?{query}")
        assert (answer.status, answer.error["param"]) == (400, param)


def test_those_of_the_configuration_are_changed_there(ann: Raw) -> None:
    for method, body in (("POST", {"server_description": "x"}), ("DELETE", None)):
        answer = ann.send(method, "/v1/connectors/desk", body)
        assert (answer.status, answer.error["param"]) == (403, "connector_id")
    taken = ann.post("/v1/connectors", {"connector_id": "desk", "url": "https://example.com/mcp"})
    assert taken.status == 409


def test_tools_and_health_are_asked_of_the_server(ann: Raw, case: Case) -> None:
    health = ann.get("/v1/connectors/desk/health").json
    assert health == {
        "connector_id": "desk",
        "object": "connector.health",
        "status": "ok",
        "server_name": "tests",
        "server_version": "1.2.3",
        "protocol_version": "2026-07-28",
        "tools": 28,
        "error": None,
        "checked_at": health["checked_at"],
    }
    tools = ann.get("/v1/connectors/desk/tools").json
    assert tools["object"] == "list"
    [add] = [one for one in tools["data"] if one["name"] == "add"]
    assert add["description"] == "Add two numbers."
    assert add["input_schema"]["required"] == ["a", "b"]
    assert add["annotations"] == {"readOnlyHint": True}
    assert add["toolgroup_id"] == "desk"
    assert ann.get("/v1/connectors/desk/tools/add").json == add
    unknown = ann.get("/v1/connectors/desk/tools/subtract")
    assert (unknown.status, unknown.error["param"]) == (404, "tool_name")
    assert {one.get("x-token") for one in case.headers("tools/list")} == {f"{CANARY}-c"}


def test_a_server_that_does_not_answer_is_said_to_be_ill(ann: Raw, hostile_mcp: Case) -> None:
    dead = ann.get("/v1/connectors/dead/health")
    assert (dead.status, dead.json["status"]) == (200, "error")
    assert "could not be connected to" in dead.json["error"]["message"]
    tools = ann.get("/v1/connectors/dead/tools")
    assert (tools.status, tools.error["code"]) == (502, "connector_failed")
    secrets = {"authorization": f"{CANARY}-t", "headers": {"x-more": f"{CANARY}-h"}}
    for mode, status in (
        ("connect-401", "unauthorized"),
        ("list-403", "unauthorized"),
        ("list-secret-error", "error"),
        ("list-hang", "error"),
    ):
        make(ann, hostile_mcp.url(mode), **secrets)
        health = ann.get(f"{ONE}/health")
        assert (health.status, health.json["status"]) == (200, status), mode
        assert CANARY.encode() not in health.body
        if mode != "list-hang":  # once is enough
            failed = ann.get(f"{ONE}/tools")
            assert (failed.status, failed.error["code"]) == (502, "connector_failed")
            assert CANARY.encode() not in failed.body
        ann.send("DELETE", ONE)


def test_readers_of_llama_stack_find_what_they_look_for(ann: Raw) -> None:
    for level in ("v1alpha", "v1beta"):
        listed = ann.get(f"/{level}/connectors").json["data"]
        [desk] = [one for one in listed if one["connector_id"] == "desk"]
        assert {"connector_type", "url", "server_label", "server_name", "server_description"} <= set(desk)
        assert ann.get(f"/{level}/connectors/desk").json == desk
        names = [one["name"] for one in ann.get(f"/{level}/connectors/desk/tools").json["data"]]
        assert "add" in names
        assert ann.get(f"/{level}/connectors/desk/tools/add").json["name"] == "add"
    for path in ("/v1/connectors/desk", "/v1beta/connectors/desk/tools", "/v1/connectors/desk/tools/add"):
        answer = ann.get(f"{path}?authorization={CANARY}")
        assert (answer.status, answer.error["param"]) == (400, "authorization")
        assert CANARY.encode() not in answer.body


def test_a_request_uses_connectors_of_both_kinds(ann: Raw, mcp_case: Case) -> None:
    make(ann, mcp_case.url("sse"), transport="sse", authorization=f"{CANARY}-t")
    for name in ("docs", "desk", "connector_gmail"):
        tool = {"type": "mcp", "server_label": "x", "connector_id": name, "require_approval": "never"}
        body = {"model": MODEL, "input": script(calls("add", a=1, b=2), "{outputs}"), "tools": [tool]}
        answer = ann.post("/v1/responses", body).json
        assert [one["type"] for one in answer["output"]] == ["mcp_list_tools", "mcp_call", "message"]
        assert answer["output"][1]["output"] == "3"
    assert {one["authorization"] for one in mcp_case.headers("tools/call")} == {f"Bearer {CANARY}-t"}


def test_who_has_to_authorise_is_told_so(ann: Raw, mcp_case: Case) -> None:
    make(ann, mcp_case.url(), oauth={})
    assert ann.get(f"{ONE}/health").json["status"] == "unauthorized"
    for path in ("tools", "tools/add"):
        answer = ann.get(f"{ONE}/{path}")
        assert (answer.status, answer.error["code"]) == (403, "authorization_required")
        assert "/v1/connectors/docs/authorize" in answer.error["message"]
    assert ann.send("DELETE", f"{ONE}/authorization").status == 404
    body = ann.post(f"{ONE}/authorize", {"scope": "all"})
    assert (body.status, body.error["param"]) == (400, "scope")
    failed = ann.post(f"{ONE}/authorize", b"")  # this server knows no authorisation server
    assert (failed.status, failed.error["code"]) == (502, "connector_failed")
    none = ann.post("/v1/connectors/desk/authorize", b"")
    assert (none.status, none.error["param"]) == (400, "connector_id")
    assert mcp_case.count("tools/list") == 0


# --- whose they are ------------------------------------------------------------------------------------------
ROUTES: tuple[tuple[str, str, Json | None], ...] = (
    ("GET", "{one}", None),
    ("POST", "{one}", {"server_description": "mine"}),
    ("DELETE", "{one}", None),
    ("GET", "{one}/tools", None),
    ("GET", "{one}/tools/add", None),
    ("GET", "{one}/health", None),
    ("POST", "{one}/authorize", {}),
    ("DELETE", "{one}/authorization", None),
)


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_a_foreign_connector_answers_exactly_as_an_unknown_one(
    ann: Raw, cyd: Raw, mcp_case: Case, method: str, path: str, body: Json | None
) -> None:
    where = path.format(one=ONE)
    unknown = cyd.send(method, where, body)
    make(ann, mcp_case.url())
    foreign = cyd.send(method, where, body)
    assert (foreign.status, foreign.body) == (unknown.status, unknown.body)
    assert foreign.status == 404
    of_second = path.format(one="/v1/connectors/seconds")
    hidden = ann.send(method, of_second, body)
    assert hidden.body.replace(b"seconds", b"docs") == unknown.body
    assert mcp_case.seen.asked == []
    assert ann.get(ONE).status == 200


def test_a_tenant_shares_its_connectors_and_another_has_its_own(
    ann: Raw, cyd: Raw, program: tuple[Program, Path], recorder: Recorder, mcp_case: Case
) -> None:
    make(ann, mcp_case.url())
    make(cyd, mcp_case.url("sse"))
    with as_user("bob", program[0], recorder) as bob:
        assert bob.get(ONE).json == ann.get(ONE).json
        assert bob.post(ONE, {"server_description": "Bob's"}).status == 200
    assert ann.get(ONE).json["server_description"] == "Bob's"
    assert cyd.get(ONE).json["url"] == mcp_case.url("sse")
    assert "seconds" in ids(cyd.get("/v1/connectors"))
    assert "seconds" not in ids(ann.get("/v1/connectors"))
    tool = {"type": "mcp", "server_label": "x", "connector_id": "seconds"}
    refused = ann.post("/v1/responses", {"model": MODEL, "input": "hi", "tools": [tool]})
    assert (refused.status, refused.error["param"]) == (400, "tools[0].connector_id")


def test_nobody_without_a_key_gets_anywhere(program: tuple[Program, Path], recorder: Recorder) -> None:
    with Raw(program[0].port, recorder) as raw:
        for method, path, body in (*ROUTES, ("GET", "/v1/connectors", None), ("POST", "/v1/connectors", {})):
            for one in (ONE, "/v1/connectors/desk"):
                assert raw.send(method, path.format(one=one), body).status == 401, (method, path)
        for level in ("v1alpha", "v1beta"):
            assert raw.get(f"/{level}/connectors").status == 401


def test_addresses_of_the_configuration_are_not_shown_where_there_are_several_tenants(ann: Raw) -> None:
    assert ann.get("/v1/connectors/desk").json["url"] == ""


# --- secrets -------------------------------------------------------------------------------------------------
def test_no_secret_is_in_an_answer_the_log_or_the_database(
    program: tuple[Program, Path], recorder: Recorder, cyd: Raw, mcp_case: Case
) -> None:
    secrets = {
        "url": f"{mcp_case.url()}?key={CANARY}-u",
        "authorization": f"{CANARY}-t",
        "headers": {"x-key": f"{CANARY}-h"},
    }
    told = [cyd.post("/v1/connectors", {"connector_id": "docs", **secrets})]
    assert told[0].status == 200
    oauth = {"client_id": "us", "client_secret": f"{CANARY}-s"}
    told += [
        cyd.get(ONE),
        cyd.get("/v1/connectors"),
        cyd.get(f"{ONE}/health"),
        cyd.get(f"{ONE}/tools"),
        cyd.post("/v1/connectors", {"connector_id": "docs", **secrets}),
        cyd.post(ONE, {"oauth": oauth}),
        cyd.post(ONE, {"headers": {"Host": f"{CANARY}-h"}}),
        cyd.post(ONE, {"authorization": [f"{CANARY}-t"]}),
        cyd.post(ONE, {"authorization": None, "headers": None, "oauth": oauth}),
        cyd.get(ONE),
        cyd.post(f"{ONE}/authorize", {}),
    ]
    assert CANARY.encode() not in b"".join(one.body for one in told)
    assert {one.get("authorization") for one in mcp_case.headers("tools/list")} == {f"Bearer {CANARY}-t"}
    running, folder = program
    assert CANARY not in running.output
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "antiphon.yaml"]
    assert any(path.suffix == ".db" for path in files)
    assert [path.name for path in files if CANARY.encode() in path.read_bytes()] == []


def test_connectors_outlive_kill_9_and_a_rotation_of_keys_but_not_the_loss_of_theirs(
    start_mcp: StartMcp, tmp_path: Path, recorder: Recorder, mcp_case: Case
) -> None:
    server = start_mcp()
    with Raw(server.port, recorder) as raw:
        make(raw, mcp_case.url(), authorization=f"{CANARY}-t")
    server.kill()
    command = [*antiphon_command(), "key", "rotate", "--config", str(tmp_path / "antiphon.yaml")]
    rotated = subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=True
    )
    assert "2 keys" in rotated.stdout
    server = start_mcp()
    with Raw(server.port, recorder) as raw:
        assert raw.get(ONE).json["problem"] is None
        assert raw.get(f"{ONE}/health").json["status"] == "ok"
    server.stop()
    assert {one.get("authorization") for one in mcp_case.headers("tools/list")} == {f"Bearer {CANARY}-t"}
    keys = tmp_path / "sealing.keys"
    keys.write_text(keys.read_text().splitlines()[0] + "\n")  # as further rotations do
    server = start_mcp()
    with Raw(server.port, recorder) as raw:
        problem = raw.get(ONE).json["problem"]
        assert "POST /v1/connectors/docs" in problem
        assert raw.get(f"{ONE}/health").json["error"]["message"] == problem
        tool = {"type": "mcp", "server_label": "x", "connector_id": "docs"}
        refused = raw.post("/v1/responses", {"model": MODEL, "input": "hi", "tools": [tool]})
        assert (refused.status, refused.error["message"]) == (400, problem)
        assert refused.error["param"] == "tools[0].connector_id"
        assert raw.post(ONE, {"authorization": f"{CANARY}-2"}).json["problem"] is None
        assert raw.get(f"{ONE}/health").json["status"] == "ok"
    assert mcp_case.headers("tools/list")[-1]["authorization"] == f"Bearer {CANARY}-2"


# --- bad input -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"", 400, None),
        (b"[]", 400, None),
        (b"{", 400, None),
        ({}, 400, "connector_id"),
        ({"connector_id": "../x", "url": "https://x.com"}, 400, "connector_id"),
        ({"connector_id": "x"}, 400, "url"),
        ({"connector_id": "x", "url": "file:///etc/passwd"}, 400, "url"),
        ({"connector_id": "x", "url": "https://user:pw@x.com/"}, 400, "url"),
        ({"connector_id": "x", "url": "http://169.254.169.254/latest"}, 400, "url"),
        ({"connector_id": "x", "url": "http://0x7f.1/"}, 400, "url"),
        ({"connector_id": "x", "command": ["sh"]}, 400, "command"),
        ({"connector_id": "x", "url": "https://x.com", "transport": "stdio"}, 400, "transport"),
        ({"connector_id": "x", "url": "https://x.com", "headers": {"Host": "y"}}, 400, "headers.Host"),
        ({"connector_id": "x", "url": "https://x.com", "authorization": "a", "oauth": {}}, 400, "oauth"),
        ({"connector_id": "x", "url": "https://x.com", "tenants": ["second"]}, 400, "tenants"),
        ({"connector_id": "x", "url": "https://x.com", "trusted": True}, 400, "trusted"),
    ],
)
def test_a_malformed_connector_is_refused_and_not_kept(
    ann: Raw, body: Json | bytes, status: int, param: str | None
) -> None:
    answer = ann.post("/v1/connectors", body)
    assert (answer.status, answer.error["param"]) == (status, param)
    assert set(answer.error) == {"message", "type", "param", "code"}
    assert "x" not in ids(ann.get("/v1/connectors"))


def test_methods_and_queries_that_are_not_served_are_named(ann: Raw) -> None:
    for method in ("PUT", "PATCH"):
        answer = ann.send(method, "/v1/connectors/desk", {})
        assert (answer.status, answer.error["code"]) == (405, "method_not_allowed")
    for method, path in (("POST", "/v1/connectors"), ("GET", "/v1/connectors/desk/health"), ("DELETE", ONE)):
        answer = ann.send(method, f"{path}?force=1", {} if method == "POST" else None)
        assert (answer.status, answer.error["param"]) == (400, "force")


def test_the_document_of_the_server_has_the_routes(ann: Raw) -> None:
    document = json.loads(ann.get("/openapi.json").body)
    paths = document["paths"]
    assert set(paths["/v1/connectors"]) == {"get", "post"}
    assert set(paths["/v1/connectors/{connector_id}"]) == {"get", "post", "delete"}
    assert set(paths["/v1beta/connectors/{connector_id}/tools"]) == {"get"}
    schema = document["components"]["schemas"]["ConnectorObject"]
    assert {"connector_id", "url", "problem", "has_authorization"} <= set(schema["properties"])
    assert not {"authorization", "headers"} & set(schema["properties"])
