"""`providers.vector_io` and `vector_stores`, in our own files and in those of Llama Stack, and what becomes of them."""

from pathlib import Path

import pytest

from antiphon.config import llama_vector_io
from antiphon.config.load import load
from antiphon.config.settings import ConfigError, ProviderSections, ProviderSettings, Settings
from antiphon.index_plugins import BUILT_IN, INSTEAD, UnknownIndexType, index_class
from antiphon.indexes.faiss import FaissIndex
from antiphon.indexes.sqlite_vec import SqliteVecIndex
from antiphon.knowledge import make_indexes

STACK = """\
version: 2
distro_name: mine
providers:
  inference:
  - {provider_id: ollama, provider_type: "remote::ollama", config: {base_url: "http://127.0.0.1:1/v1"}}
  vector_io:
  - provider_id: faiss
    provider_type: inline::faiss
    config: {persistence: {namespace: faiss, backend: kv_default}}
  - provider_id: ${env.ENABLE_SQLITE_VEC:+sqlite-vec}
    provider_type: inline::sqlite-vec
    config: {db_path: /x/sqlite_vec.db, persistence: {namespace: v, backend: kv_default}}
  - provider_id: ${env.PGVECTOR_DB:+pgvector}
    provider_type: remote::pgvector
    config:
      host: ${env.PGVECTOR_HOST:=localhost}
      port: ${env.PGVECTOR_PORT:=5432}
      db: ${env.PGVECTOR_DB:=}
      user: ${env.PGVECTOR_USER:=}
      password: ${env.PGVECTOR_PASSWORD:=}
      persistence: {namespace: p, backend: kv_default}
vector_stores:
  default_provider_id: faiss
  default_embedding_model: {provider_id: ollama, model_id: nomic-embed-text}
  file_search_params: {header_template: "x"}
"""


def read(folder: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    (folder / "run.yaml").write_text(text)
    return load("run.yaml", cwd=folder, environ=environ or {})


def configured(provider_type: str, config: dict[str, object]) -> Settings:
    one = ProviderSettings(provider_id="mine", provider_type=provider_type, config=config)
    return Settings(providers=ProviderSections(vector_io=(one,)))


def test_the_indexes_of_a_llama_stack_file_are_taken_over(tmp_path: Path) -> None:
    environ = {"ENABLE_SQLITE_VEC": "1", "PGVECTOR_DB": "vectors", "PGVECTOR_PASSWORD": "secret"}
    settings = read(tmp_path, STACK, environ)
    faiss, sqlite, postgres = settings.providers.vector_io
    assert (faiss.provider_type, faiss.config) == ("inline::faiss", {})
    assert (sqlite.provider_type, sqlite.config) == ("inline::sqlite-vec", {})
    assert postgres.config | {"host": "localhost", "db": "vectors", "password": "secret"} == postgres.config
    assert "persistence" not in postgres.config
    assert settings.vector_stores.default_provider_id == "faiss"
    assert settings.vector_stores.default_embedding_model is not None
    assert settings.vector_stores.default_embedding_model.name == "ollama/nomic-embed-text"
    texts = {row.key: (row.outcome, row.text) for row in settings.mapping}
    assert texts["providers.vector_io.pgvector.config.password"] == (
        "taken",
        "a secret (by PGVECTOR_PASSWORD)",
    )
    assert texts["providers.vector_io.sqlite-vec.config.db_path"][0] == "changed"
    assert texts["vector_stores.file_search_params.header_template"][0] == "ignored"
    assert "'secret'" not in repr(settings)


def test_an_index_that_is_switched_off_is_left_out(tmp_path: Path) -> None:
    settings = read(tmp_path, STACK)
    assert [one.provider_id for one in settings.providers.vector_io] == ["faiss"]
    off = [row.key for row in settings.mapping if row.outcome == "off"]
    assert off == ["providers.vector_io.sqlite-vec", "providers.vector_io.pgvector"]


def test_without_faiss_its_files_are_searched_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_spec(name: str) -> None:
        assert name == "faiss"

    monkeypatch.setattr(llama_vector_io, "find_spec", find_spec)
    settings = read(tmp_path, STACK)
    (one,) = settings.providers.vector_io
    assert (one.provider_id, one.provider_type) == ("faiss", "inline::sqlite-vec")
    (row,) = [row for row in settings.mapping if row.key == "providers.vector_io.faiss"]
    assert (row.outcome, "antiphon[faiss]" in row.text) == ("changed", True)


def test_a_default_that_is_not_there_is_left_out_with_a_note(tmp_path: Path) -> None:
    text = STACK.replace("default_provider_id: faiss", "default_provider_id: milvus")
    settings = read(tmp_path, text.replace("provider_id: ollama, model_id", "provider_id: gone, model_id"))
    assert settings.vector_stores.default_provider_id == ""
    assert settings.vector_stores.default_embedding_model is None
    notes = "\n".join(settings.notes)
    assert "no vector_io provider milvus is there; the first one is used; left out" in notes
    assert "its provider gone is not there; vector stores are searched by keywords" in notes


@pytest.mark.parametrize("kind", ["inline::milvus", "inline::chromadb", "remote::weaviate", "remote::mine"])
def test_an_index_of_llama_stack_that_is_none_here_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, STACK.replace("inline::faiss", kind))
    assert caught.value.line == 8
    assert f'vector_io provider type "{kind}" is not served here; ' in caught.value.message
    assert "use " in caught.value.message


