"""What a server asks in the middle of a call: of users (elicitation), by an item and its answer, and of models."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from bench.program import Program, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw, sync_client
from tests.integration.mcp_world import (
    LOOPBACK,
    MCP,
    MODEL,
    StartMcp,
    kinds,
    mcp_configuration,
    of,
    only,
    respond,
    server,
)
from tests.integration.obedient import call, calls, script
from tests.integration.upstream import Upstream
from tests.support.mcp_servers import ASKS_BACK
from tests.support.mcp_wire import Case

ASKED = "antiphon:mcp_elicitation_request"
ANSWERED = "antiphon:mcp_elicitation_response"
SAMPLED = "antiphon:mcp_sampling_call"
NAME = script(calls("ask_name"), "{outputs}")
ANN = {"name": "Ann"}
SAMPLING = "mcp: {connect_timeout_s: 2, list_timeout_s: 2, call_timeout_s: 5, sampling: {enabled: true, max_calls: 2}}"


def answer(asked: Any, action: str, **more: Any) -> Any:
    return {"type": ANSWERED, "elicitation_request_id": asked.id, "action": action, **more}


def ask(client: openai.OpenAI, case: Case, told: str = NAME, flavour: str = "mcp", **more: Any) -> Any:
    return respond(client, input=told, tools=[server(case, flavour)], **more)


def go_on(
    client: openai.OpenAI, case: Case, first: Any, *items: Any, flavour: str = "mcp", **more: Any
) -> Any:
    tools = [server(case, flavour)]
    return respond(client, input=list(items), tools=tools, previous_response_id=first.id, **more)


@pytest.mark.parametrize("flavour", ASKS_BACK)
def test_a_question_ends_the_response_and_its_answer_lets_the_call_go_on(
    asking: openai.OpenAI, mcp_case: Case, flavour: str
) -> None:
    first = ask(asking, mcp_case, flavour=flavour)
    assert first.status == "completed"
    assert kinds(first) == ["mcp_list_tools", "mcp_call", ASKED]
    assert only(first, "mcp_call").status == "incomplete"
    asked = only(first, ASKED)
    assert (asked.server_label, asked.name, asked.mode) == ("desk", "ask_name", "form")
    assert asked.message == "Who are you?"
    assert asked.requested_schema["properties"]["name"]["maxLength"] == 40
    assert asked.expires_at > first.created_at
    second = go_on(asking, mcp_case, first, answer(asked, "accept", content=ANN), flavour=flavour)
    assert kinds(second) == ["mcp_call", "message"]
    made = only(second, "mcp_call")
    assert (made.status, made.output) == ("completed", "user said: accept Ann")
    assert second.output_text == "user said: accept Ann"
    assert mcp_case.seen.calls["ask_name done"] == 1
    assert mcp_case.count("tools/list") == 1


@pytest.mark.parametrize("action", ["decline", "cancel"])
@pytest.mark.parametrize("flavour", ["modern", "handshake"])
def test_a_user_may_say_no(asking: openai.OpenAI, mcp_case: Case, action: str, flavour: str) -> None:
    first = ask(asking, mcp_case, flavour=flavour)
    second = go_on(asking, mcp_case, first, answer(only(first, ASKED), action), flavour=flavour)
    assert only(second, "mcp_call").output == f"user said: {action}"


@pytest.mark.parametrize("flavour", ["modern", "handshake"])
def test_two_questions_in_a_row(asking: openai.OpenAI, mcp_case: Case, flavour: str) -> None:
    told = script(calls("ask_twice", item="tea"), "{outputs}")
    first = ask(asking, mcp_case, told, flavour)
    second = go_on(
        asking, mcp_case, first, answer(only(first, ASKED), "accept", content=ANN), flavour=flavour
    )
    asked = only(second, ASKED)
    assert asked.message == "Are you sure, Ann?"
    assert asked.id != only(first, ASKED).id
    third = go_on(asking, mcp_case, second, answer(asked, "accept", content={"sure": True}), flavour=flavour)
    assert only(third, "mcp_call").output == "Ann orders tea: True"
    assert third.output_text == "Ann orders tea: True"


@pytest.mark.parametrize("flavour", ["modern", "handshake"])
def test_a_user_is_sent_to_a_page(asking: openai.OpenAI, mcp_case: Case, flavour: str) -> None:
    first = ask(asking, mcp_case, script(calls("ask_url"), "{outputs}"), flavour)
    asked = only(first, ASKED)
    assert asked.mode == "url"
    assert asked.url == f"https://example.com/sign-in?case={mcp_case.name}"
    second = go_on(asking, mcp_case, first, answer(asked, "accept"), flavour=flavour)
    assert only(second, "mcp_call").output == "user said: accept"


def test_calls_beside_one_that_asks_are_done(both: openai.OpenAI, mcp_case: Case) -> None:
    told = script([call("add", a=1, b=2), call("ask_name"), call("hello")], "{outputs}")
    first = ask(both, mcp_case, told)
    assert {item.name: item.status for item in of(first, "mcp_call")} == {
        "add": "completed",
        "ask_name": "incomplete",
        "hello": "completed",
    }
    second = go_on(both, mcp_case, first, answer(only(first, ASKED), "accept", content=ANN))
    assert sorted(second.output_text.split(" | ")) == ["3", "hello", "user said: accept Ann"]


def test_questions_outlive_this_server(start_mcp: StartMcp, recorder: Recorder, mcp_case: Case) -> None:
    """Those of servers with sessions too, whose call is made anew and has the answer to the same question."""
    program = start_mcp(LOOPBACK, MCP)
    with sync_client(program.url, recorder) as client:
        kept = ask(client, mcp_case, flavour="modern")
        carried = ask(client, mcp_case, flavour="modern", store=False)
        session = ask(client, mcp_case, flavour="handshake")
    program.kill()
    again = start_mcp(LOOPBACK, MCP)
    with sync_client(again.url, recorder) as client:
        after = [
            go_on(client, mcp_case, first, answer(only(first, ASKED), "accept", content=ANN), flavour=flavour)
            for first, flavour in ((kept, "modern"), (session, "handshake"))
        ]
        sent: Any = [{"role": "user", "content": NAME}, *(item.model_dump() for item in carried.output)]
        reply = answer(only(carried, ASKED), "accept", content=ANN)
        tools = [server(mcp_case, "modern")]
        after.append(respond(client, input=[*sent, reply], tools=tools, store=False))
    assert [only(one, "mcp_call").output for one in after] == ["user said: accept Ann"] * 3
    assert mcp_case.seen.calls["ask_name done"] == 3


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"content": {"name": ""}}, "input[0].content"),
        ({"content": {"name": "x" * 41}}, "input[0].content"),
        ({"content": {"name": 7}}, "input[0].content"),
        ({"content": {"nick": "Ann"}}, "input[0].content"),
        ({"content": {}}, "input[0].content"),
        ({"content": None}, "input[0].content"),
        ({"content": "Ann"}, "input[0].content"),
        ({"action": "shrug"}, "input[0].action"),
        ({"action": "decline"}, "input[0].content"),
        ({"elicitation_request_id": "mcpe_unknown"}, "input[0].elicitation_request_id"),
        ({"because": 7}, "input[0].because"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_and_the_question_stays(
    asking: openai.OpenAI, mcp_case: Case, change: Any, param: str
) -> None:
    first = ask(asking, mcp_case, flavour="modern")
    good = answer(only(first, ASKED), "accept", content=ANN)
    with pytest.raises(openai.BadRequestError) as refused:
        go_on(asking, mcp_case, first, {**good, **change}, flavour="modern")
    assert (refused.value.param or "").startswith(param)
    assert mcp_case.seen.calls["ask_name done"] == 0
    second = go_on(asking, mcp_case, first, good, flavour="modern")
    assert only(second, "mcp_call").output == "user said: accept Ann"


def test_an_answer_is_good_for_one_use(both: openai.OpenAI, mcp_case: Case) -> None:
    first = ask(both, mcp_case)
    good = answer(only(first, ASKED), "accept", content=ANN)
    go_on(both, mcp_case, first, good)
    with pytest.raises(openai.BadRequestError) as refused:
        go_on(both, mcp_case, first, good)
    assert refused.value.param == "input[0].elicitation_request_id"
    assert mcp_case.seen.calls["ask_name done"] == 1


def test_what_is_sealed_in_a_question_cannot_be_changed(asking: openai.OpenAI, mcp_case: Case) -> None:
    first = ask(asking, mcp_case, flavour="modern", store=False)
    items = [item.model_dump() for item in first.output]
    for change in ({"encrypted_content": items[-1]["encrypted_content"][:-4] + "AAAA"}, {"name": "erase"}):
        carried: Any = [{"role": "user", "content": NAME}, *items[:-1], {**items[-1], **change}]
        with pytest.raises(openai.BadRequestError):
            asking.responses.create(
                model=MODEL,
                input=[*carried, answer(only(first, ASKED), "accept", content=ANN)],
                tools=[server(mcp_case, "modern")],
                store=False,
            )
    assert mcp_case.seen.calls["ask_name done"] == 0


def test_a_question_goes_by_without_an_answer(asking: openai.OpenAI, mcp_case: Case) -> None:
    """The user says something else, and the call stays without an end."""
    first = ask(asking, mcp_case)
    second = go_on(asking, mcp_case, first, {"role": "user", "content": script("never mind")})
    assert second.output_text == "never mind"
    assert mcp_case.seen.calls["ask_name done"] == 0


def test_a_question_in_a_stream_is_added_and_done(both: openai.OpenAI, mcp_case: Case) -> None:
    events: Any = list(both.responses.create(model=MODEL, input=NAME, tools=[server(mcp_case)], stream=True))
    own = [event for event in events if getattr(event, "output_index", None) == 2]
    assert [event.type for event in own] == ["response.output_item.added", "response.output_item.done"]
    assert own[1].item.type == ASKED
    assert events[-1].type == "response.completed"


# --- sampling ------------------------------------------------------------------------------------------------
SUMMARY = script(calls("summarize", text="a long story"), "{outputs}")


def test_a_server_has_no_model_called_unless_the_operator_lets_it(
    asking: openai.OpenAI, upstream: Upstream, mcp_case: Case
) -> None:
    before = len(upstream.seen.requests)
    response = asking.responses.create(model=MODEL, input=SUMMARY, tools=[server(mcp_case)])
    assert response.status == "completed"
    assert only(response, "mcp_call").status == "failed"
    assert of(response, SAMPLED) == []
    assert len(upstream.seen.requests) - before == 2, "the two steps of the run, and nothing else"


@pytest.fixture(scope="module")
def sampling(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server that lets others have its models called."""
    folder = tmp_path_factory.mktemp("sampling")
    with start_antiphon(folder, mcp_configuration(upstream, folder, LOOPBACK, SAMPLING)) as program:
        program.wait_ready()
        yield program


