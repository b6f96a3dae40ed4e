"""Is a stream legal in order? What no schema can say: semantics of the Responses stream, event by event."""

import json
from collections.abc import Iterable
from typing import Any, cast

Json = dict[str, Any]
TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})
_IN_PARTS = frozenset({"response.output_text", "response.refusal"})
_WHOLE_KEYS = ("text", "arguments", "refusal", "input")


class Frame:
    """One SSE event as sent: its `event:` name, or None, and its `data:` text."""

    def __init__(self, block: str) -> None:
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        self.names = [line.removeprefix("event:").strip() for line in lines if line.startswith("event:")]
        self.data = [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
        self.others = [line for line in lines if not line.startswith(("event:", "data:"))]


def frames(body: bytes) -> list[Frame]:
    """The whole frames of an SSE body; a last one without its blank line was cut off and is left out."""
    blocks = body.decode().split("\n\n")[:-1]
    return [frame for frame in map(Frame, blocks) if frame.names or frame.data or frame.others]


def response_events(body: bytes, violations: list[str], *, lenient: bool = False) -> list[Json]:
    """The events of a Responses stream. What is wrong with their framing is added to `violations`.

    `lenient` takes what other servers may do: CRLF line ends, `id:` and `retry:` lines, and a `[DONE]` at the end,
    which Open Responses asks for.
    """
    events: list[Json] = []
    found = frames(body.replace(b"\r\n", b"\n") if lenient else body)
    for at, frame in enumerate(found):
        if lenient and frame.data == ["[DONE]"] and at == len(found) - 1:
            continue
        others = [line for line in frame.others if not (lenient and line.startswith(("id:", "retry:")))]
        if len(frame.data) != 1 or len(frame.names) != 1 or others:
            violations.append(f"a frame needs one event line and one data line: {frame.names} {frame.data}")
            continue
        if frame.data[0] == "[DONE]":
            violations.append("a Responses stream has no [DONE]")
            continue
        event = _object(frame.data[0])
        if event is None:
            violations.append(f"the data of {frame.names[0]} is no JSON object: {frame.data[0][:200]}")
            continue
        if event.get("type") != frame.names[0]:
            violations.append(f"event line {frame.names[0]} over type {event.get('type')}")
        events.append(event)
    return events


def _object(text: str) -> Json | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("Json", value) if isinstance(value, dict) else None


class StreamCheck:
    """Reads the events of one response in order and collects what is illegal about them.

    The shape of the events is not looked at, see `conformance.shapes`. `numbered` false leaves their numbers alone.
    """

    def __init__(self, *, numbered: bool = True) -> None:
        self.violations: list[str] = []
        self._numbered = numbered
        self._next = 0
        self._ended = ""
        self._response_id: object = None
        self._open: dict[int, Json] = {}
        self._done: dict[int, Json] = {}
        self._text: dict[tuple[object, ...], str] = {}
        self._parts: dict[tuple[int, object], str] = {}
        self._first = True

    def feed(self, event: Json) -> None:
        kind: str = event["type"]
        if self._numbered and event.get("sequence_number") != self._next:
            self._say(f"{kind} has sequence number {event.get('sequence_number')}, not {self._next}")
        self._next += 1
        if self._ended:
            self._say(f"{kind} after {self._ended}")
        if self._first and kind not in {"response.created", "error"}:
            self._say(f"the stream begins with {kind}")
        self._first = False
        if "response" in event:
            self._of_response(event)
        if kind in TERMINAL:
            self._end(event)
        elif kind == "response.output_item.added":
            self._added(event)
        elif kind == "response.output_item.done":
            self._closed(event)
        elif "output_index" in event:
            self._inside(event)

    def finish(self, *, whole: bool = True) -> list[str]:
        """All violations. `whole` says that the client read to the end."""
        if whole and not self._ended:
            self._say("the stream has no terminal event")
        return self.violations

    def _say(self, violation: str) -> None:
        self.violations.append(violation)

    def _of_response(self, event: Json) -> None:
        """Every event that holds the response holds the same one."""
        found = event["response"].get("id")
        if self._response_id is None:
            self._response_id = found
        elif found != self._response_id:
            self._say(f"{event['type']} is of response {found}, the stream of {self._response_id}")

    def _added(self, event: Json) -> None:
        index = event["output_index"]
        if index != len(self._open) + len(self._done):
            self._say(f"item {event['item'].get('type')} was added at output index {index}, out of turn")
        self._open[index] = event["item"]

    def _closed(self, event: Json) -> None:
        index, item = event["output_index"], event["item"]
        opened = self._open.pop(index, None)
        if opened is None:
            self._say(f"item at index {index} is done but was never open")
        elif (opened.get("id"), opened["type"]) != (item.get("id"), item["type"]):
            self._say(f"item at index {index} was {opened.get('id')}, ended as {item.get('id')}")
        for (at, content), state in self._parts.items():
            if at == index and state == "open":
                self._say(f"item at index {index} is done, its part {content} is still open")
        self._done[index] = item
        self._compare(index, item)

    def _inside(self, event: Json) -> None:
        index = event["output_index"]
        item = self._open.get(index)
        if item is None:
            self._say(f"{event['type']} for index {index}, where no item is open")
            return
        if event.get("item_id", item.get("id")) != item.get("id"):
            self._say(f"{event['type']} names item {event['item_id']}, open is {item.get('id')}")
        stem, _, verb = event["type"].rpartition(".")
        self._part(event, stem, verb)
        key = (index, stem, event.get("content_index"), event.get("summary_index"))
        if verb == "delta":
            self._text[key] = self._text.get(key, "") + str(event.get("delta", ""))
        elif verb == "done":
            whole = next((event[name] for name in _WHOLE_KEYS if name in event), None)
            if whole is not None and whole != self._text.get(key, ""):
                self._say(f"{event['type']} is not the sum of its deltas: {whole!r}")

    def _part(self, event: Json, stem: str, verb: str) -> None:
        """Parts are announced before their text and closed after it: clients fill the part that was announced."""
        if stem != "response.content_part" and stem not in _IN_PARTS:
            return
        index, content = event["output_index"], event.get("content_index")
        state = self._parts.get((index, content))
        if stem == "response.content_part" and verb == "added":
            if state is not None:
                self._say(f"part {content} of the item at index {index} was added twice")
            self._parts[index, content] = "open"
            return
        if state != "open":
            self._say(f"{event['type']} for part {content} of the item at index {index}, which is not open")
        if stem == "response.content_part":
            self._parts[index, content] = "done"

    def _compare(self, index: int, item: Json) -> None:
        """The final item is what its deltas add up to."""
        for (at, stem, content, summary), text in self._text.items():
            if at != index:
                continue
            if stem == "response.function_call_arguments":
                shown = item.get("arguments")
            elif stem == "response.custom_tool_call_input":
                shown = item.get("input")
            elif isinstance(summary, int):
                shown = _text_at(item.get("summary"), summary)
            elif isinstance(content, int):
                shown = _text_at(item.get("content"), content)
            else:
                continue
            if shown != text:
                self._say(f"item {item.get('id')} ends as {shown!r}, its deltas say {text!r}")

    def _end(self, event: Json) -> None:
        self._ended = event["type"]
        if self._open:
            self._say(f"{self._ended} while items {sorted(self._open)} are open")
        output = event["response"]["output"]
        said = [self._done[index] for index in sorted(self._done)]
        if output != said:
            self._say(f"the final output is not the items that were done: {output!r} against {said!r}")


def _text_at(parts: Any, index: int) -> object:
    if not isinstance(parts, list) or index >= len(cast("list[Json]", parts)):
        return None
    part = cast("list[Json]", parts)[index]
    return part.get("text", part.get("refusal"))


def check_stream(events: Iterable[Json], *, whole: bool = True) -> list[str]:
    check = StreamCheck()
    for event in events:
        check.feed(event)
    return check.finish(whole=whole)
