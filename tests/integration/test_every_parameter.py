"""No parameter of the official document is silently ignored: it takes effect, or it is refused by its name."""

from typing import Any

import pytest

from tests.conformance import official
from tests.integration.clients import Raw
from tests.integration.upstream import Upstream

pytestmark = pytest.mark.skipif(not official.available(), reason=official.MISSING)

FUNCTION: dict[str, Any] = {"name": "f", "parameters": {"type": "object", "properties": {}}}
RESPONSE_VALUES: dict[str, Any] = {
    "background": True,
    "context_management": [{"type": "compaction", "compact_threshold": 2000}],
    "conversation": None,  # filled in by the test
    "include": ["message.output_text.logprobs"],
    "input": "hi",
    "instructions": "Be brief.",
    "max_output_tokens": 100,
    "max_tool_calls": 2,
    "metadata": {"a": "b"},
    "model": "echo",
    "moderation": {"model": "omni-moderation-latest"},
    "parallel_tool_calls": False,
    "previous_response_id": None,  # filled in by the test
    "prompt": None,  # filled in by the test
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "implicit", "ttl": "30m"},
    "prompt_cache_retention": "in_memory",
    "reasoning": {"effort": "low"},
    "safety_identifier": "s",
    "service_tier": "auto",
    "store": False,
    "stream": False,
    "stream_options": None,  # with a stream, in test_raw_streams
    "temperature": 0.5,
    "text": {"format": {"type": "text"}},
    "tool_choice": "none",
    "tools": [{"type": "function", "strict": None, **FUNCTION}],
    "top_logprobs": 2,
    "top_p": 0.5,
    "truncation": "disabled",
    "user": "u",
}
ECHOED = {
    "conversation",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "safety_identifier",
    "store",
    "temperature",
    "tool_choice",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
}
CHAT_VALUES: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "mp3"},
    "frequency_penalty": 0.5,
    "function_call": "auto",
    "functions": [FUNCTION],
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "max_completion_tokens": 50,
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "hi"}],
    "metadata": {"a": "b"},
    "modalities": ["text"],
    "model": "echo",
    "moderation": {"model": "omni-moderation-latest"},
    "n": 1,
    "parallel_tool_calls": True,
    "prediction": {"type": "content", "content": "hi"},
    "presence_penalty": 0.5,
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "implicit", "ttl": "30m"},
    "prompt_cache_retention": "in_memory",
    "reasoning_effort": "low",
    "response_format": {"type": "text"},
    "safety_identifier": "s",
    "seed": 7,
    "service_tier": "auto",
    "stop": ["END"],
    "store": True,
    "stream": False,
    "stream_options": None,
    "temperature": 0.5,
    "tool_choice": "none",
    "tools": [{"type": "function", "function": FUNCTION}],
    "top_logprobs": 2,
    "top_p": 0.5,
    "user": "u",
    "verbosity": "low",
    "web_search_options": {},
}
NEEDED = {
    "functions": {"function_call"},
    "tools": {"tool_choice", "parallel_tool_calls"},
    "logprobs": {"top_logprobs"},
    "modalities": {"audio"},
}
"""Parameter → those that make sense only beside it."""


def refused(answer: Any, name: str) -> bool:
    """Whether the parameter was refused by its name; any other refusal fails the test."""
    if answer.status == 200:
        return False
    assert answer.status == 400, answer.body
    assert (answer.error["param"] or "").split(".")[0] == name, answer.error
    assert answer.error["code"] == "unsupported_parameter", answer.error
    return True


def test_the_values_are_those_of_the_document() -> None:
    assert set(RESPONSE_VALUES) == set(official.openai().properties("CreateResponse"))
    assert set(CHAT_VALUES) == set(official.openai().properties("CreateChatCompletionRequest"))


@pytest.mark.parametrize("name", RESPONSE_VALUES)
def test_a_response_parameter_takes_effect_or_is_refused(raw: Raw, name: str) -> None:
    body = {"model": "echo", "input": "hi"}
    value = RESPONSE_VALUES[name]
    if name == "previous_response_id":
        value = raw.post("/v1/responses", body).json["id"]
    if name == "conversation":
        value = {"id": raw.post("/v1/conversations", {}).json["id"]}
    if name == "prompt":
        made = raw.post("/v1/prompts", {"prompt": "Be {{ mood }}.", "variables": ["mood"]}).json
        value = {"id": made["prompt_id"], "version": "1", "variables": {"mood": "kind"}}
    more = {"tools": RESPONSE_VALUES["tools"]} if name == "tool_choice" else {}
    answer = raw.post("/v1/responses", {**body, **more, name: value})
    if not refused(answer, name) and name in ECHOED:
        assert answer.json[name] == value


@pytest.mark.parametrize("name", CHAT_VALUES)
def test_a_chat_parameter_reaches_the_upstream_or_is_refused(raw: Raw, upstream: Upstream, name: str) -> None:
    body = {"model": "echo", "messages": CHAT_VALUES["messages"]}
    more = {needed: CHAT_VALUES[needed] for needed, users in NEEDED.items() if name in users}
    answer = raw.post("/v1/chat/completions", {**body, **more, name: CHAT_VALUES[name]})
    if name == "store":  # ours to do
        assert raw.get(f"/v1/chat/completions/{answer.json['id']}").json == answer.json
    elif not refused(answer, name):
        assert upstream.last_request().get(name) == CHAT_VALUES[name]
