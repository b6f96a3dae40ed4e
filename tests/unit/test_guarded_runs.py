"""Runs with shields, marks and a setup of their own: what shields see, what comes of what they say, what is kept."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from antiphon.core import marks
from antiphon.core.guarding import shown
from antiphon.core.items import (
    FunctionCall,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputText,
    Message,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
    SummaryText,
)
from antiphon.core.request import ResponseRequest
from antiphon.core.seen import TranscriptItem
from antiphon.core.shields import ShieldMessage, Touchpoint, Violation
from antiphon.core.transcript import PastTurn
from antiphon.core.turn_rules import TurnRules
from antiphon.core.withheld import WITHHELD, as_told
from antiphon.core.writer import Event
from antiphon.models.catalog import Catalog
from antiphon.ports import Owner, StoredResponse
from antiphon.responses.service import ResponseService
from antiphon.responses.setup import RunSetup
from antiphon.runs.runner import Run
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, FakeIds, PlainSealer, ToolBox, scripted_model

OWNER = Owner("t", "o")
STOP = Violation(violation_level="error", user_message="Not that.", metadata={"shield": "s"})


@dataclass
class Listening:
    """Shields that say what `verdict` does, and keep what they were asked."""

    verdict: Callable[[Touchpoint], Violation | None]
    asked: list[tuple[Touchpoint, Sequence[str], Sequence[ShieldMessage]]] = field(
        default_factory=list["tuple[Touchpoint, Sequence[str], Sequence[ShieldMessage]]"]
    )

    async def check(self, owner: Owner, shield_ids: Sequence[str], field: str) -> None:
        """Every shield will do."""

    async def run(
        self,
        owner: Owner,
        shield_ids: Sequence[str],
        messages: Sequence[ShieldMessage],
        touchpoint: Touchpoint,
    ) -> Violation | None:
        self.asked.append((touchpoint, shield_ids, messages))
        return self.verdict(touchpoint)


def service(shields: Listening | None, *rules: dict[str, object]) -> ResponseService:
    catalog = Catalog({"demo": scripted_model(*rules)}, clock=FakeClock())
    return ResponseService(
        catalog, MemoryStore(), ToolBox(), FakeClock(), FakeIds(), PlainSealer(), shields=shields
    )


async def prepared(responses: ResponseService, setup: RunSetup, **fields: object) -> Run:
    model = (await responses.catalog.list())[0].id
    body = json.dumps({"model": model, "input": "hi", **fields}).encode()
    return await responses.prepare(OWNER, ResponseRequest.parse(body), setup=setup)


async def run_of(
    responses: ResponseService, setup: RunSetup, **fields: object
) -> tuple[dict[str, Any], list[Event]]:
    """The final response of a run, and its events with marks."""
    run = await prepared(responses, setup, **fields)
    events: list[Event] = []

    async def keep(some: list[Event]) -> None:
        events.extend(some)

    run.emit = keep
    return json.loads(await run.execute()), events


GUARDED = TurnRules(input_shields=("a",), output_shields=("b", "c"), marks=True)


async def test_marks_stand_between_the_events() -> None:
    shields = Listening(lambda _: None)
    final, events = await run_of(service(shields), RunSetup(rules=GUARDED, events=True))
    kinds = [event.type for event in events if event.type in marks.MARKS or event.type.endswith("added")]
    assert kinds == [
        marks.SHIELDS_STARTED,
        marks.SHIELDS_DONE,
        marks.STEP_STARTED,
        "response.output_item.added",
        "response.content_part.added",
        marks.STEP_DONE,
        marks.SHIELDS_STARTED,
        marks.SHIELDS_DONE,
    ]
    numbered = [event.number for event in events if event.number >= 0]
    assert numbered == list(range(len(numbered)))
    assert [(one[0], one[1]) for one in shields.asked] == [
        ("user-input", ("a",)),
        ("assistant-output", ("b", "c")),
    ]
    said = final["output"][0]["content"][0]["text"]
    assert [message.text for message in shields.asked[1][2]] == ["hi", said]


async def test_a_run_without_marks_has_none() -> None:
    rules = TurnRules(input_shields=("a",))
    _, events = await run_of(service(Listening(lambda _: None)), RunSetup(rules=rules), stream=True)
    assert not marks.MARKS & {event.type for event in events}
    assert {event.number for event in events} == set(range(len(events)))


async def test_what_may_not_come_in_is_shown_to_no_model() -> None:
    responses = service(Listening(lambda _: STOP))
    final, events = await run_of(responses, RunSetup(rules=GUARDED, events=True))
    assert final["status"] == "completed"
    assert [item["content"] for item in final["output"]] == [[{"type": "refusal", "refusal": "Not that."}]]
    assert marks.STEP_STARTED not in {event.type for event in events}
    assert final["usage"]["total_tokens"] == 0
    again = await run_of(service(Listening(lambda _: None)), RunSetup(rules=GUARDED))
    assert again[0]["usage"]["total_tokens"] > 0


async def test_what_may_not_go_out_is_followed_by_a_refusal() -> None:
    shields = Listening(lambda touchpoint: STOP if touchpoint == "assistant-output" else None)
    final, _ = await run_of(service(shields), RunSetup(rules=GUARDED))
    kinds = [item["content"][0]["type"] for item in final["output"]]
    assert (final["status"], kinds) == ("completed", ["output_text", "refusal"])


@pytest.mark.parametrize("touchpoint", ["user-input", "assistant-output"])
async def test_what_was_stopped_is_told_to_no_later_response(touchpoint: Touchpoint) -> None:
    shields = Listening(lambda asked: STOP if asked == touchpoint else None)
    responses = service(shields, {"reply": [{"reasoning": "made thought"}, {"text": "made answer"}]})
    stopped, _ = await run_of(responses, RunSetup(rules=GUARDED), input="bad canary")
    run = await prepared(responses, RunSetup(), input="and now?", previous_response_id=stopped["id"])
    told = run.loop.transcript.all_items()
    assert [getattr(item, "content", None) for item in told[:2]] == [
        [InputText(text=WITHHELD if touchpoint == "user-input" else "bad canary")],
        [Refusal(refusal="Not that.")],
    ]
    assert len(told) == 3
    kept = await responses.store.get_response(OWNER, stopped["id"])
    assert kept is not None
    assert b"bad canary" in kept.input  # for whoever looks into what was stopped


def test_a_stopped_answer_of_a_tool_stays_an_answer() -> None:
    item = b'[{"type":"function_call_output","call_id":"c","output":"bad canary","id":"fco_1"}]'
    refusal = b'[{"type":"message","role":"assistant","content":[{"type":"refusal","refusal":"No."}],"id":"msgi_1"}]'
    told = as_told(PastTurn("resp_x", item, refusal))
    assert [getattr(one, "output", None) for one in told.items()] == [WITHHELD, None]
    assert told.id != "resp_x"
    assert as_told(PastTurn("resp_x", item, refusal.replace(b"msgi_", b"msg_"))).id == "resp_x"


async def test_a_warning_lets_a_run_go_on() -> None:
    warned = Violation(violation_level="warn", user_message="Mind that.")
    final, events = await run_of(service(Listening(lambda _: warned)), RunSetup(rules=GUARDED, events=True))
    assert [item["content"][0]["type"] for item in final["output"]] == ["output_text"]
    told = [json.loads(event.data)["violation"] for event in events if event.type == marks.SHIELDS_DONE]
    assert [one["violation_level"] for one in told] == ["warn", "warn"]


async def test_where_nobody_checks_nothing_passes() -> None:
    final, _ = await run_of(service(None), RunSetup(rules=GUARDED))
    assert final["output"][0]["content"][0]["type"] == "refusal"
    assert final["usage"]["total_tokens"] == 0


async def test_what_a_tool_said_and_what_was_thought_are_checked() -> None:
    shields = Listening(lambda _: None)
    responses = service(shields, {"reply": [{"reasoning": "secret thought"}, {"text": "said"}]})
    output = {"type": "function_call_output", "call_id": "c", "output": "tool canary"}
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"q": "asked canary"}'}
    asked = [{"role": "user", "content": "hi"}, call, output]
    await run_of(responses, RunSetup(rules=GUARDED), input=asked)
    before, after = (one[2] for one in shields.asked)
    assert [(one.role, one.text) for one in before] == [
        ("user", "hi"),
        ("assistant", '{"q": "asked canary"}'),
        ("tool", "tool canary"),
    ]
    assert [(one.role, one.text) for one in after[len(before) :]] == [
        ("assistant", "secret thought"),
        ("assistant", "said"),
    ]


async def test_a_setup_says_what_came_before_and_where_the_response_goes() -> None:
    class Keeper:
        kept: StoredResponse | None = None

        async def put_response(self, owner: Owner, response: StoredResponse) -> None:
            self.kept = response

    keeper = Keeper()
    responses = service(None)
    past = PastTurn(
        "resp_x", b'[{"type":"message","role":"user","content":"a lighthouse","id":"msg_1"}]', b"[]"
    )
    setup = RunSetup(response_id="resp_" + "7" * 32, history=(past,), keeper=keeper)
    run = await prepared(responses, setup, previous_response_id="resp_gone", store=False)
    assert "lighthouse" in str(run.loop.transcript.all_items()[0])
    final = json.loads(await run.execute())
    assert final["id"] == "resp_" + "7" * 32
    assert keeper.kept is not None
    assert (keeper.kept.id, b'"hi"' in keeper.kept.input) == (final["id"], True)
    assert await responses.store.get_response(OWNER, final["id"]) is None


async def test_the_rules_bound_what_one_model_call_makes() -> None:
    responses = service(None)
    run = await prepared(responses, RunSetup(rules=TurnRules(max_step_tokens=3)), max_output_tokens=100)
    assert run.loop.planned().max_output_tokens == 3
    run = await prepared(responses, RunSetup(rules=TurnRules(max_step_tokens=300)), max_output_tokens=100)
    assert run.loop.planned().max_output_tokens == 100


def test_items_are_shown_to_shields_by_who_said_them() -> None:
    items: list[TranscriptItem] = [
        Message(role="developer", content="be kind"),
        Message(
            role="user", content=[InputText(text="look"), InputImage(detail="auto", image_url="data:,x")]
        ),
        Message(role="user", content=[InputFile(filename="a.txt", file_data="data:,x")]),
        Message(role="assistant", content=[OutputText(text="one"), Refusal(refusal="two")]),
        Message(role="assistant", content=[]),
        Reasoning(summary=[SummaryText(text="s")], content=[ReasoningText(text="t")]),
        FunctionCall(call_id="c", name="f", arguments="{}"),
        FunctionCallOutput(call_id="c", output=[InputText(text="out")]),
    ]
    assert list(shown(items)) == [
        ShieldMessage("system", "be kind"),
        ShieldMessage("user", "look", ("data:,x",)),
        ShieldMessage("user", "a.txt"),
        ShieldMessage("assistant", "one\ntwo"),
        ShieldMessage("assistant", "s\nt"),
        ShieldMessage("assistant", "{}"),
        ShieldMessage("tool", "out"),
    ]
