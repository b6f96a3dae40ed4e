"""Credentials for MCP servers are in no row, event, log line, recording or error, and never cross."""

import asyncio
import base64
import hashlib
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from bench.program import Program, antiphon_command, environment
from tests.conformance.recorder import Recorder
from tests.integration.clients import LIMIT_S, Raw, async_client
from tests.integration.mcp_world import LOOPBACK, MCP, MODEL, StartMcp, mcp_configuration, server
from tests.integration.obedient import call, calls, script
from tests.integration.test_keys import key
from tests.integration.test_mcp_approvals import answer
from tests.integration.upstream import Upstream
from tests.support.mcp_servers import McpServers
from tests.support.mcp_tools import digest
from tests.support.mcp_wire import Case

TOKEN = "canary-token-7f31c2"
HEADER = "canary-header-90ab41"
QUERY = "canary-query-5d08e7"
CANARIES = (TOKEN, HEADER, QUERY)
ADD = script(calls("add", a=1, b=2), "{outputs}")


def secretive(case: Case, flavour: str = "mcp", **more: Any) -> Any:
    made = server(case, flavour, authorization=TOKEN, headers={"X-Token": HEADER}, **more)
    return {**made, "server_url": f"{made['server_url']}?key={QUERY}"}


def forms(canary: str) -> list[bytes]:
    """The canary, and as it is easily written."""
    raw = canary.encode()
    hashes = [hashlib.new(name, raw).hexdigest().encode() for name in ("sha256", "md5", "sha1")]
    inner = [base64.b64encode(b"." * shift + raw)[4:-4] for shift in range(3)]
    return [raw, quote(canary).encode(), raw.hex().encode(), canary[::-1].encode(), *inner, *hashes]


def found_in(data: bytes) -> list[str]:
    return [canary for canary in CANARIES if any(form in data for form in forms(canary))]


def test_what_is_looked_for_would_be_found() -> None:
    for canary in CANARIES:
        for data in (canary, f"x{canary}y"):
            encoded = base64.b64encode(f"Bearer {data}".encode())
            assert found_in(encoded) == [canary]
        assert found_in(canary.encode()) == [canary]
    assert found_in(b"nothing of it") == []


def requests(case: Case, hostile: Case) -> list[dict[str, Any]]:
    """Every way in which a credential goes through; each asks several things."""
    wrong = [secretive(case, headers_more="x")]
    bad_header = [{**secretive(case), "headers": {"x-token": f"{HEADER}\n"}}]
    bad_token = [{**secretive(case), "authorization": f"{TOKEN} {TOKEN}"}]
    good = [secretive(case)]
    whole: list[dict[str, Any]] = [
        {"input": ADD, "tools": good},
        {"input": ADD, "tools": good, "store": False},
        {"input": ADD, "tools": good, "stream": True},
        {"input": script(calls("ask_name")), "tools": [secretive(case, "modern")]},
        {"input": script(calls("ask_name")), "tools": [secretive(case, "handshake")]},
        {"input": script(calls("ask_name")), "tools": [secretive(case, "sse")]},
        {"input": script(calls("fails")), "tools": good},
        {"input": ADD, "tools": wrong},
        {"input": ADD, "tools": bad_header},
        {"input": ADD, "tools": bad_token},
    ]
    modes = (
        "connect-401",
        "list-403",
        "call-401",
        "list-secret-error",
        "call-secret-error",
        "call-secret",
        "call-hang",
    )
    echo = script(calls("echo", text="x"))
    return [*whole, *({"input": echo, "tools": [secretive(hostile, mode)]} for mode in modes)]


def test_no_credential_is_kept_told_or_logged_anywhere(
    upstream: Upstream, tmp_path: Path, recorder: Recorder, mcp_case: Case, hostile_mcp: Case
) -> None:
    (tmp_path / "antiphon.yaml").write_text(mcp_configuration(upstream, tmp_path, LOOPBACK, MCP))
    home = tmp_path / "home"
    home.mkdir()
    command = [*antiphon_command(), "record", "--out", str(tmp_path / "recordings"), "--port", "0"]
    told: list[bytes] = []
    before = len(upstream.seen.requests)
    with Program(command, cwd=tmp_path, env=environment(home)) as program:
        program.wait_ready()
        with Raw(program.port, recorder) as raw:
            every = requests(mcp_case, hostile_mcp)
            told += [raw.post("/v1/responses", {"model": MODEL, **one}).body for one in every]
            told += goes_on(raw, mcp_case)
            told.append(raw.get("/v1/responses?limit=100").body)
            told.append(raw.get("/v1/connectors").body)
    assert mcp_case.calls("add") >= 3, "the credentials went through the server"
    assert {one["authorization"] for one in mcp_case.headers("tools/call")} == {f"Bearer {TOKEN}"}
    assert {one["x-token"] for one in mcp_case.headers("tools/call")} == {HEADER}
    for body in told:
        assert found_in(body) == [], body[:2000]
    assert found_in(json.dumps(upstream.seen.requests[before:]).encode()) == []
    assert found_in(program.output.encode()) == [], program.output
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in kept)
    assert any(path.parent.name == "recordings" for path in kept)
    for path in kept:
        assert found_in(path.read_bytes()) == [], path


