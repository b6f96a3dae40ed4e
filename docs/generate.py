"""`make docs`: write the pages of `docs/reference` that are made from the code. A test fails when one has drifted."""

import argparse
import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast, get_args, get_origin, get_type_hints

import msgspec

from antiphon.cli.commands import build_parser
from antiphon.cli.completion import INSTALL
from antiphon.config.load import VARIABLES, Settings
from antiphon.conformance.cases import CASES
from antiphon.core import errors, support

REFERENCE = Path(__file__).parent / "reference"
UNWRITTEN = {"discovery", "local", "source", "home", "lines", "mapping", "notes"}


def pages() -> Mapping[Path, str]:
    """Every generated page and what it should hold."""
    return {
        REFERENCE / "configuration.md": "\n".join(_configuration()) + "\n",
        REFERENCE / "errors.md": "\n".join(_errors()) + "\n",
        REFERENCE / "refused.md": support.as_markdown(),
        REFERENCE / "cli.md": "\n".join(_commands()) + "\n",
        REFERENCE / "checks.md": "\n".join(_checks()) + "\n",
    }


def _configuration() -> Iterator[str]:
    yield "# Configuration"
    yield ""
    yield "Made from `antiphon.config.settings` by `make docs`; edit there."
    yield ""
    yield _ABOUT
    yield ""
    yield "## Keys"
    yield ""
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    yield "| `version` | 2 | 2 | The version of this shape. |"
    yield from _rows(Settings, "")
    yield ""
    yield "## Environment"
    yield ""
    yield "| variable | meaning |"
    yield "|---|---|"
    yield from (f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items())


_ABOUT = """\
No file is needed. One is `$ANTIPHON_CONFIG`, else `antiphon.yaml` in the working folder; `--config` names another.
Flags win over the environment, and the environment over the file. `antiphon check` validates and explains it.

A value may hold `${env.NAME}` (must be set), `${env.NAME:=default}` (the default when unset or empty) or
`${env.NAME:+value}` (the value when set, else nothing). An unquoted value that reads as a number, true or false is
one; quote it to keep it text. A list entry whose `provider_id` becomes empty is switched off. A `.env` beside the
file is read; variables that are really set win over it. An unknown key is refused, with its line and the nearest key.

```yaml
version: 2
server: {host: 127.0.0.1, port: 8321}
providers:
  inference:
  - provider_id: openai
    provider_type: remote::openai
    config: {api_key: "${env.OPENAI_API_KEY}"}
  - provider_id: local
    provider_type: remote::vllm
    config: {base_url: "http://gpu-1:8000/v1"}
models:
- {model_id: small, provider_id: local, provider_model_id: Qwen/Qwen3-8B}
```

[A Llama Stack `run.yaml`](../howto/llama-stack.md) is read too."""


def _rows(kind: type[Any], path: str) -> Iterator[str]:
    hints = get_type_hints(kind, include_extras=True)
    for item in msgspec.structs.fields(kind):
        if not path and item.name in UNWRITTEN:
            continue
        hint = hints[item.name]
        key = f"{path}.{item.name}" if path else item.name
        struct, repeated = _struct_in(hint)
        if struct is not None:
            yield from _rows(struct, f"{key}[]" if repeated else key)
        else:
            yield f"| `{key}` | {_type_name(hint)} | {_default(item)} | {_description(hint)} |"


