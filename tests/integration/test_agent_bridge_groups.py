"""Requests for responses that name an agent with tool groups: its MCP servers are called for the response."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.integration.mcp_world import heard, kinds, of, only, shown
from tests.integration.obedient import calls, script
from tests.integration.upstream import Upstream
from tests.support.mcp_wire import Case

ADD = script(calls("add", a=2, b=3), "it is {outputs}")


@pytest.fixture
def group(both: openai.OpenAI, mcp_case: Case) -> Iterator[str]:
    """A tool group of the tenant's own."""
    name = "mcp::bridged"
    endpoint = {"uri": mcp_case.url()}
    body = {"toolgroup_id": name, "provider_id": "model-context-protocol", "mcp_endpoint": endpoint}
    both.post("/toolgroups", body=body, cast_to=object)
    yield name
    both.delete(f"/toolgroups/{name}", cast_to=object)


def asked(client: openai.OpenAI, groups: list[Any], said: str, **more: Any) -> Any:
    """The response of an agent with these groups."""
    config: Any = {"model": "obedient", "instructions": "", "toolgroups": groups, **more.pop("config", {})}
    made: Any = client.post("/agents", body={"agent_config": config}, cast_to=object)
    create: Any = client.responses.create
    try:
        return create(input=said, extra_body={"agent": made["agent_id"]}, **more)
    finally:
        client.delete(f"/agents/{made['agent_id']}", cast_to=object)


def test_tools_of_a_group_are_listed_and_called_without_approval(both: openai.OpenAI, group: str) -> None:
    response = asked(both, [group], ADD)
    assert kinds(response) == ["mcp_list_tools", "mcp_call", "message"]
    assert response.output_text == "it is 5"
    assert both.responses.retrieve(response.id).output_text == "it is 5"


def test_arguments_of_the_group_win_and_one_tool_may_be_named(
    both: openai.OpenAI, upstream: Upstream, group: str
) -> None:
    response = asked(both, [{"name": f"{group}/add", "args": {"b": 40}}], ADD)
    assert response.output_text == "it is 42"
    assert shown(upstream) == ["add"]
    assert json.loads(only(response, "mcp_call").arguments)["a"] == 2


def test_a_tool_of_a_group_is_chosen_by_its_name(both: openai.OpenAI, upstream: Upstream, group: str) -> None:
    config = {"tool_config": {"tool_choice": "echo"}}
    response = asked(both, [group], script(calls("echo", text="hi"), "{outputs}"), config=config)
    assert response.output_text == "hi"
    assert heard(upstream) == ["hi"]
    with pytest.raises(openai.BadRequestError) as caught:
        asked(both, [group], ADD, config={"tool_config": {"tool_choice": "no_such_tool"}})
    assert caught.value.param == "agent"
    assert "agent_config.tool_config.tool_choice" in caught.value.message
    assert "add" in caught.value.message


def test_tools_of_the_request_stand_in_for_the_groups(
    both: openai.OpenAI, upstream: Upstream, group: str
) -> None:
    response = asked(both, [group], script("plain"), tools=[])
    assert of(response, "mcp_list_tools") == []
    assert "tools" not in upstream.last_request()


def test_the_last_call_of_the_limit_answers(both: openai.OpenAI, upstream: Upstream, group: str) -> None:
    told = script(calls("add", a=1, b=1), calls("add", a=2, b=2), "it is {outputs}")
    response = asked(both, [group], told, config={"max_infer_iters": 2})
    assert response.status == "completed"
    assert len(of(response, "mcp_call")) == 1, "the second model call may call no tools"
    assert upstream.last_request()["tool_choice"] == "none"
