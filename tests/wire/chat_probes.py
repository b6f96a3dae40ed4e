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
GRAMMAR: Json = {"format": {"type": "grammar", "syntax": "regex", "definition": "yes|no"}}
F: Json = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
G: Json = {**F, "name": "g"}
CUSTOM: Json = {"type": "custom", "name": "sql"}
IMAGE: Json = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}
FILE: Json = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}
READ = "what the document says"
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


def user_message(*parts: Json) -> Json:
    return {"role": "user", "content": list(parts)}


def has(field: str, value: Any) -> Seen:
    return lambda body: body.get(field) == value


def has_json(field: str, value: str) -> Seen:
    """Whether a field holds this JSON."""
    return has(field, json.loads(value))


def lacks(*fields: str) -> Seen:
    return lambda body: not set(fields) & set(body)


def _says(text: str) -> Seen:
    """Whether a message holds this text."""
    return lambda body: text in json.dumps(body["messages"], ensure_ascii=False)


def _system(text: str) -> Seen:
    return lambda body: (
        body["messages"][0]["role"] in {"system", "developer"} and text in body["messages"][0]["content"]
    )


def either(*seen: Seen) -> Seen:
    return lambda body: any(one(body) for one in seen)


def both(*seen: Seen) -> Seen:
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
        {"input": [user_message({"type": "input_text", "text": "go"}), CALL, RESULT]},
        both(
            _says("go"),
            lambda body: [one["role"] for one in body["messages"][-3:]] == ["user", "assistant", "tool"],
        ),
    ),
    "input: input_image": Probe({"input": [user_message(IMAGE)]}, _says('"image_url"'), _says('"image_url"')),
    "input: input_file": Probe({"input": [user_message(FILE)]}, _says('"file"'), _says(READ)),
    "input: reasoning": Probe(
        {"input": [user_message({"type": "input_text", "text": "go"}), THOUGHT, CALL, RESULT]},
        _says("hm-hm"),
        lambda body: not _says("hm-hm")(body),
    ),
    "input: prompt_cache_breakpoint": Probe(
        {"input": [user_message(MARKED)]},
        _says("prompt_cache_breakpoint"),
        lambda body: not _says("prompt_cache_breakpoint")(body),
    ),
    "max_output_tokens": Probe(
        {"max_output_tokens": 99}, either(has("max_tokens", 99), has("max_completion_tokens", 99))
    ),
    "tools": Probe({"tools": [F]}, _tools("function")),
    "tools: custom": Probe(
        {"tools": [CUSTOM]},
        _tools("custom"),
        lambda body: "input" in body["tools"][0]["function"]["parameters"]["properties"],
    ),
    "tool_choice: none": Probe(
        {"tools": [F], "tool_choice": "none"}, has("tool_choice", "none"), lacks("tools", "tool_choice")
    ),
    "tool_choice: required": Probe(
        {"tools": [F], "tool_choice": "required"}, has("tool_choice", "required"), param="tool_choice"
    ),
    "tool_choice: function": Probe(
        {"tools": [F, G], "tool_choice": {"type": "function", "name": "g"}},
        has("tool_choice", {"type": "function", "function": {"name": "g"}}),
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
        both(lacks("tool_choice"), _tools("function", "function")),
    ),
    "parallel_tool_calls": Probe(
        {"tools": [F], "parallel_tool_calls": False},
        has_json("parallel_tool_calls", "false"),
        lacks("parallel_tool_calls"),
    ),
    "text.format: json_schema": Probe({"text": FORMAT}, _format, _WRITTEN),
    "text.format: json_object": Probe({"text": OBJECT}, _object, _system("one JSON object")),
    "text.format: grammar": Probe(
        {"text": GRAMMAR},
        both(has("structured_outputs", {"regex": "yes|no"}), lambda body: not _says("yes|no")(body)),
        _system(
            "regular expression from beginning to end, and with nothing else, no quotes and no code fence:\nyes|no"
        ),
    ),
    "text.format beside tools": Probe(
        {"text": FORMAT, "tools": [F]},
        either(_format, _object),
        both(_WRITTEN, lacks("response_format")),
    ),
    "text.verbosity": Probe(
        {"text": {"verbosity": "low"}}, has("verbosity", "low"), _system("Keep your answers short.")
    ),
    "prompt_cache_options": Probe(
        {"prompt_cache_options": {"mode": "explicit"}}, has("prompt_cache_options", {"mode": "explicit"})
    ),
    "prompt_cache_retention": Probe({"prompt_cache_retention": "24h"}, has("prompt_cache_retention", "24h")),
    "reasoning.mode": Probe({"reasoning": {"mode": "pro"}}, lambda _: False),
    "reasoning.context": Probe(
        {
            "reasoning": {"context": "all_turns"},
            "input": [user_message({"type": "input_text", "text": "go"}), THOUGHT, CALL, RESULT],
        },
        _says("hm-hm"),
    ),
    "reasoning.effort": Probe(
        {"reasoning": {"effort": "low"}},
        either(has("reasoning_effort", "low"), has("chat_template_kwargs", {"reasoning_effort": "low"})),
    ),
    "reasoning.summary": Probe(
        {"reasoning": {"summary": "auto"}}, lambda _: False, lambda body: "summary" not in json.dumps(body)
    ),
    "top_logprobs": Probe({"top_logprobs": 3}, both(has_json("logprobs", "true"), has("top_logprobs", 3))),
    "include: message.output_text.logprobs": Probe(
        {"include": ["message.output_text.logprobs"]}, has_json("logprobs", "true"), lacks("logprobs")
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
    "seed": Probe({"seed": 7}, either(has("seed", 7), has("random_seed", 7))),
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
