"""The keys that every blob store takes."""

import re

_KEY = re.compile(r"[a-z0-9_-]{1,100}(?:/[a-z0-9_-]{1,100}){0,7}", re.ASCII)


def checked(key: str) -> str:
    """The key. Raises ValueError for what is none: keys are ours, so that is a bug, and nothing is touched."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"not the key of a blob: {key[:100]!r}")
    return key
