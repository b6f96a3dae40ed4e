"""Definitions of `mcp` tools that cannot be used are a 400 that names the field, and nobody is asked anything."""

import json
from typing import Any

import openai
import pytest

from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw, sync_client
from tests.integration.mcp_world import MODEL, StartMcp, respond, server
from tests.integration.obedient import script
from tests.integration.test_keys import key
from tests.support.mcp_wire import Case

GOOD = {"type": "mcp", "server_label": "desk", "server_url": "http://127.0.0.1:9/mcp"}
SECRET = "tok-3f9c-canary"


def without(*names: str, **more: Any) -> dict[str, Any]:
    return {**{name: value for name, value in GOOD.items() if name not in names}, **more}


_TOOLS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "no label": ([without("server_label")], "tools[0].server_label"),
    "label null": ([without(server_label=None)], "tools[0].server_label"),
    "label of another type": ([without(server_label=7)], "tools[0].server_label"),
    "label empty": ([without(server_label="")], "tools[0].server_label"),
    "label with a line break": ([without(server_label="a\nb")], "tools[0].server_label"),
    "label with a slash": ([without(server_label="a/b")], "tools[0].server_label"),
    "label with control characters": ([without(server_label="a\x1b[31m")], "tools[0].server_label"),
    "label too long": ([without(server_label="x" * 129)], "tools[0].server_label"),
    "label twice": ([GOOD, without(server_url="http://127.0.0.1:8/mcp")], "tools[1].server_label"),
    "neither address": ([without("server_url")], "tools[0].server_url"),
    "both null": ([without(server_url=None, connector_id=None)], "tools[0].server_url"),
    "both addresses": ([without(connector_id="c")], "tools[0].server_url"),
    "a tunnel": ([without("server_url", tunnel_id="t")], "tools[0].tunnel_id"),
    "a tunnel too": ([without(tunnel_id="t")], "tools[0].tunnel_id"),
    "unknown connector": ([without("server_url", connector_id="nobody")], "tools[0].connector_id"),
    "a connector of OpenAI": (
        [without("server_url", connector_id="connector_gmail")],
        "tools[0].connector_id",
    ),
    "a connector of another type": ([without("server_url", connector_id=7)], "tools[0].connector_id"),
    "url of another type": ([without(server_url=7)], "tools[0].server_url"),
    "url empty": ([without(server_url="")], "tools[0].server_url"),
    "url without a scheme": ([without(server_url="127.0.0.1:9/mcp")], "tools[0].server_url"),
    "url of a file": ([without(server_url="file:///etc/passwd")], "tools[0].server_url"),
    "url of ftp": ([without(server_url="ftp://127.0.0.1/")], "tools[0].server_url"),
    "url of a command": ([without(server_url="stdio:///bin/sh")], "tools[0].server_url"),
    "url without a host": ([without(server_url="http:///mcp")], "tools[0].server_url"),
    "url with a space": ([without(server_url="http://127.0.0.1:9/a b")], "tools[0].server_url"),
    "url with a line break": ([without(server_url="http://127.0.0.1:9/\r\nx: y")], "tools[0].server_url"),
    "url with a password": ([without(server_url="http://u:pw@127.0.0.1:9/")], "tools[0].server_url"),
    "url with a port too large": ([without(server_url="http://127.0.0.1:99999/")], "tools[0].server_url"),
    "url too long": ([without(server_url="http://127.0.0.1:9/" + "x" * 9000)], "tools[0].server_url"),
    "a command": ([without("server_url", command=["/bin/sh"])], "tools[0].command"),
    "a command too": ([without(command="/bin/sh")], "tools[0].command"),
    "stdio": ([without(transport="stdio")], "tools[0].transport"),
    "arguments": ([without(args=["-c"])], "tools[0].args"),
    "an environment": ([without(env={"A": "b"})], "tools[0].env"),
    "token of another type": ([without(authorization=7)], "tools[0].authorization"),
    "token with a line break": ([without(authorization=f"{SECRET}\r\nx: y")], "tools[0].authorization"),
    "token with spaces": ([without(authorization=f"Bearer {SECRET} x")], "tools[0].authorization"),
    "token twice": (
        [without(authorization=SECRET, headers={"Authorization": f"Bearer {SECRET}"})],
        "tools[0].authorization",
    ),
    "headers of another type": ([without(headers=["a"])], "tools[0].headers"),
    "a header of another type": ([without(headers={"x-a": 7})], "tools[0].headers.x-a"),
    "no header name": ([without(headers={"a b": SECRET})], "tools[0].headers"),
    "header name with a line break": ([without(headers={"a\r\nb": SECRET})], "tools[0].headers"),
    "header with a line break": ([without(headers={"x-a": f"{SECRET}\r\nx: y"})], "tools[0].headers.x-a"),
    "header with a null": ([without(headers={"x-a": f"{SECRET}\x00"})], "tools[0].headers.x-a"),
    "header twice": ([without(headers={"x-a": SECRET, "X-A": SECRET})], "tools[0].headers.X-A"),
    "too many headers": ([without(headers={f"x-{n}": SECRET for n in range(65)})], "tools[0].headers"),
    "header too long": ([without(headers={"x-a": SECRET * 2000})], "tools[0].headers.x-a"),
    "allowed_tools of another type": ([without(allowed_tools="echo")], "tools[0].allowed_tools"),
    "allowed_tools of numbers": ([without(allowed_tools=[7])], "tools[0].allowed_tools[0]"),
    "allowed_tools with an unknown key": (
        [without(allowed_tools={"names": []})],
        "tools[0].allowed_tools.names",
    ),
    "read_only of another type": (
        [without(allowed_tools={"read_only": "yes"})],
        "tools[0].allowed_tools.read_only",
    ),
    "require_approval unknown": ([without(require_approval="sometimes")], "tools[0].require_approval"),
    "require_approval of another type": ([without(require_approval=True)], "tools[0].require_approval"),
    "require_approval with an unknown key": (
        [without(require_approval={"often": {}})],
        "tools[0].require_approval.often",
    ),
    "never of another type": (
        [without(require_approval={"never": "echo"})],
        "tools[0].require_approval.never",
    ),
    "an unknown field": ([without(retries=3)], "tools[0].retries"),
    "description of another type": ([without(server_description=7)], "tools[0].server_description"),
    "defer_loading of another type": ([without(defer_loading="yes")], "tools[0].defer_loading"),
}
HEADERS = (
    "host",
    "Host",
    "content-length",
    "Transfer-Encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "keep-alive",
    "content-type",
    "accept",
    "mcp-session-id",
    "Mcp-Session-Id",
    "mcp-protocol-version",
    "mcp-method",
    "last-event-id",
    "proxy-authorization",
    "x-forwarded-for",
    "forwarded",
    "via",
    "origin",
)
TOOLS = {
    **_TOOLS,
    **{
        f"the header {name}": ([without(headers={name: SECRET})], f"tools[0].headers.{name}")
        for name in HEADERS
    },
}


