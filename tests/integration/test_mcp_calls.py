"""Hosted MCP tools: real servers of every kind, the official client, a model that does as the test says."""

import json
import re
from typing import Any

import openai
import pytest

from tests.integration.mcp_world import MODEL, heard, kinds, names, of, only, server, shown
from tests.integration.obedient import call, calls, raw_call, script
from tests.integration.upstream import Upstream
from tests.support.mcp_servers import FLAVOURS, McpServers
from tests.support.mcp_wire import Case

ADD = script(calls("add", a=2, b=3), "it is {outputs}")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_tools_of_every_kind_of_server_are_listed_and_called(
    asking: openai.OpenAI, mcp_case: Case, flavour: str
) -> None:
    response = asking.responses.create(model=MODEL, input=ADD, tools=[server(mcp_case, flavour)])
    assert response.status == "completed"
    assert kinds(response) == ["mcp_list_tools", "mcp_call", "message"]
    listed = only(response, "mcp_list_tools")
    assert listed.id.startswith("mcpl_")
    assert listed.server_label == "desk"
    assert listed.error is None
    add = next(tool for tool in listed.tools if tool.name == "add")
    assert add.description == "Add two numbers."
    assert add.input_schema["required"] == ["a", "b"]
    assert add.annotations["readOnlyHint"] is True
    made = only(response, "mcp_call")
    assert made.id.startswith("mcp_")
    assert (made.server_label, made.name, made.status) == ("desk", "add", "completed")
    assert json.loads(made.arguments) == {"a": 2, "b": 3}
    assert made.output == "5"
    assert made.error is None
    assert made.approval_request_id is None
    assert response.output_text == "it is 5"
    assert mcp_case.count("tools/list") == 1
    assert mcp_case.count("tools/call") == 1
    if flavour != "sse":  # there the newer transport is tried first
        assert mcp_case.count("initialize") <= 1


def test_the_stored_response_is_the_one_that_was_answered(both: openai.OpenAI, mcp_case: Case) -> None:
    response = both.responses.create(model=MODEL, input=ADD, tools=[server(mcp_case)])
    again = both.responses.retrieve(response.id)
    assert [item.model_dump() for item in again.output] == [item.model_dump() for item in response.output]
    assert [tool.model_dump() for tool in again.tools] == [tool.model_dump() for tool in response.tools]


@pytest.mark.parametrize("flavour", ["mcp", "handshake", "sse"])
def test_calls_of_one_step_run_at_once_and_answer_in_order(
    asking: openai.OpenAI, upstream: Upstream, mcp_case: Case, flavour: str
) -> None:
    together = [call("meet", people=3) for _ in range(3)]
    step = [*together, call("echo", text="last")]
    response = asking.responses.create(
        model=MODEL, input=script(step, "{outputs}"), tools=[server(mcp_case, flavour)]
    )
    assert response.output_text == "met 3 | met 3 | met 3 | last"
    assert [item.name for item in of(response, "mcp_call")] == ["meet", "meet", "meet", "echo"]
    assert heard(upstream) == ["met 3", "met 3", "met 3", "last"]


def test_several_steps_in_one_response(both: openai.OpenAI, mcp_case: Case) -> None:
    told = script(calls("add", a=1, b=1), calls("echo", text="again"), "{outputs}")
    response = both.responses.create(model=MODEL, input=told, tools=[server(mcp_case)])
    assert kinds(response) == ["mcp_list_tools", "mcp_call", "mcp_call", "message"]
    assert response.output_text == "2 | again"
    assert mcp_case.count("tools/list") == 1


@pytest.mark.parametrize(
    ("step", "sent", "output"),
    [
        (calls("hello"), {}, "hello"),
        (raw_call("hello", ""), {}, "hello"),
        (raw_call("hello", "null"), {}, "hello"),
        (calls("total", numbers=[1, 2.5]), {"numbers": [1, 2.5]}, "3.5"),
        (
            calls("describe", place={"city": "Oslo"}, tags=["a", "b"]),
            {"place": {"city": "Oslo"}, "tags": ["a", "b"]},
            "Oslo in Norway ['a', 'b']",
        ),
        (calls("echo", text="æ\u2028\n\"'\\"), {"text": "æ\u2028\n\"'\\"}, "æ\u2028\n\"'\\"),
    ],
)
def test_arguments_of_every_shape_arrive_as_the_model_wrote_them(
    asking: openai.OpenAI, mcp_case: Case, step: Any, sent: Any, output: str
) -> None:
    response = asking.responses.create(model=MODEL, input=script(step), tools=[server(mcp_case)])
    made = only(response, "mcp_call")
    assert (made.status, made.output) == ("completed", output)
    assert json.loads(made.arguments) == sent
    assert (mcp_case.arguments(made.name)[0] or {}) == sent


