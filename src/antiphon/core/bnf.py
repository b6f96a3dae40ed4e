"""Grammars in BNF, as textbooks and llama.cpp (GBNF) write them, and what they are in Lark.

Read are: `name ::= …` with names plain or in angle brackets, alternatives, groups, literals in either quotes,
character classes, `.`, repetition (`*`, `+`, `?`, `{n}`, `{n,}`, `{n,m}`), and comments behind `#`. Line breaks end
nothing: a rule ends where the next one begins. Everything else is refused, with its line.

BNF knows no tokens: each character may belong to any rule. Lark cuts a text into tokens first, the longest one at each
place. So what is written in Lark here has tokens that cannot be mistaken: single characters, and longer literals only
where nothing else begins with their first character.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

MAX_NESTING = 64
MAX_REPEATS = 1000
MAX_COMPARED = 1_000_000
"""Literals and classes are looked at in pairs only where there are not more of these."""
_LAST = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


class BadGrammar(ValueError):
    """What cannot be read, in words that say where."""


@dataclass(frozen=True, slots=True)
class Literal:
    text: str


@dataclass(frozen=True, slots=True)
class Chars:
    """One character in one of the ranges, both ends included; with `negated`, in none of them."""

    ranges: tuple[tuple[int, int], ...]
    negated: bool = False

    def has(self, character: str) -> bool:
        return any(first <= ord(character) <= last for first, last in self.ranges) != self.negated


@dataclass(frozen=True, slots=True)
class Rule:
    """What the rule of this name stands for."""

    name: str


@dataclass(frozen=True, slots=True)
class Sequence:
    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    options: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`most` is None for any number."""

    part: "Node"
    least: int
    most: int | None


Node = Literal | Chars | Rule | Sequence | Choice | Repeat
Rules = dict[str, Node]


