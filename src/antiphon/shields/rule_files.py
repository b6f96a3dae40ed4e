"""Where rule sets are: those that come with the server, and files of the operator's."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from antiphon.core.json_values import is_object
from antiphon.shields.reading import Wrong
from antiphon.shields.rule_sets import RuleSet, read_rule_set

NAMES: Final = ("pii", "profanity", "prompt-injection", "secrets")
MAX_FILE: Final = 4 * 1024 * 1024


def built_in_names() -> tuple[str, ...]:
    return NAMES


@cache
def built_in(name: str) -> RuleSet:
    """One of `built_in_names`."""
    return read_rule_set(name, _parsed(_data(f"{name}.yaml")), name)


def built_in_samples(name: str) -> str:
    """The labelled samples of one of `built_in_names`, a JSON object a line."""
    return _data(f"{name}.jsonl")


def from_file(path: Path, shown: str) -> Mapping[str, RuleSet]:
    """The rule sets of a YAML file: a mapping of names. Raises Wrong for `files`."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise Wrong("files", f"{shown}: larger than {MAX_FILE} bytes.")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Wrong("files", f"{shown} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise Wrong("files", f"{shown} is not UTF-8 text (byte {error.start}).") from None
    given = _read(text, shown)
    if not is_object(given) or not _has_names(given):
        raise Wrong("files", f"{shown}: expected a mapping: a name, and its rule set.")
    try:
        return {name: read_rule_set(name, one, name) for name, one in given.items()}
    except Wrong as wrong:
        raise Wrong("files", f"{shown}: {wrong.message}") from None


def _has_names(given: Mapping[Any, Any]) -> bool:
    """Keys of YAML may be numbers."""
    return all(isinstance(name, str) for name in given)


def _read(text: str, shown: str) -> Any:
    from yaml import MarkedYAMLError, YAMLError

    try:
        return _parsed(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{shown}:{mark.line + 1}" if mark else shown
        raise Wrong("files", f"{where}: not valid YAML: {error.problem or error.context}.") from None
    except (YAMLError, RecursionError, ValueError):
        raise Wrong("files", f"{shown}: not valid YAML.") from None


def _parsed(text: str) -> Any:
    from yaml import safe_load

    return safe_load(text)


def _data(name: str) -> str:
    return (files("antiphon.shields") / "sets" / name).read_text(encoding="utf-8")
