"""Servers that do everything wrong cost nobody else anything: the response says what happened, and goes on."""

import asyncio
from typing import Any

import openai
import pytest

from bench.program import Program
from tests.conformance.recorder import Recorder
from tests.integration.clients import LIMIT_S, async_client
from tests.integration.mcp_world import MODEL, kinds, names, of, only, respond, server, shown
from tests.integration.obedient import call, calls, script
from tests.integration.upstream import Upstream
from tests.support.hostile_mcp import OWN, SECRET, STATUSES, WRONG, HostileMcp
from tests.support.mcp_servers import McpServers
from tests.support.mcp_wire import Case

TOKEN = "tok-of-a-user-51ab"
ECHO = script([call("echo", text="x"), call("add", a=1, b=2)], "{outputs}")
LISTS = [f"list-{wrong}" for wrong in (*WRONG, *STATUSES)]
CONNECTS = [
    f"connect-{wrong}" for wrong in ("hang", "abort", "html", "garbage", "redirect-loop", "401", "503")
]
CALLS = [f"call-{wrong}" for wrong in (*WRONG, *STATUSES)]
MODERN = ["list-hang", "list-huge", "call-abort", "call-wrong-id", "call-401"]
HARMLESS = {
    f"{stage}-{kind}"
    for stage in ("list", "call")
    for kind in ("no-version", "redirect-loopback", "wrong-id-sse")
}
"""What a lenient reader may take: a redirect to the same origin, and the one answer in a stream of one request."""


async def ask_all(
    program: Program, recorder: Recorder, cases: dict[str, Case], beside: Case
) -> dict[str, Any]:
    """The response to each hostile server, a good one beside it, all at once."""
    gate = asyncio.Semaphore(8)

    async def ask(mode: str, case: Case) -> Any:
        async with gate:
            tools = [
                server(case, mode, "hostile", allowed_tools=["echo"], authorization=TOKEN),
                server(beside, label="good", allowed_tools=["add"]),
            ]
            return await client.responses.create(model=MODEL, input=ECHO, tools=tools)

    async with async_client(program.url, recorder) as client, asyncio.timeout(LIMIT_S):
        made = await asyncio.gather(*(ask(mode, case) for mode, case in cases.items()))
    return dict(zip(cases, made, strict=True))


@pytest.mark.parametrize("modern", [False, True])
async def test_a_hostile_server_breaks_neither_the_run_nor_the_server_beside_it(
    mcp_program: Program,
    recorder: Recorder,
    hostile_mcp_servers: HostileMcp,
    mcp_servers: McpServers,
    modern: bool,
) -> None:
    prefix = "modern/" if modern else ""
    modes = MODERN if modern else [*LISTS, *CONNECTS, *CALLS]
    cases = {prefix + mode: hostile_mcp_servers.case() for mode in modes}
    made = await ask_all(mcp_program, recorder, cases, mcp_servers.case())
    for mode, response in made.items():
        assert response.status == "completed", mode
        lists = {item.server_label: item for item in of(response, "mcp_list_tools")}
        called = {item.name: item for item in of(response, "mcp_call")}
        assert lists["good"].error is None
        assert called["add"].output == "3", mode
        text = response.model_dump_json(warnings=False)
        assert SECRET not in text, mode
        assert TOKEN not in text, mode
        if mode.removeprefix(prefix) in HARMLESS:
            continue
        if mode.removeprefix(prefix).startswith("call-"):
            assert called["echo"].status == "failed", mode
            assert called["echo"].error.message, mode
        else:
            assert lists["hostile"].error, mode
            assert lists["hostile"].tools == [], mode
            assert "echo" not in called, mode
    for mode, case in cases.items():
        if "other" in mode:
            assert all("authorization" not in one.headers for one in case.seen.redirected), mode


def ask(client: openai.OpenAI, case: Case, mode: str, told: str = "hi", **more: Any) -> Any:
    return respond(client, input=script(told) if told == "hi" else told, tools=[server(case, mode, **more)])


