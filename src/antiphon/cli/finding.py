"""One line of `antiphon doctor`."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice` says what to do; empty where nothing is to be done."""

    status: Literal["ok", "warn", "fail"]
    name: str
    detail: str
    advice: str = ""


def ok(name: str, detail: str) -> Finding:
    return Finding("ok", name, detail)


def warn(name: str, detail: str, advice: str) -> Finding:
    return Finding("warn", name, detail, advice)


def fail(name: str, detail: str, advice: str) -> Finding:
    return Finding("fail", name, detail, advice)
