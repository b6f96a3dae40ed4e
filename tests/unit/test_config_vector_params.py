"""What becomes of the parameters of `vector_stores` of a Llama Stack file."""

from pathlib import Path

import pytest

from antiphon.config.llama_vector_params import IGNORED
from antiphon.config.load import load
from antiphon.config.settings import ConfigError, Settings

STACK = """\
version: 2
distro_name: mine
providers:
  inference:
  - {provider_id: ollama, provider_type: "remote::ollama", config: {base_url: "http://127.0.0.1:1/v1"}}
vector_stores:
"""


def read(folder: Path, params: str) -> Settings:
    (folder / "run.yaml").write_text(STACK + params)
    return load("run.yaml", cwd=folder, environ={})


def outcomes(settings: Settings) -> dict[str, tuple[str, str]]:
    rows = {row.key.removeprefix("vector_stores."): row for row in settings.mapping}
    return {key: (row.outcome, row.text) for key, row in rows.items()}


def test_models_and_workers_are_taken_over(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        "  rewrite_query_params: {model: {provider_id: ollama, model_id: llama3.2}, max_tokens: 100}\n"
        "  contextual_retrieval_params: {model: {provider_id: ollama, model_id: qwen3}}\n"
        "  file_batch_params: {max_concurrent_files_per_batch: 5}\n",
    )
    ours = settings.vector_stores
    assert (ours.rewrite_query_model, ours.context_model, ours.workers) == (
        "ollama/llama3.2",
        "ollama/qwen3",
        5,
    )
    rows = outcomes(settings)
    assert rows["rewrite_query_params.model"] == ("changed", "rewrite_query_model: ollama/llama3.2")
    assert rows["rewrite_query_params.max_tokens"] == ("ignored", "this server has its own")
    assert rows["file_batch_params.max_concurrent_files_per_batch"][0] == "changed"


@pytest.mark.parametrize("section", IGNORED)
def test_what_has_no_counterpart_is_named_with_what_is_done_instead(tmp_path: Path, section: str) -> None:
    keys = IGNORED[section]
    settings = read(
        tmp_path, f"  {section}: {{{', '.join(f'{key}: 3' for key in keys)}, other: 1, none: null}}\n"
    )
    rows = outcomes(settings)
    for key, why in keys.items():
        assert rows[f"{section}.{key}"] == ("ignored", why)
    assert rows[f"{section}.other"] == ("ignored", "not known here")
    assert rows[f"{section}.none"] == ("ignored", "empty")
    assert settings.vector_stores == Settings().vector_stores


def test_a_model_of_a_provider_that_is_not_there_is_left_out_with_a_note(tmp_path: Path) -> None:
    settings = read(tmp_path, "  rewrite_query_params: {model: {provider_id: gone, model_id: x}}\n")
    assert settings.vector_stores.rewrite_query_model == ""
    assert outcomes(settings)["rewrite_query_params.model"][0] == "left out"
    assert any("queries are not rewritten" in note for note in settings.notes)


def test_workers_that_are_no_number_are_refused_at_their_line(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="max_concurrent_files_per_batch: expected a whole number"
    ) as refused:
        read(tmp_path, "  file_batch_params: {max_concurrent_files_per_batch: many}\n")
    assert refused.value.line == 7
