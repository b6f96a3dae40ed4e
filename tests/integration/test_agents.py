"""Agents, sessions, turns and steps, against the installed program."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.program import Program, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Answer, Raw, open_stream, read_until
from tests.integration.test_keys import KEYS

Json = dict[str, Any]
NOBODY = "00000000-0000-4000-8000-000000000000"
HANDBOOK = "The turbine on the north quay turns at 1,500 revolutions. " * 40
WEATHER: Json = {
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": [{"name": "city", "parameter_type": "str", "description": "Which", "required": True}],
}
CLOCK: Json = {"name": "get_time", "description": "The time", "input_schema": {"type": "object"}}
ASKS_WEATHER = {"name": "get_weather", "arguments": {"city": "Oslo"}}
RULES: list[Json] = [
    {
        "when": {"text": "both", "tool_outputs": False},
        "reply": [{"calls": [ASKS_WEATHER, {"name": "get_time", "arguments": {}}]}],
    },
    {
        "when": {"text": "mixed", "tool_outputs": False},
        "reply": [
            {"text": "One moment."},
            {
                "calls": [
                    ASKS_WEATHER,
                    {"name": "knowledge_search", "arguments": {"queries": ["turbine"]}},
                    {"name": "knowledge_search", "arguments": {"queries": ["revolutions"]}},
                ]
            },
        ],
    },
    {"when": {"text": "forever"}, "reply": [{"calls": [ASKS_WEATHER]}]},
    {
        "when": {"text": "weather", "tool_outputs": False},
        "reply": [{"text": "Let me see."}, {"calls": [ASKS_WEATHER]}],
    },
    {
        "when": {"text": "the word?", "seen": ["swordfish"], "tool_outputs": False},
        "reply": [{"calls": [ASKS_WEATHER]}],
    },
    {"when": {"text": "the word?", "seen": ["swordfish"]}, "reply": [{"text": "known"}]},
    {"when": {"text": "the word?"}, "reply": [{"text": "unknown"}]},
    {"when": {"text": "never mind", "seen": ["never answered"]}, "reply": [{"text": "so be it"}]},
    {"when": {"text": "refuse"}, "reply": [{"fail": {"status": 503, "message": "down"}}]},
    {"when": {"text": "break"}, "reply": [{"text": "so far"}, {"fail": {"kind": "drop", "message": "gone"}}]},
    {"when": {"text": "slowly"}, "reply": [{"text": "word ", "repeat": 5000, "delay_ms": 5}]},
    {"when": {"tool_outputs": True}, "reply": [{"text": "They say: {{tool_outputs}}"}]},
    {"reply": [{"echo": True}]},
]


def configuration(folder: Path) -> str:
    models = json.dumps([{"name": "m", "rules": RULES}])
    return f"""\
version: 2
{KEYS}
agents: {{inline_document_tokens: 20}}
providers:
  inference:
  - {{provider_id: scripted, provider_type: "inline::scripted", config: {{models: {models}}}}}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("agents")
    with start_antiphon(folder, configuration(folder)) as running:
        running.wait_ready()
        yield running


def client_of(program: Program, who: str = "ann", **headers: str) -> Raw:
    return Raw(program.port, Recorder(), {"authorization": f"Bearer key-of-{who}", **headers})


@pytest.fixture
def raw(program: Program) -> Iterator[Raw]:
    with client_of(program) as connection:
        yield connection