def goes_on(raw: Raw, case: Case) -> list[bytes]:
    """An approval and a question that are answered, in chains."""
    told: list[bytes] = []
    tool = secretive(case)
    del tool["require_approval"]
    first = raw.post("/v1/responses", {"model": MODEL, "input": script(calls("whoami")), "tools": [tool]})
    asked = first.json["output"][-1]["id"]
    told.append(first.body)
    more = {"model": MODEL, "tools": [tool], "previous_response_id": first.json["id"]}
    body = raw.post("/v1/responses", {**more, "input": [answer(asked, approve=True)]})
    told += [body.body, raw.get(f"/v1/responses/{body.json['id']}").body]
    told.append(raw.get(f"/v1/responses/{body.json['id']}/input_items").body)
    assert digest(f"Bearer {TOKEN}") in body.body.decode()
    return told


def test_the_echo_of_a_tool_leaves_its_credentials_out(
    mcp_program: Program, recorder: Recorder, mcp_case: Case
) -> None:
    with Raw(mcp_program.port, recorder) as raw:
        body = raw.post(
            "/v1/responses", {"model": MODEL, "input": script("hi"), "tools": [secretive(mcp_case)]}
        )
        [echoed] = body.json["tools"]
        assert echoed == {
            "type": "mcp",
            "server_label": "desk",
            "server_url": f"{mcp_case.url()}?<redacted>",
            "headers": {"X-Token": "<redacted>"},
            "require_approval": "never",
        }
        stored = raw.get(f"/v1/responses/{body.json['id']}").json
        assert stored["tools"] == [echoed]


# --- two users -----------------------------------------------------------------------------------------------
USERS = {"ann": "token-of-ann-3c", "bob": "token-of-bob-8e", "cyd": "token-of-cyd-1f"}
KEYS = f"auth: {{keys: [{key('ann', 'first')}, {key('bob', 'first')}, {key('cyd', 'second')}]}}"


@dataclass(frozen=True, slots=True)
class Told:
    """What one run of a user found out."""

    name: str
    whoami: list[Any]


async def runs_of_all(port: int, cases: list[Case], rounds: int) -> list[Told]:
    """Interleaved runs of every user against each kind of both servers."""
    gate = asyncio.Semaphore(24)
    told = script(calls("whoami"), "{outputs}")

    async def run(session: aiohttp.ClientSession, name: str, case: Case, flavour: str) -> Told:
        tool = server(case, flavour, authorization=USERS[name], headers={"X-Token": name})
        body = {"model": MODEL, "input": told, "tools": [tool], "store": False}
        headers = {"authorization": f"Bearer key-of-{name}"}
        url = f"http://127.0.0.1:{port}/v1/responses"
        async with gate, session.post(url, json=body, headers=headers) as answered:
            made = await answered.json()
            assert answered.status == 200, made
        return Told(
            name, [json.loads(item["output"]) for item in made["output"] if item["type"] == "mcp_call"]
        )

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(4 * LIMIT_S)) as session:
        kinds = itertools.product(range(rounds), cases, ("modern", "handshake"), USERS)
        return await asyncio.gather(*(run(session, name, case, flavour) for _, case, flavour, name in kinds))


async def test_tokens_of_users_never_cross(
    start_mcp: StartMcp, mcp_servers: McpServers, request: pytest.FixtureRequest
) -> None:
    """Three users, two of them of one tenant, ask the same servers at once, over fewer connections than they want."""
    egress = f'server: {{egress: {{allow_private: ["127.0.0.0/8"]}}, {KEYS}}}'
    program = start_mcp(egress, "mcp: {servers: any, max_connections: 16}")
    cases = [mcp_servers.case() for _ in range(2)]
    rounds = 84 if request.config.getoption("--soak") else 8
    found = await runs_of_all(program.port, cases, rounds)
    assert len(found) == rounds * 12
    for one in found:
        expected = {"authorization": digest(f"Bearer {USERS[one.name]}"), "x-token": digest(one.name)}
        assert one.whoami == [expected]
    for case in cases:
        pairs = {(sent["authorization"], sent["x-token"]) for sent in case.headers("tools/call")}
        assert pairs == {(f"Bearer {token}", name) for name, token in USERS.items()}
        sessions: dict[str, set[str]] = {}
        for asked in case.seen.asked:
            if "mcp-session-id" in asked.headers:
                owners = sessions.setdefault(asked.headers["mcp-session-id"], set())
                owners.add(asked.headers.get("authorization", ""))
        assert sessions
        assert all(len(owners) == 1 for owners in sessions.values())


@pytest.mark.parametrize("flavour", ["modern", "handshake"])
async def test_memory_is_flat_over_many_calls(
    mcp_program: Program,
    recorder: Recorder,
    mcp_servers: McpServers,
    flavour: str,
    request: pytest.FixtureRequest,
) -> None:
    """What comes after the first calls may not cost what a leak of some kilobytes a call would."""
    case = mcp_servers.case()
    told = script([call("add", a=1, b=2) for _ in range(10)], "{outputs}")
    tool = server(case, flavour, allowed_tools=["add"])
    rounds = 490 if request.config.getoption("--soak") else 20
    async with async_client(mcp_program.url, recorder) as client, asyncio.timeout(8 * LIMIT_S):

        async def some(count: int) -> None:
            for _ in range(count):
                await client.responses.create(model=MODEL, input=told, tools=[tool], store=False)

        await some(10)
        before = mcp_program.rss_mb()
        await some(rounds)
        assert mcp_program.rss_mb() - before < 4
    assert case.calls("add") == (10 + rounds) * 10
