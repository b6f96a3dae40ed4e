"""`python -m tests.conformance`: validate all that the program says, write `docs/reference/coverage.md`."""

import sys
from pathlib import Path

import pytest

from tests.conformance import official

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    if not official.available():
        print(official.MISSING, file=sys.stderr)  # noqa: T201 a command says what it does
        return 0
    page = ROOT / "docs" / "reference" / "coverage.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    folders = [str(ROOT / "tests" / name) for name in ("conformance", "integration")]
    return pytest.main(["-q", "-n0", f"--coverage-page={page}", *folders, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
