"""`docs/howto/add-a-provider.md`: its provider, installed as a package of its own, serves responses."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from bench.program import Program, environment
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw, sync_client

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "add-a-provider.md").read_text()


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    (found,) = [one for one in blocks if containing in one]
    return str(found)


def install(folder: Path) -> None:
    """The package as an installer leaves it: the module, and its metadata with the entry point."""
    (folder / "shouting.py").write_text(block("python", "class Shouting"))
    project = tomllib.loads(block("toml", "entry-points"))["project"]
    info = folder / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture(scope="module")
def shouting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("plugin")
    packages = folder / "packages"
    packages.mkdir()
    install(packages)
    (folder / "antiphon.yaml").write_text(block("yaml", "remote::shouting"))
    program = shutil.which("antiphon", path=str(Path(sys.executable).parent))
    assert program is not None
    env = environment(folder, {"PYTHONPATH": str(packages)})
    with Program([program, "serve", "--port", "0"], cwd=folder, env=env) as running:
        running.wait_ready()
        yield running


def test_the_plugin_answers_streams_and_chains(shouting: Program, recorder: Recorder) -> None:
    with sync_client(shouting.url, recorder) as client:
        first = client.responses.create(model="loud", input="hello")
        assert first.output_text == "HELLO?!"
        with client.responses.stream(model="mine/loud", input="and", previous_response_id=first.id) as stream:
            deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        assert deltas == list("AND?!")
        assert [model.id for model in client.models.list()] == ["mine/loud"]


def test_what_it_cannot_do_is_refused_by_name(shouting: Program, recorder: Recorder) -> None:
    with sync_client(shouting.url, recorder) as client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="loud", messages=[{"role": "user", "content": "hi"}])
    assert caught.value.param == "model"


def test_a_format_is_checked_since_the_plugin_enforces_none(shouting: Program, recorder: Recorder) -> None:
    with Raw(shouting.port, recorder) as raw:
        body = {"model": "loud", "input": "hi", "text": {"format": {"type": "json_object"}}}
        answer = raw.post("/v1/responses", body).json
    assert answer["status"] == "failed"
    assert "text.format" in answer["error"]["message"]


def test_an_unknown_type_names_what_is_installed(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    install(packages)
    (tmp_path / "antiphon.yaml").write_text(
        block("yaml", "remote::shouting").replace("::shouting", "::shoutin")
    )
    program = str(Path(sys.executable).with_name("antiphon"))
    env = environment(tmp_path, {"PYTHONPATH": str(packages)})
    done = subprocess.run(
        [program, "check"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert 'did you mean "remote::shouting"' in done.stdout + done.stderr
