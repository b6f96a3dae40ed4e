"""Chroma's own server, installed as the real clients of tests/clients are, and started for a session.

What the program `chroma` runs is machine code in its wheel, and that needs none of the packages that it depends on.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.installed import install_side_by_side, installed_once

PIN = Path(__file__).with_name("chroma.txt")
RUN = "import sys; sys.path.insert(0, sys.argv.pop(1)); import chromadb_rust_bindings as it; it.cli(sys.argv)"
CACHE = Path(__file__).parents[2] / ".cache" / "clients"
READY_S = 60


class ChromaProcess:
    """A server of one folder, on a loopback port of its own that it keeps when it is started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it answers. Skips, or fails, the test where it cannot be installed."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self._folder), "ANONYMIZED_TELEMETRY": "False"}
        command = [
            sys.executable,
            "-I",
            "-c",
            RUN,
            str(_installed()),
            "run",
            "--path",
            str(self._folder / "data"),
        ]
        with (self._folder / "chroma.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self.port)],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )
        deadline = time.monotonic() + READY_S
        while not _listens(self.port):
            assert self._process.poll() is None, (self._folder / "chroma.log").read_text()
            assert time.monotonic() < deadline, "Chroma does not listen"
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None


def _installed() -> Path:
    version = PIN.read_text().strip()
    CACHE.mkdir(parents=True, exist_ok=True)
    return installed_once(CACHE, "chroma-server", [PIN], install_side_by_side([version], "3.11")) / version


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaProcess]:
    """A running server."""
    process = ChromaProcess(tmp_path_factory.mktemp("chroma"))
    process.start()
    yield process
    process.stop()
