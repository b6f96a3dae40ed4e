"""`providers.files`, in our own files and in those of Llama Stack, and what becomes of them."""

from pathlib import Path
from typing import Any

import pytest

from antiphon.blob_plugins import BUILT_IN, UnknownBlobsType, blobs_class
from antiphon.blobs.local import LocalBlobs
from antiphon.blobs.memory import MemoryBlobs
from antiphon.blobs.s3 import S3Blobs
from antiphon.cli.check import check
from antiphon.config.load import load
from antiphon.config.settings import ConfigError, ProviderSections, ProviderSettings, RefusedParts, Settings
from antiphon.knowledge import make_blobs

HEAD = "version: 2\ndistro_name: mine\nproviders:\n  files:\n"
LOCAL = """\
  - provider_id: here
    provider_type: inline::localfs
    config:
      storage_dir: ${env.FILES_STORAGE_DIR:=~/files}
      ttl_secs: 3600
      metadata_store: {table_name: files, backend: sql_default}
"""
S3 = """\
  - provider_id: ${env.ENABLE_S3:+s3}
    provider_type: remote::s3
    config:
      bucket_name: ${env.S3_BUCKET_NAME}
      region: ${env.AWS_REGION:=us-east-1}
      aws_access_key_id: ${env.AWS_ACCESS_KEY_ID:=}
      aws_secret_access_key: ${env.AWS_SECRET_ACCESS_KEY:=}
      endpoint_url: ${env.S3_ENDPOINT_URL:=}
      auto_create_bucket: ${env.S3_AUTO_CREATE_BUCKET:=false}
      metadata_store: {type: sqlite, db_path: /x/files.db}
"""


def read(folder: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    (folder / "run.yaml").write_text(text)
    return load("run.yaml", cwd=folder, environ=environ or {})


def configured(*providers: tuple[str, dict[str, Any]]) -> Settings:
    made = tuple(
        ProviderSettings(provider_id=f"p{at}", provider_type=kind, config=config)
        for at, (kind, config) in enumerate(providers)
    )
    return Settings(providers=ProviderSections(files=made))


def outcomes(settings: Settings) -> dict[str, str]:
    return {row.key: row.outcome for row in settings.mapping if row.key.startswith("providers.files")}


def test_a_folder_of_a_llama_stack_file_is_taken_over(tmp_path: Path) -> None:
    settings = read(tmp_path, HEAD + LOCAL + S3, {"FILES_STORAGE_DIR": str(tmp_path / "there")})
    (one,) = settings.providers.files
    assert (one.provider_id, one.provider_type) == ("here", "inline::localfs")
    assert one.config == {"storage_dir": str(tmp_path / "there")}
    found = outcomes(settings)
    assert found["providers.files.here.config.storage_dir"] == "taken"
    assert found["providers.files.here.config.metadata_store"] == "ignored"
    assert found["providers.files.here.config.ttl_secs"] == "left out"
    assert found["providers.files.s3"] == "off"
    assert any("expires_after" in note for note in settings.notes)
    assert isinstance(make_blobs(settings, tmp_path), LocalBlobs)


def test_a_bucket_of_a_llama_stack_file_is_taken_over(tmp_path: Path) -> None:
    environ = {
        "ENABLE_S3": "1",
        "S3_BUCKET_NAME": "mine",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "hidden",
        "S3_AUTO_CREATE_BUCKET": "true",
    }
    settings = read(tmp_path, HEAD + S3 + LOCAL, environ)
    (one,) = settings.providers.files
    assert one.config == {
        "bucket_name": "mine",
        "region": "us-east-1",
        "aws_access_key_id": "key",
        "aws_secret_access_key": "hidden",
    }
    found = outcomes(settings)
    assert found["providers.files.s3.config.endpoint_url"] == "ignored"
    assert found["providers.files.s3.config.auto_create_bucket"] == "left out"
    assert found["providers.files.here"] == "left out"
    assert "hidden" not in repr(settings)
    assert not any("hidden" in row.text for row in settings.mapping)
    assert isinstance(make_blobs(settings, tmp_path), S3Blobs)


def test_a_type_without_a_counterpart_is_refused_with_what_to_use_instead(tmp_path: Path) -> None:
    other = "  - {provider_id: x, provider_type: remote::openai}\n"
    with pytest.raises(RefusedParts, match=r"use inline::localfs or remote::s3"):
        read(tmp_path, HEAD + other)


def test_without_a_provider_files_are_beside_the_state_or_in_memory(tmp_path: Path) -> None:
    assert isinstance(make_blobs(Settings(), None), MemoryBlobs)
    assert isinstance(make_blobs(Settings(), tmp_path), LocalBlobs)


Providers = list[tuple[str, dict[str, Any]]]
REFUSED: list[tuple[Providers, str]] = [
    ([("inline::localf", {})], 'did you mean "inline::localfs"'),
    ([("inline::localfs", {"folder": "x"})], "storage_dir"),
    ([("remote::s3", {})], "bucket_name"),
    ([("remote::s3", {"bucket_name": "b", "auto_create_bucket": True})], "auto_create_bucket"),
    ([("inline::localfs", {}), ("inline::localfs", {})], "one place"),
]


@pytest.mark.parametrize(("providers", "says"), REFUSED)
def test_what_makes_no_sense_is_refused_by_its_provider(providers: Providers, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        make_blobs(configured(*providers), None)
    assert "provider p" in str(caught.value)


def test_check_finds_it_at_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (
        "version: 2\nproviders:\n  files:\n  - provider_id: s3\n    provider_type: remote::s3\n    config:\n"
    )
    (tmp_path / "antiphon.yaml").write_text(text + "      bucket_name: b\n      colour: red\n")
    assert check("antiphon.yaml") == 1
    assert "antiphon.yaml:8: " in capsys.readouterr().err
    (tmp_path / "antiphon.yaml").write_text(text + "      bucket_name: b\n")
    assert check("antiphon.yaml") == 0
    assert "files      s3 (remote::s3)" in capsys.readouterr().out


def test_every_type_that_is_named_is_there() -> None:
    for kind in BUILT_IN:
        assert blobs_class(kind)
    with pytest.raises(UnknownBlobsType, match=r"inline::localfs, remote::s3"):
        blobs_class("remote::none")
