"""`/v1/toolgroups`, `/v1/tools` and `/v1/tool-runtime` in the installed program, as both generations of clients ask."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bench.program import Program, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Answer, Raw
from tests.integration.mcp_world import mcp_configuration
from tests.integration.oauth_world import oauth_servers
from tests.integration.test_connectors import KEYS, POLICY
from tests.integration.test_mcp_oauth_howto import opened
from tests.integration.upstream import Upstream
from tests.support.mcp_servers import McpServers
from tests.support.mcp_tools import digest
from tests.support.mcp_wire import Case
from tests.support.oauth_server import OAuthServers

__all__ = ["oauth_servers"]
Json = dict[str, Any]
CANARY = "canary-91c5"
SERVER = f'server: {{egress: {{allow_private: ["127.0.0.0/8"]}}, auth: {{keys: [{KEYS}]}}}}'
GROUPS = "/v1/toolgroups"
INVOKE = "/v1/tool-runtime/invoke"
LIST = "/v1/tool-runtime/list-tools"
SUMS = "mcp::sums/of the house"


def configured(case: Case) -> str:
    return f"""\
connectors:
- connector_id: desk
  url: "{case.url()}?key={CANARY}"
  description: Of the desk.
- {{connector_id: seconds, url: "{case.url()}", tenants: [second]}}
tool_groups:
- toolgroup_id: "{SUMS}"
  provider_id: sums
  mcp_endpoint: {{uri: "{case.url("json")}"}}
  args: {{b: 40, api_key: {CANARY}}}
