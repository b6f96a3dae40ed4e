"""For each row of the responses wire's table: a request that has the parameter, and how its effect is seen there."""

import json
from collections.abc import Mapping
from typing import Any

from tests.wire.chat_probes import (
    CALL,
    CUSTOM,
    FILE,
    FORMAT,
    GRAMMAR,
    IMAGE,
    MARKED,
    OBJECT,
    READ,
    RESULT,
    SCHEMA,
    F,
    G,
    Json,
    Probe,
    Seen,
    both,
    either,
    has,
    has_json,
    lacks,
    user_message,
)

GO: Json = {"type": "input_text", "text": "go"}
THOUGHT: Json = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [],
    "content": [{"type": "reasoning_text", "text": "hm-hm"}],
    "encrypted_content": "up:rs_9 blob-9",  # the inner form: made by the provider `up`
}


def _input(text: str) -> Seen:
    """Whether an item holds this text."""
    return lambda body: text in json.dumps(body["input"], ensure_ascii=False)


def _not_input(text: str) -> Seen:
    return lambda body: text not in json.dumps(body["input"], ensure_ascii=False)


def _told(text: str) -> Seen:
    return lambda body: text in body.get("instructions", "")


def _within(field: str, name: str, value: Any) -> Seen:
    return lambda body: body.get(field, {}).get(name) == value


def _without(field: str, name: str) -> Seen:
    return lambda body: name not in body.get(field, {})


def _tools(*kinds: str) -> Seen:
    return lambda body: [tool["type"] for tool in body.get("tools", [])] == list(kinds)


def _format(kind: str) -> Seen:
    """The format where the upstream wants it: in `text`, or in `response_format` as llama.cpp has it."""
    return either(
        lambda body: body.get("text", {}).get("format", {}).get("type") == kind,
        lambda body: body.get("response_format", {}).get("type") == kind,
    )


def _holds_schema(body: Json) -> bool:
    return json.dumps(SCHEMA) in json.dumps(body)


def _asks_for_logprobs(body: Json) -> bool:
    return "message.output_text.logprobs" in body.get("include", [])


def _asks_for_no_logprobs(body: Json) -> bool:
    return not _asks_for_logprobs(body)


_WRITTEN = _told(json.dumps(SCHEMA, separators=(",", ":")))