def ok(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return answer.json


def refused(answer: Answer) -> tuple[int, str | None]:
    error = answer.error
    assert error["message"], answer.body
    assert error.keys() == {"message", "type", "param", "code"}
    return answer.status, error["param"]


def payloads(answer: Answer) -> list[Json]:
    """Those of a stream, which has nothing but `data:` lines."""
    assert answer.status == 200, answer.body
    blocks = answer.body.decode().split("\n\n")
    assert blocks.pop() == ""
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    return [json.loads(block[6:])["event"]["payload"] for block in blocks]


def user(text: str, **more: Any) -> Json:
    return {"role": "user", "content": text, **more}


class Talk:
    """One session of a new agent."""

    def __init__(self, raw: Raw, prefix: str = "/v1", **config: Any) -> None:
        self.raw = raw
        body = {"model": "m", "instructions": "Be brief.", "client_tools": [WEATHER, CLOCK], **config}
        self.agent_id = ok(raw.post(f"{prefix}/agents", {"agent_config": body}))["agent_id"]
        self.agent = f"{prefix}/agents/{self.agent_id}"
        made = ok(raw.post(f"{self.agent}/session", {"session_name": "s"}))
        self.session_id = made["session_id"]
        self.session = f"{self.agent}/session/{self.session_id}"

    def ask(self, *messages: str | Json, **more: Any) -> Answer:
        said = [user(one) if isinstance(one, str) else one for one in messages]
        return self.raw.post(f"{self.session}/turn", {"messages": said, **more})

    def turn(self, *messages: str | Json, **more: Any) -> Json:
        return dict(ok(self.ask(*messages, **more)))

    def resume(self, turn: Json, *responses: Json, **more: Any) -> Answer:
        path = f"{self.session}/turn/{turn['turn_id']}/resume"
        return self.raw.post(path, {"tool_responses": list(responses), **more})

    def get(self, turn: Json) -> Json:
        return dict(ok(self.raw.get(f"{self.session}/turn/{turn['turn_id']}")))

    def turns(self) -> list[Json]:
        return list(ok(self.raw.get(self.session))["turns"])


def answer_to(call: Json, content: Any = "sunny") -> Json:
    return {"call_id": call["call_id"], "tool_name": call["tool_name"], "content": content}


def calls(turn: Json) -> list[Json]:
    return list(turn["output_message"]["tool_calls"])


def said(turn: Json) -> str:
    return str(turn["output_message"]["content"])


def kinds(turn: Json) -> list[str]:
    return [step["step_type"] for step in turn["steps"]]


# --- agents and sessions ----------------------------------------------------------------------------------------
def test_an_agent_is_shown_with_the_defaults_in_effect(raw: Raw) -> None:
    talk = Talk(raw)
    shown = ok(raw.get(talk.agent))
    assert shown["agent_id"] == talk.agent_id
    assert shown["created_at"].endswith("+00:00")
    config = shown["agent_config"]
    assert config["max_infer_iters"] == 10
    assert config["sampling_params"]["strategy"] == {"type": "greedy"}
    assert config["tool_config"]["tool_choice"] == "auto"
    assert config["enable_session_persistence"] is True
    assert (config["input_shields"], config["toolgroups"]) == ([], [])


@pytest.mark.parametrize("prefix", ["/v1", "/v1alpha"])
def test_lists_are_windows_and_name_their_route(program: Program, prefix: str) -> None:
    with client_of(program, "cyd") as raw:  # a tenant of its own
        before = len(ok(raw.get(f"{prefix}/agents"))["data"])
        first, second, third = (Talk(raw, prefix) for _ in range(3))
        every = ok(raw.get(f"{prefix}/agents"))
        assert every["url"] == f"{prefix}/agents"
        assert every["has_more"] is False
        ids = [one["agent_id"] for one in every["data"]]
        assert ids[before:] == [first.agent_id, second.agent_id, third.agent_id]
        assert ok(raw.get(f"{prefix}/agents?limit=-1")) == every
        window = ok(raw.get(f"{prefix}/agents?start_index={before + 1}&limit=1"))
        assert ([one["agent_id"] for one in window["data"]], window["has_more"]) == ([second.agent_id], True)
        last = ok(raw.get(f"{prefix}/agents?start_index={before + 2}&limit=1"))
        assert ([one["agent_id"] for one in last["data"]], last["has_more"]) == ([third.agent_id], False)

        first.turn("hello")
        sessions = ok(raw.get(f"{first.agent}/sessions"))
        assert sessions["url"] == f"{prefix}/agents/{{agent_id}}/sessions"
        assert [(one["session_id"], one["turns"]) for one in sessions["data"]] == [(first.session_id, [])]


def test_a_session_has_its_turns_and_those_that_are_asked_for(raw: Raw) -> None:
    talk = Talk(raw)
    one, two, three = (talk.turn(word) for word in ("one", "two", "three"))
    session = ok(raw.get(talk.session))
    assert session["session_name"] == "s"
    assert session["turns"] == [one, two, three]
    some = ok(raw.get(f"{talk.session}?turn_ids={three['turn_id']}&turn_ids={one['turn_id']}"))
    assert some["turns"] == [one, three]
    assert refused(raw.get(f"{talk.session}?turn_ids={NOBODY}")) == (404, "turn_ids")


def test_what_is_deleted_is_gone_with_all_below_it(raw: Raw) -> None:
    talk = Talk(raw)
    turn = talk.turn("hello")
    response = f"/v1/responses/{turn['response_ids'][0]}"
    assert ok(raw.get(response))["id"] == turn["response_ids"][0]
    answer = raw.send("DELETE", talk.session)
    assert (answer.status, answer.body) == (200, b"null")
    for path in (talk.session, f"{talk.session}/turn/{turn['turn_id']}"):
        assert refused(raw.get(path)) == (404, "session_id")
    assert raw.get(response).status == 404
    assert refused(raw.send("DELETE", talk.session)) == (404, "session_id")
    assert refused(talk.ask("hello")) == (404, "session_id")
    assert ok(raw.send("DELETE", talk.agent)) is None
    assert refused(raw.get(talk.agent)) == (404, "agent_id")
    assert refused(raw.post(f"{talk.agent}/session", {"session_name": "s"})) == (404, "agent_id")


def test_foreign_things_answer_as_unknown_ones(program: Program, raw: Raw) -> None:
    """Agents are for their tenant, sessions for who began them; who did not make an agent does not delete it."""
    talk = Talk(raw)
    turn = talk.turn("weather?")
    step = turn["steps"][0]["step_id"]
    below = [
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "/turn", {"messages": [user("hi")]}),
        ("GET", f"/turn/{turn['turn_id']}", None),
        ("GET", f"/turn/{turn['turn_id']}/step/{step}", None),
        ("POST", f"/turn/{turn['turn_id']}/resume", {"tool_responses": [answer_to(calls(turn)[0])]}),
    ]
    with client_of(program, "bob") as bob:
        assert ok(bob.get(talk.agent))["agent_id"] == talk.agent_id
        assert ok(bob.get(f"{talk.agent}/sessions"))["data"] == []
        assert refused(bob.send("DELETE", talk.agent)) == (403, "agent_id")
        for method, path, body in below:
            foreign = bob.send(method, talk.session + path, body)
            unknown = bob.send(method, f"{talk.agent}/session/{NOBODY}{path}", body)
            assert foreign.status == unknown.status == 404
            assert foreign.body.decode().replace(talk.session_id, NOBODY) == unknown.body.decode()
        assert bob.get(f"/v1/responses/{turn['turn_id']}").status == 404
    with client_of(program, "cyd") as cyd:
        foreign, unknown = cyd.get(talk.agent), cyd.get(f"/v1/agents/{NOBODY}")
        assert foreign.status == unknown.status == 404
        assert foreign.body.decode().replace(talk.agent_id, NOBODY) == unknown.body.decode()
        assert refused(cyd.send("DELETE", talk.agent)) == (404, "agent_id")
    assert talk.get(turn) == turn