# --- results and failures ------------------------------------------------------------------------------------
def test_a_tool_that_fails_says_so_to_the_model(
    asking: openai.OpenAI, upstream: Upstream, mcp_case: Case
) -> None:
    told = script(calls("fails", why="the disk is full"), "I see: {outputs}")
    response = asking.responses.create(model=MODEL, input=told, tools=[server(mcp_case)])
    made = only(response, "mcp_call")
    assert made.status == "failed"
    assert made.error.type == "mcp_tool_execution_error"
    assert "the disk is full" in json.dumps(made.error.content)
    assert made.output is None
    assert "the disk is full" in heard(upstream)[0]
    assert response.status == "completed"
    assert "the disk is full" in response.output_text


def test_a_protocol_error_has_its_code(asking: openai.OpenAI, upstream: Upstream, mcp_case: Case) -> None:
    response = asking.responses.create(
        model=MODEL, input=script(calls("breaks", code=-32050)), tools=[server(mcp_case)]
    )
    made = only(response, "mcp_call")
    assert made.status == "failed"
    assert made.error.type == "mcp_protocol_error"
    assert made.error.code == -32050
    assert "out of order" in made.error.message
    assert "out of order" in heard(upstream)[0]


@pytest.mark.parametrize(
    ("arguments", "why"), [('{"a": 1', "JSON"), ("[1, 2]", "object"), ('{"a": "one", "b": 2}', "")]
)
def test_arguments_that_cannot_be_used_are_told_to_the_model_alone(
    asking: openai.OpenAI, upstream: Upstream, mcp_case: Case, arguments: str, why: str
) -> None:
    told = script(raw_call("add", arguments), calls("add", a=1, b=2), "{outputs}")
    response = asking.responses.create(model=MODEL, input=told, tools=[server(mcp_case)])
    assert response.status == "completed"
    assert why in heard(upstream)[0]
    assert response.output_text.endswith("| 3")
    assert of(response, "mcp_call")[-1].output == "3"


def test_a_tool_that_there_is_not_is_answered_and_not_fatal(
    asking: openai.OpenAI, upstream: Upstream, mcp_case: Case
) -> None:
    told = script([call("invented"), call("add", a=1, b=2)], "{outputs}")
    response = asking.responses.create(model=MODEL, input=told, tools=[server(mcp_case)])
    assert response.status == "completed"
    assert [item.name for item in of(response, "mcp_call")] == ["add"]
    assert "3" in heard(upstream)
    assert any("invented" in one for one in heard(upstream))
    assert mcp_case.calls("invented") == 0


def test_a_server_that_fails_does_not_break_the_one_beside_it(
    both: openai.OpenAI, mcp_case: Case, hostile_mcp: Case
) -> None:
    tools = [server(hostile_mcp, "any-500", "broken"), server(mcp_case)]
    response = both.responses.create(model=MODEL, input=ADD, tools=tools)
    assert response.status == "completed"
    broken, good = of(response, "mcp_list_tools")
    assert (broken.server_label, broken.tools) == ("broken", [])
    assert "500" in broken.error
    assert good.error is None
    assert response.output_text == "it is 5"


def test_a_call_that_breaks_off_does_not_break_the_run(
    asking: openai.OpenAI, mcp_case: Case, hostile_mcp: Case
) -> None:
    tools = [
        server(hostile_mcp, "call-abort", "broken", allowed_tools=["echo"]),
        server(mcp_case, allowed_tools=["add"]),
    ]
    told = script([call("echo", text="x"), call("add", a=1, b=2)], "{outputs}")
    response = asking.responses.create(model=MODEL, input=told, tools=tools)
    assert response.status == "completed"
    failed, made = of(response, "mcp_call")
    assert (failed.status, made.status, made.output) == ("failed", "completed", "3")
    assert failed.error.message


