"""The page `docs/reference/parameters.md`; `python -m tests.wire.parameters_page` writes it."""

import re
from collections.abc import Iterator
from pathlib import Path

from antiphon.core import support
from tests.wire.server_parameters import SERVED
from tests.wire.wires import WIRES, WireTable

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "parameters.md"
ORDER = ("passed", "emulated", "refused")

HEAD = """# Request parameters

Made by `python -m tests.wire.parameters_page`. Tests compare it with the code, and each row with what an upstream is
sent.

What becomes of each parameter of `POST /v1/responses`. None is ignored:

- *passed*: the upstream is sent it, in its own words.
- *emulated*: done another way, see the note.
- *refused*: 400 with the name in `param`; with `server.parameters: lenient` it is left out and a header says so.
- *served*: carried out by this server itself, whatever the upstream.

A server that can do more or less than its type says is corrected under `capabilities` of the provider's `config`.
"""


def page() -> str:
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield HEAD
    yield "## All wires"
    yield ""
    yield f"| parameter | {' | '.join(wire.title for wire in WIRES)} |"
    yield f"|---|{'---|' * len(WIRES)}"
    for param in _params():
        yield f"| `{param}` | {' | '.join(_summary(wire, param) for wire in WIRES)} |"
    yield ""
    yield from _served()
    for wire in WIRES:
        yield from _wire(wire)
    yield "## Not served yet"
    yield ""
    yield "Refused by name whatever the upstream, with what to do instead: see [what is refused](refused.md)."
    yield ""
    rows = [row for row in support.rows() if row.place == "parameter"]
    yield ", ".join(f"`{row.name}`" for row in rows) + "."


def _params() -> list[str]:
    """Every parameter of every wire, in the order of the first that has it."""
    return list(dict.fromkeys(rule.param for wire in WIRES for rule in wire.rules))


def _summary(wire: WireTable, param: str) -> str:
    kinds = wire.kinds(param)
    return " or ".join(kind for kind in ORDER if kind in kinds)


def _served() -> Iterator[str]:
    yield "## Served here"
    yield ""
    yield "| parameter | effect | shown by |"
    yield "|---|---|---|"
    for one in SERVED:
        path, _, name = one.test.partition("::")
        yield f"| `{one.param}` | {one.effect} | `{path}`, {name.removeprefix('test_').replace('_', ' ')} |"
    yield ""


def _wire(wire: WireTable) -> Iterator[str]:
    yield f"## The {wire.title} wire"
    yield ""
    yield wire.about
    yield ""
    names = [re.sub(r"^\w+::", "", name) for name in wire.columns]
    yield f"| parameter | sent as | {' | '.join(names)} | note |"
    yield f"|{'---|' * (len(names) + 3)}"
    for rule in wire.rules:
        kinds = [rule.kind(column) for column in wire.columns.values()]
        yield f"| `{rule.param}` | {rule.field or '-'} | {' | '.join(kinds)} | {rule.note} |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page())