# --- turns ------------------------------------------------------------------------------------------------------
def test_a_turn_is_stored_as_it_was_answered_and_can_be_read_as_a_response(raw: Raw) -> None:
    talk = Talk(raw)
    turn = talk.turn("hello")
    assert (said(turn), turn["status"], kinds(turn)) == ("hello", "completed", ["inference"])
    assert turn["output_message"]["stop_reason"] == "end_of_turn"
    assert talk.get(turn) == turn
    step = turn["steps"][0]
    assert ok(raw.get(f"{talk.session}/turn/{turn['turn_id']}/step/{step['step_id']}")) == {"step": step}
    as_response = ok(raw.get(f"/v1/responses/{turn['turn_id']}"))
    assert as_response["id"] == turn["response_ids"][0] == "resp_" + turn["turn_id"].replace("-", "")
    assert as_response["output"][0]["content"][0]["text"] == "hello"
    given = ok(raw.get(f"/v1/responses/{turn['turn_id']}/input_items"))["data"]
    assert [item["role"] for item in given] == ["user"]


def test_a_stream_says_what_is_stored(raw: Raw) -> None:
    talk = Talk(raw)
    heard = payloads(talk.ask("weather?", stream=True))
    assert [one["event_type"] for one in heard if one["event_type"] != "step_progress"] == [
        "turn_start",
        "step_start",
        "step_complete",
        "turn_awaiting_input",
    ]
    deltas = [one["delta"] for one in heard if one["event_type"] == "step_progress"]
    assert "".join(one["text"] for one in deltas if one["type"] == "text") == "Let me see."
    assert [one["parse_status"] for one in deltas if one["type"] == "tool_call"][-1] == "succeeded"
    turn = heard[-1]["turn"]
    assert heard[-2]["step_details"] == turn["steps"][0]
    assert talk.get(turn) == turn
    assert turn["status"] == "awaiting_input"

    heard = payloads(talk.resume(turn, answer_to(calls(turn)[0]), stream=True))
    assert [one["event_type"] for one in heard if one["event_type"] != "step_progress"] == [
        "step_complete",
        "step_start",
        "step_complete",
        "turn_complete",
    ]
    done = heard[-1]["turn"]
    assert [one["step_details"] for one in heard if one["event_type"] == "step_complete"] == done["steps"][1:]
    assert kinds(done) == ["inference", "tool_execution", "inference"]
    assert said(done) == "They say: sunny"
    assert done["turn_id"] == turn["turn_id"]
    assert done["started_at"] == turn["started_at"]
    assert len(done["response_ids"]) == 2
    assert talk.turns() == [done]
    assert ok(raw.get(f"/v1/responses/{done['turn_id']}"))["id"] == done["response_ids"][1]


