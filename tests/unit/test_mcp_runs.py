"""What a run does with MCP servers, step by step: lists, approvals, calls that go on, names, choices."""

from collections.abc import Iterable, Sequence

import msgspec
import pytest

from antiphon.core import mcp, mcp_turn, signals
from antiphon.core.commands import CallModel, CallTool, CloseItem, Finish, ListTools, OpenItem, Step
from antiphon.core.hosted_items import (
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpElicitationRequest,
    McpListedTool,
    McpListTools,
    ToolSearchOutput,
)
from antiphon.core.items import FunctionCall, FunctionCallOutput
from antiphon.core.loop import Loop
from antiphon.core.mcp_turn import McpBeginning, Resumed
from antiphon.core.request import ResponseRequest
from antiphon.core.seen import as_seen
from antiphon.core.tools import (
    ChooseAllowed,
    ChooseFunction,
    ChooseMcp,
    FunctionTool,
    McpApprovalRules,
    McpFilter,
    McpTool,
    Tool,
    ToolChoice,
    ToolSearchTool,
)
from antiphon.core.transcript import Transcript

READ = McpListedTool(
    name="read", description="Reads", input_schema={"type": "object"}, annotations={"readOnlyHint": True}
)
WRITE = McpListedTool(name="write", input_schema={"type": "object"})


def server(label: str = "s", **fields: object) -> McpTool:
    given = {"server_url": f"https://{label}.example.com/mcp", "require_approval": "never", **fields}
    return msgspec.convert({"type": "mcp", "server_label": label, **given}, McpTool)


def run(
    *tools: Tool,
    choice: ToolChoice | None = None,
    found: McpBeginning = mcp_turn.NOTHING,
    **fields: object,
) -> "Driver":
    request = ResponseRequest(model="m", input="hi", tools=list(tools), tool_choice=choice)
    return Driver(Loop(msgspec.structs.replace(request, **fields), Transcript(), mcp=found))


