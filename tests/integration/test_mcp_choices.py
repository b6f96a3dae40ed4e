"""Which tools of a server a model is shown, which of them need approval, and which of them it has to call."""

from typing import Any

import openai
import pytest

from tests.integration.mcp_world import MODEL, heard, kinds, names, of, only, server, shown
from tests.integration.obedient import call, calls, script
from tests.integration.upstream import Upstream
from tests.support.mcp_servers import McpServers
from tests.support.mcp_tools import OTHERS, READERS
from tests.support.mcp_wire import Case

READING = sorted(tool.__name__ for tool in READERS)
WRITING = sorted([*(tool.__name__ for tool in OTHERS), "erase"])
EVERY = sorted([*READING, *WRITING])


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        (None, EVERY),
        (["echo"], ["echo"]),
        (["echo", "add"], ["add", "echo"]),
        ([], []),
        (["not_there"], []),
        ({}, EVERY),
        ({"tool_names": ["echo", "erase"]}, ["echo", "erase"]),
        ({"read_only": True}, READING),
        ({"read_only": False}, WRITING),
        ({"tool_names": ["echo", "erase"], "read_only": True}, ["echo"]),
        ({"tool_names": ["echo", "erase"], "read_only": False}, ["erase"]),
    ],
)
def test_allowed_tools_in_every_form(
    asking: openai.OpenAI, upstream: Upstream, mcp_case: Case, allowed: Any, expected: list[str]
) -> None:
    response = asking.responses.create(
        model=MODEL, input=script("hi"), tools=[server(mcp_case, allowed_tools=allowed)]
    )
    assert sorted(names(response)) == expected
    assert sorted(shown(upstream)) == expected
    echoed: Any = response.tools[0]
    assert echoed.model_dump(exclude_unset=True)["allowed_tools"] == allowed


def test_a_tool_that_is_not_allowed_is_not_called(
    asking: openai.OpenAI, upstream: Upstream, mcp_case: Case
) -> None:
    response = asking.responses.create(
        model=MODEL,
        input=script(calls("erase", path="x"), "{outputs}"),
        tools=[server(mcp_case, allowed_tools={"read_only": True})],
    )
    assert response.status == "completed"
    assert of(response, "mcp_call") == []
    assert "erase" in heard(upstream)[0]
    assert mcp_case.calls("erase") == 0


@pytest.mark.parametrize(
    ("rules", "needing"),
    [
        ("absent", {"add", "erase", "fails"}),
        (None, {"add", "erase", "fails"}),
        ("always", {"add", "erase", "fails"}),
        ("never", set[str]()),
        ({}, {"add", "erase", "fails"}),
        ({"never": {}}, {"add", "erase", "fails"}),
        ({"never": {"tool_names": ["add"]}}, {"erase", "fails"}),
        ({"never": {"read_only": True}}, {"erase", "fails"}),
        ({"never": {"read_only": False}}, {"add"}),
        ({"never": {"tool_names": ["add", "erase"], "read_only": True}}, {"erase", "fails"}),
        ({"never": ["add"]}, {"erase", "fails"}),
        ({"always": ["erase"], "never": ["add"]}, {"erase", "fails"}),
        ({"always": {"tool_names": ["erase"]}}, {"add", "erase", "fails"}),
        ({"always": {"tool_names": ["erase"]}, "never": {"tool_names": ["add"]}}, {"erase", "fails"}),
        ({"always": {"tool_names": ["add"]}, "never": {"read_only": True}}, {"erase", "fails"}),
    ],
)
def test_require_approval_in_every_form_and_as_llama_stack_lists_names(
    asking: openai.OpenAI, mcp_case: Case, rules: Any, needing: set[str]
) -> None:
    tool = server(mcp_case, require_approval=rules)
    if rules == "absent":
        del tool["require_approval"]
    told = script([call("add", a=1, b=2), call("erase", path="x"), call("fails")], "done")
    response = asking.responses.create(model=MODEL, input=told, tools=[tool])
    assert {item.name for item in of(response, "mcp_approval_request")} == needing
    assert {item.name for item in of(response, "mcp_call")} == {"add", "erase", "fails"} - needing
    made = {one.tool for one in mcp_case.seen.asked if one.tool}
    assert made == {"add", "erase", "fails"} - needing


# --- tool_choice ---------------------------------------------------------------------------------------------
FUNCTION: Any = {
    "type": "function",
    "name": "ask_client",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}


def test_none_lets_no_tool_be_called(asking: openai.OpenAI, upstream: Upstream, mcp_case: Case) -> None:
    response = asking.responses.create(
        model=MODEL, input=script("hi"), tools=[server(mcp_case)], tool_choice="none"
    )
    assert response.output_text == "hi"
    assert upstream.last_request().get("tool_choice", "none") == "none"
    assert mcp_case.count("tools/call") == 0
    assert response.tool_choice == "none"


def test_required_has_the_first_step_call_a_tool(
    asking: openai.OpenAI, upstream: Upstream, mcp_case: Case
) -> None:
    before = len(upstream.seen.requests)
    asking.responses.create(
        model=MODEL,
        input=script(calls("hello"), "{outputs}"),
        tools=[server(mcp_case)],
        tool_choice="required",
    )
    choices = [one.get("tool_choice", "auto") for one in upstream.seen.requests[before:]]
    assert choices == ["required", "auto"]


