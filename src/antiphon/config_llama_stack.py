"""A Llama Stack `run.yaml` (0.2 to 0.7) as a configuration of ours.

Inference, models, server and the place of the state are taken over. What has no effect here yet is left out
with a note that the operator is shown; what would change the meaning of a deployment is refused by name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from antiphon.config_bind import refuse_unknown, unknown_key
from antiphon.config_settings import ConfigError
from antiphon.config_yaml import Node

_MARKS = frozenset(
    {"image_name", "distro_name", "apis", "registered_resources", "metadata_store", "image_type"}
)

_SAME = frozenset(
    {
        "remote::openai",
        "remote::azure",
        "remote::vllm",
        "remote::ollama",
        "remote::llama-cpp-server",
        "remote::openai-compatible",
        "inline::scripted",
    }
)
_COMPATIBLE: Mapping[str, str] = {
    "remote::anthropic": "https://api.anthropic.com/v1",
    "remote::cerebras": "https://api.cerebras.ai/v1",
    "remote::databricks": "",
    "remote::deepseek": "https://api.deepseek.com/v1",
    "remote::fireworks": "https://api.fireworks.ai/inference/v1",
    "remote::gemini": "https://generativelanguage.googleapis.com/v1beta/openai",
    "remote::groq": "https://api.groq.com/openai/v1",
    "remote::llama-openai-compat": "https://api.llama.com/compat/v1",
    "remote::mistral": "https://api.mistral.ai/v1",
    "remote::nvidia": "https://integrate.api.nvidia.com/v1",
    "remote::openrouter": "https://openrouter.ai/api/v1",
    "remote::passthrough": "",
    "remote::runpod": "",
    "remote::sambanova": "https://api.sambanova.ai/v1",
    "remote::tgi": "",
    "remote::together": "https://api.together.xyz/v1",
}
"""Types that are `remote::openai-compatible` at a known address; "" where the file must name it."""

_INSTEAD: Mapping[str, str] = {
    "inline::meta-reference": "run the model with vLLM and use remote::vllm",
    "inline::vllm": "run vLLM beside this server and use remote::vllm",
    "remote::bedrock": "use remote::openai-compatible with the base_url of its OpenAI endpoint",
    "remote::hf::endpoint": "use remote::openai-compatible with the endpoint's base_url, ending in /v1",
    "remote::hf::serverless": 'use remote::openai-compatible with base_url "https://router.huggingface.co/v1"',
    "remote::vertexai": "use remote::openai-compatible with the base_url of its OpenAI endpoint",
    "remote::watsonx": "use remote::openai-compatible with the base_url of an OpenAI gateway",
}
_EMBEDDERS = frozenset({"inline::sentence-transformers", "inline::transformers"})
_BUILT_IN: Mapping[str, frozenset[str]] = {
    "agents": frozenset({"inline::meta-reference", "inline::builtin"}),
    "responses": frozenset({"inline::meta-reference", "inline::builtin"}),
    "tool_runtime": frozenset({"inline::rag-runtime", "inline::file-search"}),
}
_NOT_YET = frozenset(
    {
        "batches",
        "connectors",
        "conversations",
        "file_processors",
        "files",
        "interactions",
        "prompts",
        "safety",
        "skills",
        "tool_runtime",
        "vector_io",
    }
)
_NEVER: Mapping[str, str] = {
    "eval": "evaluation",
    "datasetio": "dataset",
    "scoring": "scoring",
    "post_training": "post-training",
}
_RESOURCES_NEVER: Mapping[str, str] = {
    "benchmarks": "evaluation",
    "datasets": "dataset",
    "scoring_fns": "scoring",
}
_RESOURCES_NOT_YET = ("shields", "vector_dbs", "vector_stores", "tool_groups", "connectors")
_WITHOUT_EFFECT = frozenset(
    {
        "apis",
        "container_image",
        "conversations_store",
        "distro_name",
        "image_name",
        "image_type",
        "logging",
        "safety",
        "telemetry",
        "vector_stores",
    }
)
_STORES = ("metadata_store", "inference_store")
_KNOWN = frozenset(
    {
        *_WITHOUT_EFFECT,
        *_STORES,
        *_RESOURCES_NEVER,
        *_RESOURCES_NOT_YET,
        "external_apis_dir",
        "external_providers_dir",
        "models",
        "providers",
        "registered_resources",
        "server",
        "storage",
        "version",
    }
)
_SERVER_SAME = (
    "host",
    "port",
    "tls_certfile",
    "tls_keyfile",
    "limits",
    "heartbeat_s",
    "responses_done_marker",
)
_SERVER_WITHOUT_EFFECT = ("registry_refresh_interval_seconds", "metrics", "cors")
_SERVER_REFUSED: Mapping[str, str] = {
    "tls_cafile": "client certificates are not checked here; put a proxy in front that does",
    "quota": "quotas are not served yet; remove it, or put a proxy in front that has them",
}
_ROOT_PATH = re.compile(r"https?://[^/]+/?")


def is_llama_stack(root: Node) -> bool:
    """Whether the file has a key that only Llama Stack's own files have."""
    return isinstance(root.value, dict) and not _MARKS.isdisjoint(root.value)


