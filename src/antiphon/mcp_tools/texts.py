"""What comes from a server before anybody sees it: cleaned of what cannot be shown, and of the secrets it was sent."""

import asyncio
import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from antiphon.core.json_values import is_array, is_object
from antiphon.core.wire import encode

SHORTEST_SECRET = 8
HIDDEN = "***"
UNSHOWN = "\ufffd"
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Scrubber:
    """Takes out control characters but tabs and line ends, lone surrogates, and the secrets, wherever they stand."""

    secrets: Sequence[str] = ()

    def text(self, text: str) -> str:
        return _UNSEEN.sub(UNSHOWN, self._hidden(text))

    async def whole(self, text: str) -> str:
        """The same of a text that may be large: between pieces others have their turn."""
        hidden = self._hidden(text)
        cleaned: list[str] = []
        for at in range(0, len(hidden), _PIECE):
            if at:
                await asyncio.sleep(0)
            cleaned.append(_UNSEEN.sub(UNSHOWN, hidden[at : at + _PIECE]))
        return "".join(cleaned)

    def _hidden(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def blackened(self, data: bytes) -> bytes:
        """As many bytes, the secrets blackened: the rest of the format stays where it was."""
        for secret in self.secrets:
            data = data.replace(secret.encode(), b"*" * len(secret.encode()))
        return data

    def line(self, text: str, limit: int = 500) -> str:
        """One line, cut."""
        shown = self._hidden(text)[: 8 * limit]
        found = " ".join(_UNSEEN.sub(UNSHOWN, shown).split())
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
    """One for these header values and tokens: each whole, without its scheme (`Bearer …`), as a URL and as JSON writes
    it, and the password of a `Basic` one. What is shorter than 8 characters could not be told from other text.
    """
    found: set[str] = set()
    for value in values:
        scheme, _, rest = value.strip().partition(" ")
        told = [value.strip(), rest.strip(), *_of_basic(scheme, rest)]
        found.update(form for secret in told for form in (secret, quote(secret, safe=""), _in_json(secret)))
    kept = [one for one in found if len(one) >= SHORTEST_SECRET]
    return Scrubber(tuple(sorted(kept, key=lambda one: (-len(one), one))))  # the whole before its parts


def _in_json(text: str) -> str:
    return encode(text).decode()[1:-1]


def _of_basic(scheme: str, rest: str) -> list[str]:
    if scheme.lower() != "basic":
        return []
    try:
        told = base64.b64decode(rest, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return []
    return [told, told.partition(":")[2]]
