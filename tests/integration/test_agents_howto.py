"""The how-to on agents and sessions: its blocks are one program, which prints what the page says."""

import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.program import Program, environment, start_antiphon
from tests.integration.test_mcp_howtos import HOWTO, RUNNING, WRITE, blocks

PAGE = "agents-and-sessions"
CLIENTS = "llama_stack_client"
"""In the program that needs a client, which `tests/clients` runs."""


@contextmanager
def opened(folder: Path) -> Generator[Program]:
    """The server of the page, beside the MCP server of twenty lines."""
    (folder / "orders.py").write_text(blocks(WRITE, "python")[0].replace("port=8000", "port=0"))
    (config,) = blocks(PAGE, "yaml")
    env = {**environment(folder), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "orders.py"]
    with ExitStack() as running:
        orders = running.enter_context(Program(command, cwd=folder, env=env, announces=RUNNING))
        config = config.replace("http://127.0.0.1:8000", orders.url)
        ours = running.enter_context(start_antiphon(folder, config))
        ours.wait_ready()
        yield ours


def test_the_program_prints_what_the_page_says(tmp_path: Path) -> None:
    page = (HOWTO / f"{PAGE}.md").read_text()
    program = "\n".join(block for block in blocks(PAGE, "python") if CLIENTS not in block)
    said = "".join(
        re.findall(r"```\n(.*?)```", re.sub(r"```\w+\n.*?```", "", page, flags=re.DOTALL), re.DOTALL)
    )
    with opened(tmp_path) as shop:
        text = program.replace("http://127.0.0.1:8321", shop.url)
        command = [sys.executable, "-c", text]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == said.splitlines()
