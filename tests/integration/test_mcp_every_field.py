"""Each field of an `mcp` tool in each form: what it does, or how it is refused. Counted in the coverage page."""

from typing import Any

import pytest

from tests.integration.clients import Raw
from tests.integration.mcp_world import MODEL, Json, StartMcp, server, shown
from tests.integration.obedient import calls, script
from tests.integration.upstream import Upstream
from tests.support.mcp_wire import Case

READ = calls("read_note", name="a")
ERASE = calls("erase", path="a")
NOTHING = script("nothing to do")


def created(raw: Raw, script_: str, tool: Json, **more: Any) -> Json:
    answer = raw.post("/v1/responses", {"model": MODEL, "input": script_, "tools": [tool], **more})
    assert answer.status == 200, answer.body
    return answer.json


def kinds(response: Json) -> list[str]:
    return [item["type"] for item in response["output"]]


@pytest.mark.parametrize(
    ("allowed", "names"),
    [
        (["add", "erase"], ["add", "erase"]),
        ({"tool_names": ["add", "erase"]}, ["add", "erase"]),
        ({"tool_names": ["add", "erase"], "read_only": True}, ["add"]),
        ({"tool_names": ["add", "erase"], "read_only": False}, ["erase"]),
    ],
)
def test_allowed_tools(
    mcp_raw: Raw, mcp_case: Case, upstream: Upstream, allowed: Any, names: list[str]
) -> None:
    response = created(mcp_raw, NOTHING, server(mcp_case, allowed_tools=allowed))
    assert [tool["name"] for tool in response["output"][0]["tools"]] == names
    assert shown(upstream) == names
    assert response["tools"][0]["allowed_tools"] == allowed


@pytest.mark.parametrize(
    ("rules", "read", "erase"),
    [
        ("never", False, False),
        ("always", True, True),
        (None, True, True),
        ({"never": {"read_only": True}}, False, True),
        ({"never": {"tool_names": ["erase"]}}, True, False),
        (
            {"never": {"tool_names": ["read_note"]}, "always": {"tool_names": ["read_note", "erase"]}},
            False,
            True,
        ),
        ({"never": {"read_only": False}, "always": {"read_only": True}}, True, False),
    ],
)
def test_require_approval(mcp_raw: Raw, mcp_case: Case, rules: Any, read: bool, erase: bool) -> None:
    """Whether a tool that only reads, and one that does not, wait for somebody."""
    tool = server(mcp_case, require_approval=rules)
    for call, waits in ((READ, read), (ERASE, erase)):
        response = created(mcp_raw, script(call, "done"), tool)
        assert ("mcp_approval_request" in kinds(response)) == waits
        assert ("mcp_call" in kinds(response)) != waits
    assert (mcp_case.calls("read_note"), mcp_case.calls("erase")) == (int(not read), int(not erase))


def test_headers_authorization_and_a_description(mcp_raw: Raw, mcp_case: Case, upstream: Upstream) -> None:
    tool = server(
        mcp_case,
        authorization="secret-token",
        headers={"x-token": "secret-header"},
        server_description="Everything about notes.",
        allowed_tools=["whoami"],
    )
    response = created(mcp_raw, script(calls("whoami"), "{outputs}"), tool)
    (headers,) = mcp_case.headers("tools/call")
    assert (headers["authorization"], headers["x-token"]) == ("Bearer secret-token", "secret-header")
    (face,) = upstream.last_request()["tools"]
    assert "Everything about notes." in face["function"]["description"]
    stored = mcp_raw.get(f"/v1/responses/{response['id']}")
    for body in (str(response), stored.body.decode(), str(upstream.last_request())):
        assert "secret-" not in body
    assert response["tools"][0]["server_description"] == "Everything about notes."


def test_a_connector(start_mcp: StartMcp, recorder: Any, mcp_case: Case) -> None:
    configured = (
        f'connectors: [{{connector_id: notes, url: "{mcp_case.url()}", authorization: of-the-operator}}]'
    )
    with Raw(start_mcp(configured).port, recorder) as raw:
        tool = {"type": "mcp", "server_label": "desk", "connector_id": "notes", "require_approval": "never"}
        response = created(raw, script(calls("add", a=2, b=3), "{outputs}"), tool)
        assert response["output"][-1]["content"][0]["text"] == "5"
        unknown = raw.post(
            "/v1/responses",
            {"model": MODEL, "input": "x", "tools": [{**tool, "connector_id": "connector_gmail"}]},
        )
    assert (unknown.status, unknown.error["param"]) == (400, "tools[0].connector_id")
    (headers,) = mcp_case.headers("tools/call")
    assert headers["authorization"] == "Bearer of-the-operator"


def test_a_deferred_server_is_found_by_a_search(mcp_raw: Raw, mcp_case: Case, upstream: Upstream) -> None:
    tools = [server(mcp_case, defer_loading=True), {"type": "tool_search"}]
    searched = calls("tool_search", query="add two numbers")
    body = {"model": MODEL, "input": script(searched, calls("add", a=1, b=1), "{outputs}"), "tools": tools}
    answer = mcp_raw.post("/v1/responses", body)
    assert answer.status == 200, answer.body
    assert kinds(answer.json)[-3:] == ["tool_search_output", "mcp_call", "message"]
    assert "add" in shown(upstream)
    assert "erase" not in shown(upstream)