def _struct_in(hint: Any) -> tuple[type[Any] | None, bool]:
    """The struct that a hint holds, and whether it holds a list of them."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint, False
    for part in get_args(hint):
        struct, repeated = _struct_in(part)
        if struct is not None:
            return struct, repeated or get_origin(hint) is tuple
    return None, False


def _metas(hint: Any) -> Iterator[msgspec.Meta]:
    if isinstance(hint, msgspec.Meta):
        yield hint
    for part in get_args(hint):
        yield from _metas(part)
    for part in getattr(hint, "__metadata__", ()):
        if isinstance(part, msgspec.Meta):
            yield part


def _description(hint: Any) -> str:
    texts = [meta.description for meta in _metas(hint) if meta.description]
    return texts[-1] if texts else ""


def _type_name(hint: Any) -> str:
    schema: dict[str, Any] = msgspec.json.schema(hint)
    kinds = [schema, *schema.get("anyOf", ())]
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    names = [str(kind["type"]) for kind in kinds if kind.get("type") not in {None, "null"}]
    return {"object": "mapping", "string": "text"}.get(names[0], names[0])


def _default(item: msgspec.structs.FieldInfo) -> str:
    if item.default_factory is not msgspec.NODEFAULT:
        return "none"
    if item.default is msgspec.NODEFAULT:
        return "required"
    if item.default in {None, "", ()}:
        return "none"
    if isinstance(item.default, tuple):
        return f"`[{', '.join(item.default)}]`"
    return f"`{str(item.default).lower() if isinstance(item.default, bool) else item.default}`"


def _errors() -> Iterator[str]:
    yield "# Errors"
    yield ""
    yield "Made from `antiphon.core.errors` by `make docs`; edit there."
    yield ""
    yield 'Every error is `{"error": {"message", "type", "param", "code"}}`, all four keys; `param` names the'
    yield "field of the request at fault, or is null. Once a stream has begun, the same error is an event in it."
    yield ""
    yield "| error | status | type | code |"
    yield "|---|---|---|---|"
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    for kind in sorted(kinds, key=lambda one: (getattr(one, "status", 0), one.__name__)):
        if issubclass(kind, errors.AntiphonError):
            code = f"`{kind.code}`" if kind.code else "null"
            yield f"| {kind.__name__} | {kind.status} | `{kind.type}` | {code} |"


def _commands() -> Iterator[str]:
    yield "# Commands"
    yield ""
    yield "Made from the parser of `antiphon.cli.commands` by `make docs`; edit there."
    yield ""
    yield "A command ends with 0 when all is well, 1 when something is wrong and was said, 2 when it was not"
    yield "understood. `--config FILE` names the configuration where the environment does not: `$ANTIPHON_CONFIG`, else"
    yield "`antiphon.yaml` in the working folder. `antiphon --version` prints the version."
    yield from _command_sections(build_parser(), "antiphon")
    yield ""
    yield "## Completion"
    yield ""
    yield "`antiphon completion SHELL` prints a script that lets the shell complete commands, flags and files:"
    yield ""
    yield "| shell | |"
    yield "|---|---|"
    yield from (f"| {shell} | `{line}` |" for shell, line in INSTALL.items())


def _command_sections(parser: argparse.ArgumentParser, name: str) -> Iterator[str]:
    rows: list[str] = []
    below: list[tuple[str, argparse.ArgumentParser]] = []
    for action in parser._actions:  # noqa: SLF001  argparse shows them nowhere else
        choices: Any = action.choices
        if isinstance(choices, dict):
            below += cast("dict[str, argparse.ArgumentParser]", choices).items()
        elif action.help != argparse.SUPPRESS and action.dest not in {"help", "version"}:
            value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
            flag = ", ".join(action.option_strings) + value if action.option_strings else action.dest
            names = f" ({', '.join(map(str, choices))})" if choices else ""
            rows.append(f"| `{flag}` | {action.help}{names} |")
    if parser.prog != "antiphon" and not below:
        yield from ("", f"## `{name}`", "", str(parser.description))
        if rows:
            yield from ("", "| | |", "|---|---|", *rows)
    for command, its_parser in below:
        yield from _command_sections(its_parser, f"{name} {command}")


def _checks() -> Iterator[str]:
    yield "# What `antiphon doctor --client` checks"
    yield ""
    yield "Made from `antiphon.conformance.cases` by `make docs`; edit there."
    yield ""
    yield "Each case asks the server and holds the answer against the official specification: the status, every key"
    yield "of the body or of each event, and the order of the events. Keys that a server adds are left alone. A case"
    yield "fails with the first thing that was wrong. It is `not supported` when the server refuses, in a proper way,"
    yield "something that not every server has. Our own server passes them all, and for each a server was made that"
    yield "fails it: `tests/conformance/faults.py`."
    yield ""
    yield "| case | what |"
    yield "|---|---|"
    yield from (f"| `{case.name}` | {case.about} |" for case in CASES)


def main() -> None:
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
