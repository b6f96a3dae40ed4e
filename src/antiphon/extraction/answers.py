"""What goes through the pipes between the server and a child.

To the child: a `Job` as JSON behind its length (4 bytes, big-endian), then the file in pieces, each behind its length,
then a length of 0; or `ABANDONED` in its place: forget this file. From the child, once it is ready, `READY`; then for
each file that was not abandoned an `Outcome` as JSON behind its length, and the text in UTF-8 behind its length.
"""

from typing import Final, Literal

import msgspec

READY: Final = b"ready"
ABANDONED: Final = 0xFFFFFFFF
LENGTH_BYTES: Final = 4


class Job(msgspec.Struct, frozen=True):
    filename: str
    media_type: str


class Outcome(msgspec.Struct, frozen=True):
    """What was found beside the text. `error` with its `code` where the file cannot be read."""

    title: str = ""
    pages: tuple[int, ...] = ()
    headings: tuple[tuple[int, int, str], ...] = ()
    code: Literal["", "unsupported_file", "invalid_file"] = ""
    error: str = ""
    spent: bool = False
    """The child should not be given another file."""


def length(count: int) -> bytes:
    return count.to_bytes(LENGTH_BYTES, "big")
