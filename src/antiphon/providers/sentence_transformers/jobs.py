"""What the server and the child say to one another: frames of four bytes of length and a MessagePack value."""

from typing import Literal

import msgspec

LENGTH_BYTES = 4


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """A model: `source` is a folder, or its name on the Hugging Face hub."""

    name: str
    source: str
    revision: str | None = None
    trust_remote_code: bool = False
    device: str | None = None
    cache_dir: str | None = None
    offline: bool = False
    batch: int = 32


class Job(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    load: Load
    texts: list[str]


class Done(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """`vectors` are the little-endian 32-bit floats of all texts, one after the other, `size` of each."""

    number: int
    size: int
    tokens: int
    vectors: bytes


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """`message` completes 'model "…" …'."""

    number: int
    kind: Literal["too_long", "not_loaded", "failed"]
    message: str


Answer = Done | Failed


def frame(value: Job | Answer) -> bytes:
    data = msgspec.msgpack.encode(value)
    return len(data).to_bytes(LENGTH_BYTES) + data
