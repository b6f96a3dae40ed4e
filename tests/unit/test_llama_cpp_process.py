"""One child process, with small programs in the place of the engine."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator

import pytest

from antiphon.providers.llama_cpp.engine import EngineSpec
from antiphon.providers.llama_cpp.process import Engine, EngineFailed
from antiphon.providers.upstream import UpstreamClient
from antiphon.system import SystemClock

SPEC = EngineSpec(name="tiny", path="/models/private/tiny.gguf", api_key="k", context=128)

HEALTHY = """
import http.server, json, os, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    answers = iter([503, 503])
    def do_GET(self):
        self.send_response(next(self.answers, 200))
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *args):
        pass
spec = json.loads(sys.stdin.readline())
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({"address": f"http://127.0.0.1:{server.server_address[1]}"}), flush=True)
"""
UNTIL_STDIN_ENDS = HEALTHY + "sys.stdin.read()\n"
DEAF = HEALTHY + "threading.Event().wait()\n"


@pytest.fixture
async def client() -> AsyncIterator[UpstreamClient]:
    made = UpstreamClient(SystemClock())
    yield made
    await made.aclose()


async def start(client: UpstreamClient, program: str, timeout_s: float = 30) -> Engine:
    return await Engine.start(SPEC, client, timeout_s=timeout_s, command=[sys.executable, "-c", program])


async def test_it_is_ready_when_its_health_route_says_so(client: UpstreamClient) -> None:
    engine = await start(client, UNTIL_STDIN_ENDS)
    assert engine.alive
    assert engine.address.startswith("http://127.0.0.1:")
    await engine.stop()
    assert not engine.alive
    assert engine.how_it_ended == "ended with code 0"


async def test_one_that_does_not_go_is_killed(
    client: UpstreamClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon.providers.llama_cpp.process.STOP_S", 0.05)
    engine = await start(client, DEAF)
    await engine.stop()
    assert engine.how_it_ended == "was ended by SIGKILL"


async def test_its_last_words_are_told_without_reports_and_without_the_path(client: UpstreamClient) -> None:
    program = """
import sys
path = __import__("json").loads(sys.stdin.readline())["path"]
sys.stderr.write("0.00.001 I srv  init: all is well\\n")
sys.stderr.write(f"0.00.002 E load: cannot read {path}\\n")
sys.stderr.write("GGML_ASSERT(n > 0) failed\\n")
sys.exit(3)
"""
    with pytest.raises(EngineFailed) as caught:
        await start(client, program)
    assert str(caught.value) == (
        "it ended with code 3; its last lines: load: cannot read tiny | GGML_ASSERT(n > 0) failed"
    )


async def test_a_signal_is_named(client: UpstreamClient) -> None:
    with pytest.raises(EngineFailed, match="it was ended by SIGABRT"):
        await start(client, "import os; os.abort()")


async def test_one_that_is_never_ready_is_given_up(client: UpstreamClient) -> None:
    with pytest.raises(EngineFailed, match=r"not ready after 0\.2 s; its last lines: still at it"):
        await start(
            client,
            "import sys; sys.stderr.write('still at it\\n'); sys.stderr.flush(); sys.stdin.read()",
            0.2,
        )


async def test_a_program_that_is_not_there_is_an_error(client: UpstreamClient) -> None:
    with pytest.raises(EngineFailed, match="could not be started"):
        await Engine.start(SPEC, client, timeout_s=5, command=["/nowhere/engine"])


async def test_a_start_that_is_cancelled_leaves_no_process(client: UpstreamClient) -> None:
    starting = asyncio.create_task(start(client, "import sys; sys.stdin.read(); sys.stdin.read()"))
    for _ in range(3):
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting


async def test_a_death_is_seen_at_once(client: UpstreamClient) -> None:
    engine = await start(client, UNTIL_STDIN_ENDS)
    os.kill(engine.pid, signal.SIGKILL)
    assert await engine.has_ended(within_s=10)
    assert not engine.alive
    assert engine.how_it_ended == "was ended by SIGKILL"
    await engine.stop()
