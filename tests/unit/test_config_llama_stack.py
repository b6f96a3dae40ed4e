"""Llama Stack `run.yaml` files of every form from 0.2 to 0.7."""

from pathlib import Path
from typing import Any

import pytest

from antiphon.config.llama_tables import CREDENTIALS, EMBEDDERS, SERVICES
from antiphon.config.load import ConfigError, Settings, load
from antiphon.config.settings import RefusedParts
from antiphon.plugins import BUILT_IN
from antiphon.provider_advice import INSTEAD
from antiphon.providers.presets import PRESETS
from antiphon.providers.sentence_transformers.provider import parse_config

OLD = """\
version: '2'
image_name: starter
apis: [agents, inference, safety, tool_runtime, vector_io]
providers:
  inference:
  - provider_id: ${env.OLLAMA_URL:+ollama}
    provider_type: remote::ollama
    config: {url: "${env.OLLAMA_URL:=http://localhost:11434}"}
  - provider_id: groq
    provider_type: remote::groq
    config: {url: https://api.groq.com, api_key: "${env.GROQ_API_KEY:=}"}
  - provider_id: sentence-transformers
    provider_type: inline::sentence-transformers
  agents:
  - provider_id: meta-reference
    provider_type: inline::meta-reference
    config: {persistence_store: {type: sqlite, db_path: /data/agents.db}}
  vector_io:
  - {provider_id: faiss, provider_type: "inline::faiss"}
  tool_runtime:
  - {provider_id: rag, provider_type: "inline::rag-runtime"}
  - {provider_id: brave, provider_type: "remote::brave-search"}
metadata_store: {type: sqlite, db_path: /data/registry.db}
inference_store: {type: sqlite, db_path: /data/inference.db}
models:
- {model_id: fast, provider_id: groq, provider_model_id: llama-3.1-8b, model_type: llm, metadata: {}}
- {model_id: embed, provider_id: sentence-transformers, model_type: embedding, metadata: {dimension: 384}}
shields: []
tool_groups:
- {toolgroup_id: "builtin::rag", provider_id: rag}
server: {port: 8321}
"""

NEW = """\
version: 2
distro_name: starter
apis: [inference, responses]
providers:
  inference:
  - provider_id: openai
    provider_type: remote::openai
    config: {base_url: "${env.OPENAI_BASE_URL:=https://api.openai.com/v1}", api_key: "${env.OPENAI_API_KEY:=}"}
  responses:
  - provider_id: builtin
    provider_type: inline::builtin
    config: {persistence: {agent_state: {namespace: agents, backend: kv_default}}}
storage:
  backends:
    kv_default: {type: kv_sqlite, db_path: /state/kv.db}
    sql_default: {type: sql_sqlite, db_path: /state/sql.db}
  stores: {metadata: {namespace: registry, backend: kv_default}}
registered_resources:
  models:
  - {model_id: gpt, provider_id: openai, provider_model_id: gpt-4o, model_type: llm}
  shields: []
  benchmarks: []
server: {port: 9000, workers: 1}
telemetry: {enabled: true}
"""


