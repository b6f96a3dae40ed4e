"""Whatever a run does, its events make a legal stream of the Messages API, and what a client puts together from that is
the message that a caller without a stream gets.
"""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from antiphon.core.items import Reasoning
from antiphon.core.response import ResponseState
from antiphon.core.signals import OutputItem
from antiphon.core.usage import Usage
from antiphon.core.writer import EventWriter
from antiphon.messages.answer import Wanted, input_of, whole_message
from antiphon.messages.errors import AnswerFailed
from antiphon.messages.stream import MessageStream
from tests.properties.scripts import Player, Script, scripts

Json = dict[str, Any]
_ADDS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("thinking", "signature"),
    "input_json_delta": ("tool_use", "partial_json"),
}
wanted = st.builds(
    Wanted, st.just("m"), st.sampled_from(["none", "sealed", "shown", "shown"]), st.just(("END",))
)


def read(stream: bytes) -> list[Json]:
    """The events, each named alike in both of its lines."""
    events: list[Json] = []
    for block in stream.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def assembled(events: list[Json]) -> Json:
    """The message that a strict client puts together. An illegal order fails here."""
    assert events[0]["type"] == "message_start"
    message: Json = events[0]["message"]
    block: Json | None = None
    ended = False
    for one in events[1:]:
        assert not ended
        match one["type"]:
            case "ping":
                pass
            case "content_block_start":
                assert block is None
                assert one["index"] == len(message["content"])
                block = dict(one["content_block"])
                assert not any(block.get(name) for name in ("text", "thinking", "signature", "input"))
                message["content"].append(block)
            case "content_block_delta":
                assert block is not None
                assert one["index"] == len(message["content"]) - 1
                kind, name = _ADDS[one["delta"]["type"]]
                assert block["type"] == kind
                block[name] = block.get(name, "") + one["delta"][name]
            case "content_block_stop":
                assert block is not None
                assert one["index"] == len(message["content"]) - 1
                if block["type"] == "tool_use":
                    block["input"] = input_of(block.pop("partial_json", ""))
                block = None
            case "message_delta":
                assert block is None
                message |= one["delta"] | {"usage": one["usage"]}
            case kind:
                assert kind in ("message_stop", "error")
                assert block is None
                ended = True
                if kind == "error":
                    message["error"] = one["error"]
                else:
                    assert message["stop_reason"] is not None
    assert ended
    return message


def whole(player: Player, final: bytes, wants: Wanted, met: str | None) -> Json:
    """What a caller without a stream is told."""
    response: Json = json.loads(final)
    details: Json = response["incomplete_details"] or {}
    error: Json = response["error"] or {}
    state = ResponseState(
        response["status"],
        incomplete_reason=details.get("reason"),
        error_code=error.get("code"),
        error_message=error.get("message"),
        usage=msgspec.convert(response["usage"], Usage),
    )
    items = player.writer.finished_items()
    answer: Json = json.loads(whole_message(response["id"], items, state, met, wants))
    return answer


class SealingWriter(EventWriter):
    """Closes reasoning items with their blob, as the runner has it."""

    def close(self, slot: int, item: OutputItem) -> OutputItem:
        if isinstance(item, Reasoning):
            item = msgspec.structs.replace(item, encrypted_content=f"blob {slot}")
        return super().close(slot, item)


@settings(max_examples=300)
@given(scripts, wanted, st.booleans(), st.sampled_from([None, "END", "other"]), st.integers(1, 5))
def test_the_stream_is_legal_and_holds_the_whole_message(
    script: Script, wants: Wanted, summaries: bool, met: str | None, at_once: int
) -> None:
    player = Player(script, SealingWriter(summaries=summaries))
    played = player.play()
    translated = MessageStream(wants, "req_1", lambda: met)
    batches = [played.events[at : at + at_once] for at in range(0, len(played.events), at_once)]
    message = assembled(read(b"".join(translated.frame(batch) for batch in batches)))
    event(f"stop_reason {message['stop_reason']}")
    event(f"blocks {min(len(message['content']), 3)}")
    event(
        f"parts of a thought: {any(chr(10) * 2 in block.get('thinking', '') for block in message['content'])}"
    )
    if "error" in message:
        with pytest.raises(AnswerFailed) as failed:
            whole(player, played.final, wants, met)
        assert message["error"]["message"] == failed.value.message
        return
    assert message == whole(player, played.final, wants, met)
    if wants.thoughts != "shown":
        assert not any(block.get("thinking") for block in message["content"])
