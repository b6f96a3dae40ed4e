"""The shields of a Llama Stack file, and the providers behind them, in our shape."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from antiphon.config.mapping import Mapping, line_of, origin, switched_off, written
from antiphon.config.yaml_nodes import Node
from antiphon.shield_plugins import INSTEAD, LLAMA_GUARD, known_types

_SAME: Final = {"inline::llama-guard": LLAMA_GUARD}
_OFF: Final = "__disabled__"


@dataclass(slots=True)
class Safety:
    """Translates entry by entry. A provider of a type that is not served here is left out, unless a shield needs it:
    the starter files of Llama Stack have such providers whether they are used or not.
    """

    mapping: Mapping
    shields: list[tuple[Node, str]]
    """With the path of the list that each is in."""
    kept: list[str] = field(default_factory=list[str])

    @classmethod
    def of(cls, mapping: Mapping, root: Node) -> "Safety":
        sources = ((root, ""), (root["registered_resources"], "registered_resources."))
        found = [(entry, f"{path}shields") for source, path in sources for entry in source["shields"].items()]
        for source, path in sources:
            if "shields" in source.mapping() and not source["shields"].value:
                mapping.add(line_of(source, "shields"), f"{path}shields", "ignored", "empty")
        return cls(mapping, found)

    def providers(self, entries: Node) -> Iterator[Node]:
        for entry in entries.items():
            kind, owner = entry["provider_type"].text(), entry["provider_id"]
            name = owner.when_set or ("" if owner.problem else owner.text()) or kind
            key = f"providers.safety.{name}"
            if switched_off(entry):
                self.mapping.add(entry.line, key, "off", f"switched off{origin(owner)}")
                continue
            here = _SAME.get(kind, kind)
            if here not in known_types():
                self._not_served(entry, key, kind, owner.text())
                continue
            self.kept.append(owner.text())
            same = here == kind
            self.mapping.add(entry.line, key, "taken" if same else "changed", f"provider of type {here}")
            yield self._provider(entry, key, here)

    def live(self) -> Iterator[Node]:
        """The shields that are not switched off. Call `providers` first."""
        for entry, path in self.shields:
            owner = entry["shield_id"]
            name = owner.when_set or ("" if owner.problem else owner.text())
            key = f"{path}.{name}"
            if _is_off(entry):
                cause = next(
                    (entry[one] for one in ("provider_id", "shield_id") if entry[one].variables), owner
                )
                self.mapping.add(entry.line, key, "off", f"switched off{origin(cause)}")
                continue
            by = entry["provider_id"].text()
            what = entry["provider_shield_id"].text()
            text = f"shield of {by or 'the only provider'}{f': {what}' if what else ''}"
            self.mapping.add(entry.line, key, "taken", text)
            yield self._shield(entry)

    def section(self, root: Node) -> None:
        """Llama Stack's own `safety`."""
        node = root["safety"]
        if "safety" not in root.mapping():
            return
        line = line_of(root, "safety")
        if isinstance(node.value, dict) and node["default_shield_id"].value:
            why = "the shield of moderations, which are not served yet; agents name theirs"
            self.mapping.add(line, "safety", "ignored", why)
        else:
            self.mapping.add(line, "safety", "ignored", "empty")

    def _not_served(self, entry: Node, key: str, kind: str, provider_id: str) -> None:
        advice = INSTEAD.get(kind) or f"use one of {', '.join(known_types())}"
        why = f'safety provider type "{kind}" is not served here; {advice}'
        users = [one["shield_id"].text() for one, _ in self.shields if self._uses(one, provider_id)]
        if users:
            self.mapping.refuse(
                entry["provider_type"], key, f"{why} (shields that need it: {', '.join(users)})"
            )
        else:
            self.mapping.leave_out(entry.line, key, "safety", kind, f"{why}; no shield uses it")

    @staticmethod
    def _uses(shield: Node, provider_id: str) -> bool:
        return not _is_off(shield) and shield["provider_id"].text() == provider_id

    def _provider(self, entry: Node, key: str, kind: str) -> Node:
        kept: dict[str, Node] = {}
        config = entry["config"]
        for name, node in config.mapping().items():
            line, at = line_of(config, name), f"{key}.config.{name}"
            if not node.value and not node.problem:
                self.mapping.add(line, at, "ignored", "empty")
            else:
                kept[name] = node
                self.mapping.add(line, at, "taken", written(node, name))
        value = {
            "provider_id": entry["provider_id"],
            "provider_type": replace(entry["provider_type"], value=kind),
            "config": replace(config, value=kept),
        }
        return replace(entry, value=value)

    @staticmethod
    def _shield(entry: Node) -> Node:
        kept = {name: node for name, node in entry.mapping().items() if name != "type"}
        return replace(entry, value=kept)


def _is_off(entry: Node) -> bool:
    named = entry.mapping().get("provider_shield_id")
    by_name = named is not None and named.problem is None and named.value == _OFF
    return switched_off(entry, "shield_id") or switched_off(entry) or by_name