def test_a_named_tool_of_a_server(asking: openai.OpenAI, upstream: Upstream, mcp_case: Case) -> None:
    before = len(upstream.seen.requests)
    choice: Any = {"type": "mcp", "server_label": "desk", "name": "hello"}
    response = asking.responses.create(
        model=MODEL,
        input=script(calls("hello"), "{outputs}"),
        tools=[server(mcp_case)],
        tool_choice=choice,
    )
    assert response.output_text == "hello"
    first = upstream.seen.requests[before]["tool_choice"]
    assert first == {"type": "function", "function": {"name": "hello"}}
    chosen: Any = response.tool_choice
    assert chosen.model_dump(exclude_none=True) == choice


def test_any_tool_of_a_server(asking: openai.OpenAI, upstream: Upstream, mcp_servers: McpServers) -> None:
    here, there = mcp_servers.case(), mcp_servers.case()
    before = len(upstream.seen.requests)
    response = asking.responses.create(
        model=MODEL,
        input=script([call("hello"), call("echo", text="x")], "{outputs}"),
        tools=[
            server(here, label="here", allowed_tools=["hello"]),
            server(there, label="there", allowed_tools=["echo"]),
        ],
        tool_choice={"type": "mcp", "server_label": "here"},
    )
    assert [item.name for item in of(response, "mcp_call")] == ["hello"]
    assert there.calls("echo") == 0
    assert upstream.seen.requests[before]["tool_choice"] != "auto"


@pytest.mark.parametrize(
    ("entries", "let_through"),
    [
        ([{"type": "mcp", "server_label": "here"}], ["hello", "read_note"]),
        ([{"type": "mcp", "server_label": "here", "name": "hello"}], ["hello"]),
        ([{"type": "mcp", "server_label": "there"}], ["echo"]),
        ([{"type": "function", "name": "ask_client"}], []),
        (
            [
                {"type": "mcp", "server_label": "there"},
                {"type": "mcp", "server_label": "here", "name": "hello"},
            ],
            ["hello", "echo"],
        ),
    ],
)
def test_allowed_tools_of_a_choice_hold_in_every_step(
    asking: openai.OpenAI, upstream: Upstream, mcp_servers: McpServers, entries: Any, let_through: list[str]
) -> None:
    here, there = mcp_servers.case(), mcp_servers.case()
    step = [call("hello"), call("read_note", name="n"), call("echo", text="x")]
    response = asking.responses.create(
        model=MODEL,
        input=script(step, step, "end"),
        tools=[
            server(here, label="here", allowed_tools=["hello", "read_note"]),
            server(there, label="there", allowed_tools=["echo"]),
            FUNCTION,
        ],
        tool_choice={"type": "allowed_tools", "mode": "auto", "tools": entries},
    )
    assert response.status == "completed"
    assert {item.name for item in of(response, "mcp_call")} == set(let_through)
    asked = [one.tool for case in (here, there) for one in case.seen.asked if one.tool]
    assert set(asked) == set(let_through)
    assert sorted(shown(upstream)) == ["ask_client", "echo", "hello", "read_note"], "the model sees them all"


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "mcp", "server_label": "nobody"},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "nobody"}]},
    ],
)
def test_a_choice_of_a_server_that_is_not_there_is_refused(
    asking: openai.OpenAI, mcp_case: Case, choice: Any
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        asking.responses.create(model=MODEL, input="hi", tools=[server(mcp_case)], tool_choice=choice)
    assert (refused.value.param or "").startswith("tool_choice")
    assert mcp_case.seen.asked == []


def test_a_choice_of_a_tool_that_the_server_does_not_have_fails_the_response(
    asking: openai.OpenAI, mcp_case: Case
) -> None:
    """Which tools it has is known only when the response has begun."""
    response = asking.responses.create(
        model=MODEL,
        input=script("hi"),
        tools=[server(mcp_case)],
        tool_choice={"type": "mcp", "server_label": "desk", "name": "invented"},
    )
    assert response.status == "failed"
    assert response.error is not None
    assert "invented" in response.error.message


def test_a_server_that_cannot_be_listed_fails_a_response_that_has_to_call_it(
    asking: openai.OpenAI, hostile_mcp: Case
) -> None:
    response = asking.responses.create(
        model=MODEL,
        input=script("hi"),
        tools=[server(hostile_mcp, "list-500")],
        tool_choice={"type": "mcp", "server_label": "desk"},
    )
    assert response.status == "failed"
    assert kinds(response) == ["mcp_list_tools"]
    assert only(response, "mcp_list_tools").error


def test_a_description_of_the_server_reaches_the_model(
    asking: openai.OpenAI, upstream: Upstream, mcp_case: Case
) -> None:
    tool = server(mcp_case, server_description="the front desk of a hotel", allowed_tools=["echo"])
    asking.responses.create(model=MODEL, input=script("hi"), tools=[tool])
    assert "the front desk of a hotel" in upstream.last_request()["tools"][0]["function"]["description"]


def test_tools_are_deferred_until_they_are_searched_for(
    asking: openai.OpenAI, upstream: Upstream, mcp_case: Case
) -> None:
    tool = server(mcp_case, defer_loading=True, allowed_tools=["add", "echo"])
    before = len(upstream.seen.requests)
    response = asking.responses.create(
        model=MODEL,
        input=script(calls("tool_search", query="add numbers"), calls("add", a=1, b=2), "{outputs}"),
        tools=[tool, {"type": "tool_search"}],
    )
    first, second, *_ = (
        [one["function"]["name"] for one in request["tools"]] for request in upstream.seen.requests[before:]
    )
    assert first == ["tool_search"]
    assert "add" in second
    assert only(response, "mcp_call").output == "3"
