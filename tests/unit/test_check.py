"""`antiphon check`: every line of a configuration, what is wrong with it, and the same as JSON."""

import json
from pathlib import Path
from typing import Any

import pytest

from antiphon.cli.check import check, table
from antiphon.cli.commands import run
from antiphon.config.settings import MappedLine

FILE = """\
version: 2
server: {port: 9000}
providers:
  inference:
  - provider_id: gpu
    provider_type: remote::vllm
    config:
      base_url: ${env.GPU_URL:=http://127.0.0.1:8000/v1}
      api_key: ${env.GPU_KEY:=none}
      headers: {x-team: blue-team-secret}
  - provider_id: ${env.GROQ_API_KEY:+groq}
    provider_type: remote::groq
models:
- {model_id: small, provider_id: gpu, provider_model_id: Qwen/Qwen3-8B}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTIPHON_HOME", str(tmp_path / "state"))
    for name in ("ANTIPHON_CONFIG", "ANTIPHON_STORAGE_URL", "GPU_URL", "GPU_KEY", "GROQ_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "antiphon.yaml").write_text(FILE)
    return tmp_path


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    code = run(["check", "--json", *arguments])
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] == (code == 0)
    return document


def test_every_value_of_our_own_shape_has_a_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPU_KEY", "very-secret")
    rows = {row["key"]: row for row in as_json(capsys)["lines"]}
    assert {key: (row["line"], row["outcome"], row["text"]) for key, row in rows.items()} == {
        "version": (1, "taken", "2"),
        "server.port": (2, "taken", "9000"),
        "providers.inference.gpu.provider_id": (5, "taken", "gpu"),
        "providers.inference.gpu.provider_type": (6, "taken", "remote::vllm"),
        "providers.inference.gpu.config.base_url": (
            8,
            "taken",
            "http://127.0.0.1:8000/v1 (GPU_URL is not set)",
        ),
        "providers.inference.gpu.config.api_key": (9, "taken", "a secret (by GPU_KEY)"),
        "providers.inference.gpu.config.headers.x-team": (10, "taken", "a secret"),
        "providers.inference.groq": (11, "off", "switched off (GROQ_API_KEY is not set)"),
        "models.small.model_id": (14, "taken", "small"),
        "models.small.provider_id": (14, "taken", "gpu"),
        "models.small.provider_model_id": (14, "taken", "Qwen/Qwen3-8B"),
    }


def test_no_secret_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_KEY", "very-secret")
    assert run(["check"]) == 0
    printed = capsys.readouterr().out
    assert "very-secret" not in printed
    assert "blue-team-secret" not in printed
    assert printed.endswith("10 taken, 1 off\nok\n")


@pytest.mark.parametrize(
    "url", ["postgresql://me:pass-word@127.0.0.1:1/x", "postgresql://127.0.0.1/x?user=me&password=pass-word"]
)
def test_no_password_of_a_url_is_printed(capsys: pytest.CaptureFixture[str], folder: Path, url: str) -> None:
    (folder / "antiphon.yaml").write_text(
        f"""version: 2
providers:
  inference:
  - {{provider_id: gpu, provider_type: remote::vllm, config: {{base_url: "http://me:password@127.0.0.1:1/v1"}}}}
  vector_io:
  - {{provider_id: index, provider_type: remote::pgvector, config: {{url: "{url}"}}}}
"""
    )
    assert run(["check"]) == 0
    assert run(["check", "--json"]) == 0
    out = capsys.readouterr().out
    assert "pass-word" not in out
    assert "me:password" not in out
    assert "127.0.0.1" in out


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{provider_id: a, provider_type: inline::sqlite}", 'no vector_io provider type "inline::sqlite"'),
        ("{provider_id: a, provider_type: inline::sqlite-vec, config: {pathh: x}}", '"pathh" is not known'),
        ("{provider_id: a, provider_type: remote::chromadb}", "url is required"),
        (
            "{provider_id: a, provider_type: inline::sqlite-vec}\nvector_stores: {default_provider_id: b}",
            '"b"',
        ),
    ],
)
def test_an_index_that_cannot_be_made_is_told(
    capsys: pytest.CaptureFixture[str], folder: Path, section: str, message: str
) -> None:
    (folder / "antiphon.yaml").write_text(f"version: 2\nproviders:\n  vector_io:\n  - {section}\n")
    assert run(["check"]) == 1
    assert message in capsys.readouterr().err


def test_the_document_has_all_facts(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    document = as_json(capsys)
    del document["lines"]
    assert document == {
        "ok": True,
        "file": "antiphon.yaml",
        "address": "http://127.0.0.1:9000",
        "access": "none: anonymous, this machine only",
        "state": f"sqlite:///{folder}/state/antiphon.db",
        "parameters": "strict",
        "providers": [
            {"provider_id": "gpu", "provider_type": "remote::vllm", "base_url": "http://127.0.0.1:8000/v1"}
        ],
        "models": ["small"],
        "connectors": [],
        "tool_groups": [],
        "shields": [],
        "notes": [],
        "counts": {"taken": 10, "off": 1},
        "error": None,
    }


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("remote::vllm", "remote::vlm", 5, "there is no provider type"),
        ("remote::vllm", "remote::watsonx", 5, "put a gateway with the OpenAI API in front"),
        ("base_url:", "base_ulr:", 8, 'did you mean "base_url"?'),
        ("port: 9000", "prot: 9000", 2, 'did you mean "port"?'),
        ("provider_id: gpu,", "provider_id: cpu,", 14, 'no inference provider "cpu"'),
    ],
)
def test_what_is_wrong_is_told_at_its_line(
    old: str, new: str, line: int, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old in FILE
    (folder / "antiphon.yaml").write_text(FILE.replace(old, new, 1))
    assert check(None) == 1
    said = capsys.readouterr()
    assert f"antiphon.yaml:{line}: " in said.err
    assert words in said.err
    assert "ok" not in said.out.splitlines()
    error = as_json(capsys)["error"]
    assert (error["file"], error["line"]) == ("antiphon.yaml", line)
    assert words in error["message"]


def test_a_provider_that_cannot_be_made_stands_in_the_table(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "antiphon.yaml").write_text(FILE.replace("base_url:", "base_ulr:"))
    (refused,) = [row for row in as_json(capsys)["lines"] if row["outcome"] == "refused"]
    assert (refused["line"], refused["key"]) == (8, "providers.inference.gpu.config.base_ulr")


def test_without_a_file_it_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "antiphon.yaml").unlink()
    document = as_json(capsys)
    assert document["file"] is None
    assert document["lines"] == []


def test_a_file_that_is_not_there_is_an_error_in_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    document = as_json(capsys, "--config", "nowhere.yaml")
    assert document["error"] == {
        "file": "nowhere.yaml",
        "line": None,
        "message": "no such configuration file",
    }
    assert document["file"] == "nowhere.yaml"


def test_columns_are_aligned() -> None:
    rows = [
        MappedLine(line=3, key="a", outcome="taken", text="x"),
        MappedLine(line=120, key="a.longer.key", outcome="left out", text="y"),
    ]
    head, one, two = table(rows)
    assert head.index("here") == one.rindex("x") == two.rindex("y")
    assert head.index("in the file") == one.index("a", 10) == two.index("a.longer")
