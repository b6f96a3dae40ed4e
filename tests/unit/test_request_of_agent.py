"""A request that names a stored agent may leave out what the agent says; nothing else is different about it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from antiphon.core.compact_request import read_compact
from antiphon.core.count_request import read_count
from antiphon.core.errors import InvalidRequest
from antiphon.core.request import ResponseRequest

READERS: list[Callable[[bytes], ResponseRequest]] = [
    ResponseRequest.parse,
    lambda body: read_count(body)[0],
    lambda body: read_compact(body)[0],
]


@pytest.mark.parametrize("read", READERS)
def test_a_request_of_an_agent_needs_no_model(read: Callable[[bytes], ResponseRequest]) -> None:
    asked = read(json.dumps({"agent": "a", "input": [{"role": "user", "content": "hi"}]}).encode())
    assert (asked.agent, asked.model) == ("a", "")


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("nobody", [None, "", {}, [], False])
def test_an_agent_that_is_none_stands_for_no_model(read: Callable[[bytes], Any], nobody: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(json.dumps({"agent": nobody, "input": [{"role": "user", "content": "hi"}]}).encode())
    assert caught.value.param == "model"


def test_a_choice_among_the_tools_of_an_agent_is_judged_when_they_are_known() -> None:
    body: dict[str, Any] = {"input": "hi", "tool_choice": {"type": "function", "name": "of_the_agent"}}
    assert ResponseRequest.parse(json.dumps(body | {"agent": "a"}).encode()).tool_choice is not None
    with pytest.raises(InvalidRequest) as caught:
        ResponseRequest.parse(json.dumps(body | {"model": "m"}).encode())
    assert caught.value.param == "tool_choice.name"
