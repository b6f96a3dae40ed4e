"""For each row of the Messages wire's table: a request that has the parameter, and how its effect is seen there."""

import json
from collections.abc import Mapping

from tests.wire.chat_probes import (
    CALL,
    CUSTOM,
    FORMAT,
    GRAMMAR,
    IMAGE,
    OBJECT,
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
    lacks,
    user_message,
)

GO: Json = {"type": "input_text", "text": "go"}
PDF: Json = {
    "type": "input_file",
    "filename": "a.pdf",
    "file_data": "data:application/pdf;base64,JVBERi0xLjQK",
}
MARKED: Json = {"type": "input_text", "text": "hi", "prompt_cache_breakpoint": {"mode": "explicit"}}
BLOCK = {"type": "thinking", "thinking": "hm-hm", "signature": "s"}
THOUGHT: Json = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [],
    "content": [{"type": "reasoning_text", "text": "hm-hm"}],
    "encrypted_content": f"up:{json.dumps(BLOCK)}",  # the inner form: made by the provider `up`
}
EARLIER = [user_message(GO), THOUGHT, CALL, RESULT, user_message(GO)]


def _says(text: str) -> Seen:
    """Whether a message holds this text."""
    return lambda body: text in json.dumps(body["messages"], ensure_ascii=False)


def _silent_about(text: str) -> Seen:
    return lambda body: text not in json.dumps(body, ensure_ascii=False)


def _system(text: str) -> Seen:
    return lambda body: any(text in block["text"] for block in body.get("system", []))


def _choice(kind: str, name: str | None = None) -> Seen:
    return lambda body: (
        body.get("tool_choice", {}).get("type") == kind and body["tool_choice"].get("name") == name
    )


def _tools(*names: str) -> Seen:
    return lambda body: [tool["name"] for tool in body.get("tools", [])] == list(names)


def _format(body: Json) -> bool:
    sent: Json = body.get("output_config", {})
    closed = {**SCHEMA, "additionalProperties": False}
    return bool(sent.get("format") == {"type": "json_schema", "schema": closed})


def _thinks(body: Json) -> bool:
    return "thinking" in body and (
        body.get("output_config") == {"effort": "low"} or body["thinking"]["type"] == "enabled"
    )


_WRITTEN = _system(json.dumps(SCHEMA, separators=(",", ":")))

PROBES: Mapping[str, Probe] = {
    "instructions": Probe({"instructions": "Be brief."}, _system("Be brief.")),
    "input": Probe(
        {"input": [user_message(GO), CALL, RESULT]}, both(_says("tool_use"), _says("tool_result"))
    ),
    "input: input_image": Probe({"input": [user_message(IMAGE)]}, _says('"image"')),
    "input: input_file": Probe({"input": [user_message(PDF)]}, _says('"document"'), param="input"),
    "input: reasoning": Probe({"input": [user_message(GO), THOUGHT, CALL, RESULT]}, _says("hm-hm")),
    "input: prompt_cache_breakpoint": Probe(
        {"input": [user_message(MARKED), CALL, RESULT]},
        lambda body: len(body["messages"]) > 1 and "cache_control" in json.dumps(body["messages"][0]),
    ),
    "max_output_tokens": Probe({"max_output_tokens": 99}, has("max_tokens", 99)),
    "tools": Probe({"tools": [F]}, _tools("f")),
    "tools: custom": Probe(
        {"tools": [CUSTOM]},
        lambda _: False,
        lambda body: "input" in body["tools"][0]["input_schema"]["properties"],
    ),
    "tool_choice: none": Probe({"tools": [F], "tool_choice": "none"}, _choice("none")),
    "tool_choice: required": Probe({"tools": [F], "tool_choice": "required"}, _choice("any")),
    "tool_choice: function": Probe(
        {"tools": [F, G], "tool_choice": {"type": "function", "name": "g"}}, _choice("tool", "g")
    ),
    "tool_choice: custom": Probe(
        {"tools": [CUSTOM], "tool_choice": {"type": "custom", "name": "sql"}}, _choice("tool", "sql")
    ),
    "tool_choice: allowed_tools": Probe(
        {
            "tools": [F, G],
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "g"}],
            },
        },
        lambda _: False,
        both(_choice("any"), _tools("f", "g")),
    ),
    "parallel_tool_calls": Probe(
        {"tools": [F], "parallel_tool_calls": False},
        lambda body: body.get("tool_choice", {}).get("disable_parallel_tool_use") is True,
    ),
    "text.format: json_schema": Probe({"text": FORMAT}, _format, _WRITTEN),
    "text.format: json_object": Probe({"text": OBJECT}, lambda _: False, _system("one JSON object")),
    "text.format: grammar": Probe({"text": GRAMMAR}, lambda _: False, _system("yes|no")),
    "text.format beside tools": Probe(
        {"text": FORMAT, "tools": [F]}, both(_tools("f"), either(_format, _WRITTEN))
    ),
    "text.verbosity": Probe(
        {"text": {"verbosity": "low"}}, lambda _: False, _system("Keep your answers short.")
    ),
    "prompt_cache_options": Probe(
        {"prompt_cache_options": {"ttl": "30m"}, "input": [user_message(GO)]},
        lambda body: '"ttl": "1h"' in json.dumps(body),
    ),
    "prompt_cache_retention": Probe({"prompt_cache_retention": "24h"}, lambda _: False),
    "reasoning.mode": Probe({"reasoning": {"mode": "pro"}}, lambda _: False),
    "reasoning.context": Probe(
        {"reasoning": {"context": "current_turn"}, "input": EARLIER},
        both(_says("tool_use"), _silent_about("hm-hm")),
    ),
    "reasoning.effort": Probe({"reasoning": {"effort": "low"}}, _thinks),
    "reasoning.summary": Probe({"reasoning": {"summary": "auto"}}, lambda _: False, _silent_about("summary")),
    "top_logprobs": Probe({"top_logprobs": 3}, lambda _: False),
    "include: message.output_text.logprobs": Probe(
        {"include": ["message.output_text.logprobs"]}, lambda _: False, _silent_about("logprobs")
    ),
    "safety_identifier": Probe({"safety_identifier": "s-1"}, has("metadata", {"user_id": "s-1"})),
    "service_tier": Probe({"service_tier": "default"}, has("service_tier", "standard_only")),
    "repetition_penalty": Probe({"repetition_penalty": 1.5}, lambda _: False),
    "seed": Probe({"seed": 7}, lambda _: False),
    "temperature": Probe({"temperature": 0.25}, has("temperature", 0.25)),
    "top_p": Probe({"top_p": 0.25}, has("top_p", 0.25)),
    "presence_penalty": Probe({"presence_penalty": 0.25}, lambda _: False),
    "frequency_penalty": Probe({"frequency_penalty": 0.25}, lambda _: False),
    "user": Probe({"user": "u-1"}, has("metadata", {"user_id": "u-1"})),
    "stop": Probe({"stop": ["END"]}, has("stop_sequences", ["END"])),
    "top_k": Probe({"top_k": 40}, has("top_k", 40)),
    "min_p": Probe({"min_p": 0.25}, lambda _: False),
    "chat_template_kwargs": Probe({"chat_template_kwargs": {"a": 1}}, lambda _: False),
    "prompt_cache_key": Probe({"prompt_cache_key": "k"}, lambda _: False, lacks("prompt_cache_key")),
}