@pytest.mark.parametrize(
    ("prefix", "version", "is_text"),
    [
        ("/v1", "", False),
        ("/v1", "0.2.23", False),
        ("/v1", "0.3.5", True),
        ("/v1", "1.0.0", True),
        ("/v1alpha", "", True),
        ("/v1alpha", "0.2.0", True),
        ("/v1", "nonsense", False),
    ],
)
def test_each_generation_reads_arguments_as_it_can(
    program: Program, prefix: str, version: str, is_text: bool
) -> None:
    headers = {"x-llamastack-client-version": version} if version else {}
    with client_of(program, **headers) as raw:
        talk = Talk(raw, prefix)
        heard = payloads(talk.ask("weather?", stream=True))
        turn = heard[-1]["turn"]
        call = calls(turn)[0]
        if is_text:
            assert json.loads(call["arguments"]) == {"city": "Oslo"}
            assert "arguments_json" not in call
        else:
            assert call["arguments"] == json.loads(call["arguments_json"]) == {"city": "Oslo"}
        done = ok(talk.resume(turn, answer_to(call)))
        assert done["steps"][1]["tool_calls"] == [call]
        assert talk.turns() == [done]


def test_parallel_calls_are_answered_all_at_once_and_once(raw: Raw) -> None:
    talk = Talk(raw)
    turn = talk.turn("both?")
    weather, clock = calls(turn)
    assert (weather["tool_name"], clock["tool_name"]) == ("get_weather", "get_time")
    assert turn["output_message"]["stop_reason"] == "end_of_message"
    good = [answer_to(weather), answer_to(clock, [{"type": "text", "text": "noon"}])]
    unknown = {**good[1], "call_id": "call_unknown"}
    for wrong, param in (
        (good[:1], "tool_responses"),
        ([*good, good[0]], "tool_responses[2].call_id"),
        ([good[0], unknown], "tool_responses[1].call_id"),
        ([], "tool_responses"),
    ):
        assert refused(talk.resume(turn, *wrong)) == (400, param)
    assert talk.get(turn) == turn
    done = ok(talk.resume(turn, *reversed(good)))
    assert said(done) == "They say: sunny, noon"
    executed = done["steps"][1]
    assert executed["tool_calls"] == [weather, clock]
    assert [one["content"] for one in executed["tool_responses"]] == ["sunny", good[1]["content"]]


