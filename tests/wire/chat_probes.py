"""For each row of the chat wire's table: a request that has the parameter, and how its effect is seen in the body."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
Seen = Callable[[Json], bool]

SCHEMA: Json = {"type": "object", "properties": {"city": {"type": "string"}}}
FORMAT: Json = {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA}}
OBJECT: Json = {"format": {"type": "json_object"}}
F: Json = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
G: Json = {**F, "name": "g"}
CUSTOM: Json = {"type": "custom", "name": "sql"}
IMAGE: Json = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}
FILE: Json = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}
THOUGHT: Json = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm-hm"}]}
CALL: Json = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
RESULT: Json = {"type": "function_call_output", "call_id": "c1", "output": "done"}
MARKED: Json = {"type": "input_text", "text": "hi", "prompt_cache_breakpoint": {"mode": "explicit"}}


@dataclass(frozen=True, slots=True)
class Probe:
    """`passed` and `emulated` see in the body what the table promises; `param` is what a refusal names."""

    request: Json
    passed: Seen
    emulated: Seen | None = None
    param: str = ""


def _user(*parts: Json) -> Json:
    return {"role": "user", "content": list(parts)}


def _has(field: str, value: Any) -> Seen:
    return lambda body: body.get(field) == value


def _is(field: str, value: str) -> Seen:
    """Whether a field holds this JSON."""
    return _has(field, json.loads(value))


def _lacks(*fields: str) -> Seen:
    return lambda body: not set(fields) & set(body)


def _says(text: str) -> Seen:
    """Whether a message holds this text."""
    return lambda body: text in json.dumps(body["messages"], ensure_ascii=False)


def _system(text: str) -> Seen:
    return lambda body: (
        body["messages"][0]["role"] in {"system", "developer"} and text in body["messages"][0]["content"]
    )


def _either(*seen: Seen) -> Seen:
    return lambda body: any(one(body) for one in seen)


def _both(*seen: Seen) -> Seen:
    return lambda body: all(one(body) for one in seen)


def _format(body: Json) -> bool:
    """The schema as OpenAI has it, or as TGI."""
    sent = body.get("response_format", {})
    return SCHEMA in (sent.get("json_schema", {}).get("schema"), sent.get("value"))


def _object(body: Json) -> bool:
    return body.get("response_format") in (
        {"type": "json_object"},
        {"type": "json", "value": {"type": "object"}},
    )


def _tools(*kinds: str) -> Seen:
    return lambda body: [tool["type"] for tool in body.get("tools", [])] == list(kinds)


_WRITTEN = _system(json.dumps(SCHEMA, separators=(",", ":")))

PROBES: Mapping[str, Probe] = {
    "instructions": Probe({"instructions": "Be brief."}, _system("Be brief.")),
    "input": Probe(
        {"input": [_user({"type": "input_text", "text": "go"}), CALL, RESULT]},
        _both(
            _says("go"),
            lambda body: [one["role"] for one in body["messages"][-3:]] == ["user", "assistant", "tool"],
        ),
    ),
    "input: input_image": Probe({"input": [_user(IMAGE)]}, _says('"image_url"')),
    "input: input_file": Probe({"input": [_user(FILE)]}, _says('"file"'), param="input"),
    "input: reasoning": Probe(
        {"input": [_user({"type": "input_text", "text": "go"}), THOUGHT, CALL, RESULT]},
        _says("hm-hm"),
        lambda body: not _says("hm-hm")(body),
    ),
    "input: prompt_cache_breakpoint": Probe(
        {"input": [_user(MARKED)]},
        _says("prompt_cache_breakpoint"),
        lambda body: not _says("prompt_cache_breakpoint")(body),
    ),
    "max_output_tokens": Probe(
        {"max_output_tokens": 99}, _either(_has("max_tokens", 99), _has("max_completion_tokens", 99))
    ),
    "tools": Probe({"tools": [F]}, _tools("function")),
    "tools: custom": Probe(
        {"tools": [CUSTOM]},
        _tools("custom"),
        lambda body: "input" in body["tools"][0]["function"]["parameters"]["properties"],
    ),
    "tool_choice: none": Probe(
        {"tools": [F], "tool_choice": "none"}, _has("tool_choice", "none"), _lacks("tools", "tool_choice")
    ),
    "tool_choice: required": Probe(
        {"tools": [F], "tool_choice": "required"}, _has("tool_choice", "required"), param="tool_choice"
    ),
    "tool_choice: function": Probe(
        {"tools": [F, G], "tool_choice": {"type": "function", "name": "g"}},
        _has("tool_choice", {"type": "function", "function": {"name": "g"}}),
        param="tool_choice",
    ),
    "tool_choice: custom": Probe(
        {"tools": [CUSTOM], "tool_choice": {"type": "custom", "name": "sql"}},
        lambda body: "sql" in json.dumps(body.get("tool_choice", "")),
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
        _both(_lacks("tool_choice"), _tools("function", "function")),
    ),
    "parallel_tool_calls": Probe(
        {"tools": [F], "parallel_tool_calls": False},
        _is("parallel_tool_calls", "false"),
        _lacks("parallel_tool_calls"),
    ),
    "text.format: json_schema": Probe({"text": FORMAT}, _format, _WRITTEN),
    "text.format: json_object": Probe({"text": OBJECT}, _object, _system("one JSON object")),
    "text.format beside tools": Probe(
        {"text": FORMAT, "tools": [F]},
        _either(_format, _object),
        _both(_WRITTEN, _lacks("response_format")),
    ),
    "text.verbosity": Probe(
        {"text": {"verbosity": "low"}}, _has("verbosity", "low"), _system("Keep your answers short.")
    ),
    "prompt_cache_options": Probe(
        {"prompt_cache_options": {"mode": "explicit"}}, _has("prompt_cache_options", {"mode": "explicit"})
    ),
    "prompt_cache_retention": Probe({"prompt_cache_retention": "24h"}, _has("prompt_cache_retention", "24h")),
    "reasoning.mode": Probe({"reasoning": {"mode": "pro"}}, lambda _: False),
    "reasoning.context": Probe(
        {
            "reasoning": {"context": "all_turns"},
            "input": [_user({"type": "input_text", "text": "go"}), THOUGHT, CALL, RESULT],
        },
        _says("hm-hm"),
    ),
    "reasoning.effort": Probe(
        {"reasoning": {"effort": "low"}},
        _either(_has("reasoning_effort", "low"), _has("chat_template_kwargs", {"reasoning_effort": "low"})),
    ),
    "reasoning.summary": Probe(
        {"reasoning": {"summary": "auto"}}, lambda _: False, lambda body: "summary" not in json.dumps(body)
    ),
    "top_logprobs": Probe({"top_logprobs": 3}, _both(_is("logprobs", "true"), _has("top_logprobs", 3))),
    "include: message.output_text.logprobs": Probe(
        {"include": ["message.output_text.logprobs"]}, _is("logprobs", "true"), _lacks("logprobs")
    ),
    "safety_identifier": Probe(
        {"safety_identifier": "s-1"},
        _has("safety_identifier", "s-1"),
        _either(_has("user", "s-1"), lambda body: "s-1" not in json.dumps(body)),
    ),
    "service_tier": Probe({"service_tier": "flex"}, _has("service_tier", "flex")),
    "repetition_penalty": Probe(
        {"repetition_penalty": 1.5}, _either(_has("repetition_penalty", 1.5), _has("repeat_penalty", 1.5))
    ),
    "seed": Probe({"seed": 7}, _either(_has("seed", 7), _has("random_seed", 7))),
    "temperature": Probe({"temperature": 0.25}, _has("temperature", 0.25)),
    "top_p": Probe({"top_p": 0.25}, _has("top_p", 0.25)),
    "presence_penalty": Probe({"presence_penalty": 0.25}, _has("presence_penalty", 0.25)),
    "frequency_penalty": Probe({"frequency_penalty": 0.25}, _has("frequency_penalty", 0.25)),
    "user": Probe({"user": "u-1"}, _has("user", "u-1"), _lacks("user")),
    "stop": Probe({"stop": ["END"]}, _has("stop", ["END"])),
    "top_k": Probe({"top_k": 40}, _has("top_k", 40)),
    "min_p": Probe({"min_p": 0.25}, _has("min_p", 0.25)),
    "chat_template_kwargs": Probe({"chat_template_kwargs": {"a": 1}}, _has("chat_template_kwargs", {"a": 1})),
    "prompt_cache_key": Probe(
        {"prompt_cache_key": "k"}, _has("prompt_cache_key", "k"), _lacks("prompt_cache_key")
    ),
}
