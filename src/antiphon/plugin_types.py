"""Which class serves which type of a part that is configured: ours by a table, others by entry points.

A target is `module:Class`. Nothing is imported but the class that is asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from typing import Any


class UnknownType(Exception):
    """A type that is not served; the message lists the known ones, or says what to use instead."""


@dataclass(frozen=True, slots=True)
class PluginTypes:
    """`what` names the kind of type in messages, `group` is that of the entry points; `instead` says of types that
    other servers have what to use here.
    """

    what: str
    group: str
    built_in: Mapping[str, str]
    error: type[UnknownType] = UnknownType
    instead: Mapping[str, str] = field(default_factory=dict[str, str])

    def known(self) -> list[str]:
        """Every type that can be configured, those of installed plugins included."""
        return sorted({*self.built_in, *self._installed()})

    def find(self, name: str) -> Any:
        """The class. Raises `error`."""
        target = self.built_in.get(name)
        if target is not None:
            module, _, attribute = target.partition(":")
            return getattr(import_module(module), attribute)
        installed = self._installed()
        if name not in installed:
            raise self.error(self._unknown(name))
        return installed[name].load()

    def _installed(self) -> dict[str, Any]:
        from importlib.metadata import entry_points

        return {entry.name: entry for entry in entry_points(group=self.group)}

    def _unknown(self, name: str) -> str:
        known = self.known()
        near = get_close_matches(name, known, 1)
        hint = f'; did you mean "{near[0]}"?' if near else "."
        if name in self.instead:
            hint = f"; {self.instead[name]}."
        return f'there is no {self.what} "{name}"{hint} There are: {", ".join(known)}'
