"""`inline::llama-cpp` with the real engine: models of half a megabyte, in child processes that are really killed."""

import contextlib
import json
import os
import signal
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from antiphon.core.errors import UnsupportedParameter
from antiphon.providers.llama_cpp.provider import LlamaCpp
from antiphon.providers.upstream import UpstreamClient
from antiphon.system import SystemClock, SystemIds
from bench.program import Program, ProgramFailed, antiphon_command, environment, start_antiphon
from tests.conformance.recorder import Recorder
from tests.hub import FakeHub
from tests.integration.clients import LIMIT_S, Raw, sync_client
from tests.integration.llama_server import write_model

pytest.importorskip("xllamacpp", reason="no xllamacpp wheel here: the local engine is not tested")
if not sys.platform.startswith("linux"):
    pytest.skip("the engines' processes are looked for in /proc", allow_module_level=True)

ONE_MODEL = "110MiB"
"""A limit that holds one of the tiny models with its process, not two."""


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    write_model(path)
    return path


def configuration(folder: Path, models: dict[str, Any], **more: Any) -> str:
    for model in models.values():
        model.setdefault("threads", 1)
        model.setdefault("context", 4096)
    config = json.dumps({"models": models, **more})  # JSON is YAML
    return f"""\
version: 2
providers:
  inference:
  - provider_id: local
    provider_type: inline::llama-cpp
    config: {config}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts a server with these models; a second one is told nothing of the first."""
    with contextlib.ExitStack() as running:

        def started(models: dict[str, Any], **more: Any) -> Program:
            program = start_antiphon(tmp_path, configuration(tmp_path, models, **more))
            running.enter_context(program)
            program.wait_ready()
            return program

        yield started


@pytest.fixture(scope="module")
def server(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One server for the tests that leave it as they found it."""
    folder = tmp_path_factory.mktemp("local")
    with start_antiphon(folder, configuration(folder, {"tiny": {"path": str(gguf), "slots": 2}})) as program:
        program.wait_ready()
        yield program


@pytest.fixture
def client(server: Program, recorder: Recorder) -> Iterator[openai.OpenAI]:
    with sync_client(server.url, recorder) as made:
        yield made


def engines_of(pid: int) -> list[int]:
    """The process ids of the children of `pid`."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if int(parent) == pid and state != "Z":
                    found.append(int(entry.name))
    return found


def is_running(pid: int) -> bool:
    """Also while only some thread of it is left, which the state of the process does not show."""
    process = Path(f"/proc/{pid}")
    try:
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        return state not in {"Z", "X"} or len(list((process / "task").iterdir())) > 1
    except OSError:
        return False


def wait_until(holds: Callable[[], bool]) -> None:
    """The system tells nobody of a grandchild's end: it is looked at until it is so."""
    pause = threading.Event()
    for _ in range(int(LIMIT_S / 0.02)):
        if holds():
            return
        pause.wait(0.02)
    raise AssertionError("it never became so")


# --- serving ----------------------------------------------------------------------------------------------------
def test_models_are_listed_without_loading_them_and_loaded_when_asked(
    start: Callable[..., Program], gguf: Path, recorder: Recorder
) -> None:
    program = start({"one": {"path": str(gguf)}, "two": {"path": str(gguf)}})
    with sync_client(program.url, recorder) as client:
        assert {model.id for model in client.models.list()} == {"local/one", "local/two"}
        assert engines_of(program.pid) == []
        answer = client.responses.create(model="one", input="hello", max_output_tokens=16)
        assert answer.output_text
        assert len(engines_of(program.pid)) == 1


def test_the_engine_s_library_is_in_the_child_alone(client: openai.OpenAI, server: Program) -> None:
    client.responses.create(model="tiny", input="hello", max_output_tokens=16)
    (engine,) = engines_of(server.pid)
    assert "xllamacpp" in Path(f"/proc/{engine}/maps").read_text()
    assert "xllamacpp" not in Path(f"/proc/{server.pid}/maps").read_text()


def test_a_stream_says_what_is_stored(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="tiny", input="hello", max_output_tokens=24, stream=True))
    last = events[-1]
    assert last.type == "response.completed" or last.type == "response.incomplete"  # noqa: PLR1714 narrows the type
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text
    assert client.responses.retrieve(last.response.id).output_text == text
    assert last.response.usage is not None
    assert last.response.usage.output_tokens <= 24


