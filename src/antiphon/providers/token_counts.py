"""What the upstreams' own tokenizers are asked, and what they answer. Pure.

Each question is made from the body that the call itself would be sent with, so that both stand for the same prompt.
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from antiphon.core.errors import ProviderProtocolError
from antiphon.core.token_estimate import FILE_MARKS, IMAGE_MARKS, holds
from antiphon.core.wire import JsonObject, encode

T = TypeVar("T")

VLLM_FIELDS = ("model", "messages", "tools", "chat_template_kwargs")
"""`TokenizeChatRequest` of vllm/entrypoints/openai/protocol.py."""
TEMPLATE_FIELDS = (
    "messages",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "chat_template_kwargs",
)
"""What of a chat body changes the prompt of llama.cpp (`POST /apply-template` of tools/server)."""
RESPONSES_FIELDS = (
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "text",
    "reasoning",
    "truncation",
    "parallel_tool_calls",
)
"""`TokenCountsBody` of the official OpenAPI, without what only OpenAI stores."""
MESSAGES_FIELDS = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config")
"""`POST /v1/messages/count_tokens` of Anthropic's API reference."""


class _Counted(msgspec.Struct):
    input_tokens: int | None = None
    count: int | None = None
    tokens: list[msgspec.Raw] | None = None


class _Prompt(msgspec.Struct):
    prompt: str


def only(body: bytes, fields: tuple[str, ...]) -> bytes:
    """A rendered body with these members of it, as they are."""
    whole: Mapping[str, msgspec.Raw] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return encode({name: whole[name] for name in fields if name in whole})


def has_media(body: bytes) -> bool:
    """Images and files become tokens only in the model's own processor: a tokenizer of text cannot say how many."""
    return holds([body], (*IMAGE_MARKS, *FILE_MARKS))


def for_text(prompt: str) -> bytes:
    """llama.cpp's `POST /tokenize` of a prompt, in the way in which its completions read one."""
    question: JsonObject = {"content": prompt, "add_special": True, "parse_special": True}
    return encode(question)


def count_of(provider: str, path: str, answer: bytes) -> int:
    """The number in an answer of whichever of these routes. Raises ProviderProtocolError."""
    found = _read(provider, path, answer, _Counted)
    for number in (found.input_tokens, found.count):
        if number is not None:
            return number
    if found.tokens is None:
        raise _nonsense(provider, path)
    return len(found.tokens)


def prompt_of(provider: str, path: str, answer: bytes) -> str:
    """The prompt that a template made. Raises ProviderProtocolError."""
    return _read(provider, path, answer, _Prompt).prompt


def _read(provider: str, path: str, answer: bytes, wanted: type[T]) -> T:
    try:
        return msgspec.json.decode(answer, type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _nonsense(provider, path) from None


def _nonsense(provider: str, path: str) -> ProviderProtocolError:
    return ProviderProtocolError(provider, f'provider "{provider}" answered {path} with something else.')
