"""`antiphon doctor --client URL`: the conformance cases against any server with a Responses API."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from antiphon.cli.chat import first_model
from antiphon.cli.chat_turn import TurnFailed
from antiphon.cli.screen import clean
from antiphon.client import Client, ConnectionFailed
from antiphon.config.settings import ConfigError
from antiphon.conformance.cases import CASES, Outcome, run

_STATUSES = ("pass", "fail", "not supported")
_STATUS_WIDTH = max(map(len, _STATUSES))
_NAME_WIDTH = max(len(case.name) for case in CASES)


@dataclass(frozen=True, slots=True)
class ServerReport:
    """`ok` says that no case failed; what a server says it does not do is no failure."""

    url: str
    model: str
    ok: bool
    cases: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """A server that answers, and the model to ask it. `outcomes` asks; a real model takes its time for each."""

    client: Client
    model: str

    def outcomes(self) -> Iterator[Outcome]:
        return run(self.client, self.model)

    def report(self) -> ServerReport:
        cases = tuple(self.outcomes())
        return ServerReport(self.client.url, self.model, _passed(cases), cases)

    def lines(self, seen: list[Outcome]) -> Iterator[str]:
        """The table, a line as soon as its case is done; `seen` gets the outcomes."""
        yield f"{self.client.url}, model {clean(self.model)}"
        yield _row("RESULT", "CASE", "WHAT")
        for case in self.outcomes():
            seen.append(case)
            yield _row(case.status, case.name, clean(case.detail or case.about))
        yield ", ".join(f"{sum(case.status == status for case in seen)} {status}" for status in _STATUSES)


def reach(url: str, key: str, model: str, *, timeout_s: float = 60.0) -> Checked:
    """Raises ConfigError when the server cannot be asked at all."""
    try:
        client = Client(url, key, timeout_s=timeout_s)
        _greet(client)
        return Checked(client, model or first_model(client))
    except (ConnectionFailed, TurnFailed, ValueError) as failure:
        raise ConfigError(None, None, str(failure)) from None


def _greet(client: Client) -> None:
    """One answer tells a server that is there from fifty that say the same."""
    if client.send("GET", "/models").status == 401:
        raise TurnFailed("the server wants another key; pass it with --key or in ANTIPHON_API_KEY")


def _passed(cases: Iterable[Outcome]) -> bool:
    return not any(case.status == "fail" for case in cases)


def _row(status: str, name: str, what: str) -> str:
    return f"{status.ljust(_STATUS_WIDTH)}  {name.ljust(_NAME_WIDTH)}  {what}".rstrip()
