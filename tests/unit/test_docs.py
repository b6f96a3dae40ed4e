"""The documents say what the code does: generated pages are current, links lead somewhere, names are real."""

import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from antiphon.config.load import load

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
SOURCE = re.compile(r"`((?:src|tests|docs|bench|examples)/[\w/.-]+|[\w]+(?:/[\w]+)+\.py)`")


def generated() -> Mapping[Path, str]:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast("Mapping[Path, str]", cast("Any", module).pages())


def documents() -> Iterator[Path]:
    yield from sorted(ROOT.glob("*.md"))
    yield from sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("page", ["checks.md", "cli.md", "configuration.md", "errors.md", "refused.md"])
def test_a_generated_page_is_current(page: str) -> None:
    path = ROOT / "docs" / "reference" / page
    assert path.read_text() == generated()[path], "run `make docs`"


def test_links_lead_somewhere() -> None:
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in documents()
        for target in LINK.findall(document.read_text())
        if "://" not in target and not (document.parent / target).exists()
    ]
    assert not broken


def test_files_that_the_documents_name_exist() -> None:
    missing = [
        f"{document.relative_to(ROOT)}: {name}"
        for document in documents()
        for name in SOURCE.findall(document.read_text())
        if not name.startswith("bench/results/")  # written by `make bench`
        and not (ROOT / name).exists()
        and not (ROOT / "src" / "antiphon" / name).exists()
    ]
    assert not missing


def test_the_configuration_in_the_reference_loads(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    (tmp_path / "antiphon.yaml").write_text(text.split("```yaml\n")[1].split("```")[0])
    settings = load(cwd=tmp_path, environ={"OPENAI_API_KEY": "sk-x"})
    assert [one.provider_id for one in settings.providers.inference] == ["openai", "local"]


def test_each_setting_is_described() -> None:
    rows = [
        line for line in generated()[ROOT / "docs/reference/configuration.md"].splitlines() if "| `" in line
    ]
    assert len(rows) > 25
    assert not [row for row in rows if row.endswith("|  |")]


def test_each_decision_has_its_four_parts() -> None:
    for path in (ROOT / "docs" / "adr").glob("0*.md"):
        text = path.read_text()
        parts = ("## Context", "## Decision", "## Consequences", "## What would change our mind")
        assert all(part in text for part in parts), path.name