@pytest.mark.parametrize("case", TOOLS)
def test_a_definition_that_cannot_be_used_is_refused_by_its_field(mcp_raw: Raw, case: str) -> None:
    tools, param = TOOLS[case]
    answer = mcp_raw.post("/v1/responses", {"model": MODEL, "input": script("hi"), "tools": tools})
    assert answer.status == 400, answer.body
    assert answer.error["param"] == param
    assert answer.error["type"] == "invalid_request_error"
    assert len(answer.error["message"]) < 600
    assert SECRET not in answer.body.decode()


@pytest.mark.parametrize("stream", [False, True])
def test_no_server_is_asked_by_a_request_that_is_refused(
    asking: openai.OpenAI, mcp_case: Case, stream: bool
) -> None:
    bad = server(mcp_case, label="other", headers={"host": "x"})
    with pytest.raises(openai.BadRequestError):
        asking.responses.create(model=MODEL, input=script("hi"), tools=[server(mcp_case), bad], stream=stream)
    assert mcp_case.seen.asked == []


def test_where_loopback_is_not_allowed_an_address_is_refused_by_its_rule(
    start_mcp: StartMcp, recorder: Recorder, mcp_case: Case
) -> None:
    program = start_mcp("mcp: {connect_timeout_s: 2}")
    port = mcp_case.base.rpartition(":")[2]
    hosts = (
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[::]",
    )
    with sync_client(program.url, recorder) as client:
        for host in hosts:
            url = f"http://{host}:{port}/{mcp_case.name}/mcp"
            tool: Any = {
                "type": "mcp",
                "server_label": "desk",
                "server_url": url,
                "require_approval": "never",
            }
            said = refusal_of(client, tool)
            assert "127.0.0.1" not in said.replace(url, ""), "never what it resolved to"
    assert mcp_case.seen.asked == []


