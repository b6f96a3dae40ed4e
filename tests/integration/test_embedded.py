"""`antiphon.embedded`: configurations, both kinds of client on both kinds of loop, streams, ends."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import httpx2
import openai
import pytest

import antiphon
from antiphon.config.load import ConfigError, hash_key
from antiphon.config.settings import Settings
from antiphon.discovery import DEMO
from antiphon.in_process.host import StartFailed
from antiphon.in_process.server import EmbeddedServer
from tests.integration.upstream import FLOOD_CHUNK, FLOOD_CHUNKS, Seen, Upstream

KEY = "a-key-that-is-long-enough"


def over(upstream: Upstream, folder: Path) -> Mapping[str, Any]:
    provider = {
        "provider_id": "up",
        "provider_type": "remote::openai-compatible",
        "config": {"base_url": upstream.url, "api_key": "sk-upstream", "wire": "chat"},
    }
    return {
        "providers": {"inference": [provider]},
        "storage": {"url": f"sqlite:///{folder}/antiphon.db"},
    }


@pytest.fixture
def running(upstream: Upstream, tmp_path: Path) -> Iterator[EmbeddedServer]:
    with antiphon.embedded(over(upstream, tmp_path)) as server:
        yield server


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) - before == set()


def test_the_demo_answers_and_leaves_nothing_behind() -> None:
    with antiphon.embedded("demo") as server:
        client = server.client()
        first = client.responses.create(model="demo", input="Say hello.")
        assert "Say hello." in first.output_text
        assert client.responses.retrieve(first.id) == first
        storage = server.state_folder
        assert storage is not None
        assert any(storage.iterdir())
    assert not storage.exists()


def test_no_connection_is_made_and_none_is_awaited() -> None:
    """An audit hook stays for the life of a process, so this one has its own."""
    code = """
import sys

def refuse(event, _):
    assert event not in {"socket.bind", "socket.connect", "socket.getaddrinfo"}, event

sys.addaudithook(refuse)
import antiphon
with antiphon.embedded("demo") as server:
    print(server.client().responses.create(model="demo", input="hi").status)
"""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("completed\n", 0), done.stderr


@pytest.mark.parametrize("kind", ["path", "text", "mapping", "settings"])
def test_a_configuration_is_a_file_a_mapping_or_settings(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_HOME", str(tmp_path / "home"))
    file = tmp_path / "one.yaml"
    file.write_text("providers: {inference: [{provider_id: mine, provider_type: inline::scripted}]}")
    provider = {"provider_id": "mine", "provider_type": "inline::scripted"}
    configs: dict[str, Any] = {
        "path": file,
        "text": str(file),
        "mapping": {"providers": {"inference": [provider]}, "storage": {"url": "${env.NOWHERE:=}"}},
        "settings": Settings().with_inference([DEMO]),
    }
    with antiphon.embedded(configs[kind], temporary=kind == "settings") as server:
        assert server.client().responses.create(model="demo", input="hi").status == "completed"
    assert (tmp_path / "home" / "antiphon.db").exists() == (kind != "settings")


def test_without_a_configuration_it_finds_what_serve_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: Upstream
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTIPHON_HOME", str(tmp_path))
    monkeypatch.setenv("ANTIPHON_DISCOVERY", "off")
    monkeypatch.setenv("VLLM_URL", upstream.url)
    with antiphon.embedded() as server:
        assert [one.provider_id for one in server.settings.providers.inference] == ["vllm"]
        assert server.client().responses.create(model="echo", input="hi").output_text == "You said: hi"


def test_a_bad_configuration_names_the_key() -> None:
    with pytest.raises(ConfigError, match=r'unknown key "prot" in server; did you mean "port"\?'):
        antiphon.embedded({"server": {"prot": 1}})
    with pytest.raises(ConfigError, match="no such configuration file"):
        antiphon.embedded("nowhere.yaml")
    wrong = {"provider_id": "x", "provider_type": "inline::scirpted"}
    server = antiphon.embedded({"providers": {"inference": [wrong]}}, temporary=True)
    with pytest.raises(ConfigError, match="inline::scripted"):
        server.start()
    assert server.state_folder is None


def test_a_stream_arrives_as_it_is_made(running: EmbeddedServer, upstream: Upstream) -> None:
    """The upstream says four words and then waits for ever: the client has them all the same."""
    closed = upstream.seen.closed_by_client
    text = ""
    with running.client().responses.create(model="endless", input="go", stream=True) as events:
        for event in events:
            text += event.delta if event.type == "response.output_text.delta" else ""
            if text == "once upon a time ":
                break
    upstream.wait_for("the upstream connection closed", lambda seen: seen.closed_by_client > closed)


async def test_an_async_stream_arrives_and_its_end_is_the_upstreams(
    running: EmbeddedServer, upstream: Upstream
) -> None:
    closed = upstream.seen.closed_by_client
    stream = await running.async_client().responses.create(model="endless", input="go", stream=True)
    async with stream:
        async for event in stream:
            if event.type == "response.output_text.delta":
                break

    def left(seen: Seen) -> bool:
        return seen.closed_by_client > closed

    await asyncio.to_thread(upstream.wait_for, "the upstream connection closed", left)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cancelled_task_cancels_the_upstream_call(
    running: EmbeddedServer, upstream: Upstream, stream: bool
) -> None:
    closed, asked = upstream.seen.closed_by_client, len(upstream.seen.requests)
    client = running.async_client()

    async def read() -> None:
        if not stream:
            await client.responses.create(model="endless-whole", input="go")
            return
        async for _ in await client.responses.create(model="endless", input="go", stream=True):
            pass

    task = asyncio.create_task(read())
    await asyncio.to_thread(upstream.wait_for, "a request", lambda seen: len(seen.requests) > asked)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    def left(seen: Seen) -> bool:
        return seen.closed_by_client > closed

    await asyncio.to_thread(upstream.wait_for, "the upstream connection closed", left)


def test_a_client_that_waits_no_longer_cancels_the_upstream_call(
    running: EmbeddedServer, upstream: Upstream
) -> None:
    closed = upstream.seen.closed_by_client
    client = running.client(timeout=0.2, max_retries=0)
    with pytest.raises(openai.APITimeoutError):
        client.responses.create(model="endless-whole", input="go")
    upstream.wait_for("the upstream connection closed", lambda seen: seen.closed_by_client > closed)


def test_ctrl_c_ends_a_call_and_the_upstreams(upstream: Upstream, tmp_path: Path) -> None:
    """Interrupted while it waits for the answer; what the upstream sees is a connection that closed."""
    code = """