def test_chat_and_text_completions_are_passed_on(client: openai.OpenAI) -> None:
    chat = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "hi"}], max_completion_tokens=16
    )
    assert chat.choices[0].message.content
    chunks = list(
        client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": "hi"}],
            max_completion_tokens=16,
            stream=True,
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert client.completions.create(model="tiny", prompt="once", max_tokens=16).choices[0].text


SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "kind": {"enum": ["a", "b"]}},
    "required": ["ok", "kind"],
    "additionalProperties": False,
}


def test_a_json_schema_is_enforced_by_the_engine(client: openai.OpenAI) -> None:
    """Random weights hold the schema only when the grammar reached the engine."""
    response = client.responses.create(
        model="tiny",
        input="answer",
        text={"format": {"type": "json_schema", "name": "x", "schema": SCHEMA, "strict": True}},
        max_output_tokens=600,
    )
    answer = json.loads(response.output_text)
    assert set(answer) == {"ok", "kind"}
    assert answer["kind"] in {"a", "b"}


def test_a_chat_template_of_the_operator_s_own_is_used(
    start: Callable[..., Program], gguf: Path, recorder: Recorder
) -> None:
    """By it, nothing but the text of the first message is sent: four letters, and what begins a text."""
    template = "{{ messages[0].content }}"
    program = start({"plain": {"path": str(gguf), "chat_template": template}, "tiny": {"path": str(gguf)}})
    with sync_client(program.url, recorder) as client:
        prompts = [
            client.responses.create(model=name, input="abcd", max_output_tokens=16).usage
            for name in ("plain", "tiny")
        ]
    assert prompts[0] is not None
    assert prompts[1] is not None
    assert prompts[0].input_tokens < prompts[1].input_tokens
    assert prompts[0].input_tokens <= 6


def test_the_same_prompt_cache_key_finds_its_prefix_again(client: openai.OpenAI) -> None:
    """By the engine's own count. Another key's request in between goes to the other slot."""
    story = "once upon a time there was a server that kept every prefix it had ever seen. " * 4

    def cached(key: str, text: str) -> tuple[int, int]:
        answer = client.responses.create(
            model="tiny", input=text, max_output_tokens=16, prompt_cache_key=key, store=False
        )
        assert answer.usage is not None
        return answer.usage.input_tokens_details.cached_tokens, answer.usage.input_tokens

    assert cached("mine", story)[0] < 50
    assert cached("yours", story.upper())[0] < 50
    again, whole = cached("mine", story)
    assert again > whole - 10
    assert cached("yours", story.upper())[0] > whole - 10


def test_the_engine_s_port_is_of_no_use_to_others(client: openai.OpenAI, server: Program) -> None:
    client.responses.create(model="tiny", input="hello", max_output_tokens=16)
    (engine,) = engines_of(server.pid)
    url = f"http://127.0.0.1:{listening_port(engine)}/v1/models"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, timeout=LIMIT_S)
    assert refused.value.code == 401
    refused.value.close()
    assert "api_key" not in Path(f"/proc/{engine}/cmdline").read_text()


def listening_port(pid: int) -> int:
    """The TCP port on which a process listens, by its socket inodes in /proc."""
    inodes = {
        str(link.readlink()).removeprefix("socket:[").removesuffix("]")
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if str(link.readlink()).startswith("socket:[")
    }
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and fields[9] in inodes:
            return int(fields[1].split(":")[1], 16)
    raise AssertionError("it listens nowhere")


# --- crashes ----------------------------------------------------------------------------------------------------
def test_an_engine_killed_while_it_streams_fails_that_response_and_nothing_else(
    start: Callable[..., Program], gguf: Path, recorder: Recorder
) -> None:
    program = start({"tiny": {"path": str(gguf), "context": 16384}, "other": {"path": str(gguf)}})
    with sync_client(program.url, recorder) as client:
        client.responses.create(model="other", input="hello", max_output_tokens=16)
        (bystander,) = engines_of(program.pid)
        events: list[Any] = []
        with client.responses.create(
            model="tiny", input="hello", max_output_tokens=16000, temperature=0, stream=True
        ) as stream:
            for event in stream:
                if event.type == "response.output_text.delta" and not any(
                    e.type == event.type for e in events
                ):
                    (victim,) = set(engines_of(program.pid)) - {bystander}
                    os.kill(victim, signal.SIGKILL)
                events.append(event)
        failed = events[-1].response
        assert failed.status == "failed"
        assert failed.error is not None
        assert 'the engine of model "tiny" was ended by SIGKILL' in failed.error.message
        assert client.responses.retrieve(failed.id).status == "failed"
        answer = client.responses.create(model="tiny", input="hello", max_output_tokens=16)
        assert answer.output_text
        assert client.responses.create(model="other", input="hello", max_output_tokens=16).output_text
        assert bystander in engines_of(program.pid)


