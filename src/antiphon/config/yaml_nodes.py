"""YAML with the line of every value, and `${env.NAME}` put in.

`${env.NAME}` must be set. `${env.NAME:=default}` takes the default when NAME is unset or empty;
`${env.NAME:default}` is its older Llama Stack spelling. `${env.NAME:+value}` is the value when NAME is set
and not empty, else nothing. A value that becomes empty is null. One that was written without quotes and reads
as a number, true or false is that, but for keys that hold a secret.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from antiphon.config.settings import ConfigError, names_a_secret

_MAX_NODES = 100_000
_VARIABLE = re.compile(r"\$\{env\.([A-Za-z_][A-Za-z0-9_]*)(?::([=+]?)([^}]*))?\}")
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_DECIMAL = re.compile(r"-?[0-9]+\.[0-9]+")
_MERGE = "tag:yaml.org,2002:merge"
_TYPED = {
    "tag:yaml.org,2002:bool": yaml.SafeLoader.construct_yaml_bool,
    "tag:yaml.org,2002:int": yaml.SafeLoader.construct_yaml_int,
    "tag:yaml.org,2002:float": yaml.SafeLoader.construct_yaml_float,
    "tag:yaml.org,2002:null": yaml.SafeLoader.construct_yaml_null,
}
_TEXT = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}


@dataclass(frozen=True, slots=True)
class Node:
    """A value and the line it starts on. `value` holds nodes where it is a mapping or a list.

    `problem` says why the value cannot be had. It counts only when the value is wanted (see `plain`): a
    provider that is switched off by its empty id may name variables that are not set.

    `variables` are those that the value was made from, and whether each was set. `when_set` is what the value
    would be if all of its `${env.NAME:+value}` held: the name of something that is switched off.
    """

    file: str
    line: int
    value: "dict[str, Node] | list[Node] | str | int | float | bool | None"
    key_lines: Mapping[str, int] = field(default_factory=dict[str, int])
    problem: str | None = None
    variables: tuple[tuple[str, bool], ...] = ()
    when_set: str = ""

    def __getitem__(self, key: str) -> "Node":
        """The value under `key`; a null on this line where there is none."""
        return self.mapping().get(key) or Node(self.file, self.line, None)

    def mapping(self) -> "dict[str, Node]":
        """The values by key; an empty one for null. Raises ConfigError when it is something else."""
        if self.value is None:
            return {}
        if not isinstance(self.value, dict):
            raise self.error(f"expected a mapping, got {self._kind()}")
        return self.value

    def items(self) -> "list[Node]":
        """The values in order; none for null. Raises ConfigError when it is something else."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise self.error(f"expected a list, got {self._kind()}")
        return self.value

    def text(self) -> str:
        """The scalar as text, "" for null."""
        value = plain(self)
        return "" if value is None else str(value)

    def error(self, message: str) -> ConfigError:
        return ConfigError(self.file, self.line, message)

    def _kind(self) -> str:
        match self.value:
            case dict():
                return "a mapping"
            case list():
                return "a list"
            case str():
                return "text"
            case _:
                return f"{self.value}"


def plain(node: Node) -> Any:
    """The value without lines. Raises ConfigError for the first part that has a problem."""
    if node.problem:
        raise node.error(node.problem)
    if isinstance(node.value, dict):
        return {key: plain(item) for key, item in node.value.items()}
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    return node.value


def parse_yaml(text: str, file: str, environ: Mapping[str, str]) -> Node:
    """The one document in `text`. Raises ConfigError: bad YAML, a key given twice, a tag with a meaning."""
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return Node(file, 1, None)
        return _Reader(file, environ, loader).read(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise ConfigError(file, line, f"not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(file, None, f"not valid YAML: {error}") from None
    except RecursionError:
        raise ConfigError(file, None, "not valid YAML: nested too deep") from None
    finally:
        loader.dispose()


class _Reader:
    def __init__(self, file: str, environ: Mapping[str, str], loader: yaml.SafeLoader) -> None:
        self._file = file
        self._environ = environ
        self._loader = loader
        self._left = _MAX_NODES  # aliases of aliases grow without bound otherwise

    def read(self, node: yaml.Node, key: str = "") -> Node:
        line = node.start_mark.line + 1
        self._left -= 1
        if self._left < 0:
            raise ConfigError(self._file, line, f"more than {_MAX_NODES} values")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, line)
        if isinstance(node, yaml.SequenceNode):
            return Node(self._file, line, [self.read(item, key) for item in node.value])
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, line, key)
        raise ConfigError(self._file, line, "not plain data")

    def _mapping(self, node: yaml.MappingNode, line: int) -> Node:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            at = key_node.start_mark.line + 1
            if key_node.tag == _MERGE:
                for source in self._merge_sources(value_node, at):
                    merged = {**source.mapping(), **merged}
                continue
            key = self._key(key_node, at)
            if key in own:
                raise ConfigError(self._file, at, f'"{key}" is given twice, first on line {lines[key]}')
            own[key], lines[key] = self.read(value_node, key), at
        return Node(self._file, line, {**merged, **own}, lines)

    def _merge_sources(self, node: yaml.Node, line: int) -> Iterator[Node]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                raise ConfigError(self._file, line, "`<<` takes a mapping or a list of mappings")
            yield self.read(source)

    def _key(self, node: yaml.Node, line: int) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise ConfigError(self._file, line, "a key must be text")
        return str(node.value)

    def _scalar(self, node: yaml.ScalarNode, line: int, key: str) -> Node:
        text = str(node.value)
        if node.tag not in _TYPED and node.tag not in _TEXT:
            raise ConfigError(self._file, line, f"the tag {node.tag} is not allowed here; write plain values")
        if _VARIABLE.search(text):
            return self._substituted(node, text, line, key)
        return Node(self._file, line, self._value(node))

    def _substituted(self, node: yaml.ScalarNode, text: str, line: int, key: str) -> Node:
        missing: list[str] = []
        found = [(match[1], bool(self._environ.get(match[1]))) for match in _VARIABLE.finditer(text)]
        variables = tuple(dict.fromkeys(found))
        when_set = _VARIABLE.sub(lambda match: (match[3] or "") if match[2] == "+" else "", text)

        def put(match: re.Match[str]) -> str:
            name, mode, rest = match.group(1), match.group(2), match.group(3)
            value = self._environ.get(name, "")
            if mode == "+":
                return rest if value else ""
            if rest is None and name not in self._environ:
                missing.append(name)
            return value or rest or ""

        result = _VARIABLE.sub(put, text)
        if missing:
            name = missing[0]
            problem = (
                f"the environment variable {name} is not set; set it, or give a default: ${{env.{name}:=…}}"
            )
            return Node(self._file, line, None, problem=problem, variables=variables, when_set=when_set)
        if not result:
            return Node(self._file, line, None, variables=variables, when_set=when_set)
        value = result if node.style or names_a_secret(key) else _typed(result)
        return Node(self._file, line, value, variables=variables, when_set=when_set)

    def _value(self, node: yaml.ScalarNode) -> str | int | float | bool | None:
        construct = _TYPED.get(node.tag)
        return str(node.value) if construct is None else construct(self._loader, node)


def _typed(text: str) -> str | int | float | bool:
    if text in {"true", "false"}:
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text
