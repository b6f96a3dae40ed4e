"""`/mcp` on the wire: what is refused, and how; both generations, headers, sessions, batches, origins, limits."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS
from mcp_types import jsonrpc
from mcp_types.methods import validate_server_result
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from antiphon.core.wire import decode_json, encode
from antiphon.mcp_server import messages, revisions
from tests.mcp_server_world import PAGE, STATELESS, URL, Tools, World, call, key, routing, serving, stateless

HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
DEEP = (
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
)
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"


@pytest.fixture
def tools() -> Tools:
    return Tools()


@pytest.fixture
async def world(tools: Tools) -> AsyncIterator[World]:
    async with serving(tools) as made:
        yield made


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def initialize(revision: str = "2025-11-25", **capabilities: Any) -> Any:
    client = {"name": "test", "version": "1"}
    return call("initialize", protocolVersion=revision, capabilities=capabilities, clientInfo=client)


def error(answer: httpx2.Response, status: int, code: int) -> str:
    """The message of an error that has to be this one."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["jsonrpc"] == "2.0"
    assert "id" in body
    assert body["error"]["code"] == code, body
    return str(body["error"]["message"])


async def session(world: World, revision: str = "2025-11-25", **capabilities: Any) -> dict[str, str]:
    """The headers of a session that was begun just now."""
    answer = await world.post(initialize(revision, **capabilities))
    return {"mcp-session-id": answer.headers["mcp-session-id"], "mcp-protocol-version": revision}


def test_every_revision_that_the_sdk_knows_is_served_and_its_codes_are_ours() -> None:
    assert revisions.HANDSHAKE == HANDSHAKE_PROTOCOL_VERSIONS
    assert revisions.STATELESS == MODERN_PROTOCOL_VERSIONS
    for name in (
        "PARSE_ERROR",
        "INVALID_REQUEST",
        "METHOD_NOT_FOUND",
        "INVALID_PARAMS",
        "INTERNAL_ERROR",
        "HEADER_MISMATCH",
        "URL_ELICITATION_REQUIRED",
    ):
        assert getattr(messages, name) == getattr(jsonrpc, name)
    assert messages.UNSUPPORTED_VERSION == jsonrpc.UNSUPPORTED_PROTOCOL_VERSION
    assert {code: ERROR_CODE_HTTP_STATUS[code] for code in messages.HTTP_STATUS} == messages.HTTP_STATUS


# --- messages -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        (b"{", -32700, "not valid JSON"),
        (b"\xff\xfe", -32700, "not valid UTF-8"),
        (DEEP, -32700, "nested too deep"),
        (b"1e999", -32700, "not valid JSON"),
        (b'"text"', -32600, "a message is a JSON object"),
        (b"[]", -32600, "1 to 32 messages"),
        (b"{}", -32600, "`jsonrpc`"),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600, "`jsonrpc`"),
        (b'{"jsonrpc":"2.0","id":1}', -32600, "`method`"),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600, "`method`"),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600, "`id`"),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600, "`id`"),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600, "`id`"),
        (b'{"jsonrpc":"2.0","id":"' + b"x" * 300 + b'","method":"ping"}', -32600, "`id`"),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}', -32602, "`params`"),
        (b'{"jsonrpc":"2.0","id":"q1","result":{}}', -32600, "no question"),
        (b'{"jsonrpc":"2.0","id":"q1","result":{},"error":{}}', -32600, "answers one of ours"),
    ],
)
async def test_what_is_no_message_is_refused_and_said_why(
    world: World, body: bytes, code: int, says: str
) -> None:
    assert says in error(await world.post(body), 400, code)