def test_an_engine_that_died_while_idle_is_not_noticed_by_the_next_request(
    start: Callable[..., Program], gguf: Path, recorder: Recorder
) -> None:
    program = start({"tiny": {"path": str(gguf)}})
    with sync_client(program.url, recorder) as client:
        client.responses.create(model="tiny", input="hello", max_output_tokens=16)
        (engine,) = engines_of(program.pid)
        os.kill(engine, signal.SIGKILL)
        wait_until(lambda: not is_running(engine))
        assert client.responses.create(model="tiny", input="hello", max_output_tokens=16).output_text
        assert engines_of(program.pid) != [engine]


def test_a_file_that_the_engine_cannot_load_is_explained_and_not_tried_for_ever(
    start: Callable[..., Program], gguf: Path, tmp_path: Path, recorder: Recorder
) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(gguf.read_bytes()[:100_000])
    program = start({"cut": {"path": str(cut)}, "tiny": {"path": str(gguf)}})
    with Raw(program.port, recorder) as raw:
        for _ in range(3):
            answer = raw.post("/v1/responses", {"model": "cut", "input": "hello"})
            assert answer.status == 503
            assert answer.error["code"] == "provider_unavailable"
            assert 'the engine of model "cut" did not start: it ended with code 1' in answer.error["message"]
            said = answer.error["message"]  # the engine may end before the first of its lines is out
            assert "failed to load model" in said or "Failed to init server" in said
            assert int(answer.headers["retry-after"]) >= 1
        answer = raw.post("/v1/responses", {"model": "tiny", "input": "hello", "max_output_tokens": 16})
        assert answer.status == 200


# --- memory -----------------------------------------------------------------------------------------------------
def test_two_models_share_the_memory_of_one(
    start: Callable[..., Program], gguf: Path, recorder: Recorder
) -> None:
    models = {"one": {"path": str(gguf)}, "two": {"path": str(gguf)}}
    program = start(models, memory_limit=ONE_MODEL)
    with sync_client(program.url, recorder) as client:
        seen: set[int] = set()
        for name in ("one", "two", "one", "two"):
            assert client.responses.create(model=name, input="hello", max_output_tokens=16).output_text
            (engine,) = engines_of(program.pid)
            seen.add(engine)
        assert len(seen) == 4


def test_a_busy_engine_is_waited_for_and_then_the_wait_ends_with_503(
    start: Callable[..., Program], gguf: Path, recorder: Recorder
) -> None:
    models = {"one": {"path": str(gguf)}, "two": {"path": str(gguf)}}
    program = start(models, memory_limit=ONE_MODEL, wait_s=3)
    with sync_client(program.url, recorder) as client:
        client.responses.create(model="one", input="hello", max_output_tokens=16)
        (busy,) = engines_of(program.pid)
        os.kill(busy, signal.SIGSTOP)  # it has a request and does not get on with it
        answers: list[Any] = []
        asking = threading.Thread(
            target=lambda: answers.append(
                client.responses.create(model="one", input="hello", max_output_tokens=16)
            )
        )
        asking.start()
        with Raw(program.port, recorder) as raw:
            port = listening_port(busy)
            wait_until(lambda: has_connection(port))
            answer = raw.post("/v1/responses", {"model": "two", "input": "hello", "max_output_tokens": 16})
        os.kill(busy, signal.SIGCONT)
        asking.join(LIMIT_S)
        assert answer.status == 503
        assert 'model "two" is not ready after 3 s: it waits for one to finish' in answer.error["message"]
        assert answer.headers["retry-after"] == "10"
        assert answers[0].output_text
        assert engines_of(program.pid) == [busy]


