"""`docs/howto/mcp-oauth.md`: what stands there, run as a reader would, with a user who opens the link."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import yaml

from antiphon.config.load import load_mapping
from bench.program import Program, start_antiphon
from tests.integration.oauth_world import oauth_servers
from tests.support.oauth_server import OAuthCase, OAuthServers

__all__ = ["oauth_servers"]

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "mcp-oauth.md"
SERVER = "https://notes.example.com/mcp"
LINK = re.compile(r"http://127\.0\.0\.1:\d+/tenant[^\s\"]+")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def case(oauth_servers: OAuthServers) -> OAuthCase:
    return oauth_servers.case()


@pytest.fixture(scope="module")
def ours(case: OAuthCase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    config, *_ = blocks("yaml")
    with start_antiphon(tmp_path_factory.mktemp("notes"), config.replace(SERVER, case.mcp)) as program:
        program.wait_ready()
        yield program


def opened(url: str, user: str) -> str:
    """The page at the end, as a browser gets there; the cookie says who signs in."""
    request = Request(url, headers={"cookie": f"user={user}"})  # noqa: S310 an address of loopback
    with urlopen(request, timeout=20) as answer:  # noqa: S310
        return str(answer.read().decode())


def test_a_user_opens_the_link_and_the_program_goes_on(ours: Program, case: OAuthCase) -> None:
    (program,) = blocks("python")
    command = [sys.executable, "-c", program.replace("http://127.0.0.1:8321", ours.url)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True) as running:
        assert running.stdout is not None
        said = LINK.search(running.stdout.readline())
        assert said is not None, running.communicate()
        assert "“alice”" in opened(said[0], "alice")
        told, errors = running.communicate("\n", timeout=60)
    assert running.returncode == 0, errors
    assert told.endswith("It says: you are alice.\n")
    assert "alice" in case.subjects().values()


def test_a_user_authorises_ahead_and_takes_it_back(ours: Program, case: OAuthCase) -> None:
    (text,) = blocks("sh")
    authorize, health, forget = (line.replace("curl ", "curl -sS ") for line in text.strip().splitlines())

    def run(line: str) -> str:
        line = line.replace("http://127.0.0.1:8321", ours.url)
        done = subprocess.run(["bash", "-ec", line], capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    assert '"status":"unauthorized"' in run(health)
    said = LINK.search(run(authorize))
    assert said is not None
    assert "“bob”" in opened(said[0], "bob")
    assert '"status":"ok"' in run(health)
    assert '"error"' not in run(forget)
    assert '"status":"unauthorized"' in run(health)


def test_the_configurations_of_the_page_are_taken() -> None:
    _, public, registered = (load_mapping(yaml.safe_load(text)) for text in blocks("yaml"))
    assert public.mcp.public_url == "https://agents.example.com"
    (notes,) = registered.connectors
    assert notes.oauth is not None
    assert notes.oauth.issuer == "https://login.example.com"
    assert notes.oauth.scopes == ("notes:read",)