- {{toolgroup_id: house, provider_id: rag-runtime, args: {{vector_db_ids: [plans], query_config: {{max_chunks: 2}}}}}}
"""


@pytest.fixture(scope="module")
def case(mcp_servers: McpServers) -> Case:
    """The server behind those of the configuration."""
    return mcp_servers.case()


@pytest.fixture(scope="module")
def program(upstream: Upstream, case: Case, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder: Path = tmp_path_factory.mktemp("tool-groups")
    text = mcp_configuration(upstream, folder, SERVER, POLICY, configured(case)).replace(
        "providers:\n",
        'providers:\n  tool_runtime:\n  - {provider_id: sums, provider_type: "remote::model-context-protocol"}\n',
    )
    with start_antiphon(folder, text) as running:
        running.wait_ready()
        yield running


def as_user(name: str, program: Program, recorder: Recorder) -> Raw:
    return Raw(program.port, recorder, {"authorization": f"Bearer key-of-{name}"})


@pytest.fixture
def ann(program: Program, recorder: Recorder) -> Iterator[Raw]:
    with as_user("ann", program, recorder) as raw:
        yield raw
        for one in ok(raw.get(GROUPS))["data"]:
            raw.send("DELETE", f"{GROUPS}/{quote(one['identifier'], safe='')}")


@pytest.fixture
def cyd(program: Program, recorder: Recorder) -> Iterator[Raw]:
    with as_user("cyd", program, recorder) as raw:
        yield raw


def ok(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return answer.json


def register(raw: Raw, group: str, url: str | None = None, **more: Any) -> Answer:
    body: Json = {"toolgroup_id": group, "provider_id": "model-context-protocol", **more}
    return raw.post(GROUPS, body | ({"mcp_endpoint": {"uri": url}} if url else {}))


def ids(raw: Raw) -> list[str]:
    return [one["identifier"] for one in ok(raw.get(GROUPS))["data"]]


def invoke(raw: Raw, name: str, headers: dict[str, str] | None = None, /, **kwargs: Any) -> Json:
    body = {"tool_name": name, "kwargs": kwargs}
    return dict(ok(raw.send("POST", INVOKE, body, headers)))


def refused(answer: Answer, status: int, param: str) -> str:
    assert (answer.status, answer.error["param"]) == (status, param), answer.body
    return str(answer.error["message"])


def names(answer: Answer) -> list[str]:
    return [one["name"] for one in ok(answer)["data"]]


# --- groups --------------------------------------------------------------------------------------------------
def test_groups_of_the_configuration_and_of_connectors_are_listed(ann: Raw, cyd: Raw, case: Case) -> None:
    assert ids(ann) == ["builtin::rag", SUMS, "house", "mcp::desk"]
    assert ids(cyd) == [*ids(ann), "mcp::seconds"]
    assert ok(ann.get(f"{GROUPS}/{quote(SUMS, safe='')}")) == {
        "identifier": SUMS,
        "provider_id": "sums",
        "provider_resource_id": "sums-of-the-house",
        "type": "tool_group",
        "args": {"b": 40, "api_key": "***"},
        "mcp_endpoint": None,  # other tenants' users may not know where the operator's servers are
    }
    assert ok(ann.get(f"{GROUPS}/builtin::rag"))["provider_id"] == "rag-runtime"
    desk = ok(ann.get(f"{GROUPS}/desk"))
    assert desk == ok(ann.get(f"{GROUPS}/mcp::desk"))
    assert desk == ok(ann.get(f"{GROUPS}/mcp%3A%3Adesk"))
    assert case.count("initialize") == 0


def test_a_server_is_registered_used_and_unregistered_with_its_connector(ann: Raw, mcp_case: Case) -> None:
    group, url = "mcp::deep wiki/1", f"{mcp_case.url()}?token={CANARY}"
    assert ok(register(ann, group, url, args={"a": 1})) is None
    path = f"{GROUPS}/{quote(group, safe='/')}"
    assert ok(ann.get(path)) == {
        "identifier": group,
        "provider_id": "model-context-protocol",
        "provider_resource_id": "deep-wiki-1",
        "type": "tool_group",
        "args": {"a": 1},
        "mcp_endpoint": {"uri": f"{mcp_case.url()}?token=***"},
    }
    assert ok(ann.get("/v1/connectors/deep-wiki-1"))["metadata"] == {"toolgroup_id": group}
    assert ids(ann)[-2:] == [group, "mcp::desk"]
    for other in ("deep-wiki-1", "mcp::deep-wiki-1"):
        assert ok(ann.get(f"{GROUPS}/{other}"))["identifier"] == group
    assert invoke(ann, f"{group}/add", a=7, b=2)["content"] == "3"
    assert ok(register(ann, group, url, args={"a": 1})) is None
    for change, param in (
        ({"args": {"a": 2}}, "args"),
        ({"provider_id": "sums", "args": {"a": 1}}, "provider_id"),
    ):
        refused(register(ann, group, url, **change), 409, param)
    refused(register(ann, group, mcp_case.url("sse"), args={"a": 1}), 409, "toolgroup_id")
    assert ok(ann.send("DELETE", path)) is None
    assert ann.send("DELETE", path).status == ann.get(path).status == 404
    assert ann.get("/v1/connectors/deep-wiki-1").status == 404


def test_a_group_over_a_connector_that_is_there_has_arguments_and_leaves_it(ann: Raw) -> None:
    assert ok(register(ann, "mcp::desk", args={"b": 5})) is None
    assert ids(ann) == ["builtin::rag", SUMS, "house", "mcp::desk"]
    assert invoke(ann, "desk/add", a=1, b=1)["content"] == "6"
    assert ok(ann.send("DELETE", f"{GROUPS}/desk")) is None
    assert invoke(ann, "desk/add", a=1, b=1)["content"] == "2"
    refused(ann.send("DELETE", f"{GROUPS}/desk"), 409, "toolgroup_id")


def test_a_group_goes_with_its_connector_and_can_be_registered_anew(ann: Raw, mcp_case: Case) -> None:
    ok(register(ann, "mcp::docs", mcp_case.url()))
    ok(ann.send("DELETE", "/v1/connectors/docs"))
    assert "mcp::docs" not in ids(ann)
    refused(ann.get(f"{GROUPS}/mcp::docs"), 404, "toolgroup_id")
    ok(register(ann, "mcp::docs", mcp_case.url("sse")))
    assert ok(ann.get(f"{GROUPS}/mcp::docs"))["mcp_endpoint"] == {"uri": mcp_case.url("sse")}


def test_tenants_have_groups_of_their_own(
    ann: Raw, cyd: Raw, program: Program, recorder: Recorder, mcp_case: Case
) -> None:
    ok(register(ann, "mcp::docs", mcp_case.url(), args={"text": CANARY}))
    with as_user("bob", program, recorder) as bob:
        assert invoke(bob, "mcp::docs/echo", text="x")["content"] == CANARY
    assert "mcp::docs" not in ids(cyd)
    for method in ("GET", "DELETE"):
        refused(cyd.send(method, f"{GROUPS}/mcp::docs"), 404, "toolgroup_id")
    refused(cyd.post(INVOKE, {"tool_name": "mcp::docs/echo", "kwargs": {}}), 404, "tool_name")
    refused(ann.get(f"{GROUPS}/mcp::seconds"), 404, "toolgroup_id")
    refused(ann.get("/v1/tools?toolgroup_id=mcp::seconds"), 404, "toolgroup_id")
    ok(register(cyd, "mcp::docs", mcp_case.url("sse")))
    ok(cyd.send("DELETE", f"{GROUPS}/mcp::docs"))
    assert ok(ann.get(f"{GROUPS}/docs"))["args"] == {"text": CANARY}


def test_of_many_who_register_at_once_one_makes_the_group(
    ann: Raw, program: Program, recorder: Recorder, mcp_case: Case
) -> None:
    def at_once(*urls: str) -> list[int]:
        def one(url: str) -> int:
            with as_user("bob", program, recorder) as bob:
                return register(bob, "mcp::race", url).status

        with ThreadPoolExecutor(len(urls)) as pool:
            return sorted(pool.map(one, urls))

    assert at_once(*[mcp_case.url()] * 6) == [200] * 6
    ok(ann.send("DELETE", f"{GROUPS}/mcp::race"))
    flavours = ("mcp", "json", "sse", "modern")
    assert at_once(*map(mcp_case.url, flavours)) == [200, 409, 409, 409]
    assert [one["id"] for one in ok(ann.get("/v1/connectors"))["data"]].count("race") == 1


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"provider_id": "sums"}, 400, "toolgroup_id"),
        ({"toolgroup_id": "x"}, 400, "provider_id"),
        ({"toolgroup_id": "", "provider_id": "sums"}, 400, "toolgroup_id"),
        ({"toolgroup_id": " x", "provider_id": "sums"}, 400, "toolgroup_id"),
        ({"toolgroup_id": "a\n", "provider_id": "sums"}, 400, "toolgroup_id"),
        ({"toolgroup_id": "x" * 300, "provider_id": "sums"}, 400, "toolgroup_id"),
        ({"toolgroup_id": "x", "provider_id": "brave"}, 400, "provider_id"),
        ({"toolgroup_id": "x", "provider_id": "sums"}, 400, "mcp_endpoint"),
        ({"toolgroup_id": "x", "provider_id": "sums", "mcp_endpoint": "u"}, 400, "mcp_endpoint"),
        ({"toolgroup_id": "x", "provider_id": "sums", "mcp_endpoint": {"uri": "u"}}, 400, "mcp_endpoint.uri"),
        (
            {"toolgroup_id": "x", "provider_id": "sums", "mcp_endpoint": {"uri": "http://10.0.0.1/mcp"}},
            400,
            "mcp_endpoint.uri",
        ),
        (
            {"toolgroup_id": "x", "provider_id": "rag-runtime", "mcp_endpoint": {"uri": "u"}},
            400,
            "mcp_endpoint",
        ),
        ({"toolgroup_id": "x", "provider_id": "rag-runtime", "args": {"top_k": 2}}, 400, "args.top_k"),
        (
            {"toolgroup_id": "x", "provider_id": "rag-runtime", "args": {"query_config": {"max_chunks": 0}}},
            400,
            "args.query_config.max_chunks",
        ),
        (
            {
                "toolgroup_id": "x",
                "provider_id": "rag-runtime",
                "args": {"query_config": {"chunk_template": "{index}"}},
            },
            400,
            "args.query_config.chunk_template",
        ),
        ({"toolgroup_id": "x", "provider_id": "sums", "args": []}, 400, "args"),
        ({"toolgroup_id": "x", "provider_id": "sums", "args": {"a": "x" * 65_536}}, 400, "args"),
        ({"toolgroup_id": "x", "provider_id": "sums", "arg": {}}, 400, "arg"),
        ({"toolgroup_id": "builtin::websearch", "provider_id": "sums"}, 400, "toolgroup_id"),
        ({"toolgroup_id": "builtin::mine", "provider_id": "sums"}, 400, "toolgroup_id"),
        ({"toolgroup_id": "builtin::rag", "provider_id": "sums"}, 409, "toolgroup_id"),
        (
            {"toolgroup_id": "desk", "provider_id": "sums", "mcp_endpoint": {"uri": "http://a.b/"}},
            409,
            "toolgroup_id",
        ),
        ({"toolgroup_id": SUMS, "provider_id": "sums"}, 409, "args"),
    ],
)
def test_what_cannot_be_registered_is_refused_by_its_field(
    ann: Raw, body: Json, status: int, param: str
) -> None:
    before = ids(ann)
    refused(ann.post(GROUPS, body), status, param)
    assert ids(ann) == before


def test_bodies_that_are_none_and_unknown_parameters_are_refused(ann: Raw) -> None:
    for body in (b"", b"[]", b"{", b'{"a":' * 4000):
        for path in (GROUPS, INVOKE):
            assert ann.post(path, body).status == 400
    for path in (f"{GROUPS}?x=1", f"{GROUPS}/desk?x=1", "/v1/tools?x=1", "/v1/tools/add?x=1", f"{LIST}?x=1"):
        refused(ann.get(path), 400, "x")
    refused(ann.get("/v1/tools?toolgroup_id=a&toolgroup_id=b"), 400, "toolgroup_id")


def test_built_in_groups_of_others_are_refused_by_name(ann: Raw) -> None:
    for name in ("websearch", "wolfram_alpha", "code_interpreter"):
        group = f"builtin::{name}"
        assert "is not served" in refused(ann.get(f"{GROUPS}/{group}"), 400, "toolgroup_id")
        refused(ann.get(f"/v1/tools?toolgroup_id={group}"), 400, "toolgroup_id")
        refused(ann.get(f"{LIST}?tool_group_id={group}"), 400, "tool_group_id")
        refused(ann.post(INVOKE, {"tool_name": f"{group}/x", "kwargs": {}}), 400, "tool_name")
    for group in ("builtin::rag", "house", SUMS):
        refused(ann.send("DELETE", f"{GROUPS}/{quote(group, safe='')}"), 403, "toolgroup_id")
    assert ok(ann.post(GROUPS, {"toolgroup_id": "builtin::rag", "provider_id": "rag-runtime"})) is None


# --- tools ---------------------------------------------------------------------------------------------------
def test_a_tool_is_what_both_generations_of_clients_read(ann: Raw) -> None:
    tools = {one["name"]: one for one in ok(ann.get("/v1/tools?toolgroup_id=desk"))["data"]}
    add = tools["add"]
    assert add["input_schema"]["required"] == ["a", "b"]
    assert {name: value for name, value in add.items() if name != "input_schema"} == {
        "identifier": "add",
        "name": "add",
        "description": "Add two numbers.",
        "parameters": [
            {"name": "a", "parameter_type": "integer", "description": "", "required": True, "default": None},
            {"name": "b", "parameter_type": "integer", "description": "", "required": True, "default": None},
        ],
        "output_schema": None,
        "provider_id": "sums",
        "provider_resource_id": "add",
        "toolgroup_id": "mcp::desk",
        "type": "tool",
        "metadata": {"annotations": {"readOnlyHint": True}},
    }
    assert tools["hello"]["parameters"] == []
    [numbers] = tools["total"]["parameters"]
    assert (numbers["parameter_type"], numbers["items"]) == ("array", {"type": "number"})
    place, tags = tools["describe"]["parameters"]
    assert (place["parameter_type"], tags["parameter_type"], tags["required"]) == ("object", "array", False)
    assert ok(ann.get("/v1/tools/mcp::desk/add")) == add
    assert names(ann.get("/v1/tools?toolgroup_id=mcp::desk/add")) == ["add"]
    assert ok(ann.get(f"{LIST}?tool_group_id=mcp%3A%3Adesk"))["data"] == list(tools.values())
    knowledge = ok(ann.get("/v1/tools?toolgroup_id=builtin::rag/knowledge_search"))["data"]
    assert [(one["identifier"], one["toolgroup_id"]) for one in knowledge] == [
        ("knowledge_search", "builtin::rag")
    ]
    assert ok(ann.get("/v1/tools/knowledge_search")) == knowledge[0]
    assert [one["name"] for one in knowledge[0]["parameters"]] == ["query"]


def test_a_list_of_all_groups_leaves_out_those_that_cannot_be_asked(ann: Raw, hostile_mcp: Case) -> None:
    ok(register(ann, "mcp::ill", hostile_mcp.url("list-403")))
    ok(register(ann, "mcp::dead", "http://127.0.0.1:9/mcp"))
    for path in ("/v1/tools", LIST):
        found = ok(ann.get(path))
        groups = {one["toolgroup_id"] for one in found["data"]}
        assert groups == {"builtin::rag", "house", SUMS, "mcp::desk"}
        assert [one["toolgroup_id"] for one in found["left_out"]] == ["mcp::ill", "mcp::dead"]
    assert "could not be connected to" in found["left_out"][1]["message"]
    for group in ("mcp::ill", "mcp::dead"):
        failed = ann.get(f"/v1/tools?toolgroup_id={group}")
        refused(failed, 502, "toolgroup_id")
        assert failed.error["code"] == "connector_failed"
        refused(ann.get(f"{LIST}?tool_group_id={group}"), 502, "tool_group_id")
        refused(ann.get(f"/v1/tools/{group}/add"), 502, "tool_name")
    assert "mcp::dead" in refused(ann.get("/v1/tools/nowhere"), 404, "tool_name")


def test_who_has_to_authorise_is_told_where_and_goes_on(ann: Raw, oauth_servers: OAuthServers) -> None:
    server = oauth_servers.case()
    ok(ann.post("/v1/connectors", {"connector_id": "mine", "url": server.mcp, "oauth": {}}))
    try:
        answer = ann.get("/v1/tools?toolgroup_id=mine")
        assert (answer.status, answer.error["code"]) == (403, "authorization_required")
        assert [one["toolgroup_id"] for one in ok(ann.get("/v1/tools"))["left_out"]] == ["mcp::mine"]
        told = invoke(ann, "mine/whoami")
        link = re.search(r"http\S+", told["error_message"])
        assert link is not None
        assert told["error_code"] == -32050
        assert "“ann”" in opened(link[0], "ann")
        assert "ann" in invoke(ann, "mine/whoami")["content"]
        assert "whoami" in names(ann.get("/v1/tools?toolgroup_id=mine"))
    finally:
        ann.send("DELETE", "/v1/connectors/mine")


def test_a_server_is_listed_by_its_url_in_every_form_that_clients_write(ann: Raw, mcp_case: Case) -> None:
    url = quote(mcp_case.url(), safe="")
    as_json = quote(json.dumps({"uri": mcp_case.url()}))
    for query in (f"mcp_endpoint%5Buri%5D={url}", f"mcp_endpoint[uri]={url}", f"mcp_endpoint={url}"):
        found = ok(ann.get(f"{LIST}?{query}"))["data"]
        assert "add" in {one["name"] for one in found}
        assert {one["toolgroup_id"] for one in found} == {None}
    assert "add" in names(ann.get(f"{LIST}?mcp_endpoint={as_json}"))
    for query, status in (
        (f"mcp_endpoint={url}&tool_group_id=desk", 400),
        (f"mcp_endpoint={url}&mcp_endpoint[uri]={url}", 400),
        ("mcp_endpoint=%7B", 400),
        ("mcp_endpoint=%7B%22uri%22%3A1%7D", 400),
        ("mcp_endpoint=", 400),
        ("mcp_endpoint=http://169.254.169.254/x", 400),
        ("mcp_endpoint=http://127.0.0.1:9/mcp", 502),
    ):
        refused(ann.get(f"{LIST}?{query}"), status, "mcp_endpoint")


# --- calls ---------------------------------------------------------------------------------------------------
def test_tools_are_run_by_themselves(ann: Raw, mcp_case: Case) -> None:
    ok(register(ann, "mcp::docs", mcp_case.url()))
    said = invoke(ann, "docs/add", a=1, b=2)
    assert said == {"content": "3", "error_message": None, "error_code": None, "metadata": None}
    assert invoke(ann, "docs/hello")["content"] == "hello"
    assert invoke(ann, "docs/total", numbers=[1, 2.5])["content"] == "3.5"
    assert (
        invoke(ann, "docs/describe", place={"city": "Oslo"}, tags=["a"])["content"] == "Oslo in Norway ['a']"
    )
    text, image = invoke(ann, "docs/picture")["content"]
    assert (text["type"], image["type"]) == ("text", "image")
    assert image["image"]["data"].startswith("iVBOR")
    assert mcp_case.count("tools/call") == 5


def test_a_tool_that_fails_says_so_in_its_answer(ann: Raw, hostile_mcp: Case) -> None:
    failed = invoke(ann, "desk/fails", why="the disk is full")
    assert "the disk is full" in failed["error_message"]
    assert failed["content"] == f"Error: {failed['error_message']}"
    assert failed["error_code"] == 1
    assert invoke(ann, "desk/breaks")["error_code"] == -32050
    assert invoke(ann, "desk/add", a="x", b={})["error_message"]
    ok(register(ann, "mcp::ill", hostile_mcp.url("call-hang")))
    [tool, *_] = names(ann.get("/v1/tools?toolgroup_id=mcp::ill"))
    assert invoke(ann, f"mcp::ill/{tool}")["error_code"] == -32000
    ok(register(ann, "mcp::dead", "http://127.0.0.1:9/mcp"))
    assert "could not be connected to" in invoke(ann, "mcp::dead/add", a=1)["error_message"]


def test_nobody_is_asked_questions_there(ann: Raw) -> None:
    assert invoke(ann, "desk/ask_name")["content"] == "user said: decline"
    assert invoke(ann, "desk/ask_url")["content"] == "user said: decline"
    assert invoke(ann, "desk/summarize", text="x")["error_message"]


def test_a_name_that_several_groups_have_is_refused_and_one_that_none_has(ann: Raw, mcp_case: Case) -> None:
    message = refused(ann.post(INVOKE, {"tool_name": "add", "kwargs": {}}), 400, "tool_name")
    assert f"{SUMS}/add, mcp::desk/add" in message
    refused(ann.get("/v1/tools/add"), 400, "tool_name")
    refused(ann.post(INVOKE, {"tool_name": "subtract", "kwargs": {}}), 404, "tool_name")
    refused(ann.post(INVOKE, {"tool_name": "desk/subtract", "kwargs": {}}), 404, "tool_name")
    refused(ann.post(INVOKE, {"tool_name": "nowhere/add", "kwargs": {}}), 404, "tool_name")
    wrong: list[tuple[Json, str]] = [
        ({"tool_name": "desk/add"}, "kwargs"),
        ({"tool_name": "desk/add", "kwargs": []}, "kwargs"),
        ({"tool_name": "", "kwargs": {}}, "tool_name"),
        ({"tool_name": 5, "kwargs": {}}, "tool_name"),
        ({"tool_name": "desk/add", "kwargs": {}, "more": 1}, "more"),
    ]
    for body, param in wrong:
        refused(ann.post(INVOKE, body), 400, param)


def test_arguments_of_a_group_win_over_those_of_a_call(ann: Raw, case: Case) -> None:
    assert invoke(ann, f"{SUMS}/add", a=2, b=2)["content"] == "42"
    assert invoke(ann, f"{SUMS}/echo", text="as it is")["content"] == "as it is"
    assert invoke(ann, f"{SUMS}/hello")["content"] == "hello"


def test_stores_are_searched_by_their_names(ann: Raw) -> None:
    missing = invoke(ann, "house/knowledge_search", query="lamp")
    assert (missing["error_code"], "plans" in missing["error_message"]) == (404, True)
    ok(ann.post("/v1/vector-dbs", {"vector_db_id": "plans"}))
    ok(
        ann.post(
            "/v1/vector-io/insert",
            {
                "vector_db_id": "plans",
                "chunks": [{"content": "The lamp is red.", "metadata": {"document_id": "lamp"}}],
            },
        )
    )
    for name, more in (("knowledge_search", {"vector_db_ids": ["plans"]}), ("house/knowledge_search", {})):
        found = invoke(ann, name, query="Which lamp?", **more)
        assert any("The lamp is red." in one["text"] for one in found["content"])
        assert found["metadata"]["document_ids"] == ["lamp"]
    assert invoke(ann, "knowledge_search", query="x")["error_code"] == 400
    assert (
        invoke(ann, "knowledge_search", vector_db_ids=["plans"], query="zebra")["content"]
        == "Nothing was found."
    )
    assert invoke(ann, "knowledge_search", vector_db_ids=["plans"])["error_code"] == 400
    ok(ann.send("DELETE", "/v1/vector-dbs/plans"))


def test_headers_of_old_clients_reach_the_server_of_their_url_alone(
    ann: Raw, program: Program, mcp_case: Case
) -> None:
    ok(register(ann, "mcp::docs", f"{mcp_case.url()}?v=1"))

    def sent(**data: Any) -> dict[str, str]:
        return {"x-llamastack-provider-data": json.dumps(data)}

    def who(headers: dict[str, str]) -> Json:
        return dict(json.loads(invoke(ann, "docs/whoami", headers)["content"]))

    token, nothing = digest(f"Bearer {CANARY}"), digest("")
    given = {"Authorization": f"Bearer {CANARY}"}
    assert who(sent(mcp_headers={mcp_case.url(): given}))["authorization"] == token
    assert (
        who(sent(mcp_headers={f"{mcp_case.url()}/": [f"Authorization: Bearer {CANARY}"]}))["authorization"]
        == token
    )
    assert who(sent(mcp_authorization={mcp_case.url(): CANARY}))["authorization"] == token
    assert who(sent(mcp_headers={mcp_case.url("sse"): given}, other="x"))["authorization"] == nothing
    for wrong in (
        "{",
        "[]",
        '{"mcp_headers": []}',
        '{"mcp_headers": {"x": 1}}',
        '{"mcp_headers": {"x": {"a": 1}}}',
        '{"mcp_authorization": {"x": 1}}',
        json.dumps({"mcp_headers": {"x": {"Host": CANARY}}}),
        json.dumps({"mcp_headers": {"x": {"a": f"{CANARY}\a"}}}),
    ):
        headers = {"x-llamastack-provider-data": wrong}
        call: Json = {"tool_name": "add", "kwargs": {}}
        for answer in (ann.send("POST", INVOKE, call, headers), ann.send("GET", "/v1/tools", None, headers)):
            assert answer.status == 400, wrong
            assert answer.error["param"].startswith("X-LlamaStack-Provider-Data")
            assert CANARY.encode() not in answer.body


def test_no_secret_of_the_configuration_is_shown(ann: Raw) -> None:
    for path in (GROUPS, f"{GROUPS}/desk", "/v1/tools", "/v1/connectors"):
        assert CANARY.encode() not in ann.get(path).body
