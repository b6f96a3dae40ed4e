"""MCP servers of a Llama Stack file, in our shape: its `connectors`, and tool groups with an `mcp_endpoint`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from antiphon.config.mapping import Mapping, line_of, origin, switched_off, without_query, written
from antiphon.config.yaml_nodes import Node

_PREFIX: Final = "mcp::"
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


def is_mcp_group(entry: Node) -> bool:
    """Whether a tool group is an MCP server that is not switched off."""
    return bool(entry["mcp_endpoint"]["uri"].value) and not switched_off(entry)


@dataclass(slots=True)
class Connectors:
    """Translates entry by entry. A tool group becomes a connector; where there is one of its id already, that stays."""

    mapping: Mapping
    _ids: set[str] = field(default_factory=set[str])

    def found(self, root: Node) -> Iterator[Node]:
        sources = ((root, ""), (root["registered_resources"], "registered_resources."))
        for source, path in sources:
            yield from self._connectors(source, f"{path}connectors")
        for source, path in sources:
            groups = [entry for entry in source["tool_groups"].items() if is_mcp_group(entry)]
            for entry in groups:
                yield from self._group(entry, f"{path}tool_groups")

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
            self._ids.add(name)
            text = f"MCP server at {written(without_query(entry['url']))}"
            self.mapping.add(entry.line, f"{path}.{name}", "taken", text)
            yield entry

    def _group(self, entry: Node, path: str) -> Iterator[Node]:
        owner, url = entry["toolgroup_id"], entry["mcp_endpoint"]["uri"]
        group = owner.text()
        name = _UNFIT.sub("-", group.removeprefix(_PREFIX)).strip("-._")[:128]
        key = f"{path}.{group}"
        if name in self._ids:
            why = f'there is a connector "{name}" already, which is used'
            self.mapping.leave_out(entry.line, key, "tool_groups", group, why)
            return
        self._ids.add(name)
        text = f'connector "{name}", MCP server at {written(without_query(url))}'
        self.mapping.add(entry.line, key, "changed", text)
        if entry["args"].value:
            why = "arguments are sent by calls alone"
            self.mapping.leave_out(line_of(entry, "args"), f"{key}.args", "tool_groups", group, why)
        yield replace(entry, value={"connector_id": replace(owner, value=name), "url": url})
