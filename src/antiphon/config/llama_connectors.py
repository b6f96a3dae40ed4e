"""MCP servers of a Llama Stack file that stand among its `connectors`, in our shape."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from antiphon.config.mapping import Mapping, line_of, origin, switched_off, without_query, written
from antiphon.config.yaml_nodes import Node


@dataclass(slots=True)
class Connectors:
    """Translates entry by entry. `ids` are those of the entries that there are."""

    mapping: Mapping
    ids: set[str] = field(default_factory=set[str])

    def found(self, root: Node) -> Iterator[Node]:
        yield from self._connectors(root, "connectors")
        yield from self._connectors(root["registered_resources"], "registered_resources.connectors")

    def _connectors(self, source: Node, path: str) -> Iterator[Node]:
        node = source["connectors"]
        if "connectors" in source.mapping() and not node.value:
            self.mapping.add(line_of(source, "connectors"), path, "ignored", "empty")
        for entry in node.items():
            owner = entry["connector_id"]
            name = owner.when_set or ("" if owner.problem else owner.text())
            if switched_off(entry, "connector_id"):
                self.mapping.add(entry.line, f"{path}.{name}", "off", f"switched off{origin(owner)}")
                continue
            self.ids.add(name)
            text = f"MCP server at {written(without_query(entry['url']))}"
            self.mapping.add(entry.line, f"{path}.{name}", "taken", text)
            yield entry