@pytest.mark.parametrize(
    ("message", "code", "says"),
    [
        (call("tools/nope"), -32601, "tools/nope"),
        (call("resources/list"), -32601, "resources/list"),
        (call("server/discover"), -32601, "server/discover"),
        (call("tools/call"), -32602, "`params.name`"),
        (call("tools/call", name=""), -32602, "`params.name`"),
        (call("tools/call", name="x" * 10_000), -32602, "there is no tool"),
        (call("tools/call", name="who", arguments=[1]), -32602, "`params.arguments`"),
        (call("tools/call", name="who", arguments={"a": nested(128)}), -32602, "more than 128 deep"),
        (call("tools/list", cursor=7), -32602, "`params.cursor`"),
        (call("tools/list", cursor="1"), -32602, "`params.cursor`"),
        (call("tools/list", cursor="99999999"), -32602, "`params.cursor`"),
        (call("logging/setLevel", level="loud"), -32602, "`params.level`"),
    ],
)
async def test_faults_of_requests_are_answers_that_name_them(
    world: World, message: Any, code: int, says: str
) -> None:
    for headers in ({}, await session(world)):
        answer = await world.post({**message, "id": "one"}, headers)
        assert says in error(answer, 200, code)
        assert answer.json()["id"] == "one"


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({}, "`params.protocolVersion`"),
        ({"protocolVersion": 7}, "`params.protocolVersion`"),
        ({"protocolVersion": "2025-11-25"}, "`params.capabilities`"),
        ({"protocolVersion": "2025-11-25", "capabilities": {}}, "`params.clientInfo`"),
    ],
)
async def test_a_handshake_says_what_it_lacks(world: World, params: Any, says: str) -> None:
    assert says in error(await world.post(call("initialize", **params)), 400, -32602)


@pytest.mark.parametrize("revision", [*HANDSHAKE, "1999-01-01", STATELESS])
async def test_a_handshake_agrees_on_a_revision_and_its_answers_are_valid_in_it(
    world: World, revision: str
) -> None:
    answer = await world.post(initialize(revision))
    agreed = revision if revision in HANDSHAKE else "2025-11-25"
    result = answer.json()["result"]
    assert result["protocolVersion"] == agreed
    validate_server_result("initialize", agreed, result)
    headers = {"mcp-session-id": answer.headers["mcp-session-id"], "mcp-protocol-version": agreed}
    started = await world.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, headers)
    assert (started.status_code, started.content) == (202, b"")
    for method, params in [("ping", {}), ("logging/setLevel", {"level": "info"}), ("tools/list", {})]:
        found = (await world.post(call(method, **params), headers)).json()["result"]
        validate_server_result(method, agreed, found)
    for name in ("who", "refuse"):
        found = (await world.post(call("tools/call", name=name), headers)).json()["result"]
        validate_server_result("tools/call", agreed, found)


@pytest.mark.parametrize("name", ["who", "refuse", "ask", "locked"])
async def test_stateless_answers_are_valid_in_their_revision(world: World, name: str) -> None:
    capabilities: Any = {"elicitation": {"form": {}, "url": {}}}
    for method in ("server/discover", "tools/list"):
        answer = await world.post(stateless(method), routing(method))
        result = answer.json()["result"]
        validate_server_result(method, STATELESS, result)
        assert result["resultType"] == "complete"
        assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "antiphon"
        assert (result["cacheScope"], result["ttlMs"] > 0) == ("private", True)
        assert "mcp-session-id" not in answer.headers
    message = stateless("tools/call", capabilities, name=name)
    result = (await world.post(message, routing("tools/call", name))).json()["result"]
    validate_server_result("tools/call", STATELESS, result)
    assert result["resultType"] == ("input_required" if name in ("ask", "locked") else "complete")


# --- the stateless revision's headers --------------------------------------------------------------------------
def without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


WHO = stateless("tools/call", name="who")
GOOD = routing("tools/call", "who")