def test_only_a_turn_that_waits_is_resumed(raw: Raw) -> None:
    talk = Talk(raw)
    done = talk.turn("hello")
    turn = talk.turn("weather?")
    response = answer_to(calls(turn)[0])
    assert refused(talk.resume({"turn_id": NOBODY}, response)) == (404, "turn_id")
    conflict = talk.resume(done, response)
    assert refused(conflict) == (409, "turn_id")
    assert conflict.headers["x-should-retry"] == "false"
    ok(talk.resume(turn, response))
    assert refused(talk.resume(turn, response)) == (409, "turn_id")
    other = Talk(raw)
    assert refused(other.resume(turn, response)) == (404, "turn_id")


def test_calls_of_this_server_and_of_the_client_in_one_answer(raw: Raw) -> None:
    talk = Talk(raw, toolgroups=["builtin::rag"])
    heard = payloads(
        talk.ask("mixed?", documents=[{"content": HANDBOOK, "mime_type": "text/plain"}], stream=True)
    )
    turn = heard[-1]["turn"]
    assert kinds(turn) == ["inference", "tool_execution", "tool_execution"]
    assert [one["step_details"] for one in heard if one["event_type"] == "step_complete"] == turn["steps"]
    made = turn["steps"][0]["model_response"]["tool_calls"]
    assert [one["tool_name"] for one in made] == ["get_weather", "knowledge_search", "knowledge_search"]
    assert turn["steps"][0]["model_response"]["content"] == ""
    for step, call in zip(turn["steps"][1:], made[1:], strict=True):
        assert step["tool_calls"] == [call]
        assert "1,500 revolutions" in json.dumps(step["tool_responses"][0]["content"])
    assert calls(turn) == made[:1]
    assert heard[-1]["event_type"] == "turn_awaiting_input"
    done = ok(talk.resume(turn, answer_to(made[0])))
    assert kinds(done)[3:] == ["tool_execution", "inference"]
    assert "sunny" in said(done)
    assert "1,500 revolutions" in said(done)


def test_the_limit_of_model_calls_counts_over_resumes(raw: Raw) -> None:
    talk = Talk(raw, max_infer_iters=2)
    turn = talk.turn("forever")
    assert turn["output_message"]["stop_reason"] == "end_of_message"
    heard = payloads(talk.resume(turn, answer_to(calls(turn)[0]), stream=True))
    assert heard[-1]["event_type"] == "turn_awaiting_input"
    last = heard[-1]["turn"]
    assert (last["output_message"]["stop_reason"], last["status"]) == ("end_of_turn", "completed")
    assert len(calls(last)) == 1
    assert kinds(last).count("inference") == 2
    assert refused(talk.resume(last, answer_to(calls(last)[0]))) == (409, "turn_id")
    assert said(talk.turn("never mind")) == "so be it"


def test_a_cut_answer_is_out_of_tokens_and_the_session_goes_on_from_it(raw: Raw) -> None:
    talk = Talk(raw, sampling_params={"max_tokens": 3})
    heard = payloads(talk.ask("one two three four five six", stream=True))
    turn = heard[-1]["turn"]
    assert heard[-1]["event_type"] == "turn_complete"
    assert turn["output_message"]["stop_reason"] == "out_of_tokens"
    assert turn["status"] == "completed"
    assert said(turn).split() == ["one", "two", "three"]
    assert len(ok(raw.get(f"/v1/responses/{talk.turn('next')['turn_id']}/input_items"))["data"]) == 3


