"""What is left of a conversation after items were taken out of it."""

from typing import Any

from antiphon.core.compaction import Compacted, compaction_item
from antiphon.core.items import FunctionCall, FunctionCallOutput, InputText, Message
from antiphon.core.removals import as_left
from antiphon.core.transcript import THINNED, PastTurn
from antiphon.core.wire import encode


def said(item_id: str, text: str) -> Message:
    return Message(id=item_id, role="user", status="completed", content=[InputText(text=text)])


def call(**more: Any) -> FunctionCall:
    return FunctionCall(call_id="c", name="f", arguments="{}", **more)


def output(**more: Any) -> FunctionCallOutput:
    return FunctionCallOutput(call_id="c", output="warm", **more)


def turn(name: str, given: object = (), made: object = ()) -> PastTurn:
    return PastTurn(name, encode(given), encode(made))


def removal(*ids: str) -> PastTurn:
    return PastTurn("gone", b"[]", b"[]", removes=ids)


def texts(turns: Any) -> list[str]:
    """What the model sees of the turns."""
    seen = [item for one in turns for item in one.items()]
    return [item.content[0].text if isinstance(item, Message) else type(item).__name__ for item in seen]  # type: ignore[union-attr]  # every message here has one text


COMPACTION = compaction_item(
    Compacted(summary="S", before=[said("m1", "one")], after=[said("m2", "two"), call(), output()])
)


def test_what_a_compaction_keeps_word_for_word_is_removed_too() -> None:
    first = turn("r1", [said("m1", "one"), said("m2", "two")])
    compacted = turn("r2", made=[COMPACTION])
    left = as_left([first, compacted, removal("m2")])
    assert texts(left[1:])[0] == "one"
    assert "two" not in texts(left)
    assert b"two" not in left[1].output
    assert THINNED in left[1].id
    assert compacted.output != left[1].output


def test_a_compaction_loses_calls_and_outputs_that_it_keeps_without_their_ids() -> None:
    first = turn("r1", made=[call(id="fc1", status="completed")])
    second = turn("r2", [output(id="fco1", status="completed")], [COMPACTION])
    left = as_left([first, second, removal("fc1", "fco1")])
    assert texts(left[1:])[0] == "one"
    assert not {"FunctionCall", "FunctionCallOutput"} & set(texts(left))
    without_output = as_left([first, second, removal("fco1")])
    assert texts(without_output).count("FunctionCallOutput") == 0
    assert without_output[1].unanswered == {"c"}


def test_a_compaction_that_keeps_nothing_of_it_stays_as_it_is() -> None:
    turns = [turn("r1", [said("m3", "three")]), turn("r2", made=[COMPACTION])]
    left = as_left([*turns, removal("m3")])
    assert left[1] is turns[1]
    assert left[0].input == b"[]"


def test_what_was_removed_before_a_compaction_and_put_back_is_kept() -> None:
    turns = [turn("r1", [said("m1", "one")]), removal("m1"), turn("r2", made=[COMPACTION])]
    assert as_left(turns)[1] is turns[2]


def test_a_turn_names_its_items_without_reading_them() -> None:
    one = turn("r1", [said("m1", '"id":"m9"')], [call(id="fc1"), call()])
    assert one.item_ids() == {"m1", "fc1"}
