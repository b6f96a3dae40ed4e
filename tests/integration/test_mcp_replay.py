"""`antiphon replay` of runs with MCP servers: their recorded answers are given again, and nobody is called."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.integration.mcp_world import LOOPBACK, MODEL, server
from tests.integration.obedient import call, calls, script
from tests.integration.recording import final, recorded, recording_config, respond, serving
from tests.integration.test_replay import run_all
from tests.integration.upstream import Upstream
from tests.support.mcp_wire import Case

Json = dict[str, Any]
BOTH = script([call("add", a=1, b=2), call("fails", why="no")], "{outputs}")


def record(upstream: Upstream, folder: Path, *bodies: Json) -> list[Json]:
    """The responses to these requests. One with `approve` goes on from the first, and answers what that asks."""

    async def ask() -> list[Json]:
        made: list[Json] = []
        async with serving(folder, recording_config(upstream.url, folder, LOOPBACK)) as app:
            for body in bodies:
                given = dict(body)
                if "approve" in given:
                    asked = next(one for one in made[0]["output"] if one["type"] == "mcp_approval_request")
                    approve = bool(given.pop("approve"))
                    said = {
                        "type": "mcp_approval_response",
                        "approval_request_id": asked["id"],
                        "approve": approve,
                    }
                    given |= {"input": [said], "previous_response_id": made[0]["id"]}
                made.append(final(await respond(app, {"model": MODEL, **given})))
        return made

    return asyncio.run(ask())


@pytest.mark.parametrize("flavour", ["mcp", "handshake"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_run_is_made_again_without_its_servers(
    upstream: Upstream,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    mcp_case: Case,
    flavour: str,
    stream: bool,
) -> None:
    tool = server(mcp_case, flavour, authorization="a-token-of-the-user")
    (made,) = record(upstream, tmp_path, {"input": BOTH, "tools": [tool], "stream": stream})
    before = mcp_case.count("tools/call"), mcp_case.count("tools/list")
    assert before[0] == 2
    (result,) = run_all(tmp_path, capsys, made["id"])
    assert result["same"], result
    assert (mcp_case.count("tools/call"), mcp_case.count("tools/list")) == before


@pytest.mark.parametrize("approve", [True, False])
def test_an_approved_call_is_not_made_again(
    upstream: Upstream,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    mcp_case: Case,
    approve: bool,
) -> None:
    tool = server(mcp_case, require_approval="always")
    told = script(calls("erase", path="a"), "{outputs}")
    made = record(upstream, tmp_path, {"input": told, "tools": [tool]}, {"approve": approve, "tools": [tool]})
    assert mcp_case.calls("erase") == approve
    for response in made:
        (result,) = run_all(tmp_path, capsys, response["id"])
        assert result["same"], result
    assert mcp_case.calls("erase") == approve


def test_a_call_that_was_not_recorded_is_not_made(
    upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str], mcp_case: Case
) -> None:
    record(
        upstream,
        tmp_path,
        {"input": script(calls("add", a=1, b=2), "{outputs}"), "tools": [server(mcp_case)]},
    )
    (path,) = (tmp_path / "recordings").iterdir()
    lines = path.read_text().splitlines(keepends=True)
    ended = next(at for at, line in enumerate(lines) if '"record":"run"' in line)
    lines[ended] = lines[ended].replace('"name":"add"', '"name":"other"')
    path.write_text("".join(lines))
    (result,) = run_all(tmp_path, capsys, recorded(tmp_path).run_ids()[0])
    assert not result["same"]
    assert mcp_case.count("tools/call") == 1
