"""What stands before the tool runtime in a run with tool groups: fixed arguments, and nobody to answer questions."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from antiphon.core.commands import CallTool, ListTools
from antiphon.core.hosted_items import (
    McpAuthorizationRequest,
    McpCall,
    McpElicitationRequest,
    McpListedTool,
    McpListTools,
    McpProtocolError,
)
from antiphon.core.items import FunctionCall
from antiphon.core.mcp import begun
from antiphon.core.signals import McpAsk, ToolDone, ToolsListed
from antiphon.core.tools import McpTool
from antiphon.core.wire import JsonObject
from antiphon.mcp_tools.together import NoRun
from antiphon.ports import Owner
from antiphon.ports.mcp import CallHost
from antiphon.testing import ToolBox
from antiphon.tool_groups.runtime import MAX_DECLINED, FixedArguments, GroupRuntime

ANN = Owner("acme", "ann")
DESK = McpTool(server_label="desk", connector_id="desk", require_approval="never")
PAGE = "https://accounts.example/grant"
NAMED: JsonObject = {"type": "object", "properties": {"a": {"type": "integer"}}}
SCHEMAS: dict[str, JsonObject] = {
    "named": NAMED,
    "open": {**NAMED, "additionalProperties": True},
    "typed": {**NAMED, "additionalProperties": {"type": "string"}},
    "free": {"type": "object"},
    "closed": {"type": "object", "additionalProperties": False},
    "nothing": {"type": "object", "properties": {}},
    "session": {"type": "object", "properties": {"session_id": {"type": "string"}}},
}


def box() -> ToolBox:
    """Tools that say what they were given."""
    tools: dict[str, Callable[[str], str]] = dict.fromkeys(SCHEMAS, lambda text: text)
    listed = [McpListedTool(name=name, input_schema=schema) for name, schema in SCHEMAS.items()]
    return ToolBox(tools, servers={"desk": listed})


def asked(name: str, tool: McpTool = DESK, **arguments: Any) -> CallTool:
    text = json.dumps(arguments)
    return CallTool(
        FunctionCall(call_id="c", name=name, arguments=text), tool, begun(tool.server_label, name, text)
    )


async def given(runtime: GroupRuntime, others: ToolBox, call: CallTool) -> JsonObject:
    """The arguments that the tool got; those of the item stay the model's."""
    done = await runtime.run(ANN, call, NoRun())
    assert isinstance(done.item, McpCall)
    assert isinstance(call.item, McpCall)
    assert done.item.arguments == call.item.arguments
    inner = others.calls[-1].item
    assert isinstance(inner, McpCall)
    found: JsonObject = json.loads(inner.arguments)
    return found


@pytest.mark.parametrize(
    ("tool", "takes_a", "takes_more"),
    [
        ("named", True, False),
        ("open", True, True),
        ("typed", True, True),
        ("free", True, True),
        ("closed", False, False),
        ("nothing", False, False),
        ("unlisted", True, True),
    ],
)
async def test_fixed_arguments_go_to_the_tools_that_take_them(
    tool: str, takes_a: bool, takes_more: bool
) -> None:
    others = box()
    runtime = GroupRuntime(others, {"desk": FixedArguments({"a": 1, "more": 2})}, "session")
    expected = {"x": 0} | ({"a": 1} if takes_a else {}) | ({"more": 2} if takes_more else {})
    if not takes_a:
        assert await given(runtime, others, asked(tool, x=0)) == expected
        return
    assert await given(runtime, others, asked(tool, x=0, a=9)) == expected
    assert len(others.listings) == 1


async def test_a_tools_own_arguments_win_over_those_of_its_group() -> None:
    others = box()
    runtime = GroupRuntime(others, {"desk": FixedArguments({"a": 1}, {"named": {"a": 2}})})
    assert await given(runtime, others, asked("named")) == {"a": 2}
    assert await given(runtime, others, asked("open")) == {"a": 1}


async def test_the_session_is_told_to_the_tools_that_ask_for_it() -> None:
    others = box()
    runtime = GroupRuntime(others, {"desk": FixedArguments()}, "s-1")
    assert await given(runtime, others, asked("session", session_id="made up")) == {"session_id": "s-1"}
    assert await given(runtime, others, asked("free")) == {}
    fixed = GroupRuntime(others, {"desk": FixedArguments({"session_id": "s-2"})}, "s-1")
    assert await given(fixed, others, asked("session")) == {"session_id": "s-2"}


