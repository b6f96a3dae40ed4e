"""`docs/howto/embeddings-and-ranking.md`: its configuration, its programs and its command, as a reader would run them;
and what becomes of a store when re-indexing it is killed half-way.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest

from antiphon.config.load import load
from antiphon.providers.scripted_vectors import vector_of
from antiphon.providers.sentence_transformers.provider import parse_config
from bench.program import Program, antiphon_command, environment, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import sync_client
from tests.integration.llama_server import write_model

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "embeddings-and-ranking.md").read_text()
ADDRESS = "http://127.0.0.1:8321"
LIMIT_S = 120


def blocks(language: str) -> list[str]:
    return [str(one) for one in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)]


def antiphon(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*antiphon_command(), *words]
    env = environment(folder)
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def names(found: Any) -> list[str]:
    return [one.filename for one in found]


def test_the_page_from_its_top_to_its_end(tmp_path: Path, recorder: Recorder) -> None:
    pytest.importorskip("xllamacpp", reason="no xllamacpp wheel here: the page is not tried")
    for name in ("embed-Q8_0.gguf", "reranker-Q8_0.gguf"):
        write_model(tmp_path / name)
    config = blocks("yaml")[0].replace("/models/", f"{tmp_path}/")
    config += f'storage: {{url: "sqlite:///{tmp_path}/antiphon.db"}}\n'
    programs = "\n".join(blocks("python"))
    (command,) = blocks("sh")
    with start_antiphon(tmp_path, config) as program:
        program.wait_ready()
        run = [sys.executable, "-c", programs.replace(ADDRESS, program.url)]
        done = subprocess.run(run, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        assert done.returncode == 0, done.stderr
        *found, rewritten = done.stdout.splitlines()
        assert [line.split()[1] for line in found[:2]] == ["cats.txt", "dogs.txt"]
        assert {line.split()[1] for line in found[2:]} == {"cats.txt", "dogs.txt"}
        assert all(0 <= float(line.split()[0]) <= 1 for line in found)
        assert "cats" in rewritten
        with sync_client(program.url, recorder) as client:
            (store,) = client.vector_stores.list().data
            assert store.model_extra is not None
            assert store.model_extra["embedding_model"] == "local/embed"
        words = command.replace("STORE_ID", store.id).split()[1:]
        refused = antiphon(tmp_path, *words)
        assert refused.returncode == 1
        assert "a server runs on" in refused.stderr
    done = antiphon(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{store.id}: in sqlite-vec, model scripted/demo, 256 numbers\n"
    with start_antiphon(tmp_path, config) as program, sync_client(program.url, recorder) as client:
        program.wait_ready()
        mode = {"search_mode": "vector"}
        assert (
            names(client.vector_stores.search(store.id, query="Cats eat fish.", extra_body=mode))[0]
            == "cats.txt"
        )


def test_the_other_configurations_are_some(tmp_path: Path) -> None:
    _, sentence, families = blocks("yaml")
    (tmp_path / "antiphon.yaml").write_text(sentence)
    (provider,) = load(None, cwd=tmp_path, environ={}).providers.inference
    models = parse_config(provider.config).models
    assert list(models) == ["minilm", "e5"]
    (tmp_path / "antiphon.yaml").write_text(families)
    first, second = load(None, cwd=tmp_path, environ={}).vector_stores.embedding_models
    assert (first.query_prefix, first.document_prefix) == ("query: ", "passage: ")
    assert (second.query_prefix, second.document_prefix) == ("", "")


# --- killed half-way -------------------------------------------------------------------------------------------
class Upstream:
    """Embeddings of `size` numbers. After `patience` requests it does not answer any more, and sets `stuck`."""

    def __init__(self) -> None:
        self.size = 8
        self.patience = 1_000_000
        self.stuck = threading.Event()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._send({"object": "list", "data": [{"id": "vectors", "object": "model"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                upstream.patience -= 1
                if upstream.patience < 0:
                    upstream.stuck.set()
                    self.rfile.read(1)  # until the other side goes away
                    self.close_connection = True
                    return
                data = [
                    {"index": at, "embedding": vector_of(text, upstream.size)}
                    for at, text in enumerate(body["input"])
                ]
                self._send({"object": "list", "data": data})

            def _send(self, answer: object) -> None:
                data = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def started(folder: Path, upstream: Upstream) -> Program:
    config = f"""\