@pytest.mark.parametrize(
    ("message", "headers", "status", "code", "says"),
    [
        (WHO, without(GOOD, "mcp-protocol-version"), 400, -32020, "MCP-Protocol-Version"),
        (WHO, without(GOOD, "mcp-method"), 400, -32020, "Mcp-Method"),
        (WHO, without(GOOD, "mcp-name"), 400, -32020, "Mcp-Name"),
        (WHO, {**GOOD, "mcp-method": "tools/list"}, 400, -32020, "Mcp-Method"),
        (WHO, {**GOOD, "mcp-name": "ask"}, 400, -32020, "Mcp-Name"),
        (WHO, {**GOOD, "mcp-name": "=?base64?!!!?="}, 400, -32020, "Mcp-Name"),
        (WHO, {**GOOD, "mcp-protocol-version": "2027-01-01"}, 400, -32022, "2027-01-01"),
        (WHO, {**GOOD, "mcp-protocol-version": "nonsense"}, 400, -32022, "nonsense"),
        (call("tools/call", name="who"), GOOD, 400, -32602, "`params._meta`"),
        (
            call("tools/list", _meta={VERSION_KEY: STATELESS}),
            routing("tools/list"),
            400,
            -32602,
            "clientCapab",
        ),
        (stateless("initialize"), routing("initialize"), 404, -32601, "initialize"),
        (stateless("ping"), routing("ping"), 404, -32601, "ping"),
        (stateless("subscriptions/listen"), routing("subscriptions/listen"), 404, -32601, "listen"),
        (stateless("tools/call", name="nope"), routing("tools/call", "nope"), 400, -32602, "no tool"),
        ([WHO], GOOD, 400, -32600, "no batch"),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, GOOD, 400, -32600, "no answer"),
    ],
)
async def test_headers_and_body_of_a_stateless_request_have_to_agree(
    world: World, message: Any, headers: dict[str, str], status: int, code: int, says: str
) -> None:
    answer = await world.post(message, headers)
    assert says in error(answer, status, code)
    if code == -32022:
        assert answer.json()["error"]["data"]["supported"] == [STATELESS]


async def test_a_header_that_is_there_twice_is_refused(world: World) -> None:
    headers = [*{"content-type": "application/json", **GOOD}.items(), ("mcp-name", "who")]
    answer = await world.http.post(URL, json=WHO, headers=headers)
    assert "more than once" in error(answer, 400, -32020)


async def test_a_name_that_no_header_can_hold_comes_in_base64(world: World) -> None:
    message = stateless("tools/call", name="wörk")
    answer = await world.post(message, routing("tools/call", "=?base64?d8O2cms=?="))
    assert "there is no tool" in error(answer, 400, -32602)


async def test_a_stateless_notification_is_taken_and_means_nothing(world: World) -> None:
    notice = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    assert (await world.post(notice, {"mcp-protocol-version": STATELESS})).status_code == 202


# --- what a repeated call brings -------------------------------------------------------------------------------
async def required(world: World, name: str = "ask", **arguments: Any) -> Any:
    message = stateless(
        "tools/call", {"elicitation": {"url": {}, "form": {}}}, name=name, arguments=arguments
    )
    answer = await world.post(message, routing("tools/call", name))
    return answer.json()["result"]


async def repeat(world: World, name: str = "ask", api_key: str = "", **params: Any) -> httpx2.Response:
    message = stateless("tools/call", {"elicitation": {"url": {}, "form": {}}}, name=name, **params)
    more = {"authorization": f"Bearer {api_key}"} if api_key else {}
    return await world.post(message, {**routing("tools/call", name), **more})


SAID = {"question": {"action": "accept", "content": {"colour": "red"}}}


async def test_arguments_as_deep_as_may_be_are_asked_about(world: World) -> None:
    deep = await required(world, "ask", a=nested(127))
    assert deep["resultType"] == "input_required"


