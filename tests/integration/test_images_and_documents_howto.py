"""`docs/howto/images-and-documents.md` and `docs/reference/vector-io.md`: what stands there, run as a reader would."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

from antiphon.config.load import load_mapping
from bench.program import Program

DOCS = Path(__file__).parents[2] / "docs"
ADDRESS = "http://127.0.0.1:8321"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def test_the_programs_of_the_page_run(server: Program) -> None:
    parts = blocks("howto/images-and-documents.md", "python")
    assert len(parts) == 3
    command = [sys.executable, "-c", "\n".join(parts).replace(ADDRESS, server.url)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "painted in May" in done.stdout
    assert "Oslo,red" in done.stdout.replace(" ", "")
    assert done.stdout.splitlines()[-1] == "completed"


def test_its_settings_are_taken() -> None:
    (text,) = blocks("howto/images-and-documents.md", "yaml")
    egress = load_mapping(yaml.safe_load(text)).server.egress
    assert egress.allow_private == ("10.20.0.0/16",)
    assert egress.allow_hosts == ("docs.example.com", "*.cdn.example")


def test_the_calls_of_the_reference_work(server: Program) -> None:
    calls = blocks("reference/vector-io.md", "sh")
    assert len(calls) == 2
    script = "\n".join(calls).replace(ADDRESS, server.url).replace("curl ", "curl -sS --fail-with-body ")
    done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"identifier":"docs"' in done.stdout
    assert '"content":"The lamp is red."' in done.stdout
