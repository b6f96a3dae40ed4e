"""The recorded traffic of real providers (`../shared/recordings`), as bytes that a server would have sent."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(
    os.environ.get("ANTIPHON_RECORDINGS")  # a checkout without ../shared
    or Path(__file__).resolve().parents[3] / "shared" / "recordings"
)


@dataclass(frozen=True, slots=True)
class Recording:
    """One exchange. `response` is None where the upstream refused and no body was kept."""

    name: str
    provider: str
    endpoint: str
    request: dict[str, Any]
    stream: bool
    response: Any

    @property
    def is_chat(self) -> bool:
        return self.endpoint.endswith("/chat/completions")

    @property
    def chunks(self) -> list[dict[str, Any]]:
        return self.response if self.stream else [self.response]

    def sse(self, newline: bytes = b"\n") -> bytes:
        """The stream's bytes, `[DONE]` included."""
        events = [json.dumps(chunk, ensure_ascii=False).encode() for chunk in self.response]
        return b"".join(b"data: " + event + newline * 2 for event in [*events, b"[DONE]"])

    def body(self) -> bytes:
        return json.dumps(self.response).encode()


def load() -> list[Recording]:
    """Every recording, by file name; none where the folder is absent."""
    return list(_read())


def _read() -> Iterator[Recording]:
    for path in sorted(FOLDER.glob("*.json")):
        data = json.loads(path.read_text())
        yield Recording(
            path.stem,
            data["provider"],
            data["endpoint"],
            data["request"] or {},
            bool(data["stream"]),
            data["response"],
        )


def params(recordings: list[Recording]) -> list[Any]:
    """For `parametrize`: one test per recording, or one that is skipped and says why."""
    if not recordings:
        skip = pytest.mark.skip(reason=f"no recordings in {FOLDER}; set ANTIPHON_RECORDINGS")
        return [pytest.param(None, marks=skip)]
    return [pytest.param(one, id=one.name) for one in recordings]