@pytest.mark.parametrize("flavour", ["modern", "handshake"])
def test_a_server_has_the_model_of_the_response_called(
    sampling: Program, recorder: Recorder, upstream: Upstream, mcp_case: Case, flavour: str
) -> None:
    before = len(upstream.seen.requests)
    told = script(calls("summarize", text="a long story"), "{outputs}")
    with sync_client(sampling.url, recorder) as client:
        response = client.responses.create(model=MODEL, input=told, tools=[server(mcp_case, flavour)])
    assert only(response, "mcp_call").output == "summary: there is no script"
    step = only(response, SAMPLED)
    assert (step.server_label, step.name, step.status) == ("desk", "summarize", "completed")
    assert step.output == "there is no script"
    sampled = upstream.seen.requests[before + 1]
    assert [message["content"] for message in sampled["messages"]] == ["Be brief.", "Sum up: a long story"]
    assert "tools" not in sampled
    assert sampled.get("max_tokens", sampled.get("max_completion_tokens")) == 64
    assert response.usage is not None
    assert response.usage.total_tokens == 3 * 18


def test_the_calls_of_a_server_are_counted(sampling: Program, recorder: Recorder, mcp_case: Case) -> None:
    told = script([call("summarize", text=str(number)) for number in range(4)], "{outputs}")
    with sync_client(sampling.url, recorder) as client:
        response = client.responses.create(model=MODEL, input=told, tools=[server(mcp_case)])
    assert response.status == "completed"
    states = sorted(item.status for item in of(response, "mcp_call"))
    assert states == ["completed", "completed", "failed", "failed"]
    assert len([item for item in of(response, SAMPLED) if item.status == "completed"]) == 2


def test_a_raw_request_sees_the_items_as_they_are(
    mcp_program: Program, recorder: Recorder, mcp_case: Case
) -> None:
    with Raw(mcp_program.port, recorder) as raw:
        body = raw.post("/v1/responses", {"model": MODEL, "input": NAME, "tools": [server(mcp_case)]}).json
        stored = raw.get(f"/v1/responses/{body['id']}").json
    assert stored["output"] == body["output"]
    question = body["output"][-1]
    assert set(question) >= {
        "id",
        "type",
        "server_label",
        "name",
        "arguments",
        "message",
        "expires_at",
        "mode",
    }
    assert None not in question.values()
