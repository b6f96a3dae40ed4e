"""What `antiphon doctor` looks at on this machine: Python, libraries, state, database, port, certificate, clock."""

import platform
import shutil
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from antiphon.cli.finding import Finding, fail, ok, warn
from antiphon.cli.found import address_of
from antiphon.client import Client, ConnectionFailed, server_version
from antiphon.config.settings import ConfigError, Settings
from antiphon.core.errors import SealingUnavailable, StoreUnavailable

LIBRARIES = (
    "aiohttp",
    "alembic",
    "apsw",
    "cryptography",
    "jsonschema-rs",
    "llguidance",
    "msgspec",
    "pyyaml",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "zstandard",
)
"""What the server stands on, of our requirements those whose version explains most."""
EXTRAS = {"local": ("xllamacpp", "inline::llama-cpp and `serve --model`")}
LEAST_PYTHON = (3, 11)
LEAST_FREE_BYTES = 1_000_000_000
CLOCK_TOLERANCE_S = 300
_REINSTALL = "install Antiphon again: pip install --force-reinstall antiphon"


def python() -> Finding:
    shown = (
        f"{platform.python_version()} ({platform.python_implementation()}) on {platform.platform(terse=True)}"
    )
    if sys.version_info < LEAST_PYTHON:
        return fail("python", shown, "use Python 3.11 or newer")
    return ok("python", shown)


def installed() -> Iterator[Finding]:
    """The libraries, one line for those that are there, and the extras."""
    found = {name: _version(name) for name in LIBRARIES}
    there = [f"{name} {number}" for name, number in found.items() if number]
    yield ok("libraries", ", ".join(there))
    for name, number in found.items():
        if number is None:
            yield fail("libraries", f"{name} is not installed", _REINSTALL)
    for extra, (package, purpose) in EXTRAS.items():
        number = _version(package)
        missing = f"not installed; {purpose} need it: pip install 'antiphon[{extra}]'"
        yield ok(f"extra {extra}", f"{package} {number}" if number else missing)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def tls(settings: Settings) -> Iterator[Finding]:
    server = settings.server
    if not server.tls_certfile:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            server.tls_certfile, server.tls_keyfile
        )
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        advice = "server.tls_certfile and tls_keyfile must be PEM files that fit each other"
        yield fail("certificate", f"{server.tls_certfile}: {reason}", advice)
    else:
        yield ok("certificate", server.tls_certfile)


# --- state ----------------------------------------------------------------------------------------------------


def state(settings: Settings) -> Iterator[Finding]:
    """The folder of the database: it can be written, or made."""
    from antiphon.storage.migrate import path_of

    try:
        folder = path_of(settings.storage.url).absolute().parent
    except StoreUnavailable as error:
        yield fail("state", str(error), "correct storage.url or ANTIPHON_STORAGE_URL")
        return
    there = next(path for path in (folder, *folder.parents) if path.exists())
    advice = f"let this user write {there}, or name another folder in ANTIPHON_HOME or storage.url"
    problem = _cannot_write(there)
    if problem:
        yield fail("state", f"{there} cannot be written: {problem}", advice)
        return
    yield ok("state", f"{folder} can be written" if there == folder else f"{folder} will be made")
    free = shutil.disk_usage(there).free
    if free < LEAST_FREE_BYTES:
        yield warn("state", f"{free // 1_000_000} MB are free at {there}", "make room, or move the state")


def _cannot_write(folder: Path) -> str:
    """Why no file can be made in a folder; empty when one could, and it is gone again."""
    if not folder.is_dir():
        return "it is no folder"
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def database(settings: Settings) -> Iterator[Finding]:
    import apsw

    from antiphon.storage.migrate import current, head, path_of

    try:
        path = path_of(settings.storage.url)
    except StoreUnavailable:
        return  # `state` has said so
    try:
        revision = current(path)
    except StoreUnavailable as error:
        yield fail("database", str(error), "name another file in storage.url")
        return
    except apsw.Error as error:
        advice = "look at the rights of the file, and at what else has it open"
        yield fail("database", f"{path} cannot be read: {error}", advice)
        return
    if revision == head():
        yield ok("database", f"{path}, schema {revision}")
    elif revision is None:
        yield ok("database", f"{path} will be made at the first start, schema {head()}")
    elif revision < head():
        advice = "nothing: the next start migrates it; `antiphon migrate` does so now"
        yield warn("database", f"{path} has schema {revision}, this version {head()}", advice)
    else:
        words = f"{path} has schema {revision}, newer than this version knows ({head()})"
        yield fail("database", words, "start the version that wrote it, or a later one")


# --- port -----------------------------------------------------------------------------------------------------


def sealing(settings: Settings) -> Iterator[Finding]:
    """The keys of encrypted reasoning: without them no reasoning model can be asked."""
    from antiphon.app import make_sealers
    from antiphon.system import SystemClock

    advice = "put the right keys there; without the old ones clients' encrypted reasoning cannot be read"
    try:
        make_sealers(settings, SystemClock())
    except (ConfigError, SealingUnavailable) as error:
        yield fail("sealing", str(error), advice)
        return
    given = len(settings.server.sealing.keys)
    yield ok("sealing", f"{given} keys in the configuration" if given else "keys in the state folder")


def port(settings: Settings) -> Iterator[Finding]:
    """Free, or taken by a server of ours, or by somebody else."""
    host, number = settings.server.host.strip("[]"), settings.server.port
    if number == 0:
        yield ok("port", "the system chooses a free one")
        return
    address = address_of(settings)
    running = server_version(address)
    if running is not None:
        yield _serving(address, running)
        return
    try:
        family, _, _, _, where = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
        socket.create_server(where[:2], family=family).close()
    except OSError as error:
        reason = error.strerror or str(error)
        advice = "stop what listens there, or choose another port: server.port, ANTIPHON_PORT or --port"
        yield fail("port", f"cannot listen on {host}:{number}: {reason}", advice)
    else:
        yield ok("port", f"{host}:{number} is free")


def _serving(address: str, running: str) -> Finding:
    """A server of ours: is it ready?"""
    served = f"{address} is served by Antiphon {running} already"
    try:
        answer = Client(address, timeout_s=5, at_root=True).send("GET", "/readyz")
        if answer.status == 200:
            return ok("port", served)
        reason = str(answer.json()["error"]["message"])
    except (ConnectionFailed, ValueError, KeyError, TypeError) as error:
        reason = str(error)
    return fail("port", f"{served}, and is not ready: {reason}", "look at that server's log; restart it")


# --- clock ----------------------------------------------------------------------------------------------------


def clock(addresses: Sequence[str], now: Callable[[], int]) -> Iterator[Finding]:
    """The clock here against the first model server on another machine that tells the time."""
    for address in addresses:
        if not address.startswith(("http://", "https://")):
            continue
        theirs = _date_of(address)
        if theirs is None:
            continue
        apart = now() - theirs
        if abs(apart) > CLOCK_TOLERANCE_S:
            which = "ahead of" if apart > 0 else "behind"
            words = f"{abs(apart)} s {which} the one of {address}"
            yield warn("clock", words, "set the clock (NTP): times of responses and TLS depend on it")
        else:
            yield ok("clock", f"agrees with {address}")
        return


def _date_of(address: str) -> int | None:
    try:
        headers = Client(address, timeout_s=5).send("GET", "/models").headers
        return int(parsedate_to_datetime(headers.get("date", "")).timestamp())
    except (ConnectionFailed, ValueError, TypeError):
        return None
