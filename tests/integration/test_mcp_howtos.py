"""The how-tos on MCP: `write-an-mcp-server`, `mcp-servers`, `approve-tool-calls`. Their programs, one after another."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from antiphon.config.load import load
from bench.program import Program, environment, start_antiphon

HOWTO = Path(__file__).parents[2] / "docs" / "howto"
WRITE, CONNECT, APPROVE = "write-an-mcp-server", "mcp-servers", "approve-tool-calls"
RUNNING = re.compile(r"running on http://[^:]+:(\d+)")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (HOWTO / f"{page}.md").read_text(), re.DOTALL)


@dataclass(frozen=True)
class Shop:
    """The server of the first page, and ours with its configuration."""

    orders: Program
    ours: Program

    def here(self, text: str) -> str:
        """A text of the pages with the addresses that the system chose."""
        ports = {"8321": self.ours.port, "8000": self.orders.port}
        for given, port in ports.items():
            text = text.replace(f"http://127.0.0.1:{given}", f"http://127.0.0.1:{port}")
        return text

    def run(self, program: str, typed: str = "") -> list[str]:
        """The lines that it prints when a person types this."""
        command = [sys.executable, "-c", self.here(program)]
        done = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    server, *_ = blocks(WRITE, "python")
    assert "port=8000" in server
    (tmp_path / "orders.py").write_text(server.replace("port=8000", "port=0"))
    (config,) = blocks(WRITE, "yaml")
    command = [sys.executable, "orders.py"]
    env = {**environment(tmp_path), "PYTHONUNBUFFERED": "1"}
    with Program(command, cwd=tmp_path, env=env, announces=RUNNING) as orders:
        config = config.replace("http://127.0.0.1:8000", orders.url)
        with start_antiphon(tmp_path, config) as ours:
            ours.wait_ready()
            yield Shop(orders, ours)


def test_a_server_of_twenty_lines_gives_its_tools_to_a_model(shop: Shop) -> None:
    _, program = blocks(WRITE, "python")
    assert shop.run(program) == [
        "['mcp_list_tools', 'mcp_call', 'message']",
        *("It says: 17 lamp", "", "23 boat"),
    ]


def test_servers_are_connected_by_url_and_by_connector(shop: Shop) -> None:
    by_url, by_connector = blocks(CONNECT, "python")
    assert shop.run(by_url) == [
        "mcp_list_tools ['open_orders']",
        """mcp_call open_orders {"customer":"c-7"} ['17', 'lamp', '23', 'boat']""",
        "['mcp_call', 'message']",
    ]
    assert shop.run(by_connector) == ["It says: 17 lamp", "", "23 boat"]


def test_the_configurations_of_the_page_are_taken(tmp_path: Path) -> None:
    connectors, policy = blocks(CONNECT, "yaml")
    (tmp_path / "antiphon.yaml").write_text(connectors + policy)
    settings = load("antiphon.yaml", cwd=tmp_path, environ={})
    assert [one.connector_id for one in settings.connectors] == ["shop", "tickets", "notes"]
    assert settings.mcp.servers == "listed"
    assert settings.server.egress.allow_private == ("10.20.0.0/16",)


def test_a_person_approves_answers_and_denies(shop: Shop) -> None:
    program, _ = blocks(APPROVE, "python")
    lines = "\n".join(shop.run(program, "y\nbought twice\nI want it\n"))
    assert 'orders wants to run cancel_order {"customer":"c-7","number":17}. y, or why not: ' in lines
    assert "Why shall order 17 be cancelled?" in lines
    assert "It says: cancelled: lamp (bought twice)" in lines
    assert "I want it" in lines.splitlines()[-1]
    assert lines.count("y, or why not") == 2


def test_approvals_while_it_streams(shop: Shop) -> None:
    _, program = blocks(APPROVE, "python")
    assert shop.run(program) == ["may I call open_orders?", "It says: 17 lamp", "", "23 boat"]