async def test_what_was_listed_in_the_run_is_not_asked_for_again_and_other_servers_are_left_alone() -> None:
    others = box()
    runtime = GroupRuntime(others, {"desk": FixedArguments({"a": 1})}, "s-1")
    await runtime.list_tools(ANN, ListTools(DESK, McpListTools(id="", server_label="desk", tools=[])))
    await given(runtime, others, asked("named"))
    assert len(others.listings) == 1
    other = msgspec.structs.replace(DESK, server_label="other")
    assert await given(runtime, others, asked("named", other, a=5)) == {"a": 5}


# --- what cannot be asked ------------------------------------------------------------------------------------
@dataclass
class Asking(ToolBox):
    """Its calls have questions, so many of them; with `locked` its server wants to be authorised."""

    questions: int = 0
    locked: bool = False
    answers: list[str] = field(default_factory=list[str])

    def ask(self) -> McpAsk:
        return McpAuthorizationRequest(id="", server_label="desk", url=PAGE, expires_at=1)

    async def list_tools(self, owner: Owner, asked: ListTools) -> ToolsListed:
        if not self.locked:
            return await ToolBox.list_tools(self, owner, asked)
        item = McpListTools(id="", server_label="desk", tools=[], error="needs an authorisation")
        return ToolsListed("desk", item, (self.ask(),))

    async def run(self, owner: Owner, call: CallTool, host: CallHost) -> ToolDone:
        assert isinstance(call.item, McpCall)
        if self.locked:
            error = McpProtocolError(code=-1, message="needs an authorisation")
            failed = msgspec.structs.replace(call.item, status="failed", error=error)
            return ToolDone("c", "", failed, (self.ask(),))
        if call.answer is not None:
            self.answers.append(call.answer.action)
            assert call.answer.content is None
        if len(self.answers) < self.questions:
            question = McpElicitationRequest(
                id="",
                server_label="desk",
                name=call.item.name,
                arguments=call.item.arguments,
                message=f"question {len(self.answers)}",
                expires_at=1,
            )
            waiting = msgspec.structs.replace(call.item, status="incomplete")
            return ToolDone("c", "", waiting, (question,))
        return await ToolBox.run(self, owner, call, host)


async def test_every_question_of_a_call_is_declined() -> None:
    others = Asking({"named": lambda text: text}, questions=3)
    done = await GroupRuntime(others, {"desk": FixedArguments()}).run(ANN, asked("named", a=1), NoRun())
    assert isinstance(done.item, McpCall)
    assert (done.item.status, done.item.output, done.asks) == ("completed", '{"a": 1}', ())
    assert others.answers == ["decline"] * 3


async def test_a_call_that_asks_on_and_on_has_failed() -> None:
    others = Asking({}, questions=10_000)
    done = await GroupRuntime(others, {"desk": FixedArguments()}).run(ANN, asked("named"), NoRun())
    assert isinstance(done.item, McpCall)
    assert isinstance(done.item.error, McpProtocolError)
    assert (done.item.status, done.asks) == ("failed", ())
    assert "on and on" in done.item.error.message
    assert len(others.answers) == MAX_DECLINED - 1


async def test_a_server_that_has_to_be_authorised_has_a_tool_that_says_where() -> None:
    others = Asking({}, locked=True)
    runtime = GroupRuntime(others, {"desk": FixedArguments({"a": 1})}, "s-1")
    for tool, name in (
        (DESK, "authorize"),
        (msgspec.structs.replace(DESK, allowed_tools=["echo", "add"]), "echo"),
    ):
        listed = await runtime.list_tools(
            ANN, ListTools(tool, McpListTools(id="", server_label="desk", tools=[]))
        )
        assert [one.name for one in listed.item.tools] == [name]
        assert listed.asks == ()
        assert runtime.outdated(ANN, tool, listed.item)
        assert not runtime.outdated(ANN, tool, McpListTools(id="", server_label="desk", tools=[]))
        done = await runtime.run(ANN, asked(name, tool), NoRun())
        assert isinstance(done.item, McpCall)
        assert isinstance(done.item.error, McpProtocolError)
        assert PAGE in done.item.error.message
        assert (done.item.arguments, done.asks) == ("{}", ())


async def test_other_tools_and_servers_pass_as_they_are() -> None:
    others = Asking({"f": lambda text: f"said {text}"}, questions=1)
    runtime = GroupRuntime(others, {})
    done = await runtime.run(ANN, asked("named"), NoRun())
    assert len(done.asks) == 1
    plain = replace(asked("f"), tool=None, item=None)
    box_of_functions = ToolBox({"f": lambda text: f"said {text}"})
    assert (await GroupRuntime(box_of_functions, {}).run(ANN, plain, NoRun())).output == "said {}"
