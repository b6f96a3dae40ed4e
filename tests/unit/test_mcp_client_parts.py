"""Parts of the MCP client that need no server."""

import asyncio

import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError

from antiphon.core.mcp import digest
from antiphon.mcp import contents
from antiphon.mcp.calling import CallClock
from antiphon.mcp.changes import Changes
from antiphon.mcp.exchange import Exchange
from antiphon.mcp.failures import failure_of, without_secrets
from antiphon.mcp.tokens import Token, answered, packed, unpacked
from antiphon.mcp.wording import fits, is_plain, line, plain
from antiphon.ports.mcp import (
    CallResult,
    McpFailure,
    McpHttpFailure,
    McpProtocolFailure,
    McpRefused,
    McpServer,
    McpUnreachable,
    Question,
    Reply,
)
from antiphon.ports.owners import Owner

OWNER = Owner("acme", "ann")
SERVER = McpServer(OWNER, "desk", "https://example.com", headers=(("authorization", "Bearer abcdefgh"),))


def test_text_of_servers_is_made_plain() -> None:
    assert plain("a\x00b\x1b[2J\u202ec\u200b\td\ne", 100) == "ab[2Jc\td\ne"
    assert line("a\n b\t\tc \x07", 100) == "a b c"
    assert plain("x" * 10, 4) == "xxxx"
    assert is_plain("a name")
    assert not is_plain("a\u2066name")


def test_what_is_deep_or_large_does_not_fit() -> None:
    deep: object = 1
    for _ in range(100):
        deep = [deep]
    assert fits({"a": [1, {"b": 2}]})
    assert not fits(deep)
    assert not fits({"a": "x" * 100}, 50)
    assert fits({"maximum": 10**40})


def test_a_result_that_is_nested_too_deeply_is_refused() -> None:
    deep: object = 1
    for _ in range(100):
        deep = {"in": deep}
    result = types.CallToolResult(content=[], structured_content=deep)
    with pytest.raises(McpRefused, match="too deeply"):
        contents.call_result(result, "desk")


def test_a_structured_result_that_is_no_object_becomes_one() -> None:
    result = types.CallToolResult(content=[], structured_content=[1, 2])
    assert contents.call_result(result, "desk") == CallResult([], {"result": [1, 2]})


@pytest.mark.parametrize(
    ("error", "exchange", "kind", "says"),
    [
        (MCPError(-32000, "Connection closed"), Exchange(), McpUnreachable, "broke off"),
        (MCPError(-32000, "out of order"), Exchange(), McpProtocolFailure, "-32000: out of order"),
        (MCPError(-32603, "Server returned an error response"), Exchange(status=502), McpHttpFailure, "502"),
        (MCPError(-32602, "no such tool"), Exchange(status=400), McpProtocolFailure, "no such tool"),
        (MCPError(-32602, "no such tool"), Exchange(status=401), McpHttpFailure, "401"),
        (ValueError("details of a body"), Exchange(), McpProtocolFailure, "does not provide for"),
        (TimeoutError(), Exchange(), McpUnreachable, "in time"),
        (KeyError("anything"), Exchange(), McpUnreachable, "broke off"),
        (MCPError(1, "x"), Exchange(McpRefused("an address")), McpRefused, "an address"),
    ],
)
def test_errors_become_failures(
    error: Exception, exchange: Exchange, kind: type[McpFailure], says: str
) -> None:
    failure = failure_of(error, exchange, SERVER)
    assert type(failure) is kind
    assert says in failure.message
    assert "details of a body" not in failure.message


def test_credentials_are_withheld_whole_and_without_their_scheme() -> None:
    said = without_secrets("got Bearer abcdefgh and abcdefgh", SERVER)
    assert said == "got [withheld] and [withheld]"


def test_a_token_comes_back_with_its_reply() -> None:
    token = packed(Token(parked="p", asked="d"))
    again = answered(Reply(token, "accept", {"name": "Ann"}))
    assert [(one.digest, one.action, one.content) for one in again.replies] == [
        ("d", "accept", {"name": "Ann"})
    ]
    assert answered(Reply(token, "decline", {"name": "Ann"})).replies[0].content is None
    keyed = answered(Reply(packed(Token(asked="d", key="k", inputs={"k": {}})), "cancel"))
    assert (keyed.answers, keyed.replies) == ({"k": {"action": "cancel"}}, [])


def test_a_token_is_bounded_and_ours() -> None:
    with pytest.raises(McpRefused, match="more to be kept"):
        packed(Token(state="x" * 2_000_000))
    with pytest.raises(McpRefused, match="not one that was asked here"):
        unpacked(b"{")
    assert b"secret" not in repr(Question("m", b"secret")).encode()


def test_digests_do_not_depend_on_the_order_of_keys() -> None:
    assert digest("m", {"a": 1, "b": [{"c": 2, "d": 3}]}) == digest("m", {"b": [{"d": 3, "c": 2}], "a": 1})
    assert digest("m", {"a": 1}) != digest("m", {"a": 2})


def test_changes_never_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.mcp.changes._CHANGES_KEPT", 2)
    changes, servers = Changes(), [McpServer(OWNER, "s", f"https://{n}.example") for n in range(4)]
    seen = dict.fromkeys(servers, 0)
    for one in (0, 0, 0, 1, 2, 3, 2, 0):
        changes.note(servers[one])
        for server in servers:
            assert changes.of(server) >= seen[server]
            seen[server] = changes.of(server)
    assert seen[servers[0]] == 4


async def test_a_clock_stands_still_while_somebody_of_ours_is_waited_for() -> None:
    async with asyncio.timeout(100) as limit:
        await asyncio.sleep(0)
        clock = CallClock(limit)
        until = limit.when()
        assert until is not None
        with clock.stopped():
            assert limit.when() is None
            with clock.stopped():
                assert limit.when() is None
            assert limit.when() is None
        again = limit.when()
        assert again is not None
        assert again >= until
        stopped = clock.stopped()
        stopped.__enter__()
        clock.end()
    stopped.__exit__(None, None, None)