def test_the_old_names_of_types_are_understood(tmp_path: Path) -> None:
    settings = read(tmp_path, STACK.replace("inline::faiss", "inline::meta-reference"))
    assert settings.providers.vector_io[0].provider_type == "inline::faiss"
    settings = read(tmp_path, STACK.replace("inline::faiss", "inline::sqlite_vec"))
    assert settings.providers.vector_io[0].provider_type == "inline::sqlite-vec"


# --- made -----------------------------------------------------------------------------------------------------
def test_without_a_configuration_there_is_one_beside_the_state(tmp_path: Path) -> None:
    assert {name: type(index) for name, index in make_indexes(Settings(), tmp_path).items()} == {
        "sqlite-vec": SqliteVecIndex
    }
    assert list(tmp_path.iterdir()) == []  # nothing is made before it is needed


def test_the_default_index_is_the_first(tmp_path: Path) -> None:
    text = """\
providers:
  vector_io:
  - {provider_id: one, provider_type: "inline::sqlite-vec", config: {path: a}}
  - {provider_id: two, provider_type: "inline::faiss", config: {path: b, memory_mb: 5}}
vector_stores: {default_provider_id: two}
"""
    indexes = make_indexes(read(tmp_path, text), tmp_path)
    assert [(name, type(index)) for name, index in indexes.items()] == [
        ("two", FaissIndex),
        ("one", SqliteVecIndex),
    ]
    with pytest.raises(ConfigError, match='no vector_io provider "none"; configured: one, two'):
        make_indexes(read(tmp_path, text.replace("_id: two}\n", "_id: none}\n")), tmp_path)


@pytest.mark.parametrize(
    ("provider_type", "config", "said"),
    [
        ("inline::sqlite-vec", {"dbpath": "x"}, '"dbpath" is not known here; known: path, db_path, max_open'),
        ("inline::sqlite-vec", {"path": 5}, "path is a text"),
        ("inline::sqlite-vec", {"path": "x", "db_path": "y"}, "db_path is part of path already"),
        ("inline::sqlite-vec", {"max_open": 0}, "max_open is a whole number from 1 to 10000"),
        ("inline::faiss", {"memory_mb": "much"}, "memory_mb is a whole number"),
        ("inline::sqlitevec", {}, 'did you mean "inline::sqlite-vec"?'),
        ("inline::sqlite_vec", {}, "it is written inline::sqlite-vec"),
        ("inline::milvus", {}, "its files are not read here; use inline::sqlite-vec"),
    ],
)
def test_a_wrong_configuration_is_refused_with_the_provider_and_the_key(
    provider_type: str, config: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_indexes(configured(provider_type, config), None)
    assert caught.value.message.startswith("provider mine: ")
    assert said in caught.value.message


def test_the_line_of_the_key_at_fault_is_told(tmp_path: Path) -> None:
    text = """\
providers:
  vector_io:
  - provider_id: one
    provider_type: inline::sqlite-vec
    config:
      max_open: many
"""
    with pytest.raises(ConfigError) as caught:
        make_indexes(read(tmp_path, text), tmp_path)
    assert caught.value.line == 6


def test_an_id_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    text = """\
providers:
  vector_io:
  - {provider_id: one, provider_type: "inline::sqlite-vec"}
  - {provider_id: one, provider_type: "inline::faiss"}
"""
    with pytest.raises(ConfigError, match=r'run.yaml:4: provider_id "one" is given twice'):
        read(tmp_path, text)


def test_each_built_in_type_has_a_class() -> None:
    for name in BUILT_IN:
        assert callable(index_class(name).from_config)
    assert not set(BUILT_IN) & set(INSTEAD)
    with pytest.raises(UnknownIndexType):
        index_class("inline::none")
