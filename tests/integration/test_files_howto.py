"""`docs/howto/files-and-uploads.md`: its programs, run one after the other, and its configurations."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from antiphon.blobs.local import LocalBlobs
from antiphon.blobs.s3 import S3Blobs
from antiphon.config.load import load
from antiphon.knowledge import make_blobs
from bench.program import Program

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "files-and-uploads.md"
ADDRESS = "http://127.0.0.1:8321"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_programs_of_the_page_run(start_server: Callable[..., Program]) -> None:
    server = start_server()  # it lists the files of a server on which nobody else has any
    program = "\n".join(blocks("python"))
    assert ADDRESS in program
    command = [sys.executable, "-c", program.replace(ADDRESS, server.url)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    first, listed, *text, last = done.stdout.splitlines()
    assert re.fullmatch(r"file-\w+ 48", first)
    assert (listed, text[0]) == ("manual.md", "# The pump")
    assert re.fullmatch(r"completed file-\w+", last)


def test_the_configurations_of_the_page_are_taken(tmp_path: Path) -> None:
    kinds = list[type]()
    for text in blocks("yaml"):
        (tmp_path / "antiphon.yaml").write_text(text)
        settings = load("antiphon.yaml", cwd=tmp_path, environ={})
        kinds.append(type(make_blobs(settings, tmp_path)))
    assert kinds == [LocalBlobs, S3Blobs]