import json, sys
import antiphon

with antiphon.embedded(json.loads(sys.argv[1])) as server:
    try:
        server.client().responses.create(model="endless-whole", input="go")
    except KeyboardInterrupt:
        print("interrupted")
"""
    closed, asked = upstream.seen.closed_by_client, len(upstream.seen.requests)
    config = json.dumps(over(upstream, tmp_path))
    command = [sys.executable, "-W", "error", "-c", code, config]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        try:
            upstream.wait_for("a request", lambda seen: len(seen.requests) > asked)
            program.send_signal(signal.SIGINT)
            printed, _ = program.communicate(timeout=30)
        finally:
            program.kill()
    assert (printed, program.returncode) == ("interrupted\n", 0)
    upstream.wait_for("the upstream connection closed", lambda seen: seen.closed_by_client > closed)


def test_a_slow_reader_holds_the_upstream_back(running: EmbeddedServer, upstream: Upstream) -> None:
    """The upstream has 100 MB to say. What was taken in when the reader has read one event is far from that."""
    upstream.seen.flood_sent = 0
    closed = upstream.seen.closed_by_client
    with running.client().responses.create(model="flood", input="go", stream=True) as events:
        for event in events:
            if event.type == "response.output_text.delta":
                break
        threading.Event().wait(0.5)  # time in which a server without bounds would take in all of it
        assert upstream.seen.flood_sent < len(FLOOD_CHUNK) * FLOOD_CHUNKS / 2
    upstream.wait_for("the upstream connection closed", lambda seen: seen.closed_by_client > closed)


async def test_it_runs_on_the_callers_own_loop(upstream: Upstream, tmp_path: Path) -> None:
    threads = set(threading.enumerate())
    async with antiphon.embedded(over(upstream, tmp_path)) as server:
        assert not [one for one in set(threading.enumerate()) - threads if "embedded" in one.name]
        client = server.async_client()
        response = await client.responses.create(model="echo", input="here")
        assert response.output_text == "You said: here"
        stream = await client.responses.create(model="echo", input="and here", stream=True)
        kinds = [event.type async for event in stream]
        assert kinds[-1] == "response.completed"
        with pytest.raises(RuntimeError, match=r"use async_client\(\)"):
            server.client().responses.create(model="echo", input="deadlock?")

        def from_a_thread() -> str:
            return server.client().responses.create(model="echo", input="there").output_text

        assert await asyncio.to_thread(from_a_thread) == "You said: there"


def test_one_async_client_a_loop_and_many_threads_with_one_client(running: EmbeddedServer) -> None:
    async def ask(text: str) -> str:
        client = running.async_client()
        made = await asyncio.gather(
            *(client.responses.create(model="echo", input=f"{text} {n}") for n in range(5))
        )
        return ", ".join(one.output_text.removeprefix("You said: ") for one in made)

    assert asyncio.run(ask("a")) == "a 0, a 1, a 2, a 3, a 4"
    assert asyncio.run(ask("b")) == "b 0, b 1, b 2, b 3, b 4"
    client = running.client()

    def told(number: int) -> str:
        return client.responses.create(model="echo", input=str(number)).output_text

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(told, range(40))) == [f"You said: {number}" for number in range(40)]


def test_several_servers_share_nothing(upstream: Upstream, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with (
        antiphon.embedded(over(upstream, tmp_path / "a")) as one,
        antiphon.embedded(over(upstream, tmp_path / "b")) as other,
        antiphon.embedded("demo") as third,
    ):
        made = one.client().responses.create(model="echo", input="mine")
        with pytest.raises(openai.NotFoundError):
            other.client().responses.retrieve(made.id)
        with pytest.raises(openai.NotFoundError, match="demo"):
            third.client().responses.create(model="echo", input="?")
    with antiphon.embedded(over(upstream, tmp_path / "a")) as again:
        assert again.client().responses.retrieve(made.id) == made


def test_errors_are_those_of_the_server(running: EmbeddedServer) -> None:
    client = running.client(max_retries=0)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="echo", input="hi", temperature=9)
    assert caught.value.param == "temperature"
    with pytest.raises(openai.NotFoundError):
        client.get("/nowhere", cast_to=object)


def test_keys_hold_inside_too(tmp_path: Path) -> None:
    key = {"name": "ann", "hash": hash_key(KEY)}
    config = {
        "server": {"auth": {"keys": [key]}},
        "providers": {"inference": [{"provider_id": "demo", "provider_type": "inline::scripted"}]},
        "storage": {"url": f"sqlite:///{tmp_path}/antiphon.db"},
    }
    with antiphon.embedded(config) as server:
        with pytest.raises(ValueError, match=r"server\.auth\.keys"):
            server.client()
        with pytest.raises(openai.AuthenticationError):
            server.client(api_key="somebody-else").models.list()
        assert server.client(api_key=KEY).responses.create(model="demo", input="hi").status == "completed"


def test_an_end_ends_open_streams(upstream: Upstream, tmp_path: Path) -> None:
    closed = upstream.seen.closed_by_client
    with antiphon.embedded(over(upstream, tmp_path)) as server:
        client = server.client(max_retries=0)
        events = iter(client.responses.create(model="endless", input="go", stream=True))
        assert next(events).type == "response.created"
    upstream.wait_for("the upstream connection closed", lambda seen: seen.closed_by_client > closed)
    with pytest.raises(openai.APIConnectionError):
        list(events)
    with pytest.raises(openai.APIConnectionError) as caught:
        client.models.list()
    assert "not running" in str(caught.value.__cause__)


def test_a_server_can_be_started_and_closed_by_hand() -> None:
    server = antiphon.embedded("demo")
    client = server.client(max_retries=0)
    with pytest.raises(openai.APIConnectionError):
        client.models.list()
    for _ in range(2):
        server.start()
        with pytest.raises(RuntimeError, match="already"):
            server.start()
        assert [model.id for model in client.models.list()] == ["demo/demo"]
        server.close()
        server.close()


def test_a_server_that_is_never_closed_ends_with_its_program(tmp_path: Path) -> None:
    code = """
