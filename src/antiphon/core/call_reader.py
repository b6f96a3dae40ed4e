"""Tells calls from text in what a model writes that was told its tools in words.

What is clearly text is passed on at once; what may be a call is held until that is decided. A call that cannot be read,
or is of no tool that was offered, is text, as it was written. Several calls may come in one answer, with text before,
between and behind them; white space around them belongs to nobody, and code fences, `<|python_tag|>` and the like are
left out where they surround a call, and the tokens that end a message wherever they end the answer.

The same text gives the same whatever pieces it comes in, in time that grows with its length alone.
"""

import re
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from antiphon.core.call_formats import CallFormat, WrittenCall, calls_in
from antiphon.core.call_scanner import Scanner
from antiphon.core.loose_literals import Malformed

Piece = str | WrittenCall
FENCE = "```"
_SPECIAL = {
    "json": re.compile(r"[{\[<`]"),
    "function_tag": re.compile(r"[<`]"),
    "python_list": re.compile(r"[\[<`]"),
}
"""Where something may begin that is no text."""
_BETWEEN = {
    "json": re.compile(r"[\s,;]+"),
    "function_tag": re.compile(r"\s+"),
    "python_list": re.compile(r"\s+"),
}
_OPENERS = ("<|python_tag|>", "<tool_call>")
_CLOSERS = ("</tool_call>", "</function>")
_ENDS = ("<|eom_id|>", "<|eot_id|>", "<|end_of_text|>", "<|im_end|>")
_FUNCTION = "<function="
_NO_ARGUMENTS = "</function>"
_TAGS = {
    "json": (*_OPENERS, *_CLOSERS, *_ENDS),
    "function_tag": (*_OPENERS, *_CLOSERS, *_ENDS, _FUNCTION),
    "python_list": (*_OPENERS, *_CLOSERS, *_ENDS),
}
_INFO = re.compile(r"[A-Za-z0-9_+-]")
_LONGEST_FENCE = 24
_NAME = re.compile(r"[A-Za-z0-9_.-]")
_LONGEST_NAME = 128
_Kind = Literal["space", "separator", "opener", "fence", "end"]
_State = Literal["text", "fence", "tag", "name", "arguments", "call", "data"]


