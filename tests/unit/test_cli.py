"""The commands, as a user types them."""

import sys
from pathlib import Path

import pytest

from antiphon import __version__
from antiphon.__main__ import main
from antiphon.cli.commands import run
from antiphon.config.load import hash_key, load


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with the state inside and no configuration from outside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTIPHON_HOME", str(tmp_path / "state"))
    for name in (
        "ANTIPHON_CONFIG",
        "ANTIPHON_HOST",
        "ANTIPHON_PORT",
        "ANTIPHON_STORAGE_URL",
        "ANTIPHON_API_KEYS",
    ):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write(folder: Path, provider: str, config: str = "{}") -> None:
    (folder / "antiphon.yaml").write_text(
        f"providers:\n  inference:\n  - provider_id: up\n    provider_type: {provider}\n    config: {config}\n"
    )


@pytest.mark.parametrize("word", ["--version", "version"])
def test_the_version_is_printed(
    word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["antiphon", word])
    main()
    assert capsys.readouterr().out == f"antiphon {__version__}\n"


def test_no_command_prints_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("serve", "check", "migrate", "key", "version"))


def test_check_explains_without_starting(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, "remote::vllm", '{base_url: "http://127.0.0.1:1/v1", api_key: secret-key}')
    assert run(["check"]) == 0
    printed = capsys.readouterr().out
    assert "up (remote::vllm) at http://127.0.0.1:1/v1" in printed
    assert "anonymous, this machine only" in printed
    assert "secret-key" not in printed
    assert not (folder / "state").exists()


@pytest.mark.parametrize(
    ("provider", "config", "expected"),
    [
        ("remote::vlm", "{}", "antiphon.yaml:3: provider up: there is no provider type"),
        ("remote::vllm", '{base_ulr: "http://a/v1"}', "antiphon.yaml:5: provider up: "),
        ("remote::vllm", "{base_url: 12}", "antiphon.yaml:5: provider up: "),
    ],
)
def test_check_points_at_a_provider_that_cannot_be_made(
    folder: Path, capsys: pytest.CaptureFixture[str], provider: str, config: str, expected: str
) -> None:
    write(folder, provider, config)
    assert run(["check"]) == 1
    assert expected in capsys.readouterr().err


def test_a_new_key_fits_its_hash(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["key", "new", "--name", "ci", "--tenant", "acme"]) == 0
    lines = capsys.readouterr().out.splitlines()
    key = next(line.strip() for line in lines if line.strip().startswith("sk-antiphon-"))
    entry = lines[lines.index("  server:") :]
    (folder / "antiphon.yaml").write_text("\n".join(line[2:] for line in entry))
    (read,) = load(cwd=folder, environ={}).server.auth.keys
    assert (read.name, read.tenant, read.hash) == ("ci", "acme", hash_key(key))


def test_migrate_makes_the_database_and_a_second_time_does_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["migrate"]) == 0
    assert (folder / "state" / "antiphon.db").exists()
    assert run(["migrate"]) == 0
    assert "already" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize(
    ("model", "expected"),
    [("x.gguf", "no file x.gguf; a model of the hub is written hf:"), ("hf:nobody", "hf:OWNER/REPO[:QUANT")],
)
def test_a_model_that_is_not_there_is_refused_with_what_to_do(
    capsys: pytest.CaptureFixture[str], model: str, expected: str
) -> None:
    pytest.importorskip(
        "xllamacpp", reason="no xllamacpp wheel here: --model is refused before its value is read"
    )
    assert run(["serve", "--model", model]) == 1
    assert expected in capsys.readouterr().err


def test_a_model_without_the_engine_is_refused_with_the_command_that_installs_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    assert run(["serve", "--model", "x.gguf"]) == 1
    assert "pip install 'antiphon[local]'" in capsys.readouterr().err


def test_a_bad_flag_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(["serve", "--prot", "1"])
    assert "unrecognized arguments" in capsys.readouterr().err
