"""Shields of agents, over the installed program: no text goes around them, and a guard that fails lets nothing pass."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from bench.program import Program, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Answer, Raw
from tests.integration.shields_world import CANARY, FAILING, GUARDED, configuration
from tests.integration.test_shields import KEYS

Json = dict[str, Any]
LLAMA = "meta-llama/Llama-Guard::3"
LOOK: Json = {
    "name": "look",
    "description": "Looks.",
    "parameters": [{"name": "what", "parameter_type": "str", "description": "What", "required": True}],
}


class Talk:
    """A session with an agent of these shields."""

    def __init__(self, raw: Raw, **config: Any) -> None:
        self._raw = raw
        self._headers = {"authorization": f"Bearer {KEYS['anne']}"}
        agent = {"model": "talker", "instructions": "Be brief.", "client_tools": [LOOK], **config}
        made = self.ok(self.post("/v1/agents", {"agent_config": agent}))
        self.agent = f"/v1/agents/{made['agent_id']}"
        session = self.ok(self.post(f"{self.agent}/session", {"session_name": "s"}))
        self.session = f"{self.agent}/session/{session['session_id']}"

    def post(self, path: str, body: Json) -> Answer:
        return self._raw.send("POST", path, body, self._headers)

    def ok(self, answer: Answer) -> Json:
        assert answer.status == 200, answer.body
        return answer.json

    def turn(self, said: str, **more: Any) -> Json:
        body = {"messages": [{"role": "user", "content": said}], **more}
        return self.ok(self.post(f"{self.session}/turn", body))

    def resume(self, turn: Json, *outputs: str) -> Json:
        calls = turn["output_message"]["tool_calls"]
        responses = [
            {"call_id": call["call_id"], "tool_name": call["tool_name"], "content": output}
            for call, output in zip(calls, outputs, strict=True)
        ]
        path = f"{self.session}/turn/{turn['turn_id']}/resume"
        return self.ok(self.post(path, {"tool_responses": responses}))

    def stream(self, said: str) -> list[Json]:
        body = {"messages": [{"role": "user", "content": said}], "stream": True}
        answer = self.post(f"{self.session}/turn", body)
        lines = [line for line in answer.body.decode().splitlines() if line.startswith("data: ")]
        return [json.loads(line.removeprefix("data: "))["event"]["payload"] for line in lines]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("agents-shields")
    with start_antiphon(folder, configuration(folder, KEYS)) as running:
        running.wait_ready()
        yield running


@pytest.fixture
def raw(program: Program, recorder: Recorder) -> Iterator[Raw]:
    with Raw(program.port, recorder) as connection:
        yield connection


def kinds(turn: Json) -> list[str]:
    return [step["step_type"] for step in turn["steps"]]


def violations(turn: Json) -> list[Any]:
    return [step["violation"] for step in turn["steps"] if step["step_type"] == "shield_call"]


def said(turn: Json) -> str:
    return str(turn["output_message"]["content"])


def test_what_passes_has_its_steps_and_its_answer(raw: Raw) -> None:
    turn = Talk(raw, input_shields=["flowers", LLAMA], output_shields=["flowers"]).turn("hello")
    assert kinds(turn) == ["shield_call", "inference", "shield_call"]
    assert violations(turn) == [None, None]
    assert said(turn) == "All is well."


@pytest.mark.parametrize(
    ("shield", "words", "message"),
    [("flowers", CANARY, "No flowers."), (LLAMA, GUARDED, "Not here.")],
)
def test_what_a_user_may_not_say_no_model_is_asked(raw: Raw, shield: str, words: str, message: str) -> None:
    talk = Talk(raw, input_shields=["soft", shield])
    turn = talk.turn(f"tell me of {words}")
    assert kinds(turn) == ["shield_call"]
    assert said(turn) == message
    assert turn["output_message"]["stop_reason"] == "end_of_turn"
    assert violations(turn)[0]["metadata"]["shield_id"] == shield
    assert said(talk.turn("hello")) == "All is well."


def test_a_warning_is_noted_and_the_turn_goes_on(raw: Raw) -> None:
    turn = Talk(raw, input_shields=["soft"]).turn(f"a {CANARY}")
    assert kinds(turn) == ["shield_call", "inference"]
    assert said(turn) == "All is well."


def test_documents_are_read_by_shields(raw: Raw) -> None:
    document = {"content": f"About the {CANARY}.", "mime_type": "text/plain"}
    turn = Talk(raw, input_shields=["flowers"]).turn("what is it about?", documents=[document])
    assert said(turn) == "No flowers."
    assert "inference" not in kinds(turn)


def test_what_tools_answer_is_read_by_the_shields_of_both_sides(raw: Raw) -> None:
    for config in ({"input_shields": ["flowers"]}, {"output_shields": ["flowers"]}):
        talk = Talk(raw, **config)
        turn = talk.turn("tool please")
        assert turn["output_message"]["stop_reason"] == "end_of_message"
        ended = talk.resume(turn, f"It is {CANARY}.")
        assert said(ended) == "No flowers.", config
        assert ended["output_message"]["stop_reason"] == "end_of_turn"


@pytest.mark.parametrize("words", ["leak it", "leak in thought", "leak by call"])
def test_what_a_model_says_thinks_and_calls_with_is_read_by_output_shields(raw: Raw, words: str) -> None:
    turn = Talk(raw, output_shields=["flowers"]).turn(words)
    assert said(turn) == "No flowers."
    assert turn["output_message"]["tool_calls"] == []
    assert kinds(turn)[-1] == "shield_call"


def test_a_streamed_answer_that_is_not_let_pass_ends_with_what_the_shield_says(raw: Raw) -> None:
    payloads = Talk(raw, output_shields=["flowers"]).stream("leak it")
    last = payloads[-1]
    assert last["event_type"] == "turn_complete"
    assert said(last["turn"]) == "No flowers."
    assert CANARY not in json.dumps(last["turn"]["output_message"])


def test_of_a_request_that_is_not_let_pass_nothing_is_streamed(raw: Raw) -> None:
    payloads = Talk(raw, input_shields=["flowers"]).stream(f"leak {CANARY}")
    assert [one["event_type"] for one in payloads] == [
        "turn_start",
        "step_start",
        "step_complete",
        "turn_complete",
    ]
    assert payloads[1]["metadata"] == {"touchpoint": "user-input"}


@pytest.mark.parametrize("shield", FAILING)
def test_a_guard_that_fails_lets_nothing_pass_on_either_side(raw: Raw, shield: str) -> None:
    before = Talk(raw, input_shields=["flowers", shield]).turn("hello")
    after = Talk(raw, output_shields=["flowers", shield]).turn("hello")
    for turn, steps in ((before, ["shield_call"]), (after, ["inference", "shield_call"])):
        assert kinds(turn) == steps
        assert said(turn).startswith("This could not be checked for safety")
        assert violations(turn)[-1]["metadata"] == {"reason": FAILING[shield], "shield_id": shield}


def test_an_agent_with_a_shield_that_is_not_there_is_refused(raw: Raw) -> None:
    talk = Talk(raw)
    config = {"model": "talker", "instructions": "x", "output_shields": ["flowers", "nobody"]}
    answer = talk.post("/v1/agents", {"agent_config": config})
    assert (answer.status, answer.error["param"]) == (400, "agent_config.output_shields[1]"), answer.body


def test_a_shield_that_was_removed_since_lets_nothing_pass(raw: Raw) -> None:
    talk = Talk(raw)
    shield = {"shield_id": "soon-gone", "provider_id": "rules", "provider_shield_id": "pii"}
    talk.ok(talk.post("/v1/shields", shield))
    guarded = Talk(raw, input_shields=["soon-gone"])
    assert said(guarded.turn("hello")) == "All is well."
    removed = raw.send("DELETE", "/v1/shields/soon-gone", None, {"authorization": f"Bearer {KEYS['anne']}"})
    assert removed.status == 200
    answer = guarded.post(f"{guarded.session}/turn", {"messages": [{"role": "user", "content": "hello"}]})
    assert answer.status == 400
    assert "soon-gone" in answer.error["message"]


def file_of(text: str) -> Json:
    data = base64.b64encode(text.encode()).decode()
    return {"type": "input_file", "filename": "notes.txt", "file_data": f"data:text/plain;base64,{data}"}


def test_what_files_of_a_request_say_is_checked_too(raw: Raw) -> None:
    talk = Talk(raw, input_shields=["flowers"])
    agent = talk.agent.rpartition("/")[2]
    for text, expected in ((f"about {CANARY}", "refusal"), ("about the weather", "output_text")):
        asked = [{"role": "user", "content": [file_of(text)]}]
        answer = talk.ok(talk.post("/v1/responses", {"agent": agent, "input": asked}))
        assert [part["type"] for part in answer["output"][0]["content"]] == [expected], text


def test_what_may_not_come_in_is_compacted_by_no_model(raw: Raw) -> None:
    talk = Talk(raw, input_shields=["flowers"])
    agent = talk.agent.rpartition("/")[2]
    for text, status in ((f"about {CANARY}", 400), ("about the weather", 200)):
        answer = talk.post("/v1/responses/compact", {"agent": agent, "input": text})
        assert answer.status == status, answer.body
    refused = talk.post("/v1/responses/compact", {"agent": agent, "input": f"about {CANARY}"}).json["error"]
    assert refused["param"] == "input"
    assert "No flowers." in refused["message"]