def test_of_tools_with_one_name_one_is_kept(
    asking: openai.OpenAI, upstream: Upstream, hostile_mcp: Case
) -> None:
    response = ask(asking, hostile_mcp, "list-duplicates")
    assert sorted(names(response)) == ["add", "echo"]
    assert sorted(shown(upstream)) == ["add", "echo"]


def test_control_characters_reach_neither_the_client_nor_the_model(
    asking: openai.OpenAI, upstream: Upstream, hostile_mcp: Case
) -> None:
    response = ask(asking, hostile_mcp, "list-control")
    texts = [response.model_dump_json(warnings=False), str(upstream.last_request())]
    for text in texts:
        for sign in ("\\u001b", "\x1b", "\\x1b", "\\u0000", "\\x00", "\u202e", "\\u202e"):
            assert sign not in text, repr(sign)
    assert "echo" in shown(upstream)


def test_names_that_no_model_takes_are_shown_under_others(
    asking: openai.OpenAI, upstream: Upstream, hostile_mcp: Case
) -> None:
    ask(asking, hostile_mcp, "list-badnames")
    for name in shown(upstream):
        assert 1 <= len(name) <= 64
        assert name.replace("_", "").replace("-", "").isalnum()
        assert name.isascii()
    assert len(shown(upstream)) == len(set(shown(upstream)))


@pytest.mark.parametrize("mode", ["list-many", "list-endless", "list-circle", "list-huge"])
def test_a_list_has_bounds(asking: openai.OpenAI, upstream: Upstream, hostile_mcp: Case, mode: str) -> None:
    response = ask(asking, hostile_mcp, mode)
    listed = only(response, "mcp_list_tools")
    assert len(listed.tools) <= 512
    assert len(upstream.last_request().get("tools", [])) <= 512
    assert hostile_mcp.count("tools/list") <= 1100
    assert response.status == "completed"


def test_what_is_no_tool_is_left_out_or_the_list_fails(asking: openai.OpenAI, hostile_mcp: Case) -> None:
    response = ask(asking, hostile_mcp, "list-malformed")
    listed = only(response, "mcp_list_tools")
    assert listed.error or [tool.name for tool in listed.tools] == ["echo"]
    assert response.status == "completed"


@pytest.mark.parametrize("mode", [mode for mode in OWN if mode.startswith("call-")])
def test_calls_that_ask_and_say_what_they_should_not(
    asking: openai.OpenAI, upstream: Upstream, hostile_mcp: Case, mode: str
) -> None:
    told = script(calls("echo", text="x"), "{outputs}")
    before = len(upstream.seen.requests)
    response = ask(asking, hostile_mcp, mode, told, authorization=TOKEN, headers={"x-token": TOKEN})
    assert response.status == "completed"
    text = response.model_dump_json(warnings=False) + str(upstream.seen.requests[before:])
    assert TOKEN not in text
    for sign in ("\\u001b", "\\x1b", "\\u0000", "\\x00"):
        assert sign not in text
    assert kinds(response)[:2] == ["mcp_list_tools", "mcp_call"]
    assert len(upstream.seen.requests) - before <= 2, "nobody has a model called"


def test_a_response_to_a_server_of_old_changes_its_tools_each_time(
    asking: openai.OpenAI, hostile_mcp: Case
) -> None:
    """What it says the second time is not taken up by a conversation that has its tools."""
    first = ask(asking, hostile_mcp, "list-changing")
    assert only(first, "mcp_list_tools").tools[0].description == "version 1"
    second = respond(
        asking,
        input=script(calls("echo", text="x"), "{outputs}"),
        tools=[server(hostile_mcp, "list-changing")],
        previous_response_id=first.id,
    )
    assert kinds(second) == ["mcp_call", "message"]
    assert hostile_mcp.count("tools/list") == 1