def read(folder: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    (folder / "run.yaml").write_text(text)
    return load("run.yaml", cwd=folder, environ=environ or {})


def test_the_form_of_0_2_is_read_as_it_is(tmp_path: Path) -> None:
    environ = {"OLLAMA_URL": "http://ollama:11434", "GROQ_API_KEY": "gsk-0123456789"}
    settings = read(tmp_path, OLD, environ)
    ollama, groq = settings.providers.inference
    assert (ollama.provider_type, ollama.config["base_url"]) == ("remote::ollama", "http://ollama:11434/v1")
    assert (groq.provider_type, groq.config["base_url"]) == ("remote::groq", "https://api.groq.com/openai/v1")
    assert [model.model_id for model in settings.models] == ["fast"]
    assert settings.storage.url == "sqlite:////data/antiphon.db"
    assert settings.server.host == "127.0.0.1"
    notes = "\n".join(settings.notes)
    assert (
        "run.yaml:12: inference (inline::sentence-transformers): pip install 'antiphon[sentence-transformers]'"
        in notes
    )
    assert [one.provider_id for one in settings.providers.vector_io] == ["faiss"]
    assert (
        "tool_runtime (remote::brave-search): of server-side tools, file search and MCP servers are served"
        in notes
    )
    assert "rag-runtime" not in notes


def test_sentence_transformers_load_what_the_file_names_where_they_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed(name: str) -> object:
        return name

    monkeypatch.setattr("antiphon.config.llama_inference.find_spec", installed)
    more = (
        "vector_stores: {default_embedding_model: {provider_id: sentence-transformers,"
        " model_id: nomic-ai/nomic-embed-text-v1.5}}\n"
    )
    trusting = OLD.replace(
        "inline::sentence-transformers",
        "inline::sentence-transformers\n    config: {trust_remote_code: true}",
    )
    settings = read(tmp_path, trusting + more)
    (found,) = settings.providers.inference
    assert (found.provider_id, found.provider_type) == (
        "sentence-transformers",
        "inline::sentence-transformers",
    )
    config = parse_config(found.config)
    assert list(config.models) == ["embed", "nomic-ai/nomic-embed-text-v1.5"]
    assert all(model is not None and model.trust_remote_code for model in config.models.values())
    assert [model.model_id for model in settings.models] == ["embed"]
    default = settings.vector_stores.default_embedding_model
    assert default is not None
    assert default.name == "sentence-transformers/nomic-ai/nomic-embed-text-v1.5"


def test_a_switched_off_provider_is_left_out(tmp_path: Path) -> None:
    settings = read(tmp_path, OLD, {"GROQ_API_KEY": "gsk-0123456789"})
    assert [one.provider_id for one in settings.providers.inference] == ["groq"]
    assert [(row.line, row.text) for row in settings.mapping if row.key == "providers.inference.ollama"] == [
        (6, "switched off (OLLAMA_URL is not set)")
    ]


def test_a_hosted_service_without_a_key_is_left_out_with_its_models(tmp_path: Path) -> None:
    settings = read(tmp_path, OLD)
    assert settings.providers.inference == ()
    assert settings.models == ()
    assert "run.yaml:9: inference (groq): no `api_key` is set; left out" in settings.notes
    (row,) = [row for row in settings.mapping if row.key == "providers.inference.groq"]
    assert (row.outcome, row.text) == ("left out", "remote::groq needs `api_key` (GROQ_API_KEY is not set)")


def test_the_form_of_0_7_is_read_as_it_is(tmp_path: Path) -> None:
    settings = read(tmp_path, NEW, {"OPENAI_API_KEY": "sk-x"})
    assert settings.providers.inference[0].config["base_url"] == "https://api.openai.com/v1"
    assert settings.models[0].upstream_name == "gpt-4o"
    assert settings.storage.url == "sqlite:////state/antiphon.db"
    assert settings.server.port == 9000


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("remote::openai\n", "inline::vllm\n", "run.yaml:7: providers.inference.openai: provider type"),
        ("remote::openai\n", "remote::mine\n", "write a provider plugin for it, or use remote::openai-compatible"),
        ("{base_url:", "{forward_headers: {a: b}, base_url:", "headers of callers are not passed on"),
        ("{base_url:", "{network: {proxy: {url: http://p}}, base_url:", "config.network.proxy: outgoing proxies are"),
        ("{base_url:", "{network: {tls: {client_cert: c.pem}}, base_url:", "network.tls.client_cert: client certif"),
        ("{base_url:", "{network: {tsl: {verify: false}}, base_url:", "config.network.tsl: this key of `network` is"),
        ("inline::builtin", "inline::mine", 'run.yaml:11: providers.responses.builtin: "inline::mine" is not known'),
        ("benchmarks: []", "benchmarks: [{benchmark_id: b}]", "benchmarks: the evaluation API is not part of this"),
        ("benchmarks: []", "datasets: [{dataset_id: b}]", "registered_resources.datasets: the dataset API"),
        ("benchmarks: []", "scoring_fns: [{scoring_fn_id: b}]", "scoring_fns: the scoring API is not part of this"),
        ("sql_sqlite", "sql_postgres", 'run.yaml:16: storage.backends.sql_default: "sql_postgres" is not served yet'),
        ("version: 2", "version: 3", "run.yaml:1: version: 3 is not known; expected 2"),
        ("version: 2", "version: 2\nexternal_providers_dir: /p", "providers of Llama Stack cannot be loaded here"),
        ("openai, provider_model_id", "opena, provider_model_id", 'no inference provider "opena"'),
        ("model_type: llm", "modeltype: llm", "models.gpt.modeltype: this key of a model is not known here"),
        ("port: 9000", "auth: {provider_config: {type: oauth2_token}}", "server.auth.provider_config: only API keys"),
        ("workers: 1", "quota: {kvstore: {}}", "server.quota: quotas are not served yet"),
        ("workers: 1", "prot: 1", 'unknown key "prot" in server; did you mean "port"?'),
        ("telemetry:", "telemetri:", 'unknown key "telemetri" in a Llama Stack run.yaml; did you mean "telemetry"?'),
        ("  responses:", "  response:", 'unknown key "response" in providers; did you mean "responses"?'),
    ],
)  # fmt: skip
def test_what_would_change_the_meaning_is_refused_by_name(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert old in NEW
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, NEW.replace(old, new, 1), {"OPENAI_API_KEY": "sk-x"})
    assert expected in str(caught.value)


