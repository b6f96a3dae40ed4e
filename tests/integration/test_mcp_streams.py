"""The events of MCP tools: their order, where each belongs, and that they add up to the response."""

import itertools
from typing import Any

import openai
import pytest

from bench.program import Program
from tests.conformance.recorder import Recorder
from tests.integration.mcp_world import MODEL, server
from tests.integration.obedient import call, calls, script
from tests.integration.sockets import RawSocket
from tests.integration.test_mcp_approvals import answer, careful
from tests.support.mcp_wire import Case

ADD = script(calls("add", a=2, b=3), "five")
LISTED = [
    "response.output_item.added",
    "response.mcp_list_tools.in_progress",
    "response.mcp_list_tools.completed",
    "response.output_item.done",
]
CALLED = [
    "response.output_item.added",
    "response.mcp_call.in_progress",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
    "response.mcp_call.completed",
    "response.output_item.done",
]
SAID = [
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
]
BEGUN = ["response.created", "response.in_progress"]


def stream(client: openai.OpenAI, **request: Any) -> list[Any]:
    return list(client.responses.create(model=MODEL, stream=True, **request))


def folded(events: list[Any]) -> list[str]:
    """The types, several deltas of one kind in a row as one."""
    return [kind for kind, _ in itertools.groupby(event.type for event in events)]


def of_item(events: list[Any], index: int) -> list[Any]:
    return [event for event in events if getattr(event, "output_index", None) == index]


def check_whole(events: list[Any]) -> Any:
    """Every event of an item says which, numbers have no gaps, and the items are the response's; that response."""
    assert [event.sequence_number for event in events] == list(range(len(events)))
    ids: dict[int, str] = {}
    done: dict[int, Any] = {}
    for event in events:
        if event.type == "response.output_item.added":
            assert event.output_index == len(ids), "indexes are given in order"
            ids[event.output_index] = event.item.id
        elif event.type == "response.output_item.done":
            assert event.item.id == ids[event.output_index]
            done[event.output_index] = event.item
        elif hasattr(event, "output_index"):
            assert event.item_id == ids[event.output_index]
            assert event.output_index not in done
        else:
            assert event.type in {*BEGUN, "response.completed"}, event.type
    final = events[-1].response
    assert [item.model_dump() for item in final.output] == [done[at].model_dump() for at in sorted(done)]
    return final


def test_a_list_a_call_and_the_answer(both: openai.OpenAI, mcp_case: Case) -> None:
    events = stream(both, input=ADD, tools=[server(mcp_case)])
    assert folded(events) == [*BEGUN, *LISTED, *CALLED, *SAID, "response.completed"]
    final = check_whole(events)
    opened, *_, made = of_item(events, 0)
    assert (opened.item.type, opened.item.tools) == ("mcp_list_tools", [])
    assert len(made.item.tools) == 28
    opened, *rest = of_item(events, 1)
    assert (opened.item.type, opened.item.name, opened.item.server_label) == ("mcp_call", "add", "desk")
    assert opened.item.status == "in_progress"
    assert opened.item.output is None
    deltas = "".join(event.delta for event in rest if event.type.endswith("arguments.delta"))
    [whole] = [event.arguments for event in rest if event.type.endswith("arguments.done")]
    assert deltas == whole == final.output[1].arguments
    assert both.responses.retrieve(final.id).output_text == "five"


def test_the_helper_of_the_client_follows_the_stream(both: openai.OpenAI, mcp_case: Case) -> None:
    with both.responses.stream(model=MODEL, input=ADD, tools=[server(mcp_case)]) as events:
        seen = [event.type for event in events]
        final = events.get_final_response()
    assert "response.mcp_call.completed" in seen
    assert [item.type for item in final.output] == ["mcp_list_tools", "mcp_call", "message"]
    assert final.output_text == "five"


def test_parallel_calls_have_places_of_their_own(both: openai.OpenAI, mcp_case: Case) -> None:
    step = [call("meet", people=3), call("meet", people=3), call("meet", people=3)]
    events = stream(both, input=script(step, "met"), tools=[server(mcp_case)])
    check_whole(events)
    for index in (1, 2, 3):
        assert folded(of_item(events, index)) == CALLED


