"""`docs/howto/guard-an-agent.md` and the configurations of `docs/reference/shields.md`, as a reader would use them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from antiphon.cli.commands import run
from antiphon.shields.llama_guard_task import CATEGORIES
from antiphon.shields.rule_files import built_in_names
from bench.program import start_antiphon
from tests.unit.test_rules import FLOORS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "howto" / "guard-an-agent.md").read_text()
REFERENCE = (DOCS / "reference" / "shields.md").read_text()
ADDRESS = "http://127.0.0.1:8321"


def blocks(page: str, language: str) -> list[str]:
    return [str(one) for one in re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)]


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    (config,), (program,) = blocks(PAGE, "yaml"), blocks(PAGE, "python")
    (printed,) = blocks(PAGE, "text")
    alone, registered, _ = blocks(PAGE, "sh")
    config += f'storage: {{url: "sqlite:///{tmp_path}/antiphon.db"}}\n'
    with start_antiphon(tmp_path, config) as server:
        server.wait_ready()
        done = subprocess.run(
            [sys.executable, "-c", program.replace(ADDRESS, server.url)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == printed
        found, made = (
            json.loads(
                subprocess.run(
                    ["bash", "-c", command.replace(ADDRESS, server.url)],
                    capture_output=True,
                    timeout=60,
                    check=True,
                ).stdout
            )
            for command in (alone, registered)
        )
    assert found["violation"]["metadata"]["rules"] == ["phone"]
    assert made["identifier"] == "cards"


def test_the_configurations_of_the_reference_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config, rules = blocks(REFERENCE, "yaml")
    (tmp_path / "antiphon.yaml").write_text(config)
    (tmp_path / "rules.yaml").write_text(rules)
    (tmp_path / "names.jsonl").write_text('{"text": "C-12345678 is red foxes", "violates": true}\n')
    assert run(["check"]) == 0
    assert run(["shields", "measure", "names"]) == 0
    assert "100.0%" in capsys.readouterr().out


def test_the_reference_has_the_floors_and_the_categories() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \|.*\| (\d+ % \| \d+ %) \|$", REFERENCE, re.MULTILINE))
    assert rows == {
        name: f"{FLOORS[name][0]:.0%} | {FLOORS[name][1]:.0%}".replace("%", " %") for name in built_in_names()
    }
    listed = re.findall(r"^\| (S\d+) \| (.+?) \| (.*?) ?\|$", REFERENCE, re.MULTILINE)
    assert {code: third for code, third, _ in listed} == CATEGORIES["3"]
    assert {code: second for code, _, second in listed if second} == CATEGORIES["2"]