@pytest.mark.parametrize("callers", [["direct"], ["direct", "programmatic"], None])
def test_allowed_callers(mcp_raw: Raw, mcp_case: Case, callers: Any) -> None:
    response = created(
        mcp_raw, script(calls("hello"), "{outputs}"), server(mcp_case, allowed_callers=callers)
    )
    assert response["output"][-1]["content"][0]["text"] == "hello"


@pytest.mark.parametrize(
    ("field", "value"),
    [("tunnel_id", "tunnel_" + "a" * 32), ("allowed_callers", ["programmatic"])],
)
def test_what_only_openai_has_is_refused(mcp_raw: Raw, mcp_case: Case, field: str, value: Any) -> None:
    tool = server(mcp_case)
    if field == "tunnel_id":
        del tool["server_url"]
    body = {"model": MODEL, "input": "x", "tools": [{**tool, field: value}]}
    answer = mcp_raw.post("/v1/responses", body)
    assert answer.status == 400
    assert answer.error["param"] == f"tools[0].{field}"
    assert answer.error["code"] == "unsupported_parameter"
    assert mcp_case.seen.asked == []


@pytest.mark.parametrize("name", [None, "hello"])
def test_a_choice_of_a_server_or_of_one_tool(
    mcp_raw: Raw, mcp_case: Case, upstream: Upstream, name: Any
) -> None:
    tool = server(mcp_case, allowed_tools=["hello", "add"])
    choice: Json = {"type": "mcp", "server_label": "desk", **({"name": name} if name else {})}
    response = created(mcp_raw, script(calls("hello"), "{outputs}"), tool, tool_choice=choice)
    assert kinds(response) == ["mcp_list_tools", "mcp_call", "message"]
    assert response["tool_choice"] == choice
    sent = upstream.seen.requests[-2]["tool_choice"]
    assert sent == ({"type": "function", "function": {"name": "hello"}} if name else "required")


def test_tools_allowed_by_the_choice(mcp_raw: Raw, mcp_case: Case) -> None:
    """The model is shown all of them, and may call that one alone."""
    allowed = [{"type": "mcp", "server_label": "desk", "name": "hello"}]
    choice = {"type": "allowed_tools", "mode": "auto", "tools": allowed}
    asked = script(calls("erase", path="a"), calls("hello"), "{outputs}")
    response = created(mcp_raw, asked, server(mcp_case), tool_choice=choice)
    assert mcp_case.calls("erase") == 0
    assert mcp_case.calls("hello") == 1
    assert "may not be called" in response["output"][-1]["content"][0]["text"]


@pytest.mark.parametrize("stream", [False, True])
def test_items_are_shown_again_as_input(mcp_raw: Raw, mcp_case: Case, stream: bool) -> None:
    """Every item of MCP, in lists of input items: the answer to an approval, which no output has, too."""
    asked = created(
        mcp_raw,
        script(READ, ERASE, "{outputs}"),
        server(mcp_case, require_approval={"never": {"read_only": True}}),
    )
    request = asked["output"][-1]
    answer = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}
    body = {
        "model": MODEL,
        "previous_response_id": asked["id"],
        "input": [answer],
        "tools": [server(mcp_case)],
        "stream": stream,
    }
    answered = mcp_raw.post("/v1/responses", body)
    assert answered.status == 200, answered.body
    last = answered.body.decode().rpartition('"id":"resp_')[2].partition('"')[0]
    listed = mcp_raw.get(f"/v1/responses/resp_{last}/input_items?order=asc").json["data"]
    assert [item["type"] for item in listed] == [
        *("message", "mcp_list_tools", "mcp_call", "mcp_approval_request", "mcp_approval_response"),
    ]
    assert listed[-1]["id"].startswith("mcpr_") or listed[-1]["id"]


def test_a_server_that_cannot_be_asked(mcp_raw: Raw, mcp_case: Case) -> None:
    """Streamed: the list fails, and the response goes on."""
    tool = {**server(mcp_case), "server_url": f"{mcp_case.base}/nothing/here"}
    body = {"model": MODEL, "input": script("without tools"), "tools": [tool], "stream": True}
    text = mcp_raw.post("/v1/responses", body).body.decode()
    assert "event: response.mcp_list_tools.failed" in text
    assert "event: response.completed" in text


def test_a_call_that_fails(mcp_raw: Raw, mcp_case: Case) -> None:
    body = {
        "model": MODEL,
        "input": script(calls("fails"), "{outputs}"),
        "tools": [server(mcp_case)],
        "stream": True,
    }
    text = mcp_raw.post("/v1/responses", body).body.decode()
    assert "event: response.mcp_call.failed" in text
    assert "the disk is full" in text.rpartition("event: response.completed")[2]
