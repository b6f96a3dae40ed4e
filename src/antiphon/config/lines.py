"""What each line of a configuration of our own shape says, for `antiphon check`."""

from collections.abc import Iterator

from antiphon.config.mapping import line_of, origin, switched_off, without_query, written
from antiphon.config.settings import MappedLine
from antiphon.config.yaml_nodes import Node

_NAMES = ("toolgroup_id", "model_id", "shield_id", "provider_id", "connector_id", "name")


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
            owner = "connector_id" if path == "connectors" else "provider_id"
            if isinstance(item.value, dict) and path == "shields" and switched_off(item, "shield_id"):
                owner = "shield_id"
            if isinstance(item.value, dict) and switched_off(item, owner):
                why = f"switched off{origin(item[owner])}"
                yield MappedLine(line=item.line, key=f"{path}.{name}", outcome="off", text=why)
            else:
                yield from _walk(item, f"{path}.{name}", item.line)
    elif path:
        yield MappedLine(line=line, key=path, outcome="taken", text=_text(node, path))


def _text(node: Node, path: str) -> str:
    """A value, but for what may be a secret by where it stands: a header, and what a connector's server is given."""
    name = path.rpartition(".")[2]
    given = ".env." in path or (".command." in path and name != "0")
    if ".headers." in path or (path.startswith("connectors.") and given):
        return written(node, "api_key")
    if (path.startswith("connectors.") and name == "url") or path.endswith(".mcp_endpoint.uri"):
        return written(without_query(node))
    return written(node, name)


def _name(item: Node, place: int) -> str:
    """What an entry of a list is called: its own id where it has one, else its place, from 0."""
    if isinstance(item.value, dict):
        for key in _NAMES:
            node = item.value.get(key)
            if node is not None and not node.problem and (node.text() or node.when_set):
                return node.text() or node.when_set
    return str(place)