@dataclass(slots=True)
class CallReader:
    """Reads one message. `names` are the tools that the model may call."""

    form: CallFormat
    names: Container[str]
    _state: _State = "text"
    _held: list[tuple[_Kind, str]] = field(default_factory=list["tuple[_Kind, str]"])
    """What comes before something undecided, and goes with it if that is a call."""
    _open: list[str] = field(default_factory=list[str])
    """What is looked at and may be a call, a fence or a tag."""
    _tag_read: str = ""
    _scanner: Scanner = field(default_factory=Scanner)
    _behind: bool = False
    """A call came last."""
    _fenced: bool = False
    """A fence was opened in front of it."""
    _out: list[Piece] = field(default_factory=list[Piece])

    def feed(self, text: str) -> list[Piece]:
        """What is decided now: texts and calls, in order."""
        at = 0
        while at < len(text):
            match self._state:
                case "text":
                    at = self._text(text, at)
                case "fence":
                    at = self._fence(text, at)
                case "tag":
                    at = self._tag(text, at)
                case "name":
                    at = self._name(text, at)
                case "arguments":
                    at = self._before_arguments(text, at)
                case "call" | "data":
                    at = self._scan(text, at)
        return self._taken()

    def finish(self) -> list[Piece]:
        """The rest: what is still undecided is text."""
        if self._state == "fence" and len(self._open) >= len(FENCE):
            self._end_fence(" ")
        self._give_up()
        if not self._behind:
            self._say("".join(text for kind, text in self._held if kind != "end"))
        self._held.clear()
        return self._taken()

    def _taken(self) -> list[Piece]:
        out, self._out = self._out, []
        joined: list[Piece] = []
        texts: list[str] = []
        for piece in out:
            if isinstance(piece, str):
                texts.append(piece)
                continue
            if texts:
                joined.append("".join(texts))
                texts.clear()
            joined.append(piece)
        return [*joined, "".join(texts)] if texts else joined

    # --- what comes out ---------------------------------------------------------------------------------------
    def _say(self, text: str) -> None:
        if text:
            self._out.append(text)

    def _plain(self, text: str) -> None:
        """What is text, unless it is the white space, or the sign, between two calls."""
        if self._behind and (between := _BETWEEN[self.form].match(text)):
            self._held.append(("separator", between[0]))
            text = text[between.end() :]
        said = text.rstrip()
        if said:
            whole = "".join(held for _, held in self._held) + said
            self._held.clear()
            self._say(whole.lstrip() if self._behind else whole)
            self._behind = self._fenced = False
        if len(said) < len(text):
            self._held.append(("space", text[len(said) :]))

    def _give_up(self) -> None:
        """What was looked at is text."""
        text = "".join(self._open)
        self._leave()
        if text:
            self._plain(text)

    def _leave(self) -> None:
        self._open.clear()
        self._tag_read = ""
        self._state = "text"

    def _call(self, calls: list[WrittenCall]) -> None:
        self._leave()
        self._fenced = self._fenced or any(kind == "fence" for kind, _ in self._held)
        self._held.clear()
        self._behind = True
        self._out += calls

    # --- text, fences and tags --------------------------------------------------------------------------------
    def _text(self, text: str, at: int) -> int:
        found = _SPECIAL[self.form].search(text, at)
        end = found.start() if found is not None else len(text)
        if end > at:
            self._plain(text[at:end])
        if found is None:
            return end
        self._open.append(found[0])
        match found[0]:
            case "`":
                self._state = "fence"
            case "<":
                self._state = "tag"
                self._tag_read = "<"
            case sign:
                self._look(Scanner("json" if self.form == "json" else "python", self.names), sign)
        return found.end()

    def _fence(self, text: str, at: int) -> int:
        here = text[at]
        length = len(self._open)
        if here == "`" if length < len(FENCE) else _INFO.match(here) and length < _LONGEST_FENCE:
            self._open.append(here)
            return at + 1
        if length < len(FENCE):
            self._give_up()
        else:
            self._end_fence(here)
        return at

    def _end_fence(self, behind: str) -> None:
        """It is one where a line ends, or what may be a call begins."""
        fence = "".join(self._open)
        if self._behind and self._fenced:
            self._fenced = False
            self._open = [fence[len(FENCE) :]]
            self._give_up()
        elif behind.isspace() or (behind != "`" and _SPECIAL[self.form].match(behind)):
            self._leave()
            self._held.append(("fence", fence))
        else:
            self._give_up()

    def _tag(self, text: str, at: int) -> int:
        tag = self._tag_read + text[at]
        if not any(one.startswith(tag) for one in _TAGS[self.form]):
            self._give_up()
            return at
        self._open.append(text[at])
        self._tag_read = tag
        if tag in _TAGS[self.form]:
            self._whole_tag(tag)
        return at + 1

    def _whole_tag(self, tag: str) -> None:
        self._tag_read = ""
        if tag == _FUNCTION:
            self._open = [tag]
            self._state = "name"
        elif tag in _CLOSERS and not self._behind:
            self._give_up()
        else:
            self._leave()
            if tag not in _CLOSERS:
                self._held.append(("opener" if tag in _OPENERS else "end", tag))

    # --- calls ------------------------------------------------------------------------------------------------
    def _look(self, scanner: Scanner, sign: str) -> None:
        scanner.feed(sign, 0)
        self._scanner = scanner
        self._state = "call"

    def _name(self, text: str, at: int) -> int:
        here = text[at]
        if here == ">" and "".join(self._open[1:]) in self.names:
            self._state = "arguments"
        elif not _NAME.match(here) or len(self._open) > _LONGEST_NAME:
            self._give_up()
            return at
        self._open.append(here)
        return at + 1

    def _before_arguments(self, text: str, at: int) -> int:
        here = text[at]
        tag = self._tag_read + here
        if here == "{" and not self._tag_read:
            self._look(Scanner(is_call=True), here)
        elif _NO_ARGUMENTS.startswith(tag):
            self._tag_read = tag
        elif not here.isspace() or self._tag_read:
            self._give_up()
            return at
        self._open.append(here)
        if tag == _NO_ARGUMENTS:
            self._call([WrittenCall("".join(self._open[1:]).partition(">")[0], "{}")])
        return at + 1

    def _scan(self, text: str, at: int) -> int:
        """Of a call, or of data that look like one at first; those are text as they come."""
        scanner = self._scanner
        end = scanner.feed(text, at)
        if self._state == "data":
            self._plain(text[at:end])
        else:
            self._open.append(text[at:end])
        if scanner.is_call is False and self._state == "call":
            self._give_up()
            self._state = "data"
        if scanner.broken or scanner.closed:
            self._decide(whole=scanner.closed and not scanner.broken)
        return end

    def _decide(self, *, whole: bool) -> None:
        if self._state == "data":
            self._state = "text"
            return
        calls: list[WrittenCall] = []
        if whole:
            with suppress(Malformed):
                calls = calls_in(self.form, "".join(self._open).removeprefix(_FUNCTION))
        if calls and all(call.name in self.names for call in calls):
            self._call(calls)
            return
        self._give_up()