def test_results_of_every_kind_reach_the_model(
    asking: openai.OpenAI, upstream: Upstream, mcp_case: Case
) -> None:
    step = [call("document"), call("forecast", city="Oslo"), call("nothing"), call("picture"), call("sound")]
    response = asking.responses.create(model=MODEL, input=script(step), tools=[server(mcp_case)])
    made = {item.name: item for item in of(response, "mcp_call")}
    assert {item.status for item in made.values()} == {"completed"}
    document, forecast, nothing, picture, sound = heard(upstream)
    for part in ("see below", "a note inside", "https://example.com/report.pdf"):
        assert part in document
    assert json.loads(forecast) == {"city": "Oslo", "degrees": 21.5, "days": ["Mon", "Tue"]}
    assert nothing
    assert "image/png" in picture
    assert "audio/wav" in sound or "audio/x-wav" in sound
    assert "iVBOR" not in picture
    assert made["document"].output == document


def test_what_is_long_is_cut_with_a_note_and_kept_as_a_file(
    asking: openai.OpenAI, upstream: Upstream, mcp_case: Case
) -> None:
    response = asking.responses.create(
        model=MODEL, input=script(calls("big", chars=300_000)), tools=[server(mcp_case)]
    )
    [text] = heard(upstream)
    assert len(text) < 102_000
    assert "file" in text[-500:]
    assert only(response, "mcp_call").status == "completed"
    [kept] = re.findall(r"file[-_][A-Za-z0-9]+", text[-500:])
    assert len(asking.files.content(kept).text) == 300_000


# --- beside other tools --------------------------------------------------------------------------------------
FUNCTION: Any = {
    "type": "function",
    "name": "ask_client",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}


def test_client_and_server_tools_in_one_step(both: openai.OpenAI, upstream: Upstream, mcp_case: Case) -> None:
    told = script([call("ask_client"), call("add", a=1, b=2), call("hello")], "{outputs}")
    tools = [FUNCTION, server(mcp_case)]
    first = both.responses.create(model=MODEL, input=told, tools=tools)
    assert first.status == "completed"
    assert kinds(first) == ["mcp_list_tools", "function_call", "mcp_call", "mcp_call"]
    asked = only(first, "function_call")
    assert [item.output for item in of(first, "mcp_call")] == ["3", "hello"]
    second = both.responses.create(
        model=MODEL,
        input=[{"type": "function_call_output", "call_id": asked.call_id, "output": "from the client"}],
        tools=tools,
        previous_response_id=first.id,
    )
    assert kinds(second) == ["message"]
    assert sorted(heard(upstream)) == ["3", "from the client", "hello"]
    assert mcp_case.count("tools/list") == 1


def test_two_servers_with_a_tool_of_one_name(
    asking: openai.OpenAI, upstream: Upstream, mcp_servers: McpServers
) -> None:
    here, there = mcp_servers.case(), mcp_servers.case()
    tools = [
        server(here, label="here", allowed_tools=["echo"]),
        server(there, label="there", allowed_tools=["echo", "hello"]),
    ]
    asking.responses.create(model=MODEL, input=script("hi"), tools=tools)
    both_names = shown(upstream)
    assert len(set(both_names)) == 3
    assert "hello" in both_names
    first, second = (next(name for name in both_names if label in name) for label in ("here", "there"))
    told = script([call(second, text="b"), call(first, text="a")], "{outputs}")
    response = asking.responses.create(model=MODEL, input=told, tools=tools)
    assert [(item.server_label, item.name, item.output) for item in of(response, "mcp_call")] == [
        ("there", "echo", "b"),
        ("here", "echo", "a"),
    ]
    assert (here.calls("echo"), there.calls("echo")) == (1, 1)


def test_max_tool_calls_holds_for_tools_of_servers(
    asking: openai.OpenAI, upstream: Upstream, mcp_case: Case
) -> None:
    told = script([call("add", a=1, b=1), call("add", a=2, b=2), call("add", a=3, b=3)], "{outputs}")
    response = asking.responses.create(model=MODEL, input=told, tools=[server(mcp_case)], max_tool_calls=2)
    assert response.status == "completed"
    assert [item.output for item in of(response, "mcp_call")] == ["2", "4"]
    assert mcp_case.calls("add") == 2
    assert "max_tool_calls" in heard(upstream)[2]


def test_the_steps_of_a_run_are_bounded(asking: openai.OpenAI, mcp_case: Case) -> None:
    told = script(*[calls("add", a=step, b=0) for step in range(9)])
    response = asking.responses.create(
        model=MODEL, input=told, tools=[server(mcp_case)], extra_body={"max_infer_iters": 3}
    )
    assert mcp_case.calls("add") == 2
    assert response.output_text == "I may not call anything."


