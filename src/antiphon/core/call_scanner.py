"""Finds where a call ends that is written in words, or that it is none, character by character.

It looks at brackets, quotes and words alone; what stands between them is judged when all of it is there
(`call_formats.calls_in`). Nothing is looked at twice, so that a text costs what its length is.
"""

import re
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Literal

from antiphon.core.call_formats import FIRST_KEYS
from antiphon.core.loose_literals import NUMBER, WORDS

_OPENS = {"{": "}", "[": "]", "(": ")"}
_WORD = re.compile(r"[\w+.-]")
_NAME = re.compile(r"[^\W\d][\w.-]*")
_INSIDE = {'"': re.compile(r'[^"\\]+'), "'": re.compile(r"[^'\\]+")}
_LONGEST_WORD = 512
_SIGNS = {"json": frozenset(",:"), "python": frozenset(",:=*")}
_OPENING = {"json": frozenset("{["), "python": frozenset("{[(")}


@dataclass(slots=True)
class Scanner:
    """Of a value in brackets. Fed until it is `closed`, or `broken`: then it cannot be one.

    `dialect` json is of objects and arrays of objects; `is_call` tells by the first key whether it may be a call, once
    that is known. `python` is of a list whose first element calls one of the functions `names`.
    """

    dialect: Literal["json", "python"] = "json"
    names: Container[str] = ()
    closed: bool = False
    broken: bool = False
    is_call: bool | None = None
    _stack: list[str] = field(default_factory=list[str])
    _quote: str = ""
    _escaped: bool = False
    _word: list[str] = field(default_factory=list[str])
    _named: bool = False
    """A name came last: in Python a value or a call of that name follows."""
    _first: list[str] = field(default_factory=list[str])

    def feed(self, text: str, at: int) -> int:
        """Read on from `at`. Returns the place behind what belongs to it."""
        while at < len(text):
            if self._quote:
                at = self._string(text, at)
                continue
            if _WORD.match(text[at]):
                self._letter(text[at])
            elif self._word and not self._ends_word(text[at]):
                self.broken = True
            else:
                self._sign(text[at])
            if self.broken:
                return at
            at += 1
            if self.closed:
                return at
        return at

    def _letter(self, letter: str) -> None:
        self._word.append(letter)
        head = self.is_call is None and self.dialect == "json"
        self.broken = head or self._named or len(self._word) > _LONGEST_WORD

    def _string(self, text: str, at: int) -> int:
        if self._escaped:
            self._escaped = False
            self._keep("\\")
            return at + 1
        here = text[at]
        if here == "\\":
            self._escaped = True
            return at + 1
        if here == self._quote:
            self._quote = ""
            self._judge()
            return at + 1
        run = _INSIDE[self._quote].match(text, at)
        end = run.end() if run is not None else at + 1
        self._keep(text[at:end])
        return end

    def _keep(self, piece: str) -> None:
        """Of the first key, as much as matters."""
        if self.is_call is None and len(self._first) <= _LONGEST_WORD:
            self._first.append(piece)

    def _judge(self) -> None:
        if self.is_call is None:
            self.is_call = "".join(self._first) in FIRST_KEYS

    def _ends_word(self, sign: str) -> bool:
        """Whether the word that ends before this sign can stand there."""
        word = "".join(self._word)
        self._word.clear()
        if self.dialect == "python" and self.is_call is None:
            if sign != "(" and not sign.isspace():
                return False
            self.is_call = self._named = word in self.names
            return self._named
        if word in WORDS or NUMBER.fullmatch(word):
            return True
        self._named = self.dialect == "python" and _NAME.fullmatch(word) is not None
        return self._named

    def _sign(self, sign: str) -> None:
        """Anything but words and what is inside of strings."""
        if sign.isspace():
            return
        if self._named and sign not in "=(":
            self.broken = True
            return
        named, self._named = self._named, False
        if sign in _INSIDE:
            self._open_string(sign)
        elif sign in _OPENING[self.dialect]:
            self._open(sign, named=named)
        elif self._stack and sign == self._stack[-1]:
            self._stack.pop()
            self.closed = not self._stack
            self.broken = self.is_call is None
        else:
            self.broken = sign not in _SIGNS[self.dialect] or self.is_call is None

    def _open_string(self, quote: str) -> None:
        head = self.is_call is None
        self.broken = head and (self.dialect == "python" or self._stack[-1:] != ["}"])
        self._quote = quote

    def _open(self, sign: str, *, named: bool) -> None:
        depth = len(self._stack)
        head = self.is_call is None
        if head and self.dialect == "json":
            self.broken = depth > 0 and (depth > 1 or self._stack[0] != "]" or sign != "{")
        elif head:
            self.broken = depth > 0
        elif sign == "(" and depth == 1 and self.dialect == "python":
            self.broken = not named
        self._stack.append(_OPENS[sign])
