"""Provider types that other servers have and this one has not, and what to use instead."""

from collections.abc import Mapping
from typing import Final

INSTEAD: Final[Mapping[str, str]] = {
    "inline::meta-reference": "run the model with vLLM and use remote::vllm",
    "inline::meta-reference-quantized": "run the model with vLLM and use remote::vllm",
    "inline::vllm": "run vLLM beside this server and use remote::vllm",
    "inline::transformers": "serve the reranker with vLLM or llama.cpp, and use their type",
    "remote::bedrock": (
        "make an Amazon Bedrock API key, and use remote::openai-compatible with"
        " base_url https://bedrock-mantle.REGION.api.aws/v1"
    ),
    "remote::hf::endpoint": "use remote::tgi or remote::vllm with the endpoint's base_url, ending in /v1",
    "remote::hf::serverless": 'use remote::openai-compatible with base_url "https://router.huggingface.co/v1"',
    "remote::oci": (
        "its requests are signed, which this server does not do; put a gateway with the OpenAI API in front,"
        " and use remote::openai-compatible"
    ),
    "remote::vertexai": (
        "its keys last an hour, and this server does not renew them; use remote::gemini with an API key, or"
        " remote::openai-compatible with the base_url of a gateway"
    ),
    "remote::watsonx": (
        "its API key is exchanged for tokens, which this server does not do; put a gateway with the OpenAI API in"
        " front, and use remote::openai-compatible"
    ),
}
