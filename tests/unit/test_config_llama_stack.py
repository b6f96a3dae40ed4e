"""Llama Stack `run.yaml` files of every form from 0.2 to 0.7."""

from pathlib import Path

import pytest

from antiphon.config import ConfigError, Settings, load

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
    settings = read(tmp_path, OLD, {"OLLAMA_URL": "http://ollama:11434"})
    ollama, groq = settings.providers.inference
    assert (ollama.provider_type, ollama.config["url"]) == ("remote::ollama", "http://ollama:11434/v1")
    assert (groq.provider_type, groq.config["base_url"]) == (
        "remote::openai-compatible",
        "https://api.groq.com/openai/v1",
    )
    assert [model.model_id for model in settings.models] == ["fast"]
    assert settings.storage.url == "sqlite:////data/antiphon.db"
    assert settings.server.host == "127.0.0.1"
    notes = "\n".join(settings.notes)
    assert "run.yaml:12: inference: inline::sentence-transformers makes embeddings" in notes
    assert "inline::faiss is not served yet" in notes
    assert "remote::brave-search is not served yet" in notes
    assert "rag-runtime" not in notes


def test_a_switched_off_provider_is_left_out(tmp_path: Path) -> None:
    assert [one.provider_id for one in read(tmp_path, OLD).providers.inference] == ["groq"]


def test_the_form_of_0_7_is_read_as_it_is(tmp_path: Path) -> None:
    settings = read(tmp_path, NEW)
    assert settings.providers.inference[0].config["base_url"] == "https://api.openai.com/v1"
    assert settings.models[0].upstream_name == "gpt-4o"
    assert settings.storage.url == "sqlite:////state/antiphon.db"
    assert settings.server.port == 9000


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("remote::openai\n", "remote::vertexai\n", 'run.yaml:7: inference: provider type "remote::vertexai" is not'),
        ("inline::builtin", "inline::mine", 'run.yaml:11: responses: "inline::mine" is not known here; use inline'),
        ("  responses:", "  eval: [{provider_id: a}]\n  responses:", "run.yaml:9: eval: the evaluation API is"),
        ("benchmarks: []", "benchmarks: [{benchmark_id: b}]", "benchmarks: the evaluation API is not part of this"),
        ("kv_sqlite", "kv_postgres", 'run.yaml:15: storage: "kv_postgres" is not served yet'),
        ("port: 9000", "auth: {provider_config: {type: oauth2_token}}", "server.auth.provider_config: only API keys"),
        ("workers: 1", "workers: 4", "server.workers: one process serves here"),
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
        read(tmp_path, NEW.replace(old, new, 1))
    assert expected in str(caught.value)
