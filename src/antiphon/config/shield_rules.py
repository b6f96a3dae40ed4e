"""Shields in the file: what the types cannot say about them, checked where the lines are known."""

from collections.abc import Iterator, Sequence

from antiphon.config.safety_settings import ShieldSettings
from antiphon.config.settings import ProviderSettings
from antiphon.config.yaml_nodes import Node
from antiphon.shield_plugins import DEFAULT_ID

Located = Sequence[tuple[ShieldSettings, Node]]


def check_shields(shields: Located, providers: Sequence[ProviderSettings]) -> None:
    """Raises ConfigError for an id given twice, and for a provider that is none or has to be named."""
    known = [one.provider_id for one in providers]
    seen: set[str] = set()
    for shield, node in shields:
        if shield.shield_id in seen:
            raise node["shield_id"].error(f'shields: shield_id "{shield.shield_id}" is given twice')
        seen.add(shield.shield_id)
        if shield.provider_id and shield.provider_id not in {*known, DEFAULT_ID}:
            listed = ", ".join(dict.fromkeys([*known, DEFAULT_ID]))
            raise node["provider_id"].error(
                f'shields: no safety provider "{shield.provider_id}"; there are: {listed}'
            )
        if not shield.provider_id and len(known) > 1:
            raise node.error(f"shields: name the `provider_id` of {shield.shield_id}: {', '.join(known)}")


def lines_of_shields(shields: Located) -> Iterator[tuple[str, int]]:
    """The lines of each shield and of its keys, for what is found out later."""
    for shield, node in shields:
        name = f"shield:{shield.shield_id}"
        yield name, node.line
        for key in node.mapping():
            yield f"{name}.{key}", node.key_lines.get(key, node.line)
