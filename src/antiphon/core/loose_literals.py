"""Values as models write them, JSON or Python, and the JSON that they mean.

Both kinds of quotes and of names for true, false and null are taken, tuples, trailing commas, and line breaks inside of
strings. Nothing is evaluated: what is not a literal is `Malformed`. Numbers stay as they were written.
"""

import re
from dataclasses import dataclass

from antiphon.core.wire import encode

MAX_NESTING = 100
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
WORDS = {"true": "true", "false": "false", "null": "null", "True": "true", "False": "false", "None": "null"}
Members = list[tuple[str, str]]
"""Names and values of an object, the values as JSON, in order."""

_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[^\W\d][\w.-]*")
_PLAIN = {'"': re.compile(r'[^"\\]+'), "'": re.compile(r"[^'\\]+")}
_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "a": "\a",
    "/": "/",
    "\\": "\\",
    '"': '"',
    "'": "'",
    "\n": "",
}
_HEX = {"x": 2, "u": 4, "U": 8}
_OCTAL = re.compile("[0-7]{1,3}")
_HIGH, _LOW, _AFTER = 0xD800, 0xDC00, 0xE000


class Malformed(ValueError):
    """No literal."""


@dataclass(slots=True)
class Literals:
    """Reads from `at` on, which each method moves behind what it read. Each raises Malformed."""

    text: str
    at: int = 0
    depth: int = 0

    def value(self) -> str:
        """Any value, as JSON."""
        match self.next():
            case "{":
                return _object(self.members())
            case "[":
                return f"[{','.join(self._values(']'))}]"
            case "(":
                return f"[{','.join(self._values(')'))}]"
            case '"' | "'":
                return encode(self.string()).decode()
            case _:
                return self._scalar()

    def members(self) -> Members:
        """An object."""
        self.expect("{")
        self._deeper()
        made: Members = []
        while self.next() != "}":
            name = self.string()
            self.expect(":")
            made.append((name, self.value()))
            if not self.follows(","):
                break
        self.expect("}")
        self.depth -= 1
        return made

    def string(self) -> str:
        quote = self.next()
        if quote not in _PLAIN:
            raise Malformed
        self.at += 1
        made: list[str] = []
        while (here := self.text[self.at : self.at + 1]) != quote:
            if not here:
                raise Malformed
            if here == "\\":
                made.append(self._escape())
                continue
            run = _PLAIN[quote].match(self.text, self.at)
            end = run.end() if run is not None else self.at + 1
            made.append(self.text[self.at : end])
            self.at = end
        self.at += 1
        return "".join(made)

    def word(self) -> str:
        """A name: of a function, or of an argument."""
        self.next()
        found = _WORD.match(self.text, self.at)
        if found is None:
            raise Malformed
        self.at = found.end()
        return found[0]

    def next(self) -> str:
        """The next character that is no white space; "" at the end."""
        space = _SPACE.match(self.text, self.at)
        self.at = space.end() if space is not None else self.at
        return self.text[self.at : self.at + 1]

    def expect(self, sign: str) -> None:
        if not self.follows(sign):
            raise Malformed

    def follows(self, sign: str) -> bool:
        """Whether this comes next; then it is read."""
        self.next()
        if not self.text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        return True

    def end(self) -> None:
        """Nothing else comes."""
        if self.next():
            raise Malformed

    def _values(self, closing: str) -> list[str]:
        self.at += 1
        self._deeper()
        made: list[str] = []
        while self.next() != closing:
            made.append(self.value())
            if not self.follows(","):
                break
        self.expect(closing)
        self.depth -= 1
        return made

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise Malformed

    def _scalar(self) -> str:
        number = NUMBER.match(self.text, self.at)
        if number is not None:
            self.at = number.end()
            if self.text[self.at : self.at + 1].isalnum():
                raise Malformed
            return number[0]
        word = self.word()
        if word not in WORDS:
            raise Malformed
        return WORDS[word]

    def _escape(self) -> str:
        kind = self.text[self.at + 1 : self.at + 2]
        if not kind:
            raise Malformed
        if kind in _HEX:
            return self._character()
        octal = _OCTAL.match(self.text, self.at + 1)
        if octal is not None:
            self.at = octal.end()
            return chr(int(octal[0], 8))
        self.at += 2
        return _ESCAPES.get(kind, f"\\{kind}")  # as Python has it

    def _character(self) -> str:
        """A character by its number in hexadecimal digits; two halves of a pair are one."""
        code = self._code()
        if _HIGH <= code < _LOW and self.text.startswith("\\u", self.at):
            low = self._code()
            if not _LOW <= low < _AFTER:
                raise Malformed
            return chr(0x10000 + ((code - _HIGH) << 10) + (low - _LOW))
        if _HIGH <= code < _AFTER or code > 0x10FFFF:
            raise Malformed
        return chr(code)

    def _code(self) -> int:
        size = _HEX[self.text[self.at + 1]]
        digits = self.text[self.at + 2 : self.at + 2 + size]
        if len(digits) < size or re.fullmatch("[0-9a-fA-F]+", digits) is None:
            raise Malformed
        self.at += 2 + size
        return int(digits, 16)


def _object(members: Members) -> str:
    return "{" + ",".join(f"{encode(name).decode()}:{value}" for name, value in members) + "}"


def as_object(members: Members) -> str:
    """Members as the JSON of an object."""
    return _object(members)
