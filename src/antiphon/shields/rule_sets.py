"""Rule sets: read from data, and run over texts."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from antiphon.core.json_values import is_array, is_object
from antiphon.core.shields import Level
from antiphon.core.token_estimate import BYTES_PER_TOKEN
from antiphon.shields.folding import Views
from antiphon.shields.patterns import Pattern, PatternError
from antiphon.shields.personal import CHECKS
from antiphon.shields.reading import Wrong, read_choice, read_names, read_number, read_text, refuse_unknown
from antiphon.shields.words import MAX_WORD, MAX_WORDS, word_patterns

View = Literal["plain", "folded", "clear"]
LEVELS: Final = ("info", "warn", "error")
MAX_RULES: Final = 500
MAX_PATTERNS: Final = 200
MAX_LOOKED_AT: Final = 20_000
"""Of what looks like a match, and is none or is allowed: in a text with more of it the rule counts as broken, as what
is not looked at does not pass.
"""
MAX_LENGTH: Final = 2**31 - 1
_SET_KEYS: Final = ("description", "level", "user_message", "rules", "samples")
_RULE_KEYS: Final = (
    "id",
    "description",
    "patterns",
    "reads",
    "ignore_case",
    "check",
    "regions",
    "words",
    "obfuscated",
    "max_characters",
    "max_tokens",
    "level",
    "user_message",
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One of: `patterns` over a view of the text, with a check of what they find; or a length."""

    id: str
    level: Level
    user_message: str
    view: View = "plain"
    patterns: tuple[Pattern, ...] = ()
    check: str = ""
    regions: tuple[str, ...] = ()
    max_characters: int = 0
    max_tokens: int = 0

    def is_broken_by(self, texts: Sequence[Views], allowed: Collection[str]) -> bool:
        if self.max_characters and sum(len(one.text) for one in texts) > self.max_characters:
            return True
        if self.max_tokens and sum(_tokens(one.text) for one in texts) > self.max_tokens:
            return True
        return any(self._found(one, allowed) for one in texts)

    def _found(self, text: Views, allowed: Collection[str]) -> bool:
        view: str = getattr(text, self.view)
        if not self.check and not allowed:
            return any(one.found_in(view) for one in self.patterns)
        check = CHECKS[self.check] if self.check else None
        looked_at = 0
        for one in self.patterns:
            for value in one.values(view):
                if value.casefold() not in allowed and (check is None or check(value, self.regions)):
                    return True
                looked_at += 1
                if looked_at >= MAX_LOOKED_AT:
                    return True
        return False


@dataclass(frozen=True, slots=True)
class RuleSet:
    name: str
    description: str
    rules: tuple[Rule, ...]
    samples: str = ""
    """The file of labelled samples, as the set names it."""

    def broken(
        self, texts: Sequence[str], without: Collection[str] = (), allowed: Collection[str] = ()
    ) -> list[Rule]:
        """The rules that these texts break together, in the order of the set."""
        views = [Views(one) for one in texts]
        return [one for one in self.rules if one.id not in without and one.is_broken_by(views, allowed)]


def _tokens(text: str) -> int:
    """By the rule of thumb that stands in for a tokenizer."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def read_rule_set(name: str, given: object, path: str) -> RuleSet:
    """Raises Wrong, with the place below `path` at fault in its message."""
    if not is_object(given):
        raise Wrong(path, f"{path}: a rule set is a mapping with `rules`.")
    try:
        refuse_unknown(given, _SET_KEYS)
        level = read_choice(given, "level", LEVELS, "error")
        message = read_text(given, "user_message", "")
        rules = tuple(_rules(given.get("rules"), cast("Level", level), message))
        return RuleSet(name, read_text(given, "description", ""), rules, read_text(given, "samples", ""))
    except Wrong as wrong:
        raise Wrong(path, f"{path}: {wrong.message}") from None


def _rules(given: object, level: Level, message: str) -> Iterator[Rule]:
    if not is_array(given) or not given or len(given) > MAX_RULES:
        raise Wrong("rules", f"`rules` is a list of 1 to {MAX_RULES} rules.")
    seen: set[str] = set()
    for at, one in enumerate(given):
        if not is_object(one):
            raise Wrong("rules", f"rules[{at}] is a mapping with `id`.")
        name = one.get("id")
        if not isinstance(name, str) or not name or len(name) > 64 or name in seen:
            raise Wrong("rules", f"rules[{at}]: `id` is a text of its own, of at most 64 characters.")
        seen.add(name)
        try:
            yield _rule(name, one, level, message)
        except Wrong as wrong:
            raise Wrong("rules", f"rule {name}: {wrong.message}") from None


def _rule(name: str, given: Mapping[str, Any], level: Level, message: str) -> Rule:
    refuse_unknown(given, _RULE_KEYS)
    kinds = [
        key for key in ("patterns", "words", "max_characters", "max_tokens") if given.get(key) is not None
    ]
    if len(kinds) != 1:
        raise Wrong("id", "give one of `patterns`, `words`, `max_characters` and `max_tokens`.")
    kind = kinds[0]
    _only_with(given, "patterns", kind, ("check", "reads", "ignore_case"))
    _only_with(given, "words", kind, ("obfuscated",))
    check = read_choice(given, "check", sorted(CHECKS), "")
    regions = read_names(given, "regions", ())
    if regions and check != "phone":
        raise Wrong("regions", "`regions` goes with `check: phone`.")
    own = cast("Level", read_choice(given, "level", LEVELS, level))
    said = read_text(given, "user_message", message)
    if kind in ("max_characters", "max_tokens"):
        most = read_number(given, kind, 0, 1, MAX_LENGTH)
        return Rule(
            name,
            own,
            said,
            max_characters=most if kind == "max_characters" else 0,
            max_tokens=most if kind == "max_tokens" else 0,
        )
    if kind == "words":
        return Rule(name, own, said, view="folded", patterns=_of_words(given))
    view = cast("View", read_choice(given, "reads", ("plain", "folded", "clear"), "plain"))
    return Rule(name, own, said, view, _of_patterns(given), check, tuple(regions))


def _only_with(given: Mapping[str, Any], kind: str, actual: str, keys: Sequence[str]) -> None:
    for key in keys:
        if kind != actual and given.get(key) is not None:
            raise Wrong(key, f"`{key}` goes with `{kind}`.")


def _of_words(given: Mapping[str, Any]) -> tuple[Pattern, ...]:
    words = read_names(given, "words", (), MAX_WORDS)
    if not words or any(len(word) > MAX_WORD or not word.strip("* ") for word in words):
        raise Wrong("words", f"`words` is a list of texts of 1 to {MAX_WORD} characters.")
    obfuscated = given.get("obfuscated", True)
    if not isinstance(obfuscated, bool):
        raise Wrong("obfuscated", "`obfuscated` is true or false.")
    return tuple(word_patterns(words, obfuscated=obfuscated))


def _of_patterns(given: Mapping[str, Any]) -> tuple[Pattern, ...]:
    sources = read_names(given, "patterns", (), MAX_PATTERNS)
    if not sources:
        raise Wrong("patterns", "`patterns` is a list of regular expressions.")
    ignore_case = given.get("ignore_case", False)
    if not isinstance(ignore_case, bool):
        raise Wrong("ignore_case", "`ignore_case` is true or false.")
    made: list[Pattern] = []
    for at, source in enumerate(sources):
        try:
            made.append(Pattern(source, ignore_case=ignore_case))
        except PatternError as error:
            raise Wrong("patterns", f"patterns[{at}] {error}") from None
    return tuple(made)