# --- the list is asked for once ------------------------------------------------------------------------------
def test_a_chained_response_lists_nothing_again(both: openai.OpenAI, mcp_case: Case) -> None:
    tools = [server(mcp_case)]
    first = both.responses.create(model=MODEL, input=ADD, tools=tools)
    assert mcp_case.count("tools/list") == 1
    second = both.responses.create(model=MODEL, input=ADD, tools=tools, previous_response_id=first.id)
    third = both.responses.create(model=MODEL, input=ADD, tools=tools, previous_response_id=second.id)
    for chained in (second, third):
        assert kinds(chained) == ["mcp_call", "message"]
        assert chained.output_text == "it is 5"
    assert mcp_case.count("tools/list") == 1
    assert mcp_case.calls("add") == 3


def test_other_allowed_tools_are_listed_anew(both: openai.OpenAI, mcp_case: Case) -> None:
    first = both.responses.create(model=MODEL, input=ADD, tools=[server(mcp_case, allowed_tools=["add"])])
    assert names(first) == ["add"]
    second = both.responses.create(
        model=MODEL,
        input=script(calls("hello"), "{outputs}"),
        tools=[server(mcp_case, allowed_tools=["hello"])],
        previous_response_id=first.id,
    )
    assert names(second) == ["hello"]
    assert second.output_text == "hello"
    assert mcp_case.count("tools/list") <= 2


def test_a_conversation_keeps_the_list(both: openai.OpenAI, mcp_case: Case) -> None:
    conversation = both.conversations.create()
    for turn in range(3):
        response = both.responses.create(
            model=MODEL, input=ADD, tools=[server(mcp_case)], conversation=conversation.id
        )
        assert response.output_text == "it is 5"
        assert ("mcp_list_tools" in kinds(response)) == (turn == 0)
    assert mcp_case.count("tools/list") == 1
    items = both.conversations.items.list(conversation.id, order="asc").data
    assert [item.type for item in items if item.type.startswith("mcp")] == [
        "mcp_list_tools",
        *["mcp_call"] * 3,
    ]


def test_what_a_client_carries_itself_goes_on_without_a_list(both: openai.OpenAI, mcp_case: Case) -> None:
    tools = [server(mcp_case)]
    first = both.responses.create(model=MODEL, input=ADD, tools=tools, store=False)
    carried: Any = [{"role": "user", "content": ADD}, *(item.model_dump() for item in first.output)]
    again = script(calls("echo", text="carried"), "{outputs}")
    second = both.responses.create(
        model=MODEL, input=[*carried, {"role": "user", "content": again}], tools=tools, store=False
    )
    assert kinds(second) == ["mcp_call", "message"]
    assert second.output_text == "carried"
    assert mcp_case.count("tools/list") == 1


def test_items_of_mcp_are_there_when_the_input_of_a_chain_is_listed(
    both: openai.OpenAI, mcp_case: Case
) -> None:
    first = both.responses.create(model=MODEL, input=ADD, tools=[server(mcp_case)])
    second = both.responses.create(
        model=MODEL, input=script("bye"), tools=[server(mcp_case)], previous_response_id=first.id
    )
    listed = both.responses.input_items.list(second.id, order="asc").data
    assert [item.type for item in listed] == ["message", "mcp_list_tools", "mcp_call", "message", "message"]
    made: Any = listed[2]
    assert made.output == "5"


def test_without_the_tool_earlier_calls_are_history(
    asking: openai.OpenAI, upstream: Upstream, mcp_case: Case
) -> None:
    first = asking.responses.create(model=MODEL, input=ADD, tools=[server(mcp_case)])
    second = asking.responses.create(model=MODEL, input=script("bye"), previous_response_id=first.id)
    assert kinds(second) == ["message"]
    assert heard(upstream) == ["5"]
    assert "tools" not in upstream.last_request()


def test_a_tool_list_is_not_asked_for_where_no_tool_may_be_called(
    asking: openai.OpenAI, mcp_case: Case
) -> None:
    response = asking.responses.create(
        model=MODEL, input=script("hi"), tools=[server(mcp_case)], tool_choice="none"
    )
    assert response.output_text == "hi"
    assert mcp_case.count("tools/list") <= 1
    assert mcp_case.count("tools/call") == 0