async def test_a_call_is_repeated_as_it_was_with_an_answer_that_fits(world: World) -> None:
    state = (await required(world, "ask", n=1))["requestState"]
    good = await repeat(world, arguments={"n": 1}, requestState=state, inputResponses=SAID)
    assert good.json()["result"]["content"][0]["text"].startswith("accept {'colour': 'red'}")
    faults: list[tuple[Any, str]] = [
        ({"arguments": {"n": 2}, "inputResponses": SAID}, "of another call"),
        ({"arguments": {"n": 1}}, "`params.inputResponses.question`"),
        ({"arguments": {"n": 1}, "inputResponses": {"question": {"action": "maybe"}}}, ".action`"),
        (
            {"arguments": {"n": 1}, "inputResponses": {"question": {"action": "accept", "content": [1]}}},
            ".content`",
        ),
    ]
    for params, says in faults:
        assert says in error(await repeat(world, requestState=state, **params), 400, -32602)
    for broken in ("", "nonsense", 7, state[:-4] + "dead", state + "00"):
        answer = await repeat(world, arguments={"n": 1}, requestState=broken, inputResponses=SAID)
        assert "requestState" in error(answer, 400, -32602)
    world.clock.at += 601
    late = await repeat(world, arguments={"n": 1}, requestState=state, inputResponses=SAID)
    assert "expired" in error(late, 400, -32602)


async def test_the_state_of_one_user_is_of_no_use_to_another(tools: Tools) -> None:
    keys = [key("sk-a", "acme", "ann"), key("sk-b", "acme", "bob"), key("sk-c", "other", "ann")]
    async with serving(tools, keys=keys) as world:
        message = stateless("tools/call", {"elicitation": {"form": {}}}, name="ask")
        bearer = {"authorization": "Bearer sk-a"}
        answer = await world.post(message, {**routing("tools/call", "ask"), **bearer})
        state = answer.json()["result"]["requestState"]
        for other in ("sk-b", "sk-c"):
            refused = await repeat(world, api_key=other, requestState=state, inputResponses=SAID)
            assert "requestState" in error(refused, 400, -32602)
        mine = await repeat(world, api_key="sk-a", requestState=state, inputResponses=SAID)
        assert not mine.json()["result"]["isError"]


# --- sessions, and questions to clients of a handshake ----------------------------------------------------------
async def until(stream: AsyncIterator[str]) -> Any:
    """The next message of a stream."""
    async for line in stream:
        if line.startswith("data: "):
            return httpx2.Response(200, content=line[6:].encode()).json()
    raise AssertionError("the stream ended")