class Driver:
    """Keeps what a loop asks for, and the items that it shows, by id."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.shown: list[object] = []
        self.asked: list[Step] = []
        self.finish: Finish | None = None
        self.take(loop.start())

    def take(self, steps: Iterable[Step]) -> "Driver":
        for step in steps:
            match step:
                case OpenItem():
                    pass
                case CloseItem(item=item):
                    self.shown.append(item)
                case Finish():
                    self.finish = step
                case _:
                    self.asked.append(step)
        return self

    def listed(self, label: str, *tools: McpListedTool, error: str = "") -> "Driver":
        item = McpListTools(id="", server_label=label, tools=list(tools), error=error or msgspec.UNSET)
        return self.take(self.loop.feed(signals.ToolsListed(label, item)))

    def calls(self, *calls: tuple[str, str]) -> "Driver":
        """The model makes these calls, names with arguments."""
        for at, (name, arguments) in enumerate(calls):
            call = FunctionCall(call_id=f"c{at}", name=name, arguments=arguments)
            self.take(self.loop.feed(signals.ItemDone(at, call)))
        return self.take(self.loop.feed(signals.StepDone("tool_calls")))

    def done(self, at: int, **fields: object) -> "Driver":
        """The tool call of this number ends."""
        command = self.tool_calls[at]
        assert isinstance(command.item, McpCall)
        item = msgspec.structs.replace(command.item, **{"status": "completed", "output": "ok", **fields})
        return self.take(self.loop.feed(signals.ToolDone(command.call.call_id, "", item)))

    @property
    def tool_calls(self) -> list[CallTool]:
        return [one for one in self.asked if isinstance(one, CallTool)]

    @property
    def model_calls(self) -> list[CallModel]:
        return [one for one in self.asked if isinstance(one, CallModel)]

    @property
    def offered(self) -> list[str]:
        """The names of the tools that the last model call has."""
        return [tool.name for tool in self.model_calls[-1].request.model_tools]

    def types(self) -> list[str]:
        return [str(item.__struct_config__.tag) for item in self.shown if isinstance(item, msgspec.Struct)]


# --- lists ---------------------------------------------------------------------------------------------------
def test_servers_are_asked_first_and_the_model_sees_what_is_allowed() -> None:
    driven = run(server(allowed_tools=["read"]))
    assert [type(one) for one in driven.asked] == [ListTools]
    driven.listed("s", READ, WRITE)
    assert driven.offered == ["read"]
    shown = driven.shown[0]
    assert isinstance(shown, McpListTools)
    assert shown.tools == [READ]


@pytest.mark.parametrize(
    ("allowed", "names"),
    [
        (None, ["read", "write"]),
        ([], []),
        (["write"], ["write"]),
        ({"tool_names": ["read"]}, ["read"]),
        ({"read_only": True}, ["read"]),
        ({"read_only": False}, ["write"]),
        ({"tool_names": ["write"], "read_only": True}, []),
        ({}, ["read", "write"]),
    ],
)
def test_each_form_of_allowed_tools(allowed: object, names: Sequence[str]) -> None:
    driven = run(server(allowed_tools=allowed), FunctionTool(name="own")).listed("s", READ, WRITE)
    assert driven.offered == [*names, "own"]


def test_a_server_that_is_down_leaves_the_others() -> None:
    driven = run(server("down"), server("up")).listed("down", error="no answer")
    assert not driven.model_calls
    driven.listed("up", READ)
    assert driven.offered == ["read"]


def known(*tools: McpListedTool, of: McpTool) -> dict[str, McpListTools]:
    digest = mcp.list_digest(of)
    label = of.server_label
    return {label: McpListTools(id="mcpl_1", server_label=label, tools=list(tools), server=digest)}


def test_a_list_of_the_conversation_is_used_again() -> None:
    tool = server()
    driven = run(tool, found=McpBeginning(known(READ, of=tool)))
    assert driven.offered == ["read"]
    assert not [one for one in driven.asked if isinstance(one, ListTools)]


@pytest.mark.parametrize(
    "now",
    [
        server(allowed_tools=["read"]),
        server(server_url="https://other.example.com/mcp"),
        server(server_url=None, connector_id="c"),
    ],
)
def test_a_list_of_something_else_is_not(now: McpTool) -> None:
    driven = run(now, found=McpBeginning(known(READ, of=server())))
    assert [type(one) for one in driven.asked] == [ListTools]


def test_another_token_does_not_change_what_a_list_is_of() -> None:
    driven = run(server(authorization="new"), found=McpBeginning(known(READ, of=server(authorization="old"))))
    assert driven.offered == ["read"]


def test_a_list_that_the_server_has_called_old_is_not_used() -> None:
    tool = server()
    driven = run(tool, found=McpBeginning(known(READ, of=tool), outdated=frozenset({"s"})))
    assert [type(one) for one in driven.asked] == [ListTools]


@pytest.mark.parametrize(("names", "holds"), [(["read"], True), (["read", "new"], False), (None, True)])
def test_a_list_that_the_client_carries_holds_for_what_it_names(names: list[str] | None, holds: bool) -> None:
    carried = {"s": McpListTools(id="mcpl_1", server_label="s", tools=[READ])}
    driven = run(server(allowed_tools=names), found=McpBeginning(carried))
    assert bool(driven.model_calls) is holds


# --- approvals -----------------------------------------------------------------------------------------------
RULES: list[tuple[object, list[str]]] = [
    (None, ["read", "write"]),
    ("always", ["read", "write"]),
    ("never", []),
    ({"never": {"tool_names": ["read"]}}, ["write"]),
    ({"never": {"read_only": True}}, ["write"]),
    ({"always": {"tool_names": ["read"]}}, ["read", "write"]),
    ({"always": {"tool_names": ["read"]}, "never": {"tool_names": ["read"]}}, ["write"]),
    ({"never": {}}, ["read", "write"]),
    ({}, ["read", "write"]),
    ({"never": ["read"]}, ["write"]),
]


@pytest.mark.parametrize(("rule", "guarded"), RULES)
def test_each_form_of_require_approval(rule: object, guarded: list[str]) -> None:
    driven = run(server(require_approval=rule)).listed("s", READ, WRITE)
    driven.calls(("read", "{}"), ("write", "{}"))
    asked = [one.name for one in driven.shown if isinstance(one, McpApprovalRequest)]
    ran = [one.item.name for one in driven.tool_calls if isinstance(one.item, McpCall)]
    assert asked == guarded
    assert sorted(asked + ran) == ["read", "write"]


def test_a_call_that_needs_approval_ends_the_response_when_the_others_are_done() -> None:
    rule = McpApprovalRules(never=McpFilter(tool_names=["read"]))
    driven = run(server(require_approval=msgspec.to_builtins(rule))).listed("s", READ, WRITE)
    driven.calls(("write", '{"a":1}'), ("read", ""))
    assert driven.finish is None
    driven.done(0)
    assert driven.finish == Finish("completed")
    assert driven.types() == ["mcp_list_tools", "mcp_approval_request", "mcp_call"]
    assert len(driven.model_calls) == 1


def approved(tool: McpTool, listed: McpListedTool, arguments: str = '{"a":1}') -> Resumed:
    asked = McpApprovalRequest(
        id="mcpr_1", server_label=tool.server_label, name=listed.name, arguments=arguments
    )
    return Resumed(asked, mcp.definition_digest(listed))


def test_an_approved_call_is_made_before_the_model_is_asked() -> None:
    tool = server(require_approval="always")
    found = McpBeginning(known(WRITE, of=tool), resumed=[approved(tool, WRITE)])
    driven = run(tool, found=found)
    assert not driven.model_calls
    command = driven.tool_calls[0]
    assert isinstance(command.item, McpCall)
    assert (command.item.arguments, command.item.approval_request_id) == ('{"a":1}', "mcpr_1")
    driven.done(0)
    items = driven.model_calls[0].transcript.items
    assert [type(item) for item in items] == [FunctionCall, FunctionCallOutput]


def test_a_tool_that_changed_since_needs_approval_again() -> None:
    tool = server(require_approval="always")
    changed = msgspec.structs.replace(WRITE, description="Sends everything away")
    found = McpBeginning(known(changed, of=tool), resumed=[approved(tool, WRITE)])
    driven = run(tool, found=found)
    assert driven.types() == ["mcp_approval_request"]
    assert driven.finish == Finish("completed")
    assert not driven.tool_calls


def test_a_tool_that_is_gone_since_is_a_failed_call() -> None:
    tool = server(require_approval="always")
    found = McpBeginning(known(READ, of=tool), resumed=[approved(tool, WRITE)])
    driven = run(tool, found=found)
    call = driven.shown[0]
    assert isinstance(call, McpCall)
    assert call.status == "failed"
    assert driven.model_calls


def test_a_tool_that_changes_within_a_conversation_needs_approval_whatever_the_request_says() -> None:
    tool = server(require_approval="never")
    found = McpBeginning(known(READ, WRITE, of=tool), outdated=frozenset({"s"}))
    driven = run(tool, found=found)
    driven.listed("s", msgspec.structs.replace(READ, description="Reads, and sends it on"), WRITE)
    driven.calls(("read", "{}"), ("write", "{}"))
    assert [one.name for one in driven.shown if isinstance(one, McpApprovalRequest)] == ["read"]
    assert len(driven.tool_calls) == 1


def test_the_order_of_keys_does_not_change_what_was_asked() -> None:
    address = mcp.address_digest(server())
    asked = McpApprovalRequest(id="a", server_label="s", name="n", arguments='{"a": 1, "b": [1, 2]}')
    same = msgspec.structs.replace(asked, arguments='{"b":[1,2],"a":1}')
    other = msgspec.structs.replace(asked, arguments='{"b":[2,1],"a":1}')
    assert mcp.request_digest(asked, address) == mcp.request_digest(same, address)
    assert mcp.request_digest(asked, address) != mcp.request_digest(other, address)


def test_the_model_is_told_of_a_denial_and_its_reason() -> None:
    asked = McpApprovalRequest(id="mcpr_1", server_label="s", name="write", arguments="{}")
    denial = McpApprovalResponse(
        approval_request_id="mcpr_1", approve=False, reason="too dear", asked=asked, id="x"
    )
    call, answer = as_seen([asked, denial])
    assert isinstance(call, FunctionCall)
    assert isinstance(answer, FunctionCallOutput)
    assert call.call_id == answer.call_id
    assert "too dear" in str(answer.output)


# --- calls ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("arguments", ["", "{}", "null", '{"list":[1,2]}'])
def test_arguments_of_every_form(arguments: str) -> None:
    driven = run(server()).listed("s", READ).calls(("read", arguments))
    item = driven.tool_calls[0].item
    assert isinstance(item, McpCall)
    assert item.arguments == (arguments if arguments.startswith("{") else "{}")


@pytest.mark.parametrize("arguments", ["[1]", "{", '"x"', "7"])
def test_arguments_that_are_no_object_are_the_models_to_mend(arguments: str) -> None:
    driven = run(server()).listed("s", READ).calls(("read", arguments))
    assert not driven.tool_calls
    assert driven.types() == ["mcp_list_tools"]
    last = driven.model_calls[-1].transcript.items[-1]
    assert isinstance(last, FunctionCallOutput)
    assert "cannot be used" in str(last.output)


def test_a_question_ends_the_response_and_its_call_is_not_told_to_the_model() -> None:
    driven = run(server()).listed("s", READ, WRITE).calls(("read", "{}"), ("write", "{}"))
    first = driven.tool_calls[0]
    question = McpElicitationRequest(
        id="", server_label="s", name="read", arguments="{}", message="?", expires_at=9
    )
    assert isinstance(first.item, McpCall)
    waiting = msgspec.structs.replace(first.item, status="incomplete")
    driven.take(driven.loop.feed(signals.ToolDone(first.call.call_id, "", waiting, (question,))))
    assert driven.finish is None
    driven.done(1)
    assert driven.finish == Finish("completed")
    told = driven.loop.transcript.items
    assert [item.call_id for item in told if isinstance(item, FunctionCall)] == ["c1"]


def test_max_tool_calls_holds_for_calls_that_go_on() -> None:
    tool = server(require_approval="always")
    second = msgspec.structs.replace(approved(tool, WRITE).asked, id="mcpr_2")
    resumed = [approved(tool, WRITE), Resumed(second, mcp.definition_digest(WRITE))]
    driven = run(tool, found=McpBeginning(known(WRITE, of=tool), resumed=resumed), max_tool_calls=1)
    assert len(driven.tool_calls) == 1
    driven.done(0)
    assert driven.types() == ["mcp_call", "mcp_call"]


# --- names and choices ---------------------------------------------------------------------------------------
def test_tools_of_one_name_are_told_apart_by_their_server() -> None:
    driven = run(server("a"), server("b c"), FunctionTool(name="write")).listed("a", READ, WRITE)
    driven.listed("b c", READ)
    assert driven.offered == ["a__read", "a__write", "b_c__read", "write"]
    driven.calls(("b_c__read", "{}"))
    item = driven.tool_calls[0].item
    assert isinstance(item, McpCall)
    assert (item.server_label, item.name) == ("b c", "read")


def test_a_name_that_no_model_can_be_told_is_written_otherwise() -> None:
    odd = msgspec.structs.replace(READ, name="read/the file")
    driven = run(server()).listed("s", odd)
    assert driven.offered == ["s__read_the_file"]
    driven.calls(("s__read_the_file", "{}"))
    item = driven.tool_calls[0].item
    assert isinstance(item, McpCall)
    assert item.name == "read/the file"


def test_a_server_takes_no_name_that_the_request_gave_another_tool() -> None:
    mine = [FunctionTool(name="read"), FunctionTool(name="s__read")]
    driven = run(server(), *mine).listed("s", READ)
    assert driven.offered[1:] == ["read", "s__read"]
    driven.calls((driven.offered[0], "{}"))
    item = driven.tool_calls[0].item
    assert isinstance(item, McpCall)
    assert item.name == "read"


def test_no_tool_is_lost_to_another_whose_name_is_written_alike() -> None:
    odd = [msgspec.structs.replace(READ, name=name) for name in ("a.b", "a/b", "a b", "s__a_b")]
    driven = run(server(), server("s-1"), server("s_1"), server("s 1")).listed("s", *odd)
    for label in ("s-1", "s_1", "s 1"):
        driven.listed(label, READ)
    offered = driven.offered
    assert len(offered) == len(set(offered)) == 7
    driven.calls(*((name, "{}") for name in offered))
    called = [one.item for one in driven.tool_calls]
    made = [(item.server_label, item.name) for item in called if isinstance(item, McpCall)]
    assert made == [*(("s", one.name) for one in odd), *((label, "read") for label in ("s-1", "s_1", "s 1"))]


def test_one_tool_of_a_server_can_be_chosen() -> None:
    driven = run(server(), choice=ChooseMcp(server_label="s", name="write")).listed("s", READ, WRITE)
    assert driven.model_calls[0].tool_choice == ChooseFunction(name="write")


def test_a_server_can_be_chosen_for_the_first_step() -> None:
    own = FunctionTool(name="own")
    driven = run(server(), own, choice=ChooseMcp(server_label="s")).listed("s", READ, WRITE)
    choice = driven.model_calls[0].tool_choice
    assert isinstance(choice, ChooseAllowed)
    assert choice.mode == "required"
    assert [entry["name"] for entry in choice.tools] == ["read", "write"]
    driven.calls(("read", "{}")).done(0)
    assert driven.model_calls[1].tool_choice == "auto"
    driven.calls(("own", "{}"))
    assert driven.finish == Finish("completed")


def test_tools_of_a_server_can_be_among_those_allowed() -> None:
    entry = {"type": "mcp", "server_label": "s", "name": "read"}
    driven = run(server(), choice=ChooseAllowed(mode="auto", tools=[entry])).listed("s", READ, WRITE)
    assert driven.offered == ["read", "write"]
    driven.calls(("write", "{}"))
    assert not driven.tool_calls


@pytest.mark.parametrize(
    "choice", [ChooseMcp(server_label="s", name="none"), ChooseMcp(server_label="s"), "required"]
)
def test_a_choice_that_the_server_leaves_empty_fails_the_response(choice: ToolChoice) -> None:
    driven = run(server(), choice=choice).listed("s", error="no answer")
    assert driven.finish is not None
    assert driven.finish.status == "failed"
    assert "no answer" in str(driven.finish.error_message)
    assert not driven.model_calls


def test_deferred_tools_are_loaded_by_a_search() -> None:
    driven = run(server(defer_loading=True, authorization="secret"), ToolSearchTool()).listed(
        "s", READ, WRITE
    )
    assert driven.offered == ["tool_search"]
    driven.calls(("tool_search", '{"query":"read"}'))
    assert driven.offered == ["read", "tool_search"]
    found = next(one for one in driven.shown if isinstance(one, ToolSearchOutput))
    assert "secret" not in msgspec.json.encode(found).decode()
    driven.calls(("read", "{}"))
    tool = driven.tool_calls[0].tool
    assert isinstance(tool, McpTool)
    assert tool.authorization == "secret"
