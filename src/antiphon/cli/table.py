"""Plain tables and JSON documents for the terminal."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from antiphon.cli.screen import clean

_GAP = "  "


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of aligned columns, the last one as long as it is. No rows, no lines."""
    cells = [tuple(head), *(tuple(clean(cell) for cell in row) for row in rows)]
    if len(cells) == 1:
        return
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    for row in cells:
        yield _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def document(value: object) -> str:
    """One JSON document, indented, with its last line ended."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"
