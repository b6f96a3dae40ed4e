"""`docs/howto/use-as-mcp-server.md`: its programs, run one after the other as a reader would."""

import json
import re
import subprocess
import sys
from pathlib import Path

from antiphon.config.load import load
from bench.program import Program

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "use-as-mcp-server.md"
ADDRESS = "http://127.0.0.1:8321"


def test_the_programs_of_the_page_run(server: Program) -> None:
    program = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    assert ADDRESS in program
    command = [sys.executable, "-c", program.replace(ADDRESS, server.url)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "file_search - Search files",
        "list_vector_stores - List vector stores",
        "create_response - Ask a model of this server",
    ]
    assert any(line.startswith("travel.md 0.") for line in lines)
    assert any(line.startswith("completed resp_") for line in lines)
    assert "second class" in lines[-1]


def test_the_configurations_of_the_page_are_good(tmp_path: Path) -> None:
    page = PAGE.read_text()
    connectors, off = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    file = tmp_path / "antiphon.yaml"
    file.write_text(f"version: 2\n{connectors}{off}")
    settings = load(file, environ={"TICKETS_TOKEN": "a-token"})
    assert [one.connector_id for one in settings.connectors] == ["tickets", "mail"]
    assert not settings.mcp.serve
    entry = json.loads(re.findall(r"```json\n(.*?)```", page, re.DOTALL)[0])["mcpServers"]["antiphon"]
    assert entry["url"] == f"{ADDRESS}/mcp"
