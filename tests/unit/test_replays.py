"""What a client sends again is shown to the model once."""

import pytest

from antiphon.core.items import FunctionCall, FunctionCallOutput, InputText, Message, OutputText
from antiphon.core.replays import Placed, without_replays
from antiphon.core.seen import StoredItem, TranscriptItem
from antiphon.core.transcript import PastTurn

TURN = PastTurn(
    "resp_1",
    b'[{"type":"message","id":"msg_1","role":"system","content":[{"type":"input_text","text":"Be brief."}]},'
    b'{"type":"message","id":"msg_2","role":"user","content":"Weather?"}]',
    b'[{"type":"function_call","id":"fc_1","call_id":"call_1","name":"get_weather","arguments":"{}"}]',
)
OUTPUT = FunctionCallOutput(call_id="call_1", output="rain")


def user(*parts: str) -> Message:
    return Message(role="user", content=[InputText(text=part) for part in parts])


def placed(*items: TranscriptItem) -> list[Placed]:
    return list(enumerate(items))


SYSTEM = Message(role="system", content="Be brief.")
EMPTY = Message(role="assistant", content=[OutputText(text="", annotations=[])])


@pytest.mark.parametrize(
    "head", [[SYSTEM, user("Weather?"), EMPTY], [user("Wea", "ther?"), EMPTY], [EMPTY], []]
)
def test_what_led_to_a_call_is_not_shown_again_before_its_output(head: list[Message]) -> None:
    at = len(head)
    assert without_replays([TURN], placed(*head, OUTPUT), ["call_1"]) == [(at, OUTPUT)]


@pytest.mark.parametrize(
    "items",
    [
        placed(user("Hurry."), OUTPUT),
        placed(user("Weather?"), OUTPUT),
        placed(OUTPUT, user("Weather?")),
        placed(Message(role="developer", content="Be brief."), OUTPUT),
    ],
)
def test_what_is_new_stays(items: list[Placed]) -> None:
    assert without_replays([TURN], items, ["call_1"]) == items


def test_what_is_new_among_it_stays() -> None:
    again: list[TranscriptItem] = [SYSTEM, user("Hurry."), EMPTY, user("Weather?"), OUTPUT]
    assert [at for at, _ in without_replays([TURN], placed(*again), ["call_1"])] == [1, 3, 4]


def test_a_call_that_is_sent_again_tells_that_what_led_to_it_is_a_replay() -> None:
    call = FunctionCall(call_id="call_1", name="get_weather", arguments="{}")
    stored: list[StoredItem] = [user("Weather?"), call, user("Weather?"), OUTPUT]
    shown: list[Placed] = [(0, user("Weather?")), (2, user("Weather?")), (3, OUTPUT)]
    assert [at for at, _ in without_replays([TURN], shown, ["call_1"], stored)] == [2, 3]


def test_a_question_asked_again_without_an_output_stays() -> None:
    again = placed(SYSTEM, user("Weather?"))
    assert without_replays([TURN], again, []) == again


def test_without_a_chain_nothing_is_a_replay() -> None:
    alone = placed(user("Weather?"), OUTPUT)
    assert without_replays([], alone, ["call_1"]) == alone
