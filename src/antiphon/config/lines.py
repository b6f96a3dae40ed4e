"""What each line of a configuration of our own shape says, for `antiphon check`."""

from collections.abc import Iterator

from antiphon.config.mapping import line_of, origin, switched_off, written
from antiphon.config.settings import MappedLine
from antiphon.config.yaml_nodes import Node

_NAMES = ("model_id", "provider_id", "name")


def lines_of(root: Node) -> tuple[MappedLine, ...]:
    """A row for every value, in the order of the file."""
    return tuple(sorted(_walk(root, "", root.line), key=lambda row: row.line))


def _walk(node: Node, path: str, line: int) -> Iterator[MappedLine]:
    value = node.value
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from _walk(child, f"{path}.{key}" if path else key, line_of(node, key))
    elif isinstance(value, list) and value:
        for place, item in enumerate(value):
            name = _name(item, place)
            if isinstance(item.value, dict) and switched_off(item):
                why = f"switched off{origin(item['provider_id'])}"
                yield MappedLine(line=item.line, key=f"{path}.{name}", outcome="off", text=why)
            else:
                yield from _walk(item, f"{path}.{name}", item.line)
    elif path:
        secret = "api_key" if ".headers." in path else path.rpartition(".")[2]
        yield MappedLine(line=line, key=path, outcome="taken", text=written(node, secret))


def _name(item: Node, place: int) -> str:
    """What an entry of a list is called: its own id where it has one, else its place, from 0."""
    if isinstance(item.value, dict):
        for key in _NAMES:
            node = item.value.get(key)
            if node is not None and not node.problem and (node.text() or node.when_set):
                return node.text() or node.when_set
    return str(place)
