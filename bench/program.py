"""A server program as a process: started on a free port, watched, measured and stopped by its pid."""

import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_LISTENING = re.compile(r"listening on https?://\[?[^\s/\]]+\]?:(\d+)", re.IGNORECASE)
START_LIMIT_S = 30.0
STOP_LIMIT_S = 15.0


class ProgramFailed(Exception):
    """The program ended, or said nothing, before it listened. The message holds what it printed."""


class Program:
    """A running server process. `port` is where it listens on 127.0.0.1."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        announces: re.Pattern[str] = _LISTENING,
    ) -> None:
        """`announces` finds the port in what the program prints once it listens."""
        self._announces = announces
        self.lines: list[str] = []
        self.port = 0
        self.started_at = time.perf_counter()
        self._settled = threading.Event()
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",  # engines quote their models, and a random one writes any bytes
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._settled.wait(START_LIMIT_S)
        if not self.port:
            self.kill()
            raise ProgramFailed(f"{' '.join(command)} did not listen; it printed:\n{self.output}")

    @property
    def output(self) -> str:
        return "".join(self.lines)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.lines.append(line)
                found = None if self.port else self._announces.search(line)
                if found is not None:
                    self.port = int(found[1])
                    self._settled.set()
        self._settled.set()

    def wait_ready(self, path: str = "/readyz") -> float:
        """Seconds from the start of the process to the first 200 of `path`."""
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", path)
                status = connection.getresponse().status
            except OSError:
                status = 0
            finally:
                connection.close()
            took = time.perf_counter() - self.started_at
            if status == 200:
                return took
            if took > START_LIMIT_S or self.process.poll() is not None:
                raise ProgramFailed(f"{path} answered {status} for {took:.1f} s:\n{self.output}")
            # A probe that says "not yet" has no event to wait for.
            threading.Event().wait(0.01)

    def cpu_s(self) -> float:
        """CPU seconds (user and system, all threads, ended ones too) that the process has used.

        The process CPU clock of Linux, in nanoseconds, where /proc/PID/stat counts ticks of 10 ms.
        """
        return time.clock_gettime((~self.pid << 3) | 2)

    def rss_mb(self) -> float:
        """Resident memory in MB (10^6 bytes), without pages that it only maps from files it shares."""
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def kill(self) -> None:
        """`kill -9`, and wait until the process is gone."""
        self.process.kill()
        self._reap()

    def stop(self) -> int:
        """Ask the process to end (SIGTERM), wait, and give its exit code. Kills it when it does not end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self._reap()

    def _reap(self) -> int:
        code = self.process.wait(STOP_LIMIT_S)
        if threading.current_thread() is not self._reader:
            self._reader.join(STOP_LIMIT_S)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def antiphon_command() -> list[str]:
    """The installed console script, or the module where this interpreter has no script beside it."""
    script = Path(sys.executable).with_name("antiphon")
    return [str(script)] if script.exists() else [sys.executable, "-m", "antiphon"]


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A small environment in which nothing of the caller's (keys, upstream URLs, configuration) is seen."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": str(home), "ANTIPHON_HOME": str(home / "state"), **(extra or {})}


def start_antiphon(
    folder: Path,
    config: str,
    *,
    arguments: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    program: Sequence[str] = (),
) -> Program:
    """`antiphon serve` on a free loopback port with `config` (YAML) in `folder`; `program`: another way to say it."""
    file = folder / "antiphon.yaml"
    file.write_text(config)
    address = [] if "--host" in arguments else ["--host", "127.0.0.1"]
    command = [
        *(program or antiphon_command()),
        "serve",
        *address,
        "--port",
        "0",
        "--config",
        str(file),
        *arguments,
    ]
    return Program(command, cwd=folder, env=environment(folder, env))


def start_upstream() -> Program:
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-m", "bench.fake_upstream"]
    return Program(command, cwd=root, env=environment(Path(tempfile.gettempdir())))