import antiphon
server = antiphon.embedded("demo")
server.start()
print(server.client().responses.create(model="demo", input="hi").status)
"""
    command = [sys.executable, "-W", "error", "-c", code]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("completed\n", "", 0)
    assert not list(tmp_path.iterdir())


async def test_a_start_that_fails_says_why() -> None:
    from antiphon.in_process.host import Host

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no luck"})

    with pytest.raises(StartFailed, match="could not start: no luck"):
        await Host(broken, 1.0).start()


LIBRARIES: dict[str, Any] = {"httpx": httpx, "httpx2": httpx2}
"""Imported before any test: a client that is collected while they load stumbles over the half of them."""


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_both_http_libraries_have_a_transport(running: EmbeddedServer, library: Any) -> None:
    """Older `openai` packages stand on httpx, newer ones on httpx2."""
    http = LIBRARIES[library]
    with http.Client(transport=running.transport(library), base_url=running.base_url) as client:
        answer = client.post("responses", json={"model": "echo", "input": "hi"})
        assert answer.json()["status"] == "completed"
        probe = client.head("http://embedded.invalid/livez")
        assert (probe.status_code, probe.content) == (200, b"")

    async def there() -> str:
        transport = running.async_transport(library)
        async with http.AsyncClient(transport=transport, base_url=running.base_url) as aclient:
            answer = await aclient.post("responses", json={"model": "echo", "input": "hi"})
            return str(answer.json()["status"])

    assert asyncio.run(there()) == "completed"


def test_without_openai_the_error_says_what_to_install(
    running: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ImportError, match="pip install openai"):
        running.client()
    assert running.transport("httpx2") is not None
