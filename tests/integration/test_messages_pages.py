"""`docs/howto/use-the-messages-api.md` and `docs/reference/messages-api.md`: the programs run, the tables are whole."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from antiphon.config.load import load
from antiphon.messages.errors import AnswerFailed, error_body
from antiphon.messages.refused import BLOCKS, FIELDS, INERT
from antiphon.messages.types import Block, MessagesRequest
from bench.program import Program, environment, start_antiphon

DOCS = Path(__file__).parents[2] / "docs"
HOWTO = (DOCS / "howto" / "use-the-messages-api.md").read_text()
PAGE = (DOCS / "reference" / "messages-api.md").read_text()
ADDRESS = "http://127.0.0.1:8321"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("demo")
    with start_antiphon(folder, "version: 2\n", env={"ANTIPHON_DISCOVERY": "off"}) as program:
        program.wait_ready()
        yield program


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", HOWTO, re.DOTALL)


@pytest.mark.parametrize(("at", "said"), [(0, "It is sunny."), (1, "sunny in")])
def test_the_programs_of_the_page_run(demo: Program, tmp_path: Path, at: int, said: str) -> None:
    program = blocks("python")[at]
    assert ADDRESS in program
    done = subprocess.run(
        [sys.executable, "-c", program.replace(ADDRESS, demo.url)],
        env=environment(tmp_path, {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_the_command_of_the_page_answers(demo: Program) -> None:
    [command] = [one for one in blocks("sh") if one.startswith("curl")]
    text = command.replace(ADDRESS, demo.url)
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["type"] == "message"


def test_the_configuration_of_the_page_loads(tmp_path: Path) -> None:
    [config] = blocks("yaml")
    (tmp_path / "antiphon.yaml").write_text(config)
    assert [one.model_id for one in load(cwd=tmp_path, environ={}).models] == [
        "claude-opus-4-8",
        "claude-haiku-4-5",
    ]


def test_the_reference_has_every_field_block_and_row() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
    first = {name for left, _ in rows for name in re.findall(r"`([\w.*]+)`", left)}
    missing = set(MessagesRequest.__struct_fields__) - first
    assert not missing
    tags = {one.__struct_config__.tag for one in get_args(Block)}
    assert tags <= first
    refused = dict(rows)
    for name, row in FIELDS.items():
        assert refused[f"`{name}`"].startswith(row.why)
    assert all(f"`{kind}`" in PAGE for kind in BLOCKS)
    inert = [why for _, why in rows if why in INERT.values()]
    assert len(inert) == len(INERT)


def test_the_reference_has_the_type_of_every_status() -> None:
    for status, kind in re.findall(r"^\| ([\d, ]+) \| `(\w+)`", PAGE, re.MULTILINE):
        for one in status.split(", "):
            error = AnswerFailed("server_error", "x")
            error.status = int(one)
            assert error_body(error, "req_1")["error"]["type"] == kind
