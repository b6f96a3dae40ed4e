"""The cells of an XLSX, a page for each sheet, a line for each row, cells separated by tabs."""

import re
from datetime import datetime, timedelta
from typing import Final

from antiphon.extraction.building import TextBuilder
from antiphon.extraction.packages import Attributes, Package, local

_DATE_FORMATS: Final = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
"""Built-in formats of dates and times (ECMA-376, 18.8.30)."""
_QUOTED: Final = re.compile(r'"[^"]*"|\\.|\[(?!h|m|s)[^\]]*\]', re.IGNORECASE)
_DATE_LETTERS: Final = re.compile(r"[dmyhs]", re.IGNORECASE)
_COLUMN: Final = re.compile(r"[A-Z]{1,3}")
MAX_GAP: Final = 64
"""So many empty cells in a row are shown as such; more are one."""
_EPOCH: Final = datetime(1899, 12, 30)  # noqa: DTZ001 cells have no time zone
_EPOCH_1904: Final = datetime(1904, 1, 1)  # noqa: DTZ001 the same
_LAST_DAY: Final = 2_958_465
"""31 December 9999."""


def read_xlsx(package: Package, main: str, builder: TextBuilder) -> None:
    builder.title = package.title()
    relations = package.relations(main)
    parts = {kind: name for kind, name in relations.values() if kind != "worksheet"}
    sheets, epoch = _workbook(package, main)
    dates = _date_styles(package, parts.get("styles", ""))
    strings = _shared_strings(package, parts.get("sharedStrings", ""))
    for title, relation in sheets:
        kind, name = relations.get(relation, ("", ""))
        if kind == "worksheet":
            builder.begin_page()
            builder.heading(title, 1)
            builder.line(title)
            sheet = _Sheet(builder, strings, dates, epoch)
            package.read(name, sheet.start, sheet.end, sheet.text)


def _workbook(package: Package, main: str) -> tuple[list[tuple[str, str]], datetime]:
    """The sheets in their order, each with its relation, and the day that dates count from."""
    sheets: list[tuple[str, str]] = []
    epoch = _EPOCH

    def start(tag: str, attributes: Attributes) -> None:
        nonlocal epoch
        if local(tag) == "sheet":
            sheets.append((attributes.get("name", ""), attributes.get("r:id", "")))
        elif local(tag) == "workbookPr" and attributes.get("date1904") in {"1", "true"}:
            epoch = _EPOCH_1904

    package.read(main, start)
    return sheets, epoch


def _date_styles(package: Package, name: str) -> frozenset[int]:
    """The cell styles whose number format is one of dates."""
    formats: set[int] = set(_DATE_FORMATS)
    styles: list[int] = []
    in_cells = False

    def start(tag: str, attributes: Attributes) -> None:
        nonlocal in_cells
        match local(tag):
            case "numFmt" if attributes.get("numFmtId", "").isdigit():
                code = _QUOTED.sub("", attributes.get("formatCode", "")[:500])
                if _DATE_LETTERS.search(code) and code.lower() != "general":
                    formats.add(int(attributes["numFmtId"][:9]))
            case "cellXfs":
                in_cells = True
            case "cellStyles":
                in_cells = False
            case "xf" if in_cells:
                number = attributes.get("numFmtId", "0")
                styles.append(int(number[:9]) if number.isdigit() else 0)
            case _:
                return

    package.read(name, start)
    return frozenset(at for at, one in enumerate(styles) if one in formats)


def _shared_strings(package: Package, name: str) -> list[str]:
    strings: list[str] = []
    pieces: list[str] = []
    in_text, phonetic = False, 0

    def start(tag: str, _: Attributes) -> None:
        nonlocal in_text, phonetic
        match local(tag):
            case "si":
                pieces.clear()
            case "rPh":
                phonetic += 1
            case "t":
                in_text = not phonetic
            case _:
                return

    def end(tag: str) -> None:
        nonlocal in_text, phonetic
        match local(tag):
            case "si":
                strings.append("".join(pieces))
            case "rPh":
                phonetic -= 1
            case "t":
                in_text = False
            case _:
                return

    def text(data: str) -> None:
        if in_text:
            pieces.append(data)

    package.read(name, start, end, text)
    return strings


class _Sheet:
    def __init__(
        self, builder: TextBuilder, strings: list[str], dates: frozenset[int], epoch: datetime
    ) -> None:
        self._builder = builder
        self._strings = strings
        self._dates = dates
        self._epoch = epoch
        self._row: list[str] = []
        self._column = 0
        self._kind = ""
        self._style = -1
        self._pieces: list[str] = []
        self._in_value = False

    def start(self, tag: str, attributes: Attributes) -> None:
        match local(tag):
            case "row":
                self._row, self._column = [], 0
            case "c":
                self._begin_cell(attributes)
            case "v" | "t":
                self._in_value = True
            case _:
                return

    def end(self, tag: str) -> None:
        match local(tag):
            case "v" | "t":
                self._in_value = False
            case "c":
                self._row.append(self._value("".join(self._pieces)))
                self._column += 1
            case "row":
                line = "\t".join(self._row).rstrip()
                if line:
                    self._builder.line(line)
            case _:
                return

    def text(self, data: str) -> None:
        if self._in_value:
            self._pieces.append(data)

    def _begin_cell(self, attributes: Attributes) -> None:
        self._pieces.clear()
        self._kind = attributes.get("t", "n")
        style = attributes.get("s", "")
        self._style = int(style[:9]) if style.isdigit() else -1
        column = _column_of(attributes.get("r", ""))
        if column is not None and column > self._column:
            self._row.extend([""] * (column - self._column if column - self._column <= MAX_GAP else 1))
            self._column = column

    def _value(self, raw: str) -> str:
        match self._kind:
            case "s":
                at = int(raw) if raw.isdigit() and len(raw) < 10 else -1
                value = self._strings[at] if 0 <= at < len(self._strings) else ""
            case "b":
                value = "TRUE" if raw == "1" else "FALSE"
            case "n" if self._style in self._dates:
                value = self._date(raw)
            case _:
                value = raw
        return " ".join(value.split()) if "\n" in value or "\t" in value else value

    def _date(self, raw: str) -> str:
        try:
            days = float(raw)
        except ValueError:
            return raw
        if not 0 <= days <= _LAST_DAY:
            return raw
        moment = self._epoch + timedelta(seconds=round(days * 86_400))
        if days < 1:
            return moment.strftime("%H:%M:%S")
        if moment.hour == moment.minute == moment.second == 0:
            return f"{moment:%Y-%m-%d}"
        return f"{moment:%Y-%m-%d %H:%M:%S}"


def _column_of(reference: str) -> int | None:
    """`AB12` → 27."""
    found = _COLUMN.match(reference)
    if found is None:
        return None
    number = 0
    for letter in found[0]:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1
