"""`docs/howto/conversations.md`: its programs, run one after the other as a reader would."""

import re
import subprocess
import sys
from pathlib import Path

from bench.program import Program

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "conversations.md"
ADDRESS = "http://127.0.0.1:8321"


def test_the_programs_of_the_page_run(server: Program) -> None:
    blocks: list[str] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 3
    program = "\n".join(blocks)
    assert ADDRESS in program
    command = [sys.executable, "-c", program.replace(ADDRESS, server.url)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "What is my name?" in lines[0]
    assert [line.split()[0] for line in lines[1:-1]] == ["message"] * 5
    assert lines[-1] == "completed"
