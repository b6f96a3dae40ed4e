"""What each line of a configuration file became: the record that a translation keeps, for `antiphon check`."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from antiphon.config.settings import MappedLine, Outcome, RefusedParts, names_a_secret, without_password
from antiphon.config.yaml_nodes import Node


@dataclass(slots=True)
class Mapping:
    """Rows in any order, and notes: one per section and reason, about all that was left out for it."""

    file: str
    _rows: list[MappedLine] = field(default_factory=list[MappedLine])
    _notes: dict[tuple[str, str], tuple[int, list[str]]] = field(
        default_factory=dict[tuple[str, str], tuple[int, list[str]]]
    )

    def add(self, line: int, key: str, outcome: Outcome, text: str) -> None:
        self._rows.append(MappedLine(line=line, key=key, outcome=outcome, text=text))

    def leave_out(self, line: int, key: str, section: str, subject: str, why: str, note: str = "") -> None:
        """A row, and a note at start: this would have an effect in Llama Stack. `note` says less than `why`."""
        self.add(line, key, "left out", why)
        subjects = self._notes.setdefault((section, note or why), (line, []))[1]
        if subject and subject not in subjects:
            subjects.append(subject)

    def refuse(self, node: Node, key: str, why: str, line: int | None = None) -> None:
        self.add(line or node.line, key, "refused", why)

    def rows(self) -> tuple[MappedLine, ...]:
        return tuple(sorted(self._rows, key=lambda row: row.line))

    def notes(self) -> Iterator[str]:
        for (section, why), (line, subjects) in sorted(self._notes.items(), key=lambda one: one[1][0]):
            named = f" ({', '.join(subjects)})" if subjects else ""
            yield f"{self.file}:{line}: {section}{named}: {why}; left out"

    def raise_refused(self) -> None:
        """Raises RefusedParts when something was refused."""
        rows = self.rows()
        if any(row.outcome == "refused" for row in rows):
            raise RefusedParts(self.file, rows)


def written(node: Node, key: str = "") -> str:
    """A value as `check` shows it, with the variables it came from. Secrets are only said to be there."""
    if node.problem:
        return node.problem
    value = node.value
    if isinstance(value, dict):
        shown = f"{{{', '.join(value)}}}"
    elif isinstance(value, list):
        count = len(value)
        shown = f"{count} entr{'y' if count == 1 else 'ies'}" if count else "none"
    elif value is None or value == "":
        shown = "empty"
    elif names_a_secret(key):
        shown = "a secret"
    else:
        shown = str(value).lower() if isinstance(value, bool) else without_password(str(value))
    return shown + origin(node)


def without_query(node: Node) -> Node:
    """A URL to be shown, as tokens are often in a query."""
    address, mark, _ = str(node.value).partition("?")
    return replace(node, value=f"{address}?***") if mark and not node.problem else node


def origin(node: Node) -> str:
    """` (by OLLAMA_URL)`, ` (OLLAMA_URL is not set)`, or nothing where no variable has a part in the value."""
    if not node.variables:
        return ""
    unset = [name for name, is_set in node.variables if not is_set]
    if not unset:
        return f" (by {', '.join(name for name, _ in node.variables)})"
    return f" ({', '.join(unset)} {'is' if len(unset) == 1 else 'are'} not set)"


def switched_off(node: Node, key: str = "provider_id") -> bool:
    """Whether an entry's id was given and is empty, as `${env.URL:+id}` leaves it."""
    owner = node.mapping().get(key)
    return owner is not None and owner.problem is None and owner.value in {None, "", "__disabled__"}


def line_of(mapping: Node, key: str) -> int:
    return mapping.key_lines.get(key, mapping.line)