async def test_a_question_is_an_event_and_its_answer_a_message_of_its_own(world: World) -> None:
    headers = await session(world, elicitation={})
    message = call("tools/call", 7, name="ask")
    sent = {"content-type": "application/json", "accept": "text/event-stream, application/json", **headers}
    async with world.http.stream("POST", URL, json=message, headers=sent) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        asked = await until(lines)
        assert asked["method"] == "elicitation/create"
        reply = {"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "decline"}}
        assert (await world.post(reply, headers)).status_code == 202
        last = await until(lines)
    assert (last["id"], last["result"]["content"][0]["text"]) == (7, "decline None state-of-ask")
    assert "no question" in error(await world.post(reply, headers), 400, -32600)


@pytest.mark.parametrize("given", [{"result": {"action": "maybe"}}, {"error": {"code": -1, "message": "no"}}])
async def test_nonsense_for_an_answer_is_a_cancellation(world: World, given: Any) -> None:
    headers = await session(world, elicitation={})
    sent = {"content-type": "application/json", "accept": "text/event-stream", **headers}
    async with world.http.stream("POST", URL, json=call("tools/call", name="ask"), headers=sent) as answer:
        lines = answer.aiter_lines()
        asked = await until(lines)
        await world.post({"jsonrpc": "2.0", "id": asked["id"], **given}, headers)
        last = await until(lines)
    assert last["result"]["content"][0]["text"] == "cancel None state-of-ask"


async def test_nobody_else_answers_a_question(tools: Tools) -> None:
    async with serving(tools, keys=[key("sk-a", "acme", "ann"), key("sk-b", "acme", "bob")]) as world:
        ann, bob = {"authorization": "Bearer sk-a"}, {"authorization": "Bearer sk-b"}
        begun = await world.post(initialize(elicitation={}), ann)
        headers = {**ann, "mcp-session-id": begun.headers["mcp-session-id"], "accept": "text/event-stream"}
        async with world.http.stream(
            "POST", URL, json=call("tools/call", name="ask"), headers=headers
        ) as answer:
            lines = answer.aiter_lines()
            asked = await until(lines)
            reply = {
                "jsonrpc": "2.0",
                "id": asked["id"],
                "result": {"action": "accept", "content": {"colour": "x"}},
            }
            assert "no question" in error(await world.post(reply, {**headers, **bob}), 400, -32600)
            assert (await world.post(reply, headers)).status_code == 202
            assert (await until(lines))["result"]["content"][0]["text"].startswith("accept")


async def test_a_question_that_nobody_answers_expires(tools: Tools) -> None:
    async with serving(tools, ttl_s=0) as world:
        headers = await session(world, elicitation={})
        sent = {"content-type": "application/json", "accept": "text/event-stream", **headers}
        async with world.http.stream(
            "POST", URL, json=call("tools/call", name="ask"), headers=sent
        ) as answer:
            lines = answer.aiter_lines()
            asked, gone, last = [await until(lines) for _ in range(3)]
        assert gone["method"] == "notifications/cancelled"
        assert gone["params"]["requestId"] == asked["id"]
        assert last["result"]["content"][0]["text"] == "cancel None state-of-ask"
        assert not world.under_way.questions


async def test_a_session_holds_in_another_process_and_says_what_the_client_can(tools: Tools) -> None:
    async with serving(tools) as first:
        headers = await session(first, elicitation={"form": {}, "url": {}})
    async with serving(tools) as second:
        answer = await second.post(call("tools/call", name="locked"), headers)
        body = answer.json()["error"]
        assert (body["code"], body["data"]["elicitations"][0]["url"]) == (-32042, PAGE)
        foreign = {"mcp-session-id": "somebody-elses"}
        answer = await second.post(call("tools/call", name="locked"), foreign)
        assert answer.json()["result"]["isError"]


@pytest.mark.parametrize("given", ["", "a b", "x" * 300])
async def test_a_header_that_is_no_session_id_is_refused(world: World, given: str) -> None:
    assert "Mcp-Session-Id" in error(await world.post(call("ping"), {"mcp-session-id": given}), 400, -32600)


async def test_a_message_cancels_a_call_of_its_session_alone(world: World, tools: Tools) -> None:
    mine, other = await session(world), await session(world)
    calling = asyncio.create_task(world.post(call("tools/call", "c1", name="hold"), mine))
    await tools.until_holding(1)
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "c1"}}
    for headers in (other, {}):
        assert (await world.post(cancel, headers)).status_code == 202
    assert tools.holding == 1
    doubled = await world.post(call("tools/call", "c1", name="who"), mine)
    assert "another request of this session" in error(doubled, 200, -32600)
    assert (await world.post(cancel, mine)).status_code == 202
    assert "cancelled" in error(await calling, 200, -32800)
    assert tools.cancelled == 1
    senseless: list[Any] = [{"requestId": "c1"}, {"requestId": []}, {}]
    for unknown in senseless:
        gone = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": unknown}
        assert (await world.post(gone, mine)).status_code == 202


async def test_the_end_of_a_session_ends_what_goes_on_in_it(world: World, tools: Tools) -> None:
    mine = await session(world)
    calling = asyncio.create_task(world.post(call("tools/call", name="hold"), mine))
    await tools.until_holding(1)
    ended = await world.http.delete(URL, headers=mine)
    assert (ended.status_code, ended.content) == (204, b"")
    assert "cancelled" in error(await calling, 200, -32800)
    assert "Mcp-Session-Id" in error(await world.http.delete(URL), 400, -32600)


async def test_a_client_that_leaves_ends_its_call(world: World, tools: Tools) -> None:
    for headers in (await session(world), {}):
        calling = asyncio.create_task(world.post(call("tools/call", name="hold"), headers))
        await tools.until_holding(1)
        calling.cancel()
        await tools.until_holding(0)
    assert tools.cancelled == 2
    assert not world.under_way.calls