def test_all_that_is_refused_is_told_at_once(tmp_path: Path) -> None:
    text = NEW.replace("benchmarks: []", "benchmarks: [{benchmark_id: b}]").replace(
        "workers: 1", "quota: {a: 1}"
    )
    with pytest.raises(RefusedParts) as caught:
        read(tmp_path, text)
    assert [row.key for row in caught.value.lines if row.outcome == "refused"] == [
        "registered_resources.benchmarks",
        "server.quota",
    ]
    assert "(1 more; `antiphon check --config run.yaml` lists them)" in str(caught.value)


def test_more_workers_are_noted(tmp_path: Path) -> None:
    notes = read(tmp_path, NEW.replace("workers: 1", "workers: 4")).notes
    assert "server.workers: one process serves here, not 4; start more of them behind a proxy" in "\n".join(
        notes
    )


def test_postgres_is_no_obstacle_where_the_environment_says_where_the_state_is(tmp_path: Path) -> None:
    text = NEW.replace("sql_sqlite, db_path: /state/sql.db", "sql_postgres, host: db")
    assert text != NEW
    settings = read(tmp_path, text, {"ANTIPHON_STORAGE_URL": "sqlite:////mine/a.db"})
    assert settings.storage.url == "sqlite:////mine/a.db"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("{network: {tls: {verify: false}}}", {"tls_verify": False}),
        ("{network: {timeout: 7}}", {"timeouts": {"connect_s": 7, "first_byte_s": 7, "idle_s": 7}}),
        ("{network: {timeout: {connect: 2}}}", {"timeouts": {"connect_s": 2}}),
        ("{network: {headers: {x-team: a}}}", {"headers": {"x-team": "a"}}),
        ("{url: 'http://v', max_tokens: 4096, api_token: fake}", {"base_url": "http://v/v1", "api_key": "fake"}),
        ("{base_url: 'http://v:8000/v1', refresh_models: true}", {"base_url": "http://v:8000/v1"}),
    ],
)  # fmt: skip
def test_a_providers_config_is_translated(tmp_path: Path, config: str, expected: dict[str, Any]) -> None:
    entry = f"{{provider_id: v, provider_type: 'remote::vllm', config: {config}}}"
    text = f"image_name: t\nproviders: {{inference: [{entry}]}}\n"
    (provider,) = read(tmp_path, text).providers.inference
    assert provider.config == expected


@pytest.mark.parametrize(
    ("kind", "given", "base_url"),
    [
        ("remote::cerebras", "base_url: https://api.cerebras.ai", "https://api.cerebras.ai/v1"),
        ("remote::nvidia", "url: https://integrate.api.nvidia.com", "https://integrate.api.nvidia.com/v1"),
        ("remote::groq-openai-compat", "openai_compat_api_base: https://api.groq.com/openai/v1", None),
        ("remote::passthrough", "url: http://gateway:9/api/v1", "http://gateway:9/api/v1"),
        ("remote::llama-openai-compat", "", "https://api.llama.com/compat/v1"),
        ("remote::bedrock", "region_name: eu-west-1", "https://bedrock-mantle.eu-west-1.api.aws/v1"),
    ],
)
def test_an_address_of_any_generation_becomes_the_base_url(
    tmp_path: Path, kind: str, given: str, base_url: str | None
) -> None:
    config = ", ".join(part for part in ("api_key: sk-0123456789", given) if part)
    text = f"apis: []\nproviders: {{inference: [{{provider_id: p, provider_type: '{kind}', config: {{{config}}}}}]}}\n"
    (provider,) = read(tmp_path, text).providers.inference
    assert provider.config["base_url"] == (base_url or "https://api.groq.com/openai/v1")
    assert provider.config["api_key"] == "sk-0123456789"