# --- what a new turn does with calls that wait ------------------------------------------------------------------
def test_a_new_turn_may_answer_the_calls_that_wait(raw: Raw) -> None:
    talk = Talk(raw)
    turn = talk.turn("both?")
    weather, clock = calls(turn)
    given = {"role": "tool", "call_id": weather["call_id"], "content": "rainy"}
    assert refused(talk.ask({**given, "call_id": "call_unknown"})) == (400, "messages[0].call_id")
    assert refused(talk.ask(given, given)) == (400, "messages[1].call_id")
    answered = talk.turn(given, {**given, "call_id": clock["call_id"], "content": "noon"})
    assert said(answered) == "They say: rainy, noon"
    assert answered["turn_id"] != turn["turn_id"]
    assert talk.get(turn)["status"] == "completed"
    assert refused(talk.resume(turn, answer_to(weather), answer_to(clock))) == (409, "turn_id")
    assert refused(talk.ask(given)) == (400, "messages[0].call_id")


def test_calls_that_nobody_answers_are_told_to_the_model(raw: Raw) -> None:
    talk = Talk(raw)
    turn = talk.turn("weather?")
    assert said(talk.turn("never mind")) == "so be it"
    assert refused(talk.resume(turn, answer_to(calls(turn)[0]))) == (409, "turn_id")
    assert said(talk.turn("hello")) == "hello"
    assert [one["status"] for one in talk.turns()] == ["completed"] * 3


def test_what_is_beside_a_message_is_for_its_turn_alone(raw: Raw) -> None:
    """Also when the turn is resumed."""
    talk = Talk(raw)
    turn = talk.turn(user("the word?", context="It is swordfish."))
    assert turn["status"] == "awaiting_input"
    assert turn["input_messages"][0]["context"] == "It is swordfish."
    assert said(ok(talk.resume(turn, answer_to(calls(turn)[0])))) == "known"
    assert said(talk.turn("the word?")) == "unknown"


# --- what goes wrong --------------------------------------------------------------------------------------------
def test_what_fails_before_it_begins_is_an_error_and_no_turn(raw: Raw) -> None:
    talk = Talk(raw)
    for stream in (False, True):
        answer = talk.ask("refuse", stream=stream)
        assert answer.status == 503
        assert answer.error["code"] == "provider_unavailable"
    assert talk.turns() == []


def test_what_fails_on_the_way_is_stored_and_the_session_goes_on_from_before(raw: Raw) -> None:
    talk = Talk(raw)
    talk.turn("hello")
    answer = talk.ask("break")
    assert answer.status == 502
    failed = talk.turns()[-1]
    assert failed["turn_id"] in answer.error["message"]
    assert (failed["status"], failed["error"]["code"]) == ("failed", "server_error")
    stream = talk.ask("break", stream=True)
    last = json.loads(stream.body.decode().strip().rsplit("\n\n", 1)[1].removeprefix("data: "))
    assert last.keys() == {"error"}
    assert last["error"].keys() == {"message"}
    broken = talk.turns()[-1]
    assert (broken["status"], said(broken)) == ("failed", "so far")
    after = talk.turn("again?")
    given = ok(raw.get(f"/v1/responses/{after['turn_id']}/input_items?order=asc"))["data"]
    assert [item["content"][0]["text"] for item in given] == ["hello", "hello", "again?"]


