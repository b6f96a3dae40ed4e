"""What a GGUF file says of itself, and how much memory it will take.

The format is described at https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Only the key-value pairs before
the tokenizer are read: the rest is megabytes of vocabulary.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

MAGIC = b"GGUF"
MIB = 1024 * 1024
PROCESS_BYTES = 96 * MIB
"""What an engine takes before it holds a model: the interpreter, the library, its threads (57 MB measured)."""

CACHE_BYTES = {"f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
"""Bytes of one value of the key-value cache, by its type (block size over values per block in ggml)."""

_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_MAX_PAIRS = 65_536
_MAX_STRING = 16 * MIB


class NotGguf(ValueError):
    """The file is no GGUF file that can be read; the message says why."""


@dataclass(frozen=True, slots=True)
class GgufInfo:
    """`kv_values` is how many values a token takes in the key-value cache, over all layers; 0 when unknown."""

    architecture: str
    trained_context: int
    kv_values: int
    embedding_length: int
    has_pooling: bool
    file_bytes: int

    def memory_bytes(
        self, *, context: int, slots: int, cache_type: str = "f16", prompt_cache_bytes: int = 0
    ) -> int:
        """An estimate for one engine: weights, key-value cache, buffers of a batch, and the process itself."""
        cache = self.kv_values * CACHE_BYTES[cache_type] * context * slots
        buffers = (
            512 * self.embedding_length * 4 * 8
        )  # a batch of 512 tokens, a handful of activations of f32
        return int(self.file_bytes + cache + buffers + prompt_cache_bytes + PROCESS_BYTES)


def parts_of(path: Path) -> list[Path]:
    """The files of a split model in order, from the path of any of them; else `path` alone."""
    found = _SPLIT.search(path.name)
    if found is None:
        return [path]
    stem, count = path.name[: found.start()], int(found[2])
    return [path.with_name(f"{stem}-{part:05d}-of-{count:05d}.gguf") for part in range(1, count + 1)]


def base_name(path: str | Path) -> str:
    """`/models/Qwen3-8B-Q4_K_M-00001-of-00002.gguf` -> `Qwen3-8B-Q4_K_M`."""
    name = Path(path).name
    return _SPLIT.sub("", name) if _SPLIT.search(name) else name.removesuffix(".gguf")


def check_magic(path: Path) -> None:
    """Raises NotGguf for a file that is not there or begins with something else."""
    try:
        with path.open("rb") as file:
            begins = file.read(4)
    except OSError as error:
        raise NotGguf(f"{path}: {error.strerror or error}") from None
    if begins != MAGIC:
        raise NotGguf(f"{path} is not a GGUF file: it begins with {begins!r}")


def read_info(path: Path) -> GgufInfo:
    """Raises NotGguf. All parts of a split model have to be there."""
    parts = parts_of(path)
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise NotGguf(f"{path.parent}: missing {', '.join(missing)}")
    check_magic(path)
    try:
        with parts[0].open("rb") as file:
            pairs = _Reader(file).pairs()
    except (OSError, struct.error, UnicodeDecodeError, ValueError) as error:
        raise NotGguf(f"{path} cannot be read as GGUF: {error}") from None
    return _info(pairs, sum(part.stat().st_size for part in parts))


def _info(pairs: dict[str, Any], file_bytes: int) -> GgufInfo:
    architecture = str(pairs.get("general.architecture", ""))

    def number(name: str, default: int = 0) -> int:
        value = pairs.get(f"{architecture}.{name}", default)
        return value if isinstance(value, int) else default

    heads, width = number("attention.head_count"), number("embedding_length")
    head_width = width // heads if heads else 0
    key = number("attention.key_length", head_width)
    value = number("attention.value_length", head_width)
    kv_heads: Any = pairs.get(f"{architecture}.attention.head_count_kv", heads)
    per_layer = cast(
        "list[int]", kv_heads if isinstance(kv_heads, list) else [kv_heads] * number("block_count")
    )
    return GgufInfo(
        architecture=architecture,
        trained_context=number("context_length"),
        kv_values=sum(per_layer) * (key + value),
        embedding_length=width,
        has_pooling=f"{architecture}.pooling_type" in pairs,
        file_bytes=file_bytes,
    )


@dataclass(slots=True)
class _Reader:
    file: BinaryIO
    found: dict[str, Any] = field(default_factory=dict[str, Any])

    def pairs(self) -> dict[str, Any]:
        self.file.seek(4)
        version, _tensors, count = self._unpack("IQQ")
        if version not in {2, 3}:
            raise ValueError(f"version {version} is not known")
        if count > _MAX_PAIRS:
            raise ValueError(f"{count} key-value pairs")
        for _ in range(count):
            name = self._string()
            if name.startswith("tokenizer.") and self._knows_the_model():
                break
            (kind,) = self._unpack("I")
            self.found[name] = self._value(kind)
        return self.found

    def _knows_the_model(self) -> bool:
        """Writers put what the model is before its tokenizer; one that does not is read on."""
        return f"{self.found.get('general.architecture')}.block_count" in self.found

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._unpack(self._code(kind))[0]
        inner, count = self._unpack("IQ")
        if inner == _STRING:
            for _ in range(count):
                self._string()
            return []
        if inner == _ARRAY:
            raise ValueError("an array of arrays")
        if count > _MAX_STRING:
            raise ValueError(f"an array of {count} values")
        return list(self._unpack(f"{count}{self._code(inner)}"))

    @staticmethod
    def _code(kind: int) -> str:
        if kind not in _SCALARS:
            raise ValueError(f"value type {kind} is not known")
        return _SCALARS[kind]

    def _string(self) -> str:
        (length,) = self._unpack("Q")
        if length > _MAX_STRING:
            raise ValueError(f"a string of {length} bytes")
        return self._read(length).decode("utf-8", "replace")

    def _unpack(self, codes: str) -> Sequence[Any]:
        wanted = "<" + codes
        return struct.unpack(wanted, self._read(struct.calcsize(wanted)))

    def _read(self, length: int) -> bytes:
        data = self.file.read(length)
        if len(data) < length:
            raise ValueError("it ends in the middle")
        return data