# --- batches ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("headers", [{}, {"mcp-protocol-version": "2025-03-26"}])
async def test_batches_are_answered_as_the_revision_of_march_2025_has_them(
    world: World, headers: dict[str, str]
) -> None:
    batch = [
        call("ping", 1),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        call("tools/call", 2, name="who"),
        call("tools/call", 3, name="ask"),
        call("nope", 4),
        7,
        initialize(),
    ]
    answers = (await world.post(batch, headers)).json()
    assert [one["id"] for one in answers] == [1, 2, 3, 4, None, 1]
    assert answers[1]["result"]["content"][0]["text"] == "default/anonymous {}"
    assert answers[2]["result"]["content"][0]["text"] == "cancel None state-of-ask"
    assert [one["error"]["code"] for one in answers[3:]] == [-32601, -32600, -32600]
    only_notices = [{"jsonrpc": "2.0", "method": "notifications/initialized"}] * 2
    assert (await world.post(only_notices, headers)).status_code == 202


async def test_a_client_that_leaves_ends_its_batch(world: World, tools: Tools) -> None:
    asking = asyncio.create_task(world.post([call("tools/call", n, name="hold") for n in range(3)]))
    await tools.until_holding(1)
    asking.cancel()
    await tools.until_holding(0)
    assert tools.cancelled == 1


@pytest.mark.parametrize("revision", ["2025-06-18", "2025-11-25"])
async def test_later_revisions_have_no_batches(world: World, revision: str) -> None:
    answer = await world.post([call("ping")], {"mcp-protocol-version": revision})
    assert "no batches" in error(answer, 400, -32600)
    assert "1 to 32" in error(await world.post([call("ping")] * 33), 400, -32600)


# --- HTTP -------------------------------------------------------------------------------------------------------
async def test_what_is_no_json_post_is_refused(world: World) -> None:
    body = call("ping")
    for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert "JSON" in error(await world.post(body, {"content-type": media}), 415, -32600)
    assert "Accept" in error(await world.post(body, {"accept": "text/html"}), 406, -32600)
    assert "empty" in error(await world.post(b""), 400, -32600)
    assert "query parameter" in error(await world.post(body, url=f"{URL}?x=1"), 400, -32600)
    for method in ("GET", "PUT", "PATCH"):
        answer = await world.http.request(method, URL)
        assert "POST" in error(answer, 405, -32600)
        assert answer.headers["allow"] == "DELETE, POST"
    assert (await world.post(body, url=f"{URL}/")).json()["result"] == {}


async def test_a_body_that_is_too_large_is_refused(tools: Tools) -> None:
    async with serving(tools, max_body=2000) as world:
        assert "2000 bytes" in error(await world.post(call("ping", pad="x" * 3000)), 413, -32600)


@pytest.mark.parametrize(
    "accept", [None, "*/*", "application/json", "text/event-stream", "application/*;q=0.5"]
)
async def test_the_answer_comes_as_the_client_reads_it(world: World, accept: str | None) -> None:
    headers = {"content-type": "application/json"} | ({"accept": accept} if accept else {})
    answer = await world.http.post(URL, json=call("tools/call", name="who"), headers=headers)
    events = accept == "text/event-stream"
    assert answer.headers["content-type"].startswith("text/event-stream" if events else "application/json")
    assert answer.text.startswith("event: message\ndata: {") == events


async def test_a_silent_call_becomes_a_stream_that_is_kept_alive(tools: Tools) -> None:
    async with serving(tools, heartbeat_s=0.01) as world:
        sent = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        message = call("tools/call", name="hold")
        async with world.http.stream("POST", URL, json=message, headers=sent) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.aiter_lines()
            assert (await anext(lines)).startswith(":")
            tools.gate.set()
            assert (await until(lines))["result"]["content"][0]["text"] == "released"


