"""`docs/howto/search-over-files.md`: its programs, run one after the other as a reader would."""

import re
import subprocess
import sys
from pathlib import Path

from bench.program import Program

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "search-over-files.md"
ADDRESS = "http://127.0.0.1:8321"


def test_the_programs_of_the_page_run(server: Program) -> None:
    program = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    assert ADDRESS in program
    command = [sys.executable, "-c", program.replace(ADDRESS, server.url)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "completed"
    assert "travel.md" in done.stdout
    assert "second class" in done.stdout
    assert "from travel.md" in lines
    assert "completed 2" in lines
    assert "1 milan.txt" in lines
    assert lines[-2:] == ["256", "deleted"]