def test_a_resumed_run_that_fails_leaves_its_calls_to_a_new_turn(raw: Raw) -> None:
    talk = Talk(raw)
    turn = talk.turn("both? break")
    one, two = (answer_to(call) for call in calls(turn))
    assert talk.resume(turn, one, two).status == 502
    failed = talk.get(turn)
    assert (failed["status"], kinds(failed)) == ("failed", ["inference", "tool_execution"])
    assert refused(talk.resume(turn, one, two)) == (409, "turn_id")
    messages = [{"role": "tool", "call_id": call["call_id"], "content": "dry"} for call in calls(turn)]
    assert said(talk.turn(*messages, "so what?")) == "so what?"


def test_a_client_that_leaves_cancels_its_turn(program: Program, raw: Raw) -> None:
    talk = Talk(raw)
    body = {"messages": [user("slowly")], "stream": True}
    connection = _open(program, f"{talk.session}/turn", body)
    read_until(connection, b'"step_progress"')
    (going,) = talk.turns()
    assert going["status"] == "in_progress"
    connection.close()
    assert said(talk.turn("next")) == "next"  # it waits for the other to end
    cancelled, after = talk.turns()
    assert cancelled["status"] == "cancelled"
    assert said(cancelled).startswith("word")
    assert said(after) == "next"


def _open(program: Program, path: str, body: Json) -> Any:
    return open_stream(program.port, path, body, headers={"authorization": "Bearer key-of-ann"})


def test_a_turn_is_resumed_over_a_restart(tmp_path: Path) -> None:
    with start_antiphon(tmp_path, configuration(tmp_path)) as first, client_of(first) as raw:
        first.wait_ready()
        talk = Talk(raw)
        turn = talk.turn(user("the word?", context="It is swordfish."), max_infer_iters=2)
    with start_antiphon(tmp_path, configuration(tmp_path)) as second, client_of(second) as raw:
        second.wait_ready()
        talk.raw = raw
        assert talk.turns() == [turn]
        done = ok(talk.resume(turn, answer_to(calls(turn)[0])))
        assert said(done) == "known"
        assert [step["step_id"] for step in done["steps"][:1]] == [turn["steps"][0]["step_id"]]


# --- bad input --------------------------------------------------------------------------------------------------
CONFIG: Json = {"model": "m", "instructions": ""}
TURN: Json = {"messages": [user("hi")]}
RESPONSE: Json = {"call_id": "c", "tool_name": "t", "content": "x"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "agent_config"),
        ({"agent_config": None}, "agent_config"),
        ({"agent_config": {"model": "m"}}, "agent_config.instructions"),
        ({"agent_config": {**CONFIG, "model": 7}}, "agent_config.model"),
        ({"agent_config": {**CONFIG, "instruction": "x"}}, "agent_config.instruction"),
        ({"agent_config": {**CONFIG, "max_infer_iters": 0}}, "agent_config.max_infer_iters"),
        (
            {"agent_config": {**CONFIG, "sampling_params": {"strategy": {"type": "beam"}}}},
            "agent_config.sampling_params.strategy.type",
        ),
        ({"agent_config": {**CONFIG, "input_shields": ["nobody"]}}, "agent_config.input_shields[0]"),
        ({"agent_config": {**CONFIG, "toolgroups": ["nobody"]}}, "agent_config.toolgroups[0]"),
        (
            {"agent_config": {**CONFIG, "client_tools": [WEATHER, WEATHER]}},
            "agent_config.client_tools[1].name",
        ),
        ({"agent_config": CONFIG, "agent_id": "x"}, "agent_id"),
    ],
)
def test_an_agent_that_cannot_be(raw: Raw, body: Json, param: str) -> None:
    before = len(ok(raw.get("/v1/agents"))["data"])
    assert refused(raw.post("/v1/agents", body)) == (400, param)
    assert len(ok(raw.get("/v1/agents"))["data"]) == before


