"""Where files are kept by a Llama Stack file, in our shape."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from antiphon.blob_plugins import BUILT_IN
from antiphon.config.mapping import Mapping, line_of, origin, switched_off, written
from antiphon.config.yaml_nodes import Node

_STATE: Final = ("metadata_store", "kvstore", "persistence")
_LEFT_OUT: Final = {
    "auto_create_bucket": "buckets are not made here; make it before the server starts",
    "ttl_secs": "files are kept until they are deleted, or expire as their `expires_after` says",
}


@dataclass(slots=True)
class Files:
    """Translates entry by entry. There is one place for files here: the first that is not switched off."""

    mapping: Mapping

    def providers(self, entries: Node) -> Iterator[Node]:
        found = False
        for entry in entries.items():
            kind, owner = entry["provider_type"].text(), entry["provider_id"]
            key = f"providers.files.{owner.when_set or ('' if owner.problem else owner.text()) or kind}"
            if switched_off(entry):
                self.mapping.add(entry.line, key, "off", f"switched off{origin(owner)}")
            elif kind not in BUILT_IN:
                known = " or ".join(BUILT_IN)
                why = f'files provider type "{kind}" is not served here; use {known}'
                self.mapping.refuse(entry["provider_type"], key, why)
            elif found:
                why = "files are kept in one place, that of the first provider"
                self.mapping.leave_out(entry.line, key, "files", owner.text(), why)
            else:
                found = True
                self.mapping.add(entry.line, key, "taken", f"provider of type {kind}")
                yield self._provider(entry, key)

    def _provider(self, entry: Node, key: str) -> Node:
        config = entry["config"]
        value = {
            "provider_id": entry["provider_id"],
            "provider_type": entry["provider_type"],
            "config": replace(config, value=self._config(config, f"{key}.config")),
        }
        return replace(entry, value=value)

    def _config(self, config: Node, path: str) -> dict[str, Node]:
        kept: dict[str, Node] = {}
        for name, node in config.mapping().items():
            line, at = line_of(config, name), f"{path}.{name}"
            if name in _STATE:
                self.mapping.add(line, at, "ignored", "what is known of files is with the rest of the state")
            elif not node.value and not node.problem:
                self.mapping.add(line, at, "ignored", "empty")
            elif name in _LEFT_OUT:
                self.mapping.leave_out(line, at, f"files.{name}", "", _LEFT_OUT[name])
            else:
                kept[name] = node
                self.mapping.add(line, at, "taken", written(node, name))
        return kept
