"""What Llama Stack's names mean here, as data: provider types, APIs, keys of `config` and of `server`.

Sources: the distribution files and the provider reference of Llama Stack 0.2 to 0.7.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Service:
    """An inference type: its name here, its address unless the file names one, whether that wants a key."""

    here: str
    url: str = ""
    key: bool = False


def _hosted(name: str, url: str) -> tuple[str, Service]:
    return f"remote::{name}", Service(f"remote::{name}", url, key=True)


def _compatible(name: str, url: str, *, key: bool) -> tuple[str, Service]:
    return f"remote::{name}", Service("remote::openai-compatible", url, key=key)


SERVICES: Final[Mapping[str, Service]] = {
    "inline::scripted": Service("inline::scripted"),
    "remote::llama-cpp-server": Service("remote::llama-cpp-server"),
    "remote::lmstudio": Service("remote::lmstudio"),
    "remote::ollama": Service("remote::ollama"),
    "remote::openai-compatible": Service("remote::openai-compatible"),
    "remote::tgi": Service("remote::tgi"),
    "remote::vllm": Service("remote::vllm"),
    "remote::azure": Service("remote::azure", key=True),
    **dict(
        (
            _hosted("openai", "https://api.openai.com/v1"),
            _hosted("anthropic", "https://api.anthropic.com/v1"),
            _hosted("groq", "https://api.groq.com/openai/v1"),
            _hosted("together", "https://api.together.xyz/v1"),
            _hosted("fireworks", "https://api.fireworks.ai/inference/v1"),
            _hosted("mistral", "https://api.mistral.ai/v1"),
            _hosted("deepseek", "https://api.deepseek.com/v1"),
            _hosted("openrouter", "https://openrouter.ai/api/v1"),
            _hosted("gemini", "https://generativelanguage.googleapis.com/v1beta/openai"),
            _hosted("sambanova", "https://api.sambanova.ai/v1"),
            _hosted("cerebras", "https://api.cerebras.ai/v1"),
            _hosted("nvidia", "https://integrate.api.nvidia.com/v1"),
            _compatible("llama-openai-compat", "https://api.llama.com/compat/v1", key=True),
            _compatible("databricks", "", key=True),
            _compatible("passthrough", "", key=False),
            _compatible("runpod", "", key=False),
        )
    ),
}
"""Inference types with a counterpart. `-openai-compat` at the end of a name (0.2.5) is taken off first."""

CREDENTIALS: Final[Mapping[str, tuple[str, ...]]] = {
    "remote::bedrock": (
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "aws_role_arn",
        "profile_name",
    ),
    "remote::oci": ("oci_compartment_id",),
    "remote::vertexai": ("project",),
    "remote::watsonx": ("api_key",),
}
"""Types without a counterpart that stand in distribution files unused: these keys say that one is really meant."""

EMBEDDERS: Final = frozenset({"inline::sentence-transformers", "inline::transformers"})

BUILT_IN: Final[Mapping[str, frozenset[str]]] = {
    "agents": frozenset({"inline::meta-reference", "inline::builtin"}),
    "responses": frozenset({"inline::meta-reference", "inline::builtin"}),
    "tool_runtime": frozenset(
        {"inline::rag-runtime", "inline::file-search", "remote::model-context-protocol"}
    ),
}
"""Types whose work this server does itself."""

DONE_BY: Final[Mapping[str, str]] = {
    "remote::model-context-protocol": "MCP servers are asked by this server, as connectors and tool groups",
    "inline::rag-runtime": "`file_search` and the RAG tool are built in",
    "inline::file-search": "`file_search` is built in",
}
"""By what, where it is not the Responses API as such."""

NOT_YET: Final[Mapping[str, str]] = {
    "batches": "batches are not served yet",
    "conversations": "conversations are not served yet",
    "file_processors": "files are not read yet",
    "interactions": "the interactions API is not served yet",
    "messages": "the messages API is not served yet",
    "prompts": "stored prompts are not served yet",
    "skills": "skills are not served yet",
    "telemetry": "traces are not exported yet",
    "tool_runtime": "of server-side tools, file search and MCP servers are served",
}
"""APIs that come later: their providers are left out, with a note."""

NEVER: Final[Mapping[str, str]] = {
    "datasetio": "dataset",
    "eval": "evaluation",
    "post_training": "post-training",
    "scoring": "scoring",
}
"""APIs that this server will not have: their providers are left out, with a note."""

RESOURCES_NEVER: Final[Mapping[str, str]] = {
    "benchmarks": "evaluation",
    "datasets": "dataset",
    "scoring_fns": "scoring",
}
"""Resources of those: registering one says that the API is really used, and is refused."""

RESOURCES_NOT_YET: Final[Mapping[str, str]] = {
    "vector_dbs": "vector stores are made by requests",
    "vector_stores": "vector stores are made by requests",
}

IGNORED: Final[Mapping[str, str]] = {
    "apis": "whatever is built is served",
    "built_at": "a date",
    "conda_env": "how Llama Stack was installed",
    "container_image": "how Llama Stack was installed",
    "distro_name": "a name",
    "docker_image": "how Llama Stack was installed",
    "image_name": "a name",
    "image_type": "how Llama Stack was installed",
    "logging": "logs have one level here",
}
"""Top-level keys that change nothing here, and why."""

STORES: Final = ("inference_store", "conversations_store", "metadata_store")
"""Where 0.2 keeps its state; the first SQLite one says where ours is."""

SERVER_SAME: Final = (
    "host",
    "port",
    "tls_certfile",
    "tls_keyfile",
    "limits",
    "heartbeat_s",
    "responses_done_marker",
    "parameters",
    "shutdown_grace_s",
)
SERVER_IGNORED: Final[Mapping[str, str]] = {
    "cors": "browsers of other origins are not let in yet",
    "disable_ipv6": "`host` says where to listen",
    "metrics": "metrics are not served yet",
    "registry_refresh_interval_seconds": "models are asked for again when a request needs it",
}
SERVER_REFUSED: Final[Mapping[str, str]] = {
    "tls_cafile": "client certificates are not checked here; put a proxy in front that does",
    "quota": "quotas are not served yet; remove it, or put a proxy in front that has them",
}

CONFIG_NAMES: Final[Mapping[str, str]] = {
    "api_base": "base_url",
    "api_token": "api_key",
    "openai_compat_api_base": "base_url",
    "url": "base_url",
}
"""Keys of an inference provider's `config` under another name here."""

CONFIG_IGNORED: Final[Mapping[str, str]] = {
    "api_type": "the type says it",
    "append_api_version": "a bare host gets its usual path",
    "extra_blocked_headers": "no header of a caller is passed on",
    "max_tokens": "requests say `max_output_tokens` themselves",
    "raise_on_connect_error": "a server is asked when a request needs it",
    "refresh_models": "models are listed anew when a request needs it",
    "rerank_model_to_url": "rerankers at addresses of their own are not served",
}
CONFIG_REFUSED: Final[Mapping[str, str]] = {
    "forward_headers": "headers of callers are not passed on; put what the server needs under `headers`",
}
NETWORK_REFUSED: Final[Mapping[str, str]] = {
    "proxy": "outgoing proxies are not used here; let the machine route to the server, and remove it",
    "tls.ciphers": "the system chooses the ciphers; remove it",
    "tls.client_cert": "client certificates are not sent; put a proxy beside this server that does",
    "tls.client_key": "client certificates are not sent; put a proxy beside this server that does",
    "tls.min_version": "the system chooses the TLS version; remove it",
}