def has_connection(port: int) -> bool:
    """Whether somebody is connected to a loopback port and has sent what was not read yet."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].split(":")[1], 16) == port and fields[3] == "01":
            return int(fields[4].split(":")[1], 16) > 0
    return False


def test_a_model_that_cannot_fit_is_refused_at_start_with_numbers(gguf: Path, tmp_path: Path) -> None:
    config = configuration(tmp_path, {"tiny": {"path": str(gguf)}}, memory_limit="50MiB")
    with pytest.raises(ProgramFailed, match=r'model "tiny" needs about \d+ MiB and `memory_limit` is 50 MiB'):
        start_antiphon(tmp_path, config)


# --- no orphans -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("way", ["stop", "kill"])
def test_no_engine_outlives_the_server(
    start: Callable[..., Program], gguf: Path, recorder: Recorder, way: str
) -> None:
    program = start({"tiny": {"path": str(gguf)}})
    with sync_client(program.url, recorder) as client:
        client.responses.create(model="tiny", input="hello", max_output_tokens=16)
    (engine,) = engines_of(program.pid)
    if way == "stop":
        assert program.stop() == 0
        # Stopped and waited for by the server, not ended by its death: then it would be a zombie for a moment.
        assert not Path(f"/proc/{engine}").exists()
    else:
        program.kill()
        wait_until(lambda: not is_running(engine))


def test_a_server_that_stops_takes_an_engine_in_the_middle_of_its_work_along(
    start: Callable[..., Program], gguf: Path, recorder: Recorder
) -> None:
    program = start({"tiny": {"path": str(gguf), "context": 16384}})
    with sync_client(program.url, recorder) as client:
        stream = client.responses.create(
            model="tiny", input="hello", max_output_tokens=16000, temperature=0, stream=True
        )
        next(iter(stream))
        (engine,) = engines_of(program.pid)
        stream.close()
        assert program.stop() == 0
    assert not Path(f"/proc/{engine}").exists()


# --- the command line -------------------------------------------------------------------------------------------
def serve_models(folder: Path, *models: str, env: dict[str, str] | None = None, config: str = "") -> Program:
    flags = [flag for model in models for flag in ("--model", model)]
    if config:
        (folder / "antiphon.yaml").write_text(config)
    return Program(
        [*antiphon_command(), "serve", "--port", "0", *flags], cwd=folder, env=environment(folder, env)
    )


def test_serve_model_runs_files_under_their_base_names(
    gguf: Path, tmp_path: Path, recorder: Recorder
) -> None:
    second = tmp_path / "second-Q4_K_M.gguf"
    second.write_bytes(gguf.read_bytes())
    config = "providers: {inference: [{provider_id: local, provider_type: inline::scripted}]}\n"
    with serve_models(tmp_path, str(gguf), second.name, config=config) as program:
        program.wait_ready()
        with sync_client(program.url, recorder) as client:
            served = {model.id for model in client.models.list()}
            assert {"local-2/tiny", "local-2/second-Q4_K_M"} < served
            assert any(name.startswith("local/") for name in served)
            answer = client.responses.create(model="second-Q4_K_M", input="hello", max_output_tokens=16)
            assert answer.output_text
        assert f"tiny runs here, loaded by its first request: {gguf}" in program.output


def test_serve_model_downloads_from_the_hub_and_goes_on_after_a_cut(
    gguf: Path, tmp_path: Path, recorder: Recorder
) -> None:
    content = gguf.read_bytes()
    with FakeHub({"Tiny-Q4_K_M.gguf": content}, token="hf_secret", cuts=[0]) as hub:
        env = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_secret"}
        with serve_models(tmp_path, "hf:acme/Tiny-GGUF", env=env) as program:
            program.wait_ready()
            assert "Tiny-Q4_K_M.gguf: 100 % of" in program.output
            assert "hf_secret" not in program.output
            assert len(hub.asked_for("/cdn/")) == 2
            with sync_client(program.url, recorder) as client:
                assert [model.id for model in client.models.list()] == ["local/Tiny-Q4_K_M"]
                assert client.responses.create(
                    model="Tiny-Q4_K_M", input="x", max_output_tokens=16
                ).output_text
    kept = tmp_path / "state" / "models" / "acme" / "Tiny-GGUF" / "Tiny-Q4_K_M.gguf"
    assert kept.read_bytes() == content


def test_a_configured_model_of_the_hub_is_fetched_by_its_first_request(
    gguf: Path, start: Callable[..., Program], recorder: Recorder
) -> None:
    with FakeHub({"Tiny-Q8_0.gguf": gguf.read_bytes()}) as hub:
        program = start({"mine": {"hf": "acme/Tiny-GGUF:Q8_0"}}, hf_endpoint=hub.url)
        assert hub.requests == []
        with sync_client(program.url, recorder) as client:
            assert client.responses.create(model="mine", input="x", max_output_tokens=16).output_text


def test_a_projector_of_the_hub_is_fetched_and_handed_to_the_engine(
    gguf: Path, start: Callable[..., Program], recorder: Recorder
) -> None:
    """What is served here is none, and the engine says so."""
    with FakeHub({"m-Q4_K_M.gguf": gguf.read_bytes(), "mmproj-F16.gguf": gguf.read_bytes()}) as hub:
        models = {"eyes": {"hf": "acme/Tiny-GGUF", "mmproj": "hf:acme/Tiny-GGUF:mmproj-F16.gguf"}}
        program = start(models, hf_endpoint=hub.url)
        with Raw(program.port, recorder) as raw:
            answer = raw.post("/v1/responses", {"model": "eyes", "input": "hello"})
    assert answer.status == 503
    assert "mmproj-F16.gguf" in answer.error["message"]  # which of its lines come before it ends differs
    assert len(hub.asked_for("/cdn/")) == 2


# --- what else a model can be loaded for ------------------------------------------------------------------------
@pytest.fixture
async def provider(gguf: Path) -> AsyncIterator[LlamaCpp]:
    client = UpstreamClient(SystemClock())
    models = {
        name: {"path": str(gguf), "context": 512, "threads": 1, **more}
        for name, more in (("chat", {}), ("embed", {"embeddings": True}), ("rank", {"reranking": True}))
    }
    made = LlamaCpp.from_config("local", "inline::llama-cpp", {"models": models}, client, SystemIds())
    yield made
    await made.aclose()
    await client.aclose()


async def opened(provider: LlamaCpp, path: str, body: dict[str, Any]) -> Any:
    reply = await provider.open(path, json.dumps(body).encode(), model=body["model"])
    async with reply:
        return json.loads(await reply.read())


async def test_embeddings_come_from_a_model_that_was_loaded_for_them(provider: LlamaCpp) -> None:
    answer = await opened(provider, "/embeddings", {"model": "embed", "input": ["one", "two"]})
    assert [len(one["embedding"]) for one in answer["data"]] == [64, 64]
    with pytest.raises(UnsupportedParameter, match="set `embeddings: true`") as caught:
        await opened(provider, "/embeddings", {"model": "chat", "input": "one"})
    assert caught.value.param == "model"
    assert set(provider.pool.loaded()) == {"embed"}


def test_vectors_and_rankings_are_served(
    start: Callable[..., Program], gguf: Path, recorder: Recorder
) -> None:
    program = start(
        {
            "chat": {"path": str(gguf)},
            "embed": {"path": str(gguf), "embeddings": True},
            "rank": {"path": str(gguf), "reranking": True},
        },
        capabilities={"embedding_dimensions": "truncate"},
    )
    with sync_client(program.url, recorder) as client:
        answer = client.embeddings.create(model="embed", input=["one", "two"], dimensions=16)
        assert [len(one.embedding) for one in answer.data] == [16, 16]
        with pytest.raises(openai.BadRequestError, match="set `embeddings: true`"):
            client.embeddings.create(model="chat", input="one")
    with Raw(program.port, recorder) as raw:
        ranked = raw.post("/v1/rerank", {"model": "rank", "query": "a", "documents": ["a", "b"]})
        assert ranked.status == 200
        assert sorted(one["index"] for one in ranked.json["results"]) == [0, 1]


async def test_documents_are_ranked_by_a_model_that_was_loaded_for_that(provider: LlamaCpp) -> None:
    answer = await opened(provider, "/rerank", {"model": "rank", "query": "a", "documents": ["a", "b", "c"]})
    assert sorted(one["index"] for one in answer["results"]) == [0, 1, 2]
    with pytest.raises(UnsupportedParameter, match="set `reranking: true`"):
        await opened(provider, "/rerank", {"model": "embed", "query": "a", "documents": ["a"]})
    with pytest.raises(UnsupportedParameter, match="only ranks documents"):
        await opened(provider, "/chat/completions", {"model": "rank", "messages": []})


async def test_completions_find_their_prefix_by_key(provider: LlamaCpp) -> None:
    body = {"model": "chat", "prompt": "once upon a time " * 8, "max_tokens": 8, "prompt_cache_key": "k"}
    first = await opened(provider, "/completions", body)
    second = await opened(provider, "/completions", body)
    assert first["timings"]["cache_n"] == 0
    assert second["timings"]["cache_n"] > 50
