"""Fields that belong to another API or another place, and where their meaning is found here."""

from collections.abc import Container, Mapping
from types import MappingProxyType
from typing import Final

_CHAT_TOOL = (
    "this is the Chat Completions form of a tool; put name, description and parameters into the tool itself"
)

_BY_TAG: Final[Mapping[tuple[object, str], str]] = MappingProxyType(
    {
        (None, "messages"): "not a field of this API; send the messages as `input`",
        (None, "max_tokens"): "not a field of this API; use `max_output_tokens`",
        (None, "max_completion_tokens"): "not a field of this API; use `max_output_tokens`",
        (None, "response_format"): "not a field of this API; use `text.format`",
        (None, "reasoning_effort"): "not a field of this API; use `reasoning.effort`",
        (None, "verbosity"): "not a field of this API; use `text.verbosity`",
        (None, "functions"): 'not a field of this API; use `tools` with type "function"',
        (None, "function_call"): "not a field of this API; use `tool_choice`",
        (None, "logprobs"): "not a field of this API; use `top_logprobs`",
        (None, "n"): "not a field of this API; send the request several times",
        (None, "response_id"): "not a field of this API; use `previous_response_id`",
        ("function", "function"): _CHAT_TOOL,
        (
            "message",
            "tool_calls",
        ): "not a field of a message; send each call as an item of type function_call",
        (
            "message",
            "tool_call_id",
        ): "not a field of a message; send the result as a function_call_output item",
        (
            "json_schema",
            "json_schema",
        ): "this is the Chat Completions form; put name and schema into the format",
    }
)


_OF_AGENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "temperature": 'not here; use `sampling_params.strategy` of type "top_p"',
        "top_p": 'not here; use `sampling_params.strategy` of type "top_p"',
        "top_k": 'not here; use `sampling_params.strategy` of type "top_k"',
        "strategy": "not here; use `sampling_params.strategy`",
        "max_tokens": "not here; use `sampling_params.max_tokens`",
        "max_output_tokens": "not here; use `sampling_params.max_tokens`",
        "repetition_penalty": "not here; use `sampling_params.repetition_penalty`",
        "stop": "not here; use `sampling_params.stop`",
        "tools": "not a field of this API; use `client_tools` for what the client runs, and `toolgroups`",
        "shields": "not a field of this API; use `input_shields` and `output_shields`",
        "input": "not a field of this API; send it as `messages`",
        "model": "not here; the model is that of the agent",
        "response_format": "not here; the format is that of the agent",
        "system_message_behavior": "not here; use `tool_config.system_message_behavior`",
    }
)


def misplaced(tag: object, name: str, known: Container[str] = ()) -> str | None:
    """Advice for the unknown field `name` of the struct tagged `tag`, if we know where its meaning went. `known` are
    the fields that the struct has: those of agents and their turns are told by one that no other request has.
    """
    return _OF_AGENTS.get(name) if "toolgroups" in known else _BY_TAG.get((tag, name))