# --- reading --------------------------------------------------------------------------------------------------
_SPACE = re.compile(r"(?:\s|#[^\n]*)*")
_NAME = re.compile(r"<([A-Za-z_][\w -]*)>|([A-Za-z_][\w-]*)", re.ASCII)
_BOUNDS = re.compile(r"\{\s*(\d{1,9})?\s*(,)?\s*(\d{1,9})?\s*\}", re.ASCII)
_PLAIN = {"n": "\n", "r": "\r", "t": "\t"}
_HEX = {"x": 2, "u": 4, "U": 8}
_TIMES: Mapping[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


def parse_rules(text: str) -> Rules:
    """The rules of a whole grammar, in order. Raises BadGrammar."""
    reader = _Reader(text)
    rules: Rules = {}
    while not reader.at_end:
        name = reader.rule_head()
        if name in rules:
            raise reader.error(f'the rule "{name}" is there twice')
        rules[name] = reader.choice()
        if not (reader.at_end or reader.at_head):
            raise reader.error(f'"{reader.here}" does not belong to a rule')
    if not rules:
        raise BadGrammar("there are no rules; a rule is `name ::= …`")
    return rules


def is_name(text: str) -> bool:
    """Whether a rule can be called so."""
    return _NAME.fullmatch(text) is not None or _NAME.fullmatch(f"<{text}>") is not None


def parse_production(text: str) -> Node:
    """What stands behind `::=`. Raises BadGrammar."""
    reader = _Reader(text)
    made = reader.choice()
    if not reader.at_end:
        raise reader.error(f'"{reader.here}" does not belong to a rule')
    return made


@dataclass(slots=True)
class _Reader:
    text: str
    at: int = 0
    depth: int = 0

    def __post_init__(self) -> None:
        self._skip()

    @property
    def at_end(self) -> bool:
        return self.at >= len(self.text)

    @property
    def here(self) -> str:
        return self.text[self.at : self.at + 1]

    @property
    def at_head(self) -> bool:
        """Whether a rule begins here."""
        name = _NAME.match(self.text, self.at)
        return name is not None and self.text.startswith("::=", _after_space(self.text, name.end()))

    def error(self, what: str) -> BadGrammar:
        line = self.text.count("\n", 0, self.at) + 1
        return BadGrammar(f"line {line}: {what}")

    def rule_head(self) -> str:
        if not self.at_head:
            raise self.error("expected a rule, `name ::= …`")
        name = self._name()
        self.at += len("::=")
        self._skip()
        return name

    def choice(self) -> Node:
        options = [self._sequence()]
        while self.here == "|":
            self._step()
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while not (self.at_end or self.here in "|)" or self.at_head):
            parts.append(self._repeated(self._one()))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _one(self) -> Node:
        match self.here:
            case '"' | "'":
                return self._literal()
            case "[":
                return self._chars()
            case "(":
                return self._group()
            case ".":
                self._step()
                return Chars((), negated=True)
            case _ if _NAME.match(self.text, self.at):
                return Rule(self._name())
            case other:
                raise self.error(f'"{other}" is nothing that can be read here')

    def _group(self) -> Node:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise self.error(f"nested deeper than {MAX_NESTING} levels")
        self._step()
        made = self.choice()
        if self.here != ")":
            raise self.error('expected ")"')
        self._step()
        self.depth -= 1
        return made

    def _repeated(self, part: Node) -> Node:
        signs = 0
        while self.here and self.here in "*+?{":
            signs += 1
            if signs > MAX_NESTING:
                raise self.error(f"more than {MAX_NESTING} repetitions of one thing")
            if self.here == "{":
                least, most = self._bounds()
            else:
                least, most = _TIMES[self.here]
                self._step()
            part = Repeat(part, least, most)
        return part

    def _bounds(self) -> tuple[int, int | None]:
        found = _BOUNDS.match(self.text, self.at)
        if found is None or (found[1] is None and found[3] is None):
            raise self.error("expected {n}, {n,}, {,m} or {n,m}")
        least = int(found[1] or 0)
        most = least if found[2] is None else int(found[3]) if found[3] else None
        if most is not None and most < least:
            raise self.error(f"{{{least},{most}}} is no number of times")
        if max(least, most or 0) > MAX_REPEATS:
            raise self.error(f"repeated more than {MAX_REPEATS} times")
        self.at = found.end()
        self._skip()
        return least, most

    def _literal(self) -> Literal:
        quote = self.here
        self.at += 1
        made: list[str] = []
        while self.here != quote:
            made.append(self._character(f"the literal is not closed by {quote}"))
        self._step()
        return Literal("".join(made))

    def _chars(self) -> Chars:
        self.at += 1
        negated = self.here == "^"
        self.at += negated
        ranges: list[tuple[int, int]] = []
        open_ = 'the class is not closed by "]"'
        while self.here != "]":
            first = last = self._character(open_)
            if self.here == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                last = self._character(open_)
            if last < first:
                raise self.error(f'"{first}-{last}" is no range')
            ranges.append((ord(first), ord(last)))
        self._step()
        if not ranges and not negated:
            raise self.error("[] matches nothing")
        return Chars(tuple(ranges), negated)

    def _character(self, open_: str) -> str:
        if self.at_end:
            raise self.error(open_)
        one = self.here
        self.at += 1
        return one if one != "\\" else self._escaped()

    def _escaped(self) -> str:
        kind = self.here
        self.at += 1
        if kind in _PLAIN:
            return _PLAIN[kind]
        if kind in _HEX:
            digits = self.text[self.at : self.at + _HEX[kind]]
            if len(digits) < _HEX[kind] or re.fullmatch("[0-9a-fA-F]+", digits) is None:
                raise self.error(f"\\{kind} is followed by {_HEX[kind]} hexadecimal digits")
            self.at += len(digits)
            number = int(digits, 16)
            if number > _LAST or number in _SURROGATES:
                raise self.error(f"\\{kind}{digits} is no character")
            return chr(number)
        if kind.isascii() and kind and not kind.isalnum():
            return kind
        raise self.error(f"\\{kind} is not known; write the characters, as in [0-9]")

    def _name(self) -> str:
        found = _NAME.match(self.text, self.at)
        if found is None:
            raise self.error("expected a name")
        self.at = found.end()
        self._skip()
        return found[1] or found[2]

    def _step(self) -> None:
        self.at += 1
        self._skip()

    def _skip(self) -> None:
        self.at = _after_space(self.text, self.at)


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found is not None else at


# --- writing --------------------------------------------------------------------------------------------------
def as_lark(rules: Rules, start: str) -> str:
    """The same in Lark, in the dialect of LLGuidance. Raises BadGrammar for a rule that is not there."""
    if start not in rules:
        raise BadGrammar(f'there is no rule "{start}"')
    writer = _Writer(_names(rules, start), frozenset(_whole(rules)))
    first = {start: rules[start]}
    lines = [f"{writer.names[name]}: {writer.written(node)}" for name, node in (first | rules).items()]
    return "\n".join(lines)


def _names(rules: Rules, start: str) -> dict[str, str]:
    """Names of rules in Lark are in lower case, and it begins with `start`."""
    names = {start: "start"}
    taken = {"start"}
    for name in rules:
        if name == start:
            continue
        plain = re.sub(r"[^a-z0-9_]", "_", name.lower())
        made, number = plain, 1
        while made in taken:
            number += 1
            made = f"{plain}_{number}"
        names[name] = made
        taken.add(made)
    return names


def _leaves(node: Node) -> Iterator[Literal | Chars]:
    match node:
        case Literal() | Chars():
            yield node
        case Rule():
            return
        case Sequence(parts=parts) | Choice(options=parts):
            for part in parts:
                yield from _leaves(part)
        case Repeat(part=part):
            yield from _leaves(part)


def _whole(rules: Rules) -> Iterator[str]:
    """The literals that can be one token: nothing else begins with their first character."""
    leaves = {leaf for node in rules.values() for leaf in _leaves(node)}
    literals = {leaf.text for leaf in leaves if isinstance(leaf, Literal)}
    classes = [leaf for leaf in leaves if isinstance(leaf, Chars)]
    beginnings = Counter(text[0] for text in literals if text)
    alone = [text for text in literals if len(text) > 1 and beginnings[text[0]] == 1]
    if len(alone) * len(classes) > MAX_COMPARED:
        return
    for text in alone:
        if not any(one.has(text[0]) for one in classes):
            yield text


@dataclass(frozen=True, slots=True)
class _Writer:
    names: Mapping[str, str]
    whole: frozenset[str] = field(default_factory=frozenset[str])

    def written(self, node: Node) -> str:
        match node:
            case Literal(text=text):
                pieces = [text] if text in self.whole or not text else list(text)
                return " ".join(_quoted(piece) for piece in pieces)
            case Chars():
                return _class(node)
            case Rule(name=name):
                if name not in self.names:
                    raise BadGrammar(f'there is no rule "{name}"')
                return self.names[name]
            case Sequence(parts=()):
                return '""'
            case Sequence(parts=parts):
                return " ".join(self._inside(part) for part in parts)
            case Choice(options=options):
                return " | ".join(self.written(option) for option in options)
            case Repeat(part=part, least=least, most=most):
                return f"({self.written(part)}){_times(least, most)}"

    def _inside(self, part: Node) -> str:
        made = self.written(part)
        return f"({made})" if isinstance(part, Choice) else made


def _times(least: int, most: int | None) -> str:
    for sign, bounds in _TIMES.items():
        if bounds == (least, most):
            return sign
    return f"{{{least},{'' if most is None else most}}}"


_QUOTED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _quoted(text: str) -> str:
    return '"' + "".join(_QUOTED.get(one) or _shown(one, "\\u{:04x}") for one in text) + '"'


def _class(chars: Chars) -> str:
    if not chars.ranges:
        return "/(?s:.)/"
    inner = "".join(
        _in_class(first) if first == last else f"{_in_class(first)}-{_in_class(last)}"
        for first, last in chars.ranges
    )
    return f"/[{'^' if chars.negated else ''}{inner}]/"


def _in_class(code: int) -> str:
    one = chr(code)
    return one if one.isascii() and one.isalnum() else f"\\x{{{code:x}}}"


def _shown(one: str, escape: str) -> str:
    return one if one.isprintable() or ord(one) > 0xFFFF else escape.format(ord(one))