@pytest.mark.parametrize(
    ("kind", "unused", "used"),
    [
        ("remote::bedrock", "{}", "{aws_access_key_id: AKIA}"),
        ("remote::watsonx", "{api_key: '${env.WATSONX_API_KEY:=}'}", "{api_key: k, project_id: p}"),
        ("remote::vertexai", "{project: '${env.VERTEX_AI_PROJECT:=}'}", "{project: p}"),
        ("remote::oci", "{oci_compartment_id: ''}", "{oci_compartment_id: ocid1}"),
    ],
)
def test_a_type_without_a_counterpart_is_refused_where_it_is_used_and_noted_where_it_is_not(
    tmp_path: Path, kind: str, unused: str, used: str
) -> None:
    text = "apis: []\nproviders:\n  inference:\n  - {provider_id: p, provider_type: '%s', config: %s}\n"
    settings = read(tmp_path, text % (kind, unused))
    assert settings.providers.inference == ()
    assert INSTEAD[kind] in settings.notes[0]
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text % (kind, used))
    assert INSTEAD[kind] in str(caught.value)


def test_each_type_is_known_here_at_the_address_of_its_preset() -> None:
    for kind, service in SERVICES.items():
        assert service.here in BUILT_IN
        assert kind not in BUILT_IN or service.here == kind, f"{kind} is a type of its own by now"
        if service.here == kind and kind in PRESETS and service.url:
            assert service.url == PRESETS[kind].default_url
            assert service.key == PRESETS[kind].key_required


def test_no_type_is_both_served_and_refused() -> None:
    assert not set(SERVICES) & set(INSTEAD)
    assert not set(BUILT_IN) & set(INSTEAD)
    assert set(CREDENTIALS) <= set(INSTEAD)
    assert set(EMBEDDERS) - {"inline::sentence-transformers"} <= set(INSTEAD)


def test_a_model_without_a_provider_is_the_only_ones_and_else_has_to_say(tmp_path: Path) -> None:
    text = """\
image_name: t
providers:
  inference:
  - {provider_id: a, provider_type: "remote::vllm"}
  - {provider_id: "${env.B:+b}", provider_type: "remote::ollama"}
models:
- {model_id: m}
"""
    assert [model.provider_id for model in read(tmp_path, text).models] == ["a"]
    with pytest.raises(ConfigError, match=r"run\.yaml:7: models\.m: give its `provider_id`, one of a, b"):
        read(tmp_path, text, {"B": "yes"})


def test_an_entry_without_a_type_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r'run\.yaml:2: providers\.inference\.a: "provider_type" is missing'
    ):
        read(tmp_path, "image_name: t\nproviders: {inference: [{provider_id: a}]}\n")


def test_a_variable_that_is_not_set_is_told_beside_all_else_that_is_refused(tmp_path: Path) -> None:
    text = NEW.replace("${env.OPENAI_BASE_URL:=https://api.openai.com/v1}", "${env.NOWHERE}")
    with pytest.raises(RefusedParts) as caught:
        read(
            tmp_path,
            text.replace("benchmarks: []", "benchmarks: [{benchmark_id: b}]"),
            {"OPENAI_API_KEY": "k"},
        )
    refused = [(row.line, row.text) for row in caught.value.lines if row.outcome == "refused"]
    assert refused[0][0] == 8
    assert "the environment variable NOWHERE is not set" in refused[0][1]
    assert len(refused) == 2


def test_of_two_models_of_one_name_the_first_has_it(tmp_path: Path) -> None:
    text = NEW.replace(
        "  shields: []", "  - {model_id: gpt, provider_id: openai, provider_model_id: gpt-5}\n  shields: []"
    )
    settings = read(tmp_path, text, {"OPENAI_API_KEY": "sk-x"})
    assert [model.upstream_name for model in settings.models] == ["gpt-4o"]
    (row,) = [row for row in settings.mapping if row.key == "models.gpt" and row.outcome == "ignored"]
    assert row.text == "the name is taken by line 20; it is served as openai/gpt-5"


@pytest.mark.parametrize(
    ("kind", "config", "kept"),
    [
        ("remote::gemini", "{}", False),
        ("remote::gemini", "{api_key: k}", True),
        ("remote::groq", "{url: 'https://api.groq.com'}", False),
        ("remote::groq", "{base_url: 'http://gateway:1/v1'}", True),
        ("remote::nvidia", "{base_url: 'http://my-nim:8000/v1'}", True),
        ("remote::azure", "{base_url: 'https://r.openai.azure.com/openai/v1'}", False),
        ("remote::vllm", "{}", True),
    ],
)
def test_a_key_is_needed_at_a_services_own_address(
    tmp_path: Path, kind: str, config: str, kept: bool
) -> None:
    text = f"apis: []\nproviders: {{inference: [{{provider_id: p, provider_type: '{kind}', config: {config}}}]}}\n"
    settings = read(tmp_path, text)
    assert bool(settings.providers.inference) is kept
    assert bool(settings.notes) is not kept
