"""What comes from a server before anybody sees it: cleaned of what cannot be shown, and of the secrets it was sent."""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from antiphon.core.json_values import is_array, is_object

SHORTEST_SECRET = 8
HIDDEN = "***"
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_LINES = re.compile(r"\r\n?")


@dataclass(frozen=True, slots=True)
class Scrubber:
    """Takes out control characters but tabs and line ends, lone surrogates, and the secrets, wherever they stand."""

    secrets: Sequence[str] = ()

    def text(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return _UNSEEN.sub("\ufffd", _LINES.sub("\n", text))

    def blackened(self, data: bytes) -> bytes:
        """As many bytes, the secrets blackened: the rest of the format stays where it was."""
        for secret in self.secrets:
            data = data.replace(secret.encode(), b"*" * len(secret.encode()))
        return data

    def line(self, text: str, limit: int = 500) -> str:
        """One line, cut."""
        found = " ".join(self.text(text).split())
        return found if len(found) <= limit else f"{found[:limit]}…"

    def value(self, value: Any) -> Any:
        """A JSON value, its keys too. Raises RecursionError when it is nested too deep."""
        if isinstance(value, str):
            return self.text(value)
        if is_object(value):
            return {self.text(key): self.value(one) for key, one in value.items()}
        if is_array(value):
            return [self.value(one) for one in value]
        return value

    def __repr__(self) -> str:
        return f"Scrubber({len(self.secrets)})"


def scrubber(values: Iterable[str]) -> Scrubber:
    """One for these header values and tokens: each whole, without its scheme (`Bearer …`), as a URL writes it, and the
    password of a `Basic` one. What is shorter than 8 characters is no secret that could be told from other text.
    """
    found: set[str] = set()
    for value in values:
        scheme, _, rest = value.strip().partition(" ")
        told = [value.strip(), rest.strip(), *_of_basic(scheme, rest)]
        found.update(one for secret in told for one in (secret, quote(secret, safe="")))
    kept = [one for one in found if len(one) >= SHORTEST_SECRET]
    return Scrubber(tuple(sorted(kept, key=lambda one: (-len(one), one))))  # the whole before its parts


def _of_basic(scheme: str, rest: str) -> list[str]:
    if scheme.lower() != "basic":
        return []
    try:
        told = base64.b64decode(rest, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return []
    return [told, told.partition(":")[2]]
