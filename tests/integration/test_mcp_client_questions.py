"""Questions of MCP servers in the middle of a call: answered here, elsewhere, late, or not at all."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from antiphon.mcp.client import SdkMcpClient
from antiphon.mcp.limits import McpLimits
from antiphon.ports.mcp import CallResult, McpProtocolFailure, McpRefused, McpUnreachable, Question, Reply
from tests.integration.mcp_client_world import (
    BEN,
    accepted,
    asked,
    call,
    make_client,
    said,
    server,
    tasks,
    text,
    until,
)
from tests.support.mcp_wire import Case

FLAVOURS = ("handshake", "modern", "sse")
ITEM: dict[str, Any] = {"item": "tea"}


@pytest.fixture
async def client() -> AsyncIterator[SdkMcpClient]:
    made = make_client()
    yield made
    await made.aclose()
    assert tasks() == set()


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_call_goes_on_with_the_answer(client: SdkMcpClient, mcp_case: Case, flavour: str) -> None:
    of = server(mcp_case.url(flavour))
    question = asked(await call(client, of, "ask_name"))
    assert (question.message, question.mode) == ("Who are you?", "form")
    assert question.schema is not None
    assert question.schema["required"] == ["name"]
    assert (
        said(await call(client, of, "ask_name", reply=accepted(question, name="Ann")))
        == "user said: accept Ann"
    )
    assert mcp_case.seen.calls["ask_name done"] == 1
    if flavour != "modern":
        assert mcp_case.calls("ask_name") == 1, "the call waited; it was not made again"


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_user_may_say_no(client: SdkMcpClient, mcp_case: Case, flavour: str, action: Any) -> None:
    of = server(mcp_case.url(flavour))
    question = asked(await call(client, of, "ask_name"))
    outcome = await call(client, of, "ask_name", reply=Reply(question.token, action, {"name": "unseen"}))
    assert said(outcome) == f"user said: {action}"


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_one_question_may_follow_another(client: SdkMcpClient, mcp_case: Case, flavour: str) -> None:
    of = server(mcp_case.url(flavour))
    first = asked(await call(client, of, "ask_twice", ITEM))
    second = asked(await call(client, of, "ask_twice", ITEM, reply=accepted(first, name="Ann")))
    assert second.message == "Are you sure, Ann?"
    outcome = await call(client, of, "ask_twice", ITEM, reply=accepted(second, sure=True))
    assert said(outcome) == "Ann orders tea: True"


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_answers_are_good_in_another_process(mcp_case: Case, flavour: str) -> None:
    """The tool is called again where the call does not wait, and what was answered is not asked again."""
    of = server(mcp_case.url(flavour))
    question: Question | None = None
    outcome: CallResult | Question | None = None
    for content in (None, {"name": "Ann"}, {"sure": True}):
        client = make_client()
        reply = Reply(question.token, "accept", content) if question is not None else None
        outcome = await call(client, of, "ask_twice", ITEM, reply=reply)
        if isinstance(outcome, Question):
            question = outcome
        await client.aclose()
    assert outcome is not None
    assert said(outcome) == "Ann orders tea: True"


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_url_may_be_what_is_asked_for(client: SdkMcpClient, mcp_case: Case, flavour: str) -> None:
    of = server(mcp_case.url(flavour))
    question = asked(await call(client, of, "ask_url"))
    assert (question.mode, question.message, question.schema) == ("url", "Please sign in", None)
    assert question.url == f"https://example.com/sign-in?case={mcp_case.name}"
    assert said(await call(client, of, "ask_url", reply=accepted(question))) == "user said: accept"


async def test_calls_that_wait_do_not_hold_up_others(client: SdkMcpClient, mcp_case: Case) -> None:
    of = server(mcp_case.url("handshake"))
    first, second = await asyncio.gather(call(client, of, "ask_name"), call(client, of, "ask_name"))
    assert await text(client, of, "hello") == "hello"
    for question, name in ((asked(second), "Ben"), (asked(first), "Ann")):
        outcome = await call(client, of, "ask_name", reply=accepted(question, name=name))
        assert said(outcome) == f"user said: accept {name}"
    assert mcp_case.count("initialize") == 3


async def test_the_time_in_which_a_user_thinks_does_not_count(client: SdkMcpClient, mcp_case: Case) -> None:
    of = server(mcp_case.url("handshake"))
    question = asked(await call(client, of, "ask_name", timeout_s=0.3))
    await asyncio.sleep(0.35)
    outcome = await call(client, of, "ask_name", timeout_s=5, reply=accepted(question, name="Ann"))
    assert said(outcome) == "user said: accept Ann"
    assert mcp_case.calls("ask_name") == 1


async def test_nobody_else_goes_on_with_a_call_that_waits(client: SdkMcpClient, mcp_case: Case) -> None:
    url = mcp_case.url("handshake")
    question = asked(await call(client, server(url), "ask_name"))
    for of, tool, arguments in (
        (server(url, BEN), "ask_name", {}),
        (server(url), "ask_name", {"more": 1}),
        (server(mcp_case.url("sse")), "ask_name", {}),
    ):
        await call(client, of, tool, arguments, reply=accepted(question, name="Eve"))
    assert mcp_case.calls("ask_name") == 4, "each of these was a call of its own"
    outcome = await call(client, server(url), "ask_name", reply=accepted(question, name="Ann"))
    assert said(outcome) == "user said: accept Ann"
    assert mcp_case.calls("ask_name") == 4


async def test_renewed_credentials_go_on_with_the_same_call(client: SdkMcpClient, mcp_case: Case) -> None:
    url = mcp_case.url("handshake")
    question = asked(await call(client, server(url, headers=[("authorization", "Bearer one")]), "ask_name"))
    renewed = server(url, headers=[("authorization", "Bearer two")])
    assert "Ann" in said(await call(client, renewed, "ask_name", reply=accepted(question, name="Ann")))
    assert mcp_case.calls("ask_name") == 1


@pytest.mark.parametrize("how", ["forgotten", "late", "crowded out"])
async def test_a_call_that_waits_is_given_up_and_its_session_ended(mcp_case: Case, how: str) -> None:
    limits = McpLimits(question_ttl_s=0.05 if how == "late" else 600, max_connections=1)
    client, of = make_client(limits), server(mcp_case.url("handshake"))
    question = asked(await call(client, of, "ask_name"))
    if how == "forgotten":
        await client.forget(question.token)
    if how == "crowded out":
        assert await text(client, server(mcp_case.url("sse")), "hello") == "hello"
    await asyncio.to_thread(
        mcp_case.wait_for, "the session's end", lambda seen: any(one.verb == "DELETE" for one in seen.asked)
    )
    assert mcp_case.count("notifications/cancelled") == 1
    outcome = await call(client, of, "ask_name", reply=accepted(question, name="Ann"))
    assert said(outcome) == "user said: accept Ann", "the call was made again"
    assert mcp_case.calls("ask_name") == 2
    await client.aclose()
    await until("no task left", lambda: not tasks())


async def test_cancelling_what_goes_on_gives_up_the_call(client: SdkMcpClient, mcp_case: Case) -> None:
    """A reply is given once, whoever it was that stopped waiting."""
    of = server(mcp_case.url("handshake"))
    question = asked(await call(client, of, "ask_twice", ITEM))
    with pytest.raises(McpUnreachable, match="within 0 s"):
        await call(client, of, "ask_twice", ITEM, timeout_s=0, reply=accepted(question, name="Ann"))
    await until("the session's end", lambda: mcp_case.count("DELETE") == 1)


async def test_a_server_that_goes_on_without_the_answer_is_heard(
    client: SdkMcpClient, hostile_mcp: Case
) -> None:
    of = server(hostile_mcp.url("call-elicits"))
    question = asked(await call(client, of, "echo", {"text": "x"}))
    assert question.message == "Password?"
    outcome = await call(client, of, "echo", {"text": "x"}, reply=accepted(question, password="p"))
    assert said(outcome) == "went on"
    assert hostile_mcp.calls("echo") == 1


async def test_what_is_no_token_of_ours_is_refused(client: SdkMcpClient, mcp_case: Case) -> None:
    for token in (b"", b"nonsense", b"[]", b'{"replies": 7}', b"[" * 100_000):
        with pytest.raises(McpRefused, match="not one that was asked here"):
            await call(client, server(mcp_case.url()), "ask_name", reply=Reply(token, "accept", {}))
        await client.forget(token)
    assert mcp_case.seen.asked == []


async def test_a_token_holds_what_was_answered_and_nothing_of_the_arguments(
    client: SdkMcpClient, mcp_case: Case
) -> None:
    of = server(mcp_case.url("handshake"), headers=[("authorization", "Bearer secret-token")])
    first = asked(await call(client, of, "ask_twice", {"item": "private thing"}))
    second = asked(
        await call(client, of, "ask_twice", {"item": "private thing"}, reply=accepted(first, name="Ann"))
    )
    token = msgspec.json.decode(second.token)
    assert [one["content"] for one in token["replies"]] == [{"name": "Ann"}]
    for said_nowhere in (b"private thing", b"secret-token"):
        assert said_nowhere not in first.token + second.token
    assert b"secret-token" not in repr(second).encode()


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_an_answer_that_cannot_be_sent_is_refused_and_the_call_waits_on(
    client: SdkMcpClient, mcp_case: Case, flavour: str
) -> None:
    of = server(mcp_case.url(flavour))
    question = asked(await call(client, of, "ask_name"))
    with pytest.raises(McpRefused, match="values have to be"):
        await call(client, of, "ask_name", reply=accepted(question, name={"nested": True}))
    outcome = await call(client, of, "ask_name", reply=accepted(question, name="Ann"))
    assert said(outcome) == "user said: accept Ann"


class SignsIn:
    """A server that wants two pages to be visited before its tool runs (error -32042)."""

    def __init__(self, url: str = "https://example.com/one") -> None:
        self.calls = 0
        self.urls = [url, "https://example.com/two"]
        app = web.Application()
        app.router.add_post("/mcp", self.answer)
        self.server = TestServer(app, host="127.0.0.1")

    async def answer(self, request: web.Request) -> web.Response:
        message = await request.json()
        if "id" not in message:
            return web.Response(status=202)
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        match message["method"]:
            case "initialize":
                about = {"name": "s", "version": "1"}
                answer["result"] = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": about}
            case "tools/call":
                self.calls += 1
                answer |= self._called()
            case _:
                answer["error"] = {"code": -32601, "message": "Method not found"}
        return web.json_response(answer)

    def _called(self) -> dict[str, Any]:
        if self.calls > 1:
            return {"result": {"content": [{"type": "text", "text": "done"}]}}
        pages = [
            {"mode": "url", "elicitationId": url, "url": url, "message": f"Visit {url}"} for url in self.urls
        ]
        return {"error": {"code": -32042, "message": "sign in", "data": {"elicitations": pages}}}


async def test_pages_are_visited_one_after_the_other_before_a_call_is_made_again(
    client: SdkMcpClient,
) -> None:
    site = SignsIn()
    await site.server.start_server()
    of = server(str(site.server.make_url("/mcp")))
    first = asked(await call(client, of, "tool"))
    assert (first.mode, first.url, first.message) == ("url", site.urls[0], f"Visit {site.urls[0]}")
    second = asked(await call(client, of, "tool", reply=accepted(first)))
    assert second.url == site.urls[1]
    with pytest.raises(McpProtocolFailure, match="did not visit") as failure:
        await call(client, of, "tool", reply=Reply(second.token, "decline"))
    assert (failure.value.code, site.calls) == (-32042, 1)
    assert said(await call(client, of, "tool", reply=accepted(second))) == "done"
    await site.server.close()


async def test_no_user_is_sent_to_what_is_no_page(client: SdkMcpClient) -> None:
    site = SignsIn("javascript:alert(1)")
    await site.server.start_server()
    with pytest.raises(McpRefused, match="not passed on"):
        await call(client, server(str(site.server.make_url("/mcp"))), "tool")
    await site.server.close()
