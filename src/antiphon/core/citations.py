"""Citations: the markers that a model writes behind what it took from a search become annotations.

A marker is `[cite:1]`, `[cite:1,3]`, or `【1†…】` as some models write by themselves. None is ever visible: what may
become one is held back until it is known whether it does. `index` of a `file_citation` is the place in the shown text
where its marker stood, counted in characters.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from antiphon.core.file_search import numbered, results_of
from antiphon.core.hosted_items import FileSearchCall
from antiphon.core.items import Annotation, FileCitation, Message, MessagePart, OutputText
from antiphon.core.wire import UNSET

_SPACES = r"[ \t]{0,8}"
_MARKER = re.compile(
    _SPACES + r"(?:\[cite:\s{0,4}(\d{1,6}(?:\s{0,4},\s{0,4}\d{1,6}){0,31})\s{0,4}\]"
    r"|【(\d{1,6})(?::\d{1,6})?(†[^】\[\n]{0,200})?】)"
)
_BEGUN = (
    r"(?:\[(?:c(?:i(?:t(?:e(?::[\s\d,]{0,500})?)?)?)?)?"
    r"|【(?:\d{1,6}(?::\d{0,6})?(?:†[^】\[\n]{0,200})?)?)"
)
_OPEN_END = re.compile(_SPACES + _BEGUN + r"{0,8}\Z")
_AROUND = re.compile(_BEGUN + r"{1,8}\Z")
"""What stands in front of a marker, and with what stands behind it may be another one."""
_CUT_OFF = re.compile(_SPACES + r"(?:\[cite:[\s\d,]*|【\d{1,6}(?::\d{1,6})?†[^】\[\n]*)\Z")
_NUMBER = re.compile(r"\d+")

Piece = str | FileCitation


@dataclass(slots=True)
class _Text:
    """One text on its way: what is held back, and how many characters were let through."""

    held: str = ""
    shown: int = 0


@dataclass(slots=True)
class Citations:
    """The sources of one response, its conversation's included, and the texts that cite them."""

    _sources: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    _texts: dict[int, _Text] = field(default_factory=dict[int, _Text])

    @classmethod
    def of(cls, earlier: Iterable[FileSearchCall]) -> "Citations":
        """With the results of earlier searches, which can be cited again."""
        made = cls()
        for item in earlier:
            made._learn(item)
        return made

    def numbered(self, item: FileSearchCall) -> FileSearchCall:
        """A search that was made, each of its results with a number of its own, by which it can be cited."""
        item = numbered(item, max(self._sources, default=0) + 1)
        self._learn(item)
        return item

    def _learn(self, item: FileSearchCall) -> None:
        for one in results_of(item):
            if one.number is not UNSET and one.file_id:
                self._sources[one.number] = (one.file_id, one.filename or "")

    # --- a text as it comes ---------------------------------------------------------------------------------
    def feed(self, slot: int, text: str) -> Sequence[Piece]:
        """What can be shown now of a message's text: pieces of it, and citations where they stand."""
        state = self._texts.setdefault(slot, _Text())
        if not state.held and "[" not in text and "【" not in text and text[-1:] not in (" ", "\t"):
            state.shown += len(text)  # nothing in it that could be, or become, a marker
            return (text,)
        state.held += text
        return self._pieces(state)

    def finish(self, slot: int) -> Sequence[Piece]:
        """What was held back of a text that is complete. A marker that was cut off is dropped."""
        state = self._texts.pop(slot, None)
        if state is None or not state.held:
            return ()
        return [rest] if (rest := _CUT_OFF.sub("", state.held)) else ()

    def _pieces(self, state: _Text) -> list[Piece]:
        """Take out of `held` all that is decided."""
        pieces: list[Piece] = []
        text, at = state.held, 0
        while (found := _MARKER.search(text, at)) is not None:
            cited = self._cited(found)
            around = _AROUND.search(text, at, found.start()) if found[0][0] in "[【" else None
            if cited is None:
                at = self._show(state, pieces, text, at, found.end())
                continue
            self._show(state, pieces, text, at, found.start() if around is None else around.start())
            pieces += [FileCitation(file_id=one, filename=name, index=state.shown) for one, name in cited]
            at = found.end()
            if around is not None:
                text, at = around[0] + text[at:], 0
        open_end = _OPEN_END.search(text, at)
        stop = self._show(state, pieces, text, at, len(text) if open_end is None else open_end.start())
        state.held = text[stop:]
        return pieces

    @staticmethod
    def _show(state: _Text, pieces: list[Piece], text: str, start: int, end: int) -> int:
        """Let `text[start:end]` through. Its end."""
        if end > start:
            pieces.append(text[start:end])
            state.shown += end - start
        return end

    def _cited(self, marker: re.Match[str]) -> list[tuple[str, str]] | None:
        """The files that a marker names, each once; None where it is no marker but somebody's brackets."""
        numbers = [int(one) for one in _NUMBER.findall(marker[1] or marker[2])]
        known = [self._sources[one] for one in numbers if one in self._sources]
        if marker[1] is None and marker[3] is None and not known:
            return None
        return list(dict.fromkeys(known))

    # --- a message that is there whole ------------------------------------------------------------------------
    def cleaned(self, message: Message) -> Message:
        """The message as it is shown: its texts without markers, with their citations."""
        if isinstance(message.content, str):
            return message
        return msgspec.structs.replace(message, content=[self._cleaned(part) for part in message.content])

    def _cleaned(self, part: MessagePart) -> MessagePart:
        if not isinstance(part, OutputText):
            return part
        whole = -1  # no slot of a model's
        self._texts.pop(whole, None)
        pieces = [*self.feed(whole, part.text), *self.finish(whole)]
        text = "".join(one for one in pieces if isinstance(one, str))
        found: list[Annotation] = [one for one in pieces if isinstance(one, FileCitation)]
        return msgspec.structs.replace(part, text=text, annotations=[*part.annotations, *found])
