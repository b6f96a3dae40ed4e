"""Presets of servers and hosted services that speak chat completions in a way of their own.

Each row says what the service's public documents say (its OpenAPI, or the client generated from that), as of
November 2026. What they leave open is set so that nothing is lost in silence: a parameter that a service does not
name is refused or done here, and an answer in a format is checked here, as those services keep to it for some of
their models only.
"""

from antiphon.providers.capabilities import Capabilities, Preset

HOSTED: tuple[Preset, ...] = (
    # docs/openapi.json of text-generation-inference 3.3: the fields of `ChatRequest`; it skips others unseen.
    Preset(
        "remote::tgi",
        None,
        Capabilities(
            image_urls=False,
            parallel_tool_calls=False,
            format_shape="value",
            format_beside_tools=False,
            user=False,
            top_p_one=False,
            reasoning_effort=None,
            embeddings=False,
        ),
    ),
    # lmstudio.ai/docs, "OpenAI compatibility" and its changelog; a named tool is not documented, a string is.
    Preset(
        "remote::lmstudio",
        "http://localhost:1234/v1",
        Capabilities(
            parallel_tool_calls=False,
            json_object=False,
            logprobs=False,
            user=False,
            reasoning_field="reasoning_content",
            reasoning_effort=None,
            top_k=True,
            repetition_penalty="repeat_penalty",
        ),
    ),
    # console.groq.com/docs/api-reference: logprobs and penalties are "not yet supported by any of our models".
    Preset(
        "remote::groq",
        "https://api.groq.com/openai/v1",
        Capabilities(
            max_tokens_field="max_completion_tokens",
            keeps_formats=False,
            logprobs=False,
            penalties=False,
            reasoning_field="reasoning",
            service_tier=True,
            embeddings=False,
        ),
        key_required=True,
    ),
    # github.com/togethercomputer/openapi: `logprobs` is a number there and its answer has another shape; usage comes
    # with the last chunk without being asked for.
    Preset(
        "remote::together",
        "https://api.together.xyz/v1",
        Capabilities(
            parallel_tool_calls=False,
            keeps_formats=False,
            logprobs=False,
            user=False,
            reasoning_field="reasoning",
            stream_usage=False,
            top_k=True,
            min_p=True,
            repetition_penalty="repetition_penalty",
            rerank_path="/rerank",
        ),
        key_required=True,
    ),
    # docs.fireworks.ai/api-reference/post-chatcompletions: usage comes with the last chunk without being asked for.
    Preset(
        "remote::fireworks",
        "https://api.fireworks.ai/inference/v1",
        Capabilities(
            keeps_formats=False,
            reasoning_field="reasoning_content",
            stream_usage=False,
            service_tier=True,
            prompt_cache_key=True,
            top_k=True,
            min_p=True,
            repetition_penalty="repetition_penalty",
            rerank_path="/rerank",
        ),
        key_required=True,
    ),
    # docs.mistral.ai/api: unknown fields are refused with 422; usage comes without being asked for.
    Preset(
        "remote::mistral",
        "https://api.mistral.ai/v1",
        Capabilities(
            keeps_formats=False,
            logprobs=False,
            seed_field="random_seed",
            user=False,
            stream_usage=False,
        ),
        key_required=True,
    ),
    # api-docs.deepseek.com/api/create-chat-completion: JSON mode without schemas; thinking is chosen by the model.
    Preset(
        "remote::deepseek",
        "https://api.deepseek.com/v1",
        Capabilities(
            parallel_tool_calls=False,
            json_schema=False,
            keeps_formats=False,
            seed_field=None,
            user=False,
            reasoning_field="reasoning_content",
            reasoning_effort=None,
            embeddings=False,
        ),
        key_required=True,
    ),
    # openrouter.ai/docs/api-reference/parameters.
    Preset(
        "remote::openrouter",
        "https://openrouter.ai/api/v1",
        Capabilities(
            keeps_formats=False,
            reasoning_field="reasoning",
            verbosity=True,
            top_k=True,
            min_p=True,
            repetition_penalty="repetition_penalty",
        ),
        key_required=True,
    ),
    # ai.google.dev/gemini-api/docs/openai names features, not fields; an unknown field is refused there with 400.
    Preset(
        "remote::gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        Capabilities(
            image_urls=False,
            parallel_tool_calls=False,
            keeps_formats=False,
            logprobs=False,
            penalties=False,
            seed_field=None,
            user=False,
        ),
        key_required=True,
    ),
    # docs.sambanova.ai, chat completions: the penalties are accepted there and "not currently implemented".
    Preset(
        "remote::sambanova",
        "https://api.sambanova.ai/v1",
        Capabilities(
            keeps_formats=False,
            penalties=False,
            user=False,
            reasoning_field="reasoning",
            top_k=True,
        ),
        key_required=True,
    ),
    # inference-docs.cerebras.ai/api-reference/chat-completions.
    Preset(
        "remote::cerebras",
        "https://api.cerebras.ai/v1",
        Capabilities(
            max_tokens_field="max_completion_tokens",
            keeps_formats=False,
            reasoning_field="reasoning",
            service_tier=True,
            embeddings=False,
        ),
        key_required=True,
    ),
    # docs.api.nvidia.com/nim: the hosted endpoint wants a key, one's own NIM at another `base_url` does not.
    Preset(
        "remote::nvidia",
        "https://integrate.api.nvidia.com/v1",
        Capabilities(
            parallel_tool_calls=False,
            keeps_formats=False,
            user=False,
            reasoning_field="reasoning_content",
            reasoning_effort=None,
        ),
        key_required=True,
    ),
)