version: 2
providers:
  inference:
  - {{provider_id: up, provider_type: remote::openai-compatible, config: {{base_url: "{upstream.url}"}}}}
  - {{provider_id: scripted, provider_type: inline::scripted}}
vector_stores:
  default_embedding_model: {{provider_id: up, model_id: vectors}}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""
    return start_antiphon(folder, config)


def test_a_model_that_changed_and_a_command_that_was_killed(
    tmp_path: Path, upstream: Upstream, recorder: Recorder
) -> None:
    text = "\n\n".join(f"Paragraph {at} is about subject{at}. " + "It goes on. " * 60 for at in range(400))
    chunking: Any = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}

    def finds(client: openai.OpenAI, query: str = "subject321", **more: Any) -> str:
        (found,) = client.vector_stores.search(store.id, query=query, max_num_results=1, extra_body=more).data
        return found.content[0].text

    with started(tmp_path, upstream) as program, sync_client(program.url, recorder) as client:
        program.wait_ready()
        store = client.vector_stores.create()
        file = client.files.create(file=("long.txt", text.encode()), purpose="assistants")
        put = client.vector_stores.files.create_and_poll(
            file.id, vector_store_id=store.id, chunking_strategy=chunking
        )
        assert put.status == "completed", put.last_error
        assert "subject321" in finds(client)
        upstream.size = 16
        with pytest.raises(openai.BadRequestError, match="antiphon reindex") as caught:
            finds(client, "subject321, please")  # a query that it was not asked yet
        assert caught.value.code == "embedding_mismatch"
        assert "subject321" in finds(client, search_mode="keyword")

    upstream.patience = 5
    command = [*antiphon_command(), "reindex", store.id]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert upstream.stuck.wait(LIMIT_S)
        os.kill(running.pid, signal.SIGKILL)

    upstream.patience, upstream.size = 1_000_000, 8
    with started(tmp_path, upstream) as program, sync_client(program.url, recorder) as client:
        program.wait_ready()
        assert "subject321" in finds(client)
    upstream.size = 16
    done = antiphon(tmp_path, "reindex", "--all")
    assert done.returncode == 0, done.stderr
    assert "model up/vectors, 16 numbers" in done.stdout
    with started(tmp_path, upstream) as program, sync_client(program.url, recorder) as client:
        program.wait_ready()
        assert "subject321" in finds(client, "tell me about subject321")
    kept = {path.name.partition(".")[0] for path in (tmp_path / "vector_stores").iterdir()}
    assert kept == {f"{store.id}_1"}


def test_what_the_command_refuses(tmp_path: Path) -> None:
    config = f'version: 2\nstorage: {{url: "sqlite:///{tmp_path}/antiphon.db"}}\n'
    (tmp_path / "antiphon.yaml").write_text(config)
    nothing = antiphon(tmp_path, "reindex", "--all")
    assert (nothing.returncode, "there is no state" in nothing.stderr) == (1, True)
    for words in ((), ("vs_a", "--all")):
        neither = antiphon(tmp_path, "reindex", *words)
        assert (neither.returncode, "name vector stores, or say --all" in neither.stderr) == (2, True)
    assert antiphon(tmp_path, "migrate").returncode == 0
    unknown = antiphon(tmp_path, "reindex", "vs_none")
    assert (unknown.returncode, 'no vector store "vs_none"' in unknown.stderr) == (1, True)
    assert antiphon(tmp_path, "reindex", "--all").returncode == 0