async def test_a_server_that_stops_says_so_in_its_streams(tools: Tools) -> None:
    async with serving(tools, heartbeat_s=0.01) as world:
        sent: list[Any] = []
        begun = asyncio.Event()
        coming: list[Any] = [{"type": "http.request", "body": encode(call("tools/call", 7, name="hold"))}]

        async def receive() -> Any:
            return coming.pop() if coming else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)
            begun.set()

        headers = [(b"accept", b"application/json, text/event-stream"), (b"host", b"localhost")]
        scope = {"type": "http", "method": "POST", "path": "/mcp", "query_string": b"", "headers": headers}
        serving_it = asyncio.create_task(world.edge(scope, receive, send))
        await begun.wait()
        world.edge.end()
        serving_it.cancel()
        await serving_it
    last = sent[-1]
    assert not last["more_body"]
    told = decode_json(last["body"].removeprefix(b"event: message\ndata: "))
    assert (told["id"], told["error"]["data"]["code"]) == (7, "server_shutting_down")
    assert tools.cancelled == 1


async def test_there_is_a_limit_of_calls_at_once(tools: Tools) -> None:
    async with serving(tools, max_streams=1) as world:
        calling = asyncio.create_task(world.post(call("tools/call", name="hold")))
        await tools.until_holding(1)
        refused = await world.post(call("tools/call", name="who"))
        assert "the limit of this server" in error(refused, 503, -32000)
        assert refused.headers["retry-after"] == "1"
        tools.gate.set()
        assert (await calling).status_code == 200


async def test_callers_show_a_key(tools: Tools) -> None:
    async with serving(tools, keys=[key("sk-a", "acme", "ann")]) as world:
        for headers in ({}, {"authorization": "Bearer sk-z"}, {"authorization": "Basic sk-a"}):
            answer = await world.post(call("ping"), headers)
            assert "API key" in error(answer, 401, -32600)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.json()["error"]["data"]["code"] == "invalid_api_key"
        assert (await world.post(call("ping"), {"authorization": "Bearer sk-a"})).json()["result"] == {}


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:8321", None, 200),
        ("localhost", None, 200),
        ("[::1]:8321", None, 200),
        ("127.0.0.1:8321", "http://localhost:6274", 200),
        ("127.0.0.1:8321", "http://[::1]:3000", 200),
        ("127.0.0.1:8321", "https://agents.example", 200),
        ("127.0.0.1:8321", "https://evil.example", 403),
        ("127.0.0.1:8321", "http://agents.example", 403),
        ("127.0.0.1:8321", "https://localhost.evil.example", 403),
        ("127.0.0.1:8321", "null", 403),
        ("127.0.0.1:8321", "http://[", 403),
        ("127.0.0.1:8321", "", 403),
        ("evil.example:8321", None, 403),
        ("evil.example:8321", "http://evil.example:8321", 403),
        ("127.0.0.1.evil.example", None, 403),
        ("[", None, 403),
        ("embedded.invalid", None, 200),
        ("agents.example", None, 200),
        ("agents.example", "https://agents.example", 200),
        ("agents.example", "http://agents.example", 403),
    ],
)
async def test_pages_of_other_sites_do_not_get_in(
    tools: Tools, host: str, origin: str | None, status: int
) -> None:
    async with serving(tools, public_url="https://agents.example/antiphon") as world:
        headers = {"host": host} | ({} if origin is None else {"origin": origin})
        for answer in (
            await world.post(call("ping"), headers),
            await world.http.delete(URL, headers={**headers, "mcp-session-id": "x"}),
        ):
            assert answer.status_code == status or (status, answer.status_code) == (200, 204)
            if status == 403:
                assert answer.json()["error"]["data"]["type"] == "permission_error"


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://agents.example", 200), ("http://agents.example", 200), ("https://evil.example", 403)],
)
async def test_with_keys_a_page_of_the_same_name_gets_in(tools: Tools, origin: str, status: int) -> None:
    async with serving(tools, keys=[key("sk-a", "acme")]) as world:
        headers = {"authorization": "Bearer sk-a", "host": "agents.example", "origin": origin}
        assert (await world.post(call("ping"), headers)).status_code == status


async def test_another_server_of_ours_is_not_led_on(world: World) -> None:
    hop = {"antiphon-hop": "1"}
    assert (await world.post(call("tools/list"), hop)).json()["result"]["tools"] == []
    assert "there is no tool" in error(await world.post(call("tools/call", name="who"), hop), 200, -32602)