def test_a_server_that_gives_no_list(both: openai.OpenAI, mcp_case: Case, hostile_mcp: Case) -> None:
    tools = [server(hostile_mcp, "list-403", "broken"), server(mcp_case)]
    events = stream(both, input=ADD, tools=tools)
    check_whole(events)
    assert folded(of_item(events, 0)) == [
        "response.output_item.added",
        "response.mcp_list_tools.in_progress",
        "response.mcp_list_tools.failed",
        "response.output_item.done",
    ]
    assert of_item(events, 0)[-1].item.error
    assert folded(of_item(events, 1)) == LISTED


@pytest.mark.parametrize("tool", ["fails", "breaks", "crashes"])
def test_a_call_that_fails(both: openai.OpenAI, mcp_case: Case, tool: str) -> None:
    events = stream(both, input=script(calls(tool), "oh"), tools=[server(mcp_case)])
    final = check_whole(events)
    failed = [kind.replace("call.completed", "call.failed") for kind in CALLED]
    assert folded(of_item(events, 1)) == failed
    assert (final.status, final.output[1].status) == ("completed", "failed")
    assert final.output[1].error.type in {"mcp_tool_execution_error", "mcp_protocol_error"}


def test_a_call_without_arguments_has_them_all_the_same(both: openai.OpenAI, mcp_case: Case) -> None:
    events = stream(both, input=script(calls("hello"), "oh"), tools=[server(mcp_case)])
    final = check_whole(events)
    [done] = [event for event in of_item(events, 1) if event.type == "response.mcp_call_arguments.done"]
    assert done.arguments == final.output[1].arguments == "{}"


def test_an_approval_is_added_and_done_and_the_call_comes_first_in_the_next_stream(
    both: openai.OpenAI, mcp_case: Case
) -> None:
    told = script(calls("erase", path="x"), "gone")
    first = stream(both, input=told, tools=[careful(mcp_case)])
    asked = check_whole(first).output[1]
    assert folded(of_item(first, 1)) == ["response.output_item.added", "response.output_item.done"]
    assert of_item(first, 1)[0].item.type == "mcp_approval_request"
    second = stream(
        both,
        input=[answer(asked, approve=True)],
        tools=[careful(mcp_case)],
        previous_response_id=first[-1].response.id,
    )
    final = check_whole(second)
    assert folded(second) == [*BEGUN, *CALLED, *SAID, "response.completed"]
    assert of_item(second, 0)[0].item.approval_request_id == asked.id
    assert final.output[0].approval_request_id == asked.id


def test_events_come_while_the_tool_is_running(asking: openai.OpenAI, mcp_case: Case) -> None:
    with asking.responses.create(
        model=MODEL, stream=True, input=script(calls("hold"), "free"), tools=[server(mcp_case)]
    ) as events:
        for event in events:
            if event.type == "response.mcp_call_arguments.done":
                break
        mcp_case.wait_for("the call", lambda seen: seen.holding == 1)
        mcp_case.release()
        rest = [event.type for event in events]
    assert rest[0] == "response.mcp_call.completed"
    assert rest[-1] == "response.completed"


def test_a_client_that_leaves_has_the_call_cancelled_at_the_server(
    asking: openai.OpenAI, mcp_case: Case
) -> None:
    with asking.responses.create(
        model=MODEL, stream=True, input=script(calls("hold")), tools=[server(mcp_case)]
    ) as events:
        for event in events:
            if event.type == "response.mcp_call_arguments.done":
                break
        mcp_case.wait_for("the call", lambda seen: seen.holding == 1)
    mcp_case.wait_for("its end", lambda seen: seen.cancelled == 1 and seen.holding == 0)


# --- over a WebSocket ----------------------------------------------------------------------------------------
def test_a_connection_of_its_own_goes_through_an_approval_with_nothing_stored(
    mcp_program: Program, recorder: Recorder, mcp_case: Case
) -> None:
    told = script(calls("erase", path="x"), "{outputs}")
    with RawSocket(mcp_program.port, recorder) as line:
        first = line.turn(MODEL, told, tools=[careful(mcp_case)], store=False)
        asked = first[-1]["response"]["output"][-1]
        assert asked["type"] == "mcp_approval_request"
        second = line.turn(
            MODEL,
            [answer(asked["id"], approve=True)],
            tools=[careful(mcp_case)],
            store=False,
            previous_response_id=first[-1]["response"]["id"],
        )
    output = second[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["mcp_call", "message"]
    assert output[0]["approval_request_id"] == asked["id"]
    assert output[1]["content"][0]["text"] == "erased x"
    assert mcp_case.count("tools/list") == 1
