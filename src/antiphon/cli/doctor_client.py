"""`antiphon doctor --client URL`: the conformance cases against any server with a Responses API."""

from collections.abc import Iterator
from dataclasses import dataclass

from antiphon.cli.chat import first_model
from antiphon.cli.chat_turn import TurnFailed
from antiphon.cli.table import table
from antiphon.client import Client, ConnectionFailed
from antiphon.config_settings import ConfigError
from antiphon.conformance.cases import Outcome, run


@dataclass(frozen=True, slots=True)
class ServerReport:
    """`ok` says that no case failed; what a server says it does not do is no failure."""

    url: str
    model: str
    ok: bool
    cases: tuple[Outcome, ...]


def check_server(url: str, key: str, model: str, *, timeout_s: float = 60.0) -> ServerReport:
    """Ask every case. Raises ConfigError when the server cannot be asked at all, ValueError for no URL."""
    client = Client(url, key, timeout_s=timeout_s)
    try:
        model = model or first_model(client)
        _probe(client)
    except (ConnectionFailed, TurnFailed) as failure:
        raise ConfigError(None, None, str(failure)) from None
    cases = tuple(run(client, model))
    return ServerReport(client.url, model, not any(case.status == "fail" for case in cases), cases)


def _probe(client: Client) -> None:
    """One answer tells a server that is there from fifty that say the same. Raises ConnectionFailed, TurnFailed."""
    if client.send("GET", "/models").status == 401:
        raise TurnFailed("the server wants another key; pass it with --key or in ANTIPHON_API_KEY")


def server_lines(report: ServerReport) -> Iterator[str]:
    yield f"{report.url}, model {report.model}"
    rows = [(case.status, case.name, case.detail or case.about) for case in report.cases]
    yield from table(("RESULT", "CASE", "WHAT"), rows)
    counts = {
        status: sum(case.status == status for case in report.cases)
        for status in ("pass", "fail", "not supported")
    }
    yield ", ".join(f"{count} {status}" for status, count in counts.items())