NO_TURNS: list[tuple[Json, str]] = [
    ({}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": [{"role": "assistant", "content": "hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [user("hi", name="ann")]}, "messages[0].name"),
    ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "sound"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "tool", "call_id": "c", "content": "x"}]}, "messages[0].call_id"),
    ({**TURN, "stream": "yes"}, "stream"),
    ({**TURN, "session_id": NOBODY}, "session_id"),
    ({**TURN, "toolgroups": ["nobody"]}, "toolgroups[0]"),
    ({**TURN, "output_shields": ["nobody"]}, "output_shields[0]"),
    ({**TURN, "documents": [{"content": "x", "mime_type": "audio/mpeg"}]}, "documents[0].content"),
    ({**TURN, "model": "m"}, "model"),
]


@pytest.mark.parametrize(("body", "param"), NO_TURNS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_turn_that_cannot_be(raw: Raw, body: Json, param: str, stream: bool) -> None:
    talk = Talk(raw)
    assert refused(raw.post(f"{talk.session}/turn", {"stream": stream, **body})) == (400, param)
    assert talk.turns() == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "tool_responses"),
        ({"tool_responses": RESPONSE}, "tool_responses"),
        ({"tool_responses": [{**RESPONSE, "call_id": ""}]}, "tool_responses[0].call_id"),
        ({"tool_responses": [{"call_id": "c", "content": "x"}]}, "tool_responses[0].tool_name"),
        ({"tool_responses": [{**RESPONSE, "content": 5}]}, "tool_responses[0].content"),
        ({"tool_responses": [{**RESPONSE, "error": "x"}]}, "tool_responses[0].error"),
        ({"tool_responses": [RESPONSE], "turn_id": NOBODY}, "turn_id"),
        ({"tool_responses": [RESPONSE], "messages": []}, "messages"),
        ({"tool_responses": [RESPONSE], "stream": 1}, "stream"),
        ({"tool_responses": [RESPONSE]}, "tool_responses[0].call_id"),
    ],
)
def test_a_resume_that_cannot_be(raw: Raw, body: Json, param: str) -> None:
    talk = Talk(raw)
    turn = talk.turn("weather?")
    assert refused(raw.post(f"{talk.session}/turn/{turn['turn_id']}/resume", body)) == (400, param)
    assert talk.get(turn) == turn


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "session_name"),
        ({"session_name": None}, "session_name"),
        ({"session_name": "x" * 1025}, "session_name"),
        ({"session_name": "x", "vector_db_ids": ["nobody"]}, "vector_db_ids[0]"),
        ({"session_name": "x", "agent": "y"}, "agent"),
    ],
)
def test_a_session_that_cannot_be(raw: Raw, body: Json, param: str) -> None:
    talk = Talk(raw)
    status, field = refused(raw.post(f"{talk.agent}/session", body))
    assert (status, field) == (404 if param == "vector_db_ids[0]" else 400, param)
    assert len(ok(raw.get(f"{talk.agent}/sessions"))["data"]) == 1


def test_bodies_and_queries_that_cannot_be_read(raw: Raw) -> None:
    talk = Talk(raw)
    for path in ("/v1/agents", f"{talk.agent}/session", f"{talk.session}/turn"):
        for body in (b"", b"{", b"[]", b'"x"', b"\xff", b'{"a":' * 2000):
            assert refused(raw.post(path, body))[0] == 400, (path, body)
    for query in ("limit=0", "limit=-2", "limit=x", "limit=1e3", "limit=" + "9" * 5000):
        assert refused(raw.get(f"/v1/agents?{query}")) == (400, "limit")
        assert refused(raw.get(f"{talk.agent}/sessions?{query}")) == (400, "limit")
    assert refused(raw.get("/v1/agents?start_index=-1")) == (400, "start_index")
    for path in ("/v1/agents", talk.agent, f"{talk.agent}/sessions", talk.session):
        assert refused(raw.get(f"{path}?order=asc")) == (400, "order")
    assert raw.send("PUT", talk.agent, CONFIG).status == 405
    assert refused(raw.get(f"{talk.session}/turn/{NOBODY}")) == (404, "turn_id")
    turn = talk.turn("hello")
    assert refused(raw.get(f"{talk.session}/turn/{turn['turn_id']}/step/{NOBODY}")) == (404, "step_id")
