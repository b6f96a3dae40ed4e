"""What is stored of turns can be read again, whatever a model said."""

import msgspec

from antiphon.agents.shapes import Step, ToolCall, ToolExecutionStep, ToolResponse


def test_a_step_of_a_call_with_a_name_and_an_id_of_any_length_is_read_again() -> None:
    name, call_id = "made_up" * 200, "c" * 5000
    call = ToolCall(call_id=call_id, tool_name=name, arguments="{}")
    told = ToolResponse(call_id=call_id, tool_name=name, content="Error: there is no such tool.")
    step = ToolExecutionStep(turn_id="t", step_id="s", tool_calls=[call], tool_responses=[told])
    assert msgspec.json.decode(msgspec.json.encode(step), type=Step) == step
