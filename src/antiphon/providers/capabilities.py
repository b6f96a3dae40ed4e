"""What is known about an upstream, as data: what its routes can do, and where and how it is reached.

Two structs, one for each wire. A name that stands in both means the same thing in both.
"""

from dataclasses import dataclass
from typing import Literal

import msgspec


class Capabilities(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an upstream's `/chat/completions` understands. `chat_parameters` turns these into rules per
    parameter.
    """

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    developer_role: bool = False
    tool_calls: Literal["native", "prompted"] = "native"
    """`prompted`: tools are told in the instructions, and calls are read from the text of the answer."""
    parallel_tool_calls: bool = True
    tool_choice: bool = True
    allowed_tools: bool = False
    custom_tools: bool = False
    """Whether tools of type custom are known; else they go as functions of one string and come back translated."""
    schema_patterns: bool = False
    """Whether `pattern` in the schema of a function's arguments binds the model."""
    json_schema: bool = True
    json_object: bool = True
    format_shape: Literal["openai", "value"] = "openai"
    """How `response_format` holds a schema: OpenAI's `json_schema`, or the bare schema as `value` (TGI)."""
    format_beside_tools: bool = True
    """Whether a request may have both; else the instructions ask for the format, and the answer is checked."""
    keeps_formats: bool = True
    """Whether an answer keeps to a format that the upstream took; else it is held, checked and asked for again."""
    grammars: Literal["structured_outputs", "guided"] | None = None
    """How a grammar for the answer is sent: as vLLM has it since 0.11, as it had it before, or not at all. None: it
    is asked for in the instructions."""
    keeps_grammars: bool = False
    """Whether the answer then keeps to it; else it is held and checked, as servers read grammars differently."""
    logprobs: bool = True
    penalties: bool = True
    seed_field: Literal["seed", "random_seed"] | None = "seed"
    user: bool = True
    top_p_one: bool = True
    """Whether `top_p` may be 1, which asks for nothing and is else left out."""
    reasoning_field: Literal["reasoning", "reasoning_content"] | None = None
    reasoning_effort: Literal["field", "template"] | None = "field"
    verbosity: bool = False
    stream_usage: bool = True
    service_tier: bool = False
    prompt_cache_key: bool = False
    prompt_cache_options: bool = False
    """`prompt_cache_options`, `prompt_cache_retention` and the breakpoints on content parts."""
    chat_template_kwargs: bool = False
    safety_identifier: bool = False
    image_urls: bool = True
    """Whether it fetches images by their URLs. Servers in the operator's own network are not let: a caller could have
    them ask others there. What they do not fetch is fetched here."""
    file_parts: bool = False
    """Whether files may stand in the request. Else they are read here and sent as text."""
    top_k: bool = False
    min_p: bool = False
    repetition_penalty: Literal["repetition_penalty", "repeat_penalty"] | None = None
    tokenize_path: str | None = None
    """The path of a tokenizer beside the API, where `/v1` is left out."""
    template_path: str | None = None
    """The path of a route that makes a prompt of messages, for a tokenizer that takes text (llama.cpp); without one
    the tokenizer takes messages and tools (vLLM).
    """
    models_listed: bool = True
    embeddings: bool = True
    embedding_tokens: bool = False
    """Whether `input` may be token numbers. They mean something only to the vocabulary that they were made with."""
    embedding_dimensions: Literal["pass", "truncate", "refuse"] = "pass"
    """`truncate`: whole vectors are asked for and cut here, for models that were trained to be cut."""
    embedding_base64: bool = True
    """Whether `encoding_format` may be sent; else numbers are asked for and encoded here."""
    rerank_path: str | None = None
    """The path of a rerank route in Cohere's and Jina's form, below the base URL."""


class ResponsesCapabilities(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an upstream's `/responses` understands. `responses_parameters` turns these into rules per parameter.

    The defaults are those of a server that is known to have the route, and no more.
    """

    tool_calls: Literal["native", "prompted"] = "native"
    parallel_tool_calls: bool = True
    tool_choice: bool = True
    allowed_tools: bool = False
    custom_tools: bool = False
    schema_patterns: bool = False
    json_schema: bool = True
    json_object: bool = True
    format_field: Literal["text", "response_format"] = "text"
    """Where a format goes: `text.format`, or chat's `response_format` on servers that translate the rest to chat."""
    keeps_formats: bool = True
    grammars: Literal["structured_outputs", "guided"] | None = None
    keeps_grammars: bool = False
    logprobs: bool = True
    penalties: bool = False
    seed_field: Literal["seed", "random_seed"] | None = None
    stop: bool = False
    user: bool = True
    reasoning_items: Literal["encrypted", "text"] | None = "encrypted"
    """How earlier reasoning goes back: as the blob that this upstream gave us, or as its text. None: not at all."""
    reasoning_effort: Literal["field", "template"] | None = "field"
    reasoning_summary: bool = False
    """Whether a summary can be asked for; else the reasoning itself is shown as one."""
    reasoning_mode: bool = False
    reasoning_context: bool = False
    """Whether the upstream leaves out earlier reasoning itself; else that is done here."""
    verbosity: bool = False
    service_tier: bool = False
    prompt_cache_key: bool = False
    prompt_cache_options: bool = False
    chat_template_kwargs: bool = False
    safety_identifier: bool = False
    image_urls: bool = True
    file_parts: bool = False
    output_parts: bool = True
    """Whether the output of a call may hold images; else they follow in a user message."""
    top_k: bool = False
    min_p: bool = False
    repetition_penalty: Literal["repetition_penalty", "repeat_penalty"] | None = None
    stream_options: bool = False
    """Whether it pads its events (`include_obfuscation`) unless told not to."""
    says_cut: bool = True
    """Whether an answer that ran into `max_output_tokens` says so; else that is told from its usage."""
    counts_tokens: bool = False
    """Whether it has `/responses/input_tokens`."""
    compacts: bool = False
    """Whether it has `/responses/compact`."""
    models_listed: bool = True


@dataclass(frozen=True, slots=True)
class Preset:
    """One provider type. `default_url` is None where only the operator can know it.

    `wire` is what `wire: …` is when the operator does not write it.
    """

    provider_type: str
    default_url: str | None
    capabilities: Capabilities
    auth_header: Literal["authorization", "api-key"] = "authorization"
    key_required: bool = False
    azure: bool = False
    responses: ResponsesCapabilities = ResponsesCapabilities()
    wire: Literal["auto", "chat"] = "chat"