PROBES: Mapping[str, Probe] = {
    "instructions": Probe({"instructions": "Be brief."}, _told("Be brief.")),
    "input": Probe(
        {"input": [user_message(GO), CALL, RESULT]},
        lambda body: (
            [one["type"] for one in body["input"]] == ["message", "function_call", "function_call_output"]
        ),
    ),
    "input: input_image": Probe(
        {"input": [user_message(IMAGE)]}, _input('"input_image"'), _input('"input_image"')
    ),
    "input: input_file": Probe({"input": [user_message(FILE)]}, _input('"input_file"'), _input(READ)),
    "input: reasoning": Probe(
        {"input": [user_message(GO), THOUGHT, CALL, RESULT]}, either(_input("hm-hm"), _input("blob-9"))
    ),
    "input: prompt_cache_breakpoint": Probe(
        {"input": [user_message(MARKED)]},
        _input("prompt_cache_breakpoint"),
        _not_input("prompt_cache_breakpoint"),
    ),
    "max_output_tokens": Probe({"max_output_tokens": 99}, has("max_output_tokens", 99)),
    "tools": Probe({"tools": [F]}, _tools("function")),
    "tools: custom": Probe(
        {"tools": [CUSTOM]},
        _tools("custom"),
        lambda body: "input" in body["tools"][0]["parameters"]["properties"],
    ),
    "tool_choice: none": Probe(
        {"tools": [F], "tool_choice": "none"}, has("tool_choice", "none"), lacks("tools", "tool_choice")
    ),
    "tool_choice: required": Probe(
        {"tools": [F], "tool_choice": "required"}, has("tool_choice", "required"), param="tool_choice"
    ),
    "tool_choice: function": Probe(
        {"tools": [F, G], "tool_choice": {"type": "function", "name": "g"}},
        has("tool_choice", {"type": "function", "name": "g"}),
        param="tool_choice",
    ),
    "tool_choice: custom": Probe(
        {"tools": [CUSTOM], "tool_choice": {"type": "custom", "name": "sql"}},
        lambda body: body.get("tool_choice", {}).get("name") == "sql",
        param="tool_choice",
    ),
    "tool_choice: allowed_tools": Probe(
        {
            "tools": [F, G],
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "g"}],
            },
        },
        lambda body: "allowed_tools" in json.dumps(body.get("tool_choice", "")),
        both(lacks("tool_choice"), _tools("function", "function")),
    ),
    "parallel_tool_calls": Probe(
        {"tools": [F], "parallel_tool_calls": False},
        has_json("parallel_tool_calls", "false"),
        lacks("parallel_tool_calls"),
    ),
    "text.format: json_schema": Probe(
        {"text": FORMAT}, both(_format("json_schema"), _holds_schema), _WRITTEN
    ),
    "text.format: json_object": Probe({"text": OBJECT}, _format("json_object"), _told("one JSON object")),
    "text.format: grammar": Probe(
        {"text": GRAMMAR}, has("structured_outputs", {"regex": "yes|no"}), _told("yes|no")
    ),
    "text.format beside tools": Probe(
        {"text": FORMAT, "tools": [F]}, both(_format("json_schema"), _tools("function"))
    ),
    "text.verbosity": Probe(
        {"text": {"verbosity": "low"}}, _within("text", "verbosity", "low"), _told("Keep your answers short.")
    ),
    "prompt_cache_options": Probe(
        {"prompt_cache_options": {"mode": "explicit"}}, has("prompt_cache_options", {"mode": "explicit"})
    ),
    "prompt_cache_retention": Probe({"prompt_cache_retention": "24h"}, has("prompt_cache_retention", "24h")),
    "reasoning.mode": Probe({"reasoning": {"mode": "pro"}}, _within("reasoning", "mode", "pro")),
    "reasoning.context": Probe(
        {"reasoning": {"context": "all_turns"}},
        _within("reasoning", "context", "all_turns"),
        _without("reasoning", "context"),
    ),
    "reasoning.effort": Probe(
        {"reasoning": {"effort": "low"}},
        either(
            _within("reasoning", "effort", "low"), has("chat_template_kwargs", {"reasoning_effort": "low"})
        ),
    ),
    "reasoning.summary": Probe(
        {"reasoning": {"summary": "auto"}},
        _within("reasoning", "summary", "auto"),
        _without("reasoning", "summary"),
    ),
    "top_logprobs": Probe({"top_logprobs": 3}, both(has("top_logprobs", 3), _asks_for_logprobs)),
    "include: message.output_text.logprobs": Probe(
        {"include": ["message.output_text.logprobs"]}, _asks_for_logprobs, _asks_for_no_logprobs
    ),
    "safety_identifier": Probe(
        {"safety_identifier": "s-1"},
        has("safety_identifier", "s-1"),
        either(has("user", "s-1"), lambda body: "s-1" not in json.dumps(body)),
    ),
    "service_tier": Probe({"service_tier": "flex"}, has("service_tier", "flex")),
    "repetition_penalty": Probe(
        {"repetition_penalty": 1.5}, either(has("repetition_penalty", 1.5), has("repeat_penalty", 1.5))
    ),
    "seed": Probe({"seed": 7}, has("seed", 7)),
    "temperature": Probe({"temperature": 0.25}, has("temperature", 0.25)),
    "top_p": Probe({"top_p": 0.25}, has("top_p", 0.25)),
    "presence_penalty": Probe({"presence_penalty": 0.25}, has("presence_penalty", 0.25)),
    "frequency_penalty": Probe({"frequency_penalty": 0.25}, has("frequency_penalty", 0.25)),
    "user": Probe({"user": "u-1"}, has("user", "u-1"), lacks("user")),
    "stop": Probe({"stop": ["END"]}, has("stop", ["END"])),
    "top_k": Probe({"top_k": 40}, has("top_k", 40)),
    "min_p": Probe({"min_p": 0.25}, has("min_p", 0.25)),
    "chat_template_kwargs": Probe({"chat_template_kwargs": {"a": 1}}, has("chat_template_kwargs", {"a": 1})),
    "prompt_cache_key": Probe(
        {"prompt_cache_key": "k"}, has("prompt_cache_key", "k"), lacks("prompt_cache_key")
    ),
}