def translate(root: Node) -> tuple[Node, tuple[str, ...]]:
    """The same configuration in our shape, and notes about what was left out. Raises ConfigError."""
    refuse_unknown(root, tuple(sorted(_KNOWN)), "a Llama Stack run.yaml")
    for key in ("external_providers_dir", "external_apis_dir"):
        if root[key].value:
            raise root[key].error(f"{key}: providers of Llama Stack cannot be loaded here; remove it")
    work = _Translation()
    resources = root["registered_resources"]
    for source in (root, resources):
        work.check_resources(source)
    inference = list(work.inference(root["providers"]))
    work.check_providers(root["providers"])
    models = [*root["models"].items(), *resources["models"].items()]
    ours: dict[str, Node] = {
        "providers": replace(root, value={"inference": replace(root["providers"], value=inference)}),
        "models": replace(root, value=list(work.models(models))),
        "server": work.server(root["server"]),
    }
    url = _storage_url(root)
    if url is not None:
        ours["storage"] = replace(url, value={"url": url})
    return replace(root, value=ours), tuple(work.notes)


@dataclass(slots=True)
class _Translation:
    notes: list[str] = field(default_factory=list[str])
    left_out: set[str] = field(default_factory=set[str])  # provider ids of embedders

    def note(self, node: Node, text: str) -> None:
        self.notes.append(f"{node.file}:{node.line}: {text}")

    def check_resources(self, source: Node) -> None:
        for key, what in _RESOURCES_NEVER.items():
            if source[key].value:
                raise _refused_api(source[key], key, what)
        for key in _RESOURCES_NOT_YET:
            node = source[key]
            if isinstance(node.value, list) and node.value:
                self.note(node, f"{key} are not served yet; left out")

    def check_providers(self, providers: Node) -> None:
        for api, entries in providers.mapping().items():
            if api == "inference":
                continue
            if api in _NEVER and entries.value:
                raise _refused_api(entries, api, _NEVER[api])
            if api not in _NEVER and api not in _NOT_YET and api not in _BUILT_IN and api != "telemetry":
                line = providers.key_lines.get(api, providers.line)
                known = (*_NOT_YET, *_BUILT_IN, "inference", "telemetry")
                raise ConfigError(providers.file, line, unknown_key(api, known, "providers"))
            for entry in entries.items():
                self._check_provider(api, entry)

    def _check_provider(self, api: str, entry: Node) -> None:
        kind = entry["provider_type"].text()
        if kind in _BUILT_IN.get(api, ()):
            return
        if api not in _NOT_YET and api != "telemetry":
            built_in = ", ".join(sorted(_BUILT_IN[api]))
            raise entry["provider_type"].error(f'{api}: "{kind}" is not known here; use {built_in}')
        if api in _NOT_YET:
            self.note(entry, f"{api}: {kind} is not served yet; left out")

    def inference(self, providers: Node) -> Iterator[Node]:
        for entry in providers["inference"].items():
            owner = entry["provider_id"]
            if owner.problem is None and owner.value in {None, "", "__disabled__"}:
                continue
            kind = entry["provider_type"]
            name = kind.text()
            if name in _EMBEDDERS:
                self.left_out.add(owner.text())
                self.note(entry, f"inference: {name} makes embeddings, which are not served yet; left out")
            else:
                yield _inference(entry, kind, name)

    def models(self, entries: list[Node]) -> Iterator[Node]:
        for entry in entries:
            model_type = entry["model_type"].text() or "llm"
            owner = entry["provider_id"]
            if owner.problem is None and owner.value in {None, "", "__disabled__"}:
                continue
            if model_type != "llm" or owner.text() in self.left_out:
                self.note(entry, f"models: {entry['model_id'].text()} is no chat model; left out")
                continue
            kept = ("model_id", "provider_id", "provider_model_id")
            known = (*kept, "metadata", "model_type", "model_validation", "type", "identifier")
            refuse_unknown(entry, known, "models")
            mapping = entry.mapping()
            yield replace(entry, value={key: mapping[key] for key in kept if key in mapping})

    def server(self, node: Node) -> Node:
        kept: dict[str, Node] = {}
        for key, value in node.mapping().items():
            if key in _SERVER_REFUSED and value.value:
                raise value.error(f"server.{key}: {_SERVER_REFUSED[key]}")
            if key == "workers" and value.value not in {None, 1}:
                raise value.error("server.workers: one process serves here; start more behind a proxy")
            if key == "auth":
                kept[key] = _auth(value)
            elif key in _SERVER_SAME:
                kept[key] = value
            elif key in _SERVER_WITHOUT_EFFECT and value.value:
                self.note(value, f"server.{key} has no effect here; left out")
            elif key not in {*_SERVER_REFUSED, *_SERVER_WITHOUT_EFFECT, "workers", "auth"}:
                line = node.key_lines.get(key, node.line)
                known = (*_SERVER_SAME, "auth", "workers")
                raise ConfigError(node.file, line, unknown_key(key, known, "server"))
        # Llama Stack listens on every address by default; here a public address is somebody's decision.
        return replace(node, value=kept)


