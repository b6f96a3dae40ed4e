"""The page of known limitations: each command is run, its answer compared, and the test that it names is there."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.core.json_values import is_array, is_object
from bench.program import Program, start_antiphon

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "known-limitations.md"
HEAD, *SECTIONS = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
ADDRESS = "http://127.0.0.1:8321"


def title(section: str) -> str:
    return section.partition("\n")[0]


def block(text: str, language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return str(found)


def difference(wanted: Any, found: Any, path: str = "$") -> str | None:
    """Where what is wanted is not in what was found; lists are compared from their beginning."""
    if is_object(wanted):
        if not is_object(found):
            return f"{path}: {found!r} is no object"
        pairs = [(f"{path}.{key}", one, found.get(key, "missing")) for key, one in wanted.items()]
    elif is_array(wanted):
        if not is_array(found) or len(found) < len(wanted):
            return f"{path}: {found!r} has fewer than {len(wanted)} entries"
        pairs = [(f"{path}[{at}]", *both) for at, both in enumerate(zip(wanted, found, strict=False))]
    else:
        return None if wanted == found else f"{path}: {found!r} instead of {wanted!r}"
    return next((one for one in (difference(a, b, where) for where, a, b in pairs) if one), None)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with start_antiphon(tmp_path_factory.mktemp("limitations"), block(HEAD, "yaml")) as program:
        running: Program = program
        running.wait_ready()
        yield running.url


def test_every_point_is_there() -> None:
    assert len(SECTIONS) == 25
    assert difference({"a": [{"b": 1}]}, {"a": [{"b": 2}]}) == "$.a[0].b: 2 instead of 1"


@pytest.mark.parametrize("section", SECTIONS, ids=title)
def test_the_command_answers_what_the_page_says(section: str, url: str) -> None:
    command = block(section, "sh")
    assert ADDRESS in command
    done = subprocess.run(
        ["bash", "-c", command.replace(ADDRESS, url)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    found = difference(json.loads(block(section, "json")), json.loads(done.stdout))
    assert found is None, f"{found}\n{done.stdout}"


@pytest.mark.parametrize("section", SECTIONS, ids=title)
def test_the_status_and_the_named_test_are_there(section: str) -> None:
    assert re.search(r"\*\*Status: (done|in part|not yet|refused by name)", section)
    ((file, name),) = re.findall(r"\*\*Test:\*\*\s`(tests/\S+?)::(test_\w+)`", section)
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE), f"{file}::{name}"
