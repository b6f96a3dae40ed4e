"""Parts of items: annotations beside their text, and summary parts that end before the next begins."""

import json
from typing import Any

import msgspec
import pytest

from antiphon.core.events import Event
from antiphon.core.items import Message, OutputText, Reasoning, SummaryText, UrlCitation
from antiphon.core.writer import EventWriter

NOTES = [
    UrlCitation(url="http://a.test", title="A", start_index=0, end_index=2),
    UrlCitation(url="http://b.test", title="B", start_index=3, end_index=5),
]


def written(writer: EventWriter) -> list[dict[str, Any]]:
    """The events so far, each valid as its type."""
    events = [json.loads(event.data) for event in writer.take()]
    for event in events:
        if event["type"] not in {"response.created", "response.in_progress"}:
            msgspec.convert(event, Event)
    return events


def begun() -> EventWriter:
    writer = EventWriter()
    writer.begin(b"{}")
    writer.take()
    return writer


@pytest.mark.parametrize("streamed", [False, True])
def test_annotations_come_after_the_text_and_before_its_end(streamed: bool) -> None:
    writer = begun()
    writer.open(0, Message(id="msg_1", role="assistant", content=[]))
    if streamed:
        writer.delta(0, "output_text", "ab cd")
    part = OutputText(text="ab cd", annotations=[*NOTES])
    writer.close(0, Message(id="msg_1", role="assistant", content=[part]))
    events = written(writer)
    assert [event["type"].removeprefix("response.") for event in events] == [
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
    ]
    notes = [event for event in events if event["type"].endswith("annotation.added")]
    assert [(note["annotation_index"], note["annotation"]["title"]) for note in notes] == [(0, "A"), (1, "B")]
    assert {(note["item_id"], note["content_index"]) for note in notes} == {("msg_1", 0)}
    listed = [note["annotation"] for note in notes]
    assert events[-2]["part"]["annotations"] == events[-1]["item"]["content"][0]["annotations"] == listed


def test_each_summary_part_ends_before_the_next_begins() -> None:
    writer = begun()
    writer.open(0, Reasoning(id="rs_1"))
    for index, text in ((0, "one"), (0, " more"), (2, "two")):
        writer.summary(0, index, text)
    summary = [SummaryText(text="one more"), SummaryText(text="two")]
    writer.close(0, Reasoning(id="rs_1", summary=summary, encrypted_content="blob"))
    events = written(writer)
    assert [
        (event["type"].rpartition("reasoning_summary_")[2], event.get("summary_index")) for event in events
    ] == [
        ("response.output_item.added", None),
        ("part.added", 0),
        ("text.delta", 0),
        ("text.delta", 0),
        ("text.done", 0),
        ("part.done", 0),
        ("part.added", 1),
        ("text.delta", 1),
        ("text.done", 1),
        ("part.done", 1),
        ("response.output_item.done", None),
    ]
    assert [event["text"] for event in events if event["type"].endswith("text.done")] == ["one more", "two"]
    assert "encrypted_content" not in events[0]["item"]
    assert events[-1]["item"]["encrypted_content"] == "blob"
