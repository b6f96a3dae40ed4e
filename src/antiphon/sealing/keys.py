"""Where the keys come from: the configuration, else a file beside the database that is made when first needed.

The file holds one key a line, base64 of 32 bytes; the first seals, all open.
"""

import os
import secrets
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path

from antiphon.core.errors import SealingUnavailable
from antiphon.sealing.aead import KEY_BYTES

FILE = "sealing.keys"


def configured(texts: Sequence[str]) -> list[bytes]:
    """The keys of `server.sealing.keys`. Raises ValueError, which names the place, never the key."""
    return [_key(text, f"key {place}") for place, text in enumerate(texts, start=1)]


def kept(home: Path | None) -> list[bytes]:
    """The keys of the state folder. Without a folder a key for the life of the process.

    Raises SealingUnavailable.
    """
    if home is None:
        return [secrets.token_bytes(KEY_BYTES)]
    path = home / FILE
    try:
        if not path.exists():
            create_file(path, [_new()])
        return _keys(path.read_text(encoding="ascii").split())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SealingUnavailable(f"{path} cannot be used: {reason}.") from error


def check(home: Path | None) -> None:
    """Raises SealingUnavailable for a file that is there and cannot be used. Makes none."""
    if home is None:
        return
    try:
        there = (home / FILE).exists()
    except OSError as error:  # a folder that may not be looked into
        raise SealingUnavailable(f"{home / FILE} cannot be used: {error.strerror}.") from error
    if there:
        kept(home)


def rotate(home: Path, *, keep: int = 5) -> int:
    """Put a new key first and keep so many older ones. Returns how many keys there are now."""
    old = [b64encode(key).decode() for key in kept(home)]
    lines = [_new(), *old][: keep + 1]
    fresh = home / f"{FILE}.new"
    fresh.unlink(missing_ok=True)
    create_file(fresh, lines)
    fresh.replace(home / FILE)
    return len(lines)


def _new() -> str:
    return b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def create_file(path: Path, lines: Sequence[str]) -> None:
    """Whole or not at all, for the owner's eyes only; of two processes at once the first one's stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        temporary.unlink(missing_ok=True)


def _keys(lines: Sequence[str]) -> list[bytes]:
    if not lines:
        raise ValueError("it is empty; restore it, or remove it to have a new key made")
    return [_key(line, f"line {number}") for number, line in enumerate(lines, start=1)]


def _key(text: str, place: str) -> bytes:
    try:
        key = b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"{place} must be base64 of {KEY_BYTES} bytes")
    return key
