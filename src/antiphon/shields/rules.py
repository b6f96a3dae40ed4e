"""`inline::rules`: shields that are sets of rules, run here. They read texts; images are left to shields that see."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from antiphon.core.errors import InvalidRequest
from antiphon.core.json_values import is_object
from antiphon.core.shields import Level, ShieldMessage, Touchpoint, Violation
from antiphon.core.wire import JsonObject
from antiphon.ports.adapters import AdapterConfigError
from antiphon.ports.safety import GuardModels, Shield
from antiphon.shields.reading import Wrong, read_choice, read_names, read_text, refuse_unknown
from antiphon.shields.rule_files import built_in, built_in_names, from_file
from antiphon.shields.rule_sets import LEVELS, Rule, RuleSet, read_rule_set

USER_MESSAGE: Final = "I can't answer that, because it breaks a rule about what may be said."
AT_ONCE_CHARACTERS: Final = 4_096
"""A longer text is read in a thread, so that others need not wait."""
_KEYS: Final = ("rule_sets", "files")
_SHIELD_KEYS: Final = ("level", "user_message", "rules", "without", "allow")
_SEVERITY: Final = {level: at for at, level in enumerate(LEVELS)}


@dataclass(frozen=True, slots=True)
class _Options:
    """The `params` of a shield."""

    level: Level | None
    user_message: str
    without: frozenset[str]
    allowed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rules:
    """Implements `ports.safety.SafetyProvider`. `own` are the sets of the configuration, which go before ours."""

    provider_id: str
    own: Mapping[str, RuleSet]

    @classmethod
    def from_config(
        cls, provider_id: str, config: Mapping[str, Any], models: GuardModels, folder: Path
    ) -> "Rules":
        del models  # rules need none
        return cls(provider_id, own_rule_sets(config, folder))

    def default_name(self, shield_id: str) -> str:
        return shield_id

    def known(self) -> list[str]:
        """The names of all rule sets."""
        return sorted({*self.own, *built_in_names()})

    def rule_set(self, name: str) -> RuleSet:
        """Raises InvalidRequest, which lists the known ones."""
        if name in self.own:
            return self.own[name]
        if name in built_in_names():
            return built_in(name)
        raise InvalidRequest(
            f'`provider_shield_id`: there is no rule set "{name[:256]}"; there are: {", ".join(self.known())}.',
            param="provider_shield_id",
        )

    def check(self, shield: Shield) -> None:
        rule_set = self.rule_set(shield.name)
        try:
            _options(shield.params, rule_set)
        except Wrong as wrong:
            param = f"params.{wrong.key}"
            raise InvalidRequest(f"`{param}`: {wrong.message}", param=param) from None

    async def run(
        self, shield: Shield, messages: Sequence[ShieldMessage], touchpoint: Touchpoint
    ) -> Violation | None:
        own = touchpoint == "user-input"
        texts = [one.text for one in messages if one.text and (own or one.role in ("assistant", "tool"))]
        if not texts:
            return None
        if sum(map(len, texts)) > AT_ONCE_CHARACTERS:
            return await asyncio.to_thread(self._judged, shield, texts)
        return self._judged(shield, texts)

    async def aclose(self) -> None:
        pass

    def _judged(self, shield: Shield, texts: Sequence[str]) -> Violation | None:
        rule_set = self.rule_set(shield.name)
        try:
            options = _options(shield.params, rule_set)
        except Wrong as wrong:
            raise InvalidRequest(wrong.message, param=f"params.{wrong.key}") from None
        broken = rule_set.broken(texts, options.without, options.allowed)
        return _violation(rule_set, broken, options) if broken else None


def own_rule_sets(config: Mapping[str, Any], folder: Path) -> Mapping[str, RuleSet]:
    """Those of a configuration, by name, and of the files that it names. Raises AdapterConfigError."""
    try:
        refuse_unknown(config, _KEYS)
        own: dict[str, RuleSet] = {}
        for name in read_names(config, "files", ()):
            own |= from_file(folder / Path(name).expanduser(), name)
        own |= _written(config.get("rule_sets"))
    except Wrong as wrong:
        raise AdapterConfigError(wrong.key.partition(".")[0], wrong.message) from None
    return own


def _written(given: object) -> Mapping[str, RuleSet]:
    """Raises Wrong."""
    if given is None:
        return {}
    if not is_object(given):
        raise Wrong("rule_sets", "rule_sets is a mapping: a name, and its rule set.")
    return {name: read_rule_set(name, one, f"rule_sets.{name}") for name, one in given.items()}


def _violation(rule_set: RuleSet, broken: Sequence[Rule], options: _Options) -> Violation:
    """Of the rule with the highest level, the first of them."""
    worst = max(broken, key=lambda one: _SEVERITY[one.level])
    metadata: JsonObject = {
        "violation_type": worst.id,
        "rule_set": rule_set.name,
        "rules": [one.id for one in broken],
    }
    return Violation(
        violation_level=options.level or worst.level,
        user_message=options.user_message or worst.user_message or USER_MESSAGE,
        metadata=metadata,
    )


def _options(params: Mapping[str, Any], rule_set: RuleSet) -> _Options:
    """Raises Wrong."""
    refuse_unknown(params, _SHIELD_KEYS)
    known = [one.id for one in rule_set.rules]
    only, without = read_names(params, "rules", ()), read_names(params, "without", ())
    for key, names in (("rules", only), ("without", without)):
        for name in names:
            if name not in known:
                raise Wrong(
                    key, f'rule set {rule_set.name} has no rule "{name[:64]}"; it has {", ".join(known)}.'
                )
    left = {one for one in known if (not only or one in only) and one not in without}
    if not left:
        raise Wrong("without", "all rules are left out; nothing would be checked.")
    level = read_choice(params, "level", LEVELS, "")
    return _Options(
        level=cast("Level | None", level or None),
        user_message=read_text(params, "user_message", ""),
        without=frozenset(set(known) - left),
        allowed=frozenset(one.casefold() for one in read_names(params, "allow", ())),
    )
