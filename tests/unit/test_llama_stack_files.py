"""Files of every Llama Stack version from 0.2 to 0.7 load as they are, and each line is accounted for."""

import json
from pathlib import Path

import pytest
import yaml

from antiphon.cli.check import check
from antiphon.config.load import Settings, load
from tests.llama_stack_files import FILES, StackFile

URL = "http://127.0.0.1:9/v1"
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def read(file: StackFile) -> Settings:
    return load(file.path, environ=file.environ(URL, "/state"), cwd=file.path.parent)


def test_there_are_four_kinds_of_each_version_of_bearable_length() -> None:
    kinds = {"starter", "remote-vllm", "ollama", "openai"}
    assert {(file.version, file.kind) for file in FILES} == {
        (version, kind) for version in ("0.2", "0.3", "0.4", "0.5", "0.6", "0.7") for kind in kinds
    }
    assert all(len(file.path.read_text().splitlines()) <= 120 for file in FILES)


@each_file
def test_it_loads_with_its_providers_and_its_state(file: StackFile) -> None:
    settings = read(file)
    providers = settings.providers.inference
    assert {one.provider_id: one.provider_type for one in providers} == file.providers
    assert {one.config["base_url"] for one in providers} == {URL}
    assert settings.storage.url == "sqlite:////state/antiphon.db"
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8321)


@each_file
def test_without_any_variable_it_loads_too(file: StackFile) -> None:
    settings = load(file.path, environ={}, cwd=file.path.parent)
    expected = {"ollama": ["ollama"], "remote-vllm": ["vllm-inference"]}.get(file.kind, [])
    assert [one.provider_id for one in settings.providers.inference] == expected


@each_file
def test_its_models_are_served_but_for_those_of_providers_that_are_not_there(file: StackFile) -> None:
    names = {model.model_id: (model.provider_id, model.upstream_name) for model in read(file).models}
    assert (
        names
        == {
            "ollama": {"house-model": ("ollama", "qwen3:8b")},
            "openai": {"house-model": ("openai", "gpt-5-mini")},
            "remote-vllm": {"echo": ("vllm-inference", "echo")},
            "starter": {},
        }[file.kind]
    )


@each_file
def test_each_section_and_each_provider_has_a_row(file: StackFile) -> None:
    """Nothing in the file is passed over: whatever it states is found again under its line."""
    text = file.path.read_text()
    numbers = [row.line for row in read(file).mapping]
    assert numbers == sorted(numbers)
    rows = set(numbers)
    lines = text.splitlines()
    document = yaml.safe_load(text)
    containers = {
        "providers",
        "storage",
        "registered_resources",
        "server",
        "models",
        "shields",
        "tool_groups",
    }
    for key, value in document.items():
        at = next(number for number, line in enumerate(lines, 1) if line.startswith(f"{key}:"))
        assert at in rows or (key in containers and value), key
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith(("- provider_id:", "- {provider_id:")):
            assert number in rows, line


@each_file
def test_what_llama_stack_would_do_with_it_and_this_server_does_not_is_noted(file: StackFile) -> None:
    notes = "\n".join(read(file).notes)
    assert "vector_io" not in notes
    assert "safety" not in notes
    if file.kind != "openai":
        assert "the evaluation API is not part of this server" in notes
        assert "the scoring API is not part of this server" in notes
    if file.kind == "starter":
        assert "the dataset API is not part of this server" in notes
        assert "inference (openai, groq): no `api_key` is set; left out" in notes
        assert "make an Amazon Bedrock API key" in notes
        assert ("the post-training API is not part" in notes) == (file.version != "0.7")


@each_file
@pytest.mark.parametrize(
    ("resource", "api"), [("benchmarks", "evaluation"), ("datasets", "dataset"), ("scoring_fns", "scoring")]
)
def test_with_a_registered_resource_of_an_api_that_is_not_there_it_is_refused(
    file: StackFile,
    resource: str,
    api: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = file.path.read_text()
    (tmp_path / "run.yaml").write_text(text.replace(f"{resource}: []", f"{resource}: [{{id: mine}}]"))
    for name, value in file.environ(URL, "/state").items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    assert check("run.yaml") == 1
    said = capsys.readouterr()
    assert f"{resource}: the {api} API is not part of this server; remove it" in said.err
    assert "1 refused" in said.out


@each_file
def test_check_prints_the_mapping_and_the_same_as_json(
    file: StackFile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in file.environ(URL, "/state").items():
        monkeypatch.setenv(name, value)
    assert check(file.path) == 0
    printed = capsys.readouterr().out
    assert check(file.path, as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"]
    assert document["state"] == "sqlite:////state/antiphon.db"
    assert {one["provider_id"] for one in document["providers"]} == set(file.providers)
    assert len(document["lines"]) > 15
    for row in document["lines"]:
        assert any(
            line.split()[:1] == [str(row["line"])] and row["key"] in line and row["text"] in line
            for line in printed.splitlines()
        ), row
    assert "sk-upstream-secret" not in printed
    assert "sk-upstream-secret" not in json.dumps(document)