def _auth(node: Node) -> Node:
    """Only our own form of `auth` means anything here; another one must not vanish in silence."""
    for key in node.mapping():
        if key != "keys" and node[key].value:
            line = node.key_lines.get(key, node.line)
            message = f"server.auth.{key}: only API keys are checked here yet; use server.auth.keys"
            raise ConfigError(node.file, line, message)
    return replace(node, value={key: item for key, item in node.mapping().items() if key == "keys"})


def _refused_api(node: Node, key: str, what: str) -> ConfigError:
    return node.error(
        f"{key}: the {what} API is not part of this server; remove it, and run it with its own tool"
    )


def _inference(entry: Node, kind: Node, name: str) -> Node:
    config = entry["config"]
    mapping = dict(config.mapping())
    if name in _COMPATIBLE:
        return _compatible(entry, kind, name, mapping)
    if name not in _SAME:
        known = ", ".join(sorted(_SAME | _COMPATIBLE.keys()))
        raise kind.error(
            f'inference: provider type "{name}" is not served here; {_INSTEAD.get(name) or f"known: {known}"}'
        )
    if name == "remote::ollama" and "url" in mapping and "base_url" not in mapping:
        # Llama Stack named Ollama's root until 0.4; its OpenAI routes are below /v1.
        url = mapping["url"]
        if _ROOT_PATH.fullmatch(url.text()):
            mapping["url"] = replace(url, value=url.text().rstrip("/") + "/v1")
    return _entry(entry, kind, mapping, config)


def _compatible(entry: Node, kind: Node, name: str, mapping: dict[str, Node]) -> Node:
    """A hosted service as `remote::openai-compatible`; a bare host takes its usual path."""
    default = _COMPATIBLE[name]
    given = mapping.pop("url", None) or mapping.pop("base_url", None) or Node(entry.file, entry.line, None)
    url = given.text()
    if not url and not default:
        raise entry.error(f"inference: {name} needs config.base_url")
    if _ROOT_PATH.fullmatch(url):
        tail = _ROOT_PATH.sub("", default) or "v1"
        url = f"{url.rstrip('/')}/{tail}"
    mapping["base_url"] = replace(given, value=url or default, problem=None)
    return _entry(entry, replace(kind, value="remote::openai-compatible"), mapping, entry["config"])


def _entry(entry: Node, kind: Node, mapping: dict[str, Node], config: Node) -> Node:
    value = {
        "provider_id": entry["provider_id"],
        "provider_type": kind,
        "config": replace(config, value=mapping),
    }
    return replace(entry, value=value)


def _storage_url(root: Node) -> Node | None:
    """Our database beside the one that the file names; None where it names none. PostgreSQL is refused."""
    storage = root["storage"]
    if storage["url"].value:
        return storage["url"]
    places = [*storage["backends"].mapping().values(), *(root[name] for name in _STORES)]
    found: Node | None = None
    for place in places:
        kind = place["type"].text()
        if kind and not kind.endswith("sqlite"):
            raise place["type"].error(
                f'storage: "{kind}" is not served yet; use sqlite, or name a place: storage: {{url: sqlite:///…}}'
            )
        path = place["db_path"]
        if found is None and path.value:
            folder, slash, _ = path.text().rpartition("/")
            found = replace(path, value=f"sqlite:///{folder}{slash}antiphon.db")
    return found
