"""Tool groups of a Llama Stack file, in our shape, under the ids that the file gives them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from antiphon.config.group_settings import KINDS, PROVIDERS, REFUSED, connector_id_of
from antiphon.config.mapping import Mapping, line_of, origin, switched_off, without_query, written
from antiphon.config.yaml_nodes import Node

_SECTION = "tool_groups"
_NOT_SERVED = "of server-side tools, file search and MCP servers are served"


@dataclass(slots=True)
class Groups:
    """Translates entry by entry. `connectors` are the ids of the file's own connectors: one of a group's id is used."""

    mapping: Mapping
    connectors: set[str]
    _providers: dict[str, str] = field(default_factory=dict[str, str])

    def providers(self, entries: Node) -> Iterator[Node]:
        """The tool runtimes that groups here may be of, without what configures them."""
        for entry in entries.items():
            if switched_off(entry):
                continue
            kind, owner = entry["provider_type"].text(), entry["provider_id"]
            self._providers[owner.text()] = kind
            if kind in KINDS:
                kept = {"provider_id": owner, "provider_type": entry["provider_type"]}
                yield replace(entry, value=kept)

    def found(self, root: Node) -> Iterator[Node]:
        """The groups. Call `providers` first."""
        resources = "registered_resources"
        for source, path in ((root, ""), (root[resources], f"{resources}.")):
            node, key = source[_SECTION], f"{path}{_SECTION}"
            if _SECTION in source.mapping() and not node.value:
                self.mapping.add(line_of(source, _SECTION), key, "ignored", "empty")
            for entry in node.items():
                yield from self._group(entry, key)

    def _group(self, entry: Node, path: str) -> Iterator[Node]:
        owner, provider = entry["toolgroup_id"], entry["provider_id"]
        group = owner.when_set or ("" if owner.problem else owner.text())
        key = f"{path}.{group}"
        for node, name in ((owner, "toolgroup_id"), (provider, "provider_id")):
            if switched_off(entry, name):
                self.mapping.add(entry.line, key, "off", f"switched off{origin(node)}")
                return
        provider_id = provider.text()
        if group in REFUSED or self._kind(provider_id) not in (*KINDS, ""):
            why = REFUSED.get(group, _NOT_SERVED)
            self.mapping.leave_out(entry.line, key, _SECTION, group, why)
        elif not self._kind(provider_id):
            known = ", ".join([*self._providers, *PROVIDERS])
            why = f'provider_id "{provider_id}" is none of providers.tool_runtime; there: {known}'
            self.mapping.refuse(entry, key, why)
        elif KINDS[self._kind(provider_id)] == "mcp":
            yield from self._server(entry, group, key)
        else:
            self.mapping.add(entry.line, key, "taken", "a search of vector stores")
            yield entry

    def _server(self, entry: Node, group: str, key: str) -> Iterator[Node]:
        name, url = connector_id_of(group), entry["mcp_endpoint"]["uri"]
        if name in self.connectors:
            self.mapping.add(entry.line, key, "changed", f'connector "{name}", which is there already')
            yield _without_endpoint(entry)
        elif not url.value and not url.problem:
            why = f"it has no mcp_endpoint, and there is no connector {name}"
            self.mapping.leave_out(entry.line, key, _SECTION, group, why)
        else:
            self.connectors.add(name)
            text = f'connector "{name}", MCP server at {written(without_query(url))}'
            self.mapping.add(entry.line, key, "changed", text)
            yield entry

    def _kind(self, provider_id: str) -> str:
        """The type of a provider; "" for one that there is not."""
        built_in = PROVIDERS.get(provider_id)
        types = {kind: name for name, kind in KINDS.items()}
        return self._providers.get(provider_id) or (types[built_in] if built_in else "")


def _without_endpoint(entry: Node) -> Node:
    return replace(
        entry, value={name: value for name, value in entry.mapping().items() if name != "mcp_endpoint"}
    )
