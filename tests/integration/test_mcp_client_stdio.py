"""MCP servers that are processes of ours: what they are given, and that nothing of them is left."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.mcp.client import SdkMcpClient
from antiphon.mcp.limits import McpLimits
from antiphon.ports.mcp import McpRefused, McpServer, McpUnreachable
from tests.integration.mcp_client_world import (
    ANN,
    accepted,
    asked,
    call,
    make_client,
    open_files,
    said,
    tasks,
    text,
    until,
)
from tests.support import stdio_mcp

SCRIPT = str(Path(stdio_mcp.__file__))


@pytest.fixture
async def client() -> AsyncIterator[SdkMcpClient]:
    made = make_client(McpLimits(max_processes=2, max_message_bytes=2_000_000))
    yield made
    await made.aclose()
    assert tasks() == set()


def process(*modes: str, environment: tuple[tuple[str, str], ...] = (), folder: str = "") -> McpServer:
    command = (sys.executable, "-S", SCRIPT, *modes)
    return McpServer(
        ANN, "local", transport="stdio", trusted=True, command=command, environment=environment, folder=folder
    )


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_a_process_lists_runs_and_asks(client: SdkMcpClient) -> None:
    of = process("noisy")
    listing = await client.list_tools(of, timeout_s=20)
    assert [one.name for one in listing.tools] == ["echo"]
    assert json.loads(await text(client, of, "echo", {"text": "ü\u2028"})) == {"text": "ü\u2028"}
    question = asked(await call(client, of, "ask"))
    assert question.message == "Who?"
    answer = said(await call(client, of, "ask", reply=accepted(question, name="Ann")))
    assert json.loads(answer) == {"action": "accept", "content": {"name": "Ann"}}


async def test_it_gets_the_environment_of_its_configuration_and_nothing_else_of_ours(
    client: SdkMcpClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_SECRET", "unseen")
    of = process(environment=(("API_KEY", "its own"),), folder=str(tmp_path))
    environment = json.loads(await text(client, of, "environment"))
    environment.pop("LC_CTYPE", None)  # Python's own
    assert set(environment) == {"PATH", "HOME", "API_KEY"}
    assert (environment["API_KEY"], environment["PATH"]) == ("its own", os.environ["PATH"])
    assert Path(await text(client, of, "place")) == tmp_path
    assert "its own" not in repr(of)


async def test_one_process_serves_call_after_call_and_few_serve_many_at_once(client: SdkMcpClient) -> None:
    of = process()
    first = await text(client, of, "process")
    files = open_files()
    assert {await text(client, of, "process") for _ in range(50)} == {first}
    assert open_files() == files
    pids = await asyncio.gather(*(text(client, of, "process") for _ in range(12)))
    assert first in pids
    assert len(set(pids)) <= 2


@pytest.mark.parametrize("modes", [(), ("family",), ("stubborn", "family")])
async def test_nothing_of_it_is_left_when_it_is_closed(
    modes: tuple[str, ...], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon.mcp.stdio._TO_END_S", 0.3)
    caplog.set_level("DEBUG", "antiphon.mcp")
    client, before = make_client(), open_files()
    pids = [int(await text(client, process(*modes), "process"))]
    if "family" in modes:
        await until("the child", lambda: "child" in caplog.text)
        pids.append(int(caplog.text.rpartition("child ")[2].split()[0]))
    assert all(is_running(pid) for pid in pids)
    async with asyncio.timeout(15):
        await client.aclose()
    await until("the end of all", lambda: not any(is_running(pid) for pid in pids))
    assert tasks() == set()
    assert open_files() <= before


async def test_one_that_ends_is_started_again_for_the_next_call(client: SdkMcpClient) -> None:
    of = process()
    first = await text(client, of, "process")
    with pytest.raises(McpUnreachable, match="broke off"):
        await call(client, of, "end")
    second = await text(client, of, "process")
    os.kill(int(second), 9)
    await until("the end of it", lambda: not is_running(int(second)))
    await until("that it is noticed", lambda: not any(name.startswith("mcp ") for name in tasks()))
    assert await text(client, of, "process") not in {first, second}


async def test_one_that_cannot_be_started_or_says_nothing_is_unreachable(tmp_path: Path) -> None:
    client = make_client(McpLimits(connect_timeout_s=0.5))
    missing = McpServer(ANN, "missing", transport="stdio", trusted=True, command=(str(tmp_path / "none"),))
    with pytest.raises(McpUnreachable, match="could not be started"):
        await call(client, missing, "echo")
    with pytest.raises(McpUnreachable, match="did not shake hands"):
        await call(client, process("deaf"), "echo")
    with pytest.raises(McpUnreachable, match="broke off"):
        await call(client, McpServer(ANN, "wrong", transport="stdio", command=("true",)), "echo")
    await client.aclose()


async def test_a_line_may_be_as_long_as_a_message_may(client: SdkMcpClient) -> None:
    of = process()
    assert len(await text(client, of, "big", {"chars": 1_900_000})) == 1_900_000
    with pytest.raises((McpUnreachable, McpRefused)):
        await call(client, of, "big", {"chars": 2_100_000})
    assert await text(client, of, "echo") == "{}"