def refusal_of(client: openai.OpenAI, tool: Any) -> str:
    """What is said of a server that may not be asked: a 400, or a list that has failed where a name was resolved."""
    answer = client.responses.with_raw_response
    try:
        body: Any = json.loads(answer.create(model=MODEL, input=script("hi"), tools=[tool]).text)
    except openai.BadRequestError as refused:
        said = f"{refused.param}: {refused.message}"
    else:
        [listed] = [item for item in body["output"] if item["type"] == "mcp_list_tools"]
        said = f"tools[0].server_url: {listed['error']}"
    assert said.startswith("tools[0].server_url: ")
    return said


@pytest.mark.parametrize(
    ("settings", "host"),
    [("none", "mcp.example.com"), ("listed, allow_hosts: ['*.example.com']", "example.org")],
)
def test_the_operator_says_which_servers_a_request_may_name(
    start_mcp: StartMcp, recorder: Recorder, settings: str, host: str
) -> None:
    program = start_mcp(f"mcp: {{servers: {settings}}}")
    with Raw(program.port, recorder) as raw:
        tool = {"type": "mcp", "server_label": "desk", "server_url": f"https://{host}/mcp"}
        answer = raw.post("/v1/responses", {"model": MODEL, "input": "hi", "tools": [tool]})
    assert answer.status == 400
    assert answer.error["param"] == "tools[0].server_url"


def test_servers_of_several_tenants_have_to_be_listed(
    start_mcp: StartMcp, recorder: Recorder, mcp_case: Case
) -> None:
    keys = f"auth: {{keys: [{key('ann', 'first')}, {key('cyd', 'second')}]}}"
    section = f'server: {{egress: {{allow_private: ["127.0.0.0/8"]}}, {keys}}}'
    hosts = "mcp: {tenant_hosts: {second: [127.0.0.1]}}"
    program = start_mcp(section, hosts)
    request: Any = {"input": script("hi"), "tools": [server(mcp_case)]}
    with sync_client(program.url, recorder, api_key="key-of-cyd") as cyd:
        assert respond(cyd, **request).output_text == "hi"
    with (
        sync_client(program.url, recorder, api_key="key-of-ann") as ann,
        pytest.raises(openai.BadRequestError) as refused,
    ):
        respond(ann, **request)
    assert refused.value.param == "tools[0].server_url"
    assert mcp_case.count("tools/list") == 1


def test_a_connector_of_openai_is_refused_by_its_name(asking: openai.OpenAI) -> None:
    tool: Any = {"type": "mcp", "server_label": "desk", "connector_id": "connector_gmail"}
    with pytest.raises(openai.BadRequestError) as refused:
        asking.responses.create(model=MODEL, input="hi", tools=[tool])
    assert "connector_gmail" in refused.value.message
    assert refused.value.param == "tools[0].connector_id"
