"""Shields in the configuration, of our shape and in Llama Stack's files."""

from pathlib import Path

import pytest

from antiphon.cli.commands import run
from antiphon.config.load import load
from antiphon.config.settings import ConfigError, RefusedParts, Settings

OURS = """\
version: 2
providers:
  inference:
  - {provider_id: up, provider_type: remote::ollama, config: {base_url: "http://127.0.0.1:1/v1"}}
  safety:
  - provider_id: house
    provider_type: inline::rules
    config:
      files: [own.yaml]
  - provider_id: guard
    provider_type: remote::llama-guard
    config:
      model: up/llama-guard3:1b
      excluded_categories: [S13]
safety: {timeout_s: 7}
shields:
- {shield_id: badges, provider_id: house}
- shield_id: llama
  provider_id: guard
  timeout_s: 3
  params: {level: warn}
- {shield_id: "${env.NO_SUCH_SHIELD:=}", provider_id: guard}
"""
RULES = "badges:\n  rules:\n  - {id: badge, patterns: ['B-[0-9]{6}']}\n"
STACK = """\
version: 2
image_name: starter
providers:
  inference:
  - {provider_id: ollama, provider_type: remote::ollama, config: {url: "http://localhost:11434"}}
  safety:
  - provider_id: llama-guard
    provider_type: inline::llama-guard
    config:
      excluded_categories: []
  - provider_id: code-scanner
    provider_type: inline::code-scanner
SHIELDS
"""
OLD = """\
shields:
- shield_id: ${env.SAFETY_MODEL:=guard}
  provider_id: ${env.SAFETY_MODEL:+llama-guard}
  provider_shield_id: ${env.SAFETY_MODEL:=}
- shield_id: code-scanner
  provider_id: ${env.CODE_SCANNER_MODEL:+code-scanner}
  provider_shield_id: ${env.CODE_SCANNER_MODEL:=}
"""
NEW = """\
registered_resources:
  shields:
  - {shield_id: guard, provider_id: llama-guard, provider_shield_id: "ollama/llama-guard3:1b"}
safety: {default_shield_id: guard}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("SAFETY_MODEL", "CODE_SCANNER_MODEL", "NO_SUCH_SHIELD", "ANTIPHON_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANTIPHON_HOME", str(tmp_path / "state"))
    (tmp_path / "own.yaml").write_text(RULES)
    return tmp_path


def settings(folder: Path, text: str, **environ: str) -> Settings:
    (folder / "antiphon.yaml").write_text(text)
    return load(environ=environ, cwd=folder)


def check(folder: Path, text: str) -> int:
    (folder / "antiphon.yaml").write_text(text)
    return run(["check"])


# --- our shape ------------------------------------------------------------------------------------------------------
def test_shields_and_their_providers_are_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read = settings(folder, OURS)
    assert [one.provider_id for one in read.providers.safety] == ["house", "guard"]
    assert read.safety.timeout_s == 7
    assert [(one.shield_id, one.timeout_s, one.params) for one in read.shields] == [
        ("badges", None, {}),
        ("llama", 3, {"level": "warn"}),
    ]
    assert check(folder, OURS) == 0
    out = capsys.readouterr().out
    assert "safety     house (inline::rules)" in out
    assert "shield     llama = guard" in out
    assert "switched off (NO_SUCH_SHIELD is not set)" in out


def test_files_of_rules_lie_beside_the_configuration(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "etc").mkdir()
    (folder / "etc" / "antiphon.yaml").write_text(OURS)
    (folder / "etc" / "own.yaml").write_text(RULES)
    (folder / "own.yaml").unlink()
    assert run(["check", "--config", "etc/antiphon.yaml"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("inline::rules", "inline::rule", 6, 'there is no safety provider type "inline::rule"; did you mean'),
        ("inline::rules", "inline::prompt-guard", 6, "rule set prompt-injection"),
        ("remote::llama-guard", "remote::bedrock", 10, "guardrails of Amazon Bedrock are not asked"),
        ("remote::llama-guard", "inline::llama-guard", 10, "it is written remote::llama-guard"),
        (
            "provider_type: inline::rules",
            "provider_type: inline::rules\n    breaker: {failures: 2}",
            6,
            "`breaker` is for model servers",
        ),
        ("[own.yaml]", "[none.yaml]", 9, "none.yaml cannot be read"),
        ("files:", "file:", 9, 'did you mean "files"?'),
        ("excluded_categories: [S13]", "excluded_categories: [S15]", 14, "has no category S15"),
        ("model: up/llama-guard3:1b", "model: up/other", 13, "does not tell which Llama Guard"),
        (
            "provider_id: house}",
            "provider_id: hose}",
            17,
            'no safety provider "hose"; there are: house, guard, rules',
        ),
        ("shield_id: badges, ", "shield_id: badge, ", 17, 'there is no rule set "badge"'),
        (", provider_id: house}", "}", 17, "name the `provider_id` of badges: house, guard"),
        ("shield_id: llama", "shield_id: badges", 18, 'shield_id "badges" is given twice'),
        ("level: warn", "level: loud", 21, "level is one of info, warn, error"),
        ("timeout_s: 3", "timeout_s: 0", 20, "shields.timeout_s: expected"),
        ("timeout_s: 7", "timeouts: 7", 15, 'did you mean "timeout_s"?'),
        ("shield_id: llama", "shield_id: a b", 18, "up to 256 letters, digits"),
        ("provider_id: guard\n    provider_type", "provider_id: house\n    provider_type", 10, "given twice"),
    ],
)
def test_what_is_wrong_is_told_at_its_line(
    folder: Path, old: str, new: str, line: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old in OURS
    assert check(folder, OURS.replace(old, new, 1)) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"antiphon.yaml:{line}: "), error
    assert words in error


def test_rules_are_there_without_being_configured(folder: Path) -> None:
    shields = "[{shield_id: pii}, {shield_id: x, provider_shield_id: secrets}]"
    assert check(folder, f"version: 2\nshields: {shields}\n") == 0


def test_rules_are_there_beside_others_too(folder: Path) -> None:
    assert check(folder, OURS + "- {shield_id: pii, provider_id: rules}\n") == 0


def test_the_command_measures_rule_sets(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["shields", "measure"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in out] == ["rule", "pii", "profanity", "prompt-injection", "secrets"]
    (folder / "s.jsonl").write_text(
        '{"text": "B-123456", "violates": true}\n{"text": "B-1", "violates": true}\n'
    )
    (folder / "antiphon.yaml").write_text(OURS)
    assert run(["shields", "measure", "badges", "--samples", "s.jsonl", "--verbose"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1].split()[:3] == ["badges", "50.0%", "0.0%"]
    assert out[2].split() == ["missed", "B-1"]
    assert run(["shields", "measure", "badges"]) == 0
    assert "badges: no samples" in capsys.readouterr().err
    (folder / "own.yaml").write_text(RULES.replace("badges:", "badges:\n  samples: s.jsonl"))
    assert run(["shields", "measure", "badges"]) == 0
    assert "50.0%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nope"], 2, 'no rule set "nope"'),
        (["--samples", "s.jsonl"], 2, "name it"),
        (["pii", "--samples", "none.jsonl"], 1, "none.jsonl: cannot be read"),
        (["pii", "--samples", "bad.jsonl"], 1, "bad.jsonl:1: line 1: "),
    ],
)
def test_what_cannot_be_measured_is_told(
    folder: Path, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.jsonl").write_text("{\n")
    assert run(["shields", "measure", *arguments]) == code
    assert words in capsys.readouterr().err


# --- Llama Stack's ----------------------------------------------------------------------------------------------------
def stack(shields: str) -> str:
    return STACK.replace("SHIELDS\n", shields)


def test_without_its_model_a_stacks_shield_is_off_and_its_scanner_is_left_out(folder: Path) -> None:
    read = settings(folder, stack(OLD))
    assert read.shields == ()
    assert [(one.provider_id, one.provider_type) for one in read.providers.safety] == [
        ("llama-guard", "remote::llama-guard")
    ]
    rows = {row.key: (row.outcome, row.text) for row in read.mapping}
    assert rows["shields.guard"] == ("off", "switched off (SAFETY_MODEL is not set)")
    assert rows["shields.code-scanner"][0] == "off"
    assert rows["providers.safety.llama-guard"] == ("changed", "provider of type remote::llama-guard")
    (note,) = (one for one in read.notes if "code-scanner" in one)
    assert "code is not analysed here" in note
    assert "no shield uses it" in note


def test_with_its_model_a_stacks_shield_is_one(folder: Path) -> None:
    read = settings(folder, stack(OLD), SAFETY_MODEL="ollama/llama-guard3:1b")
    (shield,) = read.shields
    assert (shield.shield_id, shield.provider_id) == ("ollama/llama-guard3:1b", "llama-guard")
    assert shield.provider_shield_id == "ollama/llama-guard3:1b"


def test_a_scanner_that_a_shield_needs_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(RefusedParts) as refused:
        settings(folder, stack(OLD), CODE_SCANNER_MODEL="CodeShield")
    assert refused.value.line == 12
    assert 'safety provider type "inline::code-scanner" is not served here' in refused.value.message
    assert "shields that need it: code-scanner" in refused.value.message


def test_registered_shields_of_newer_stacks_are_taken(folder: Path) -> None:
    read = settings(folder, stack(NEW))
    (shield,) = read.shields
    assert (shield.shield_id, shield.provider_shield_id) == ("guard", "ollama/llama-guard3:1b")
    rows = {row.key: row.outcome for row in read.mapping}
    assert rows["registered_resources.shields.guard"] == "taken"
    assert rows["safety"] == "ignored"
    assert check(folder, stack(NEW)) == 0


def test_a_stacks_shield_of_a_provider_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match='no safety provider "nobody"'):
        settings(folder, stack("shields: [{shield_id: s, provider_id: nobody}]\n"))


def test_a_stacks_shield_may_be_switched_off_by_its_name(folder: Path) -> None:
    off = "shields: [{shield_id: s, provider_id: llama-guard, provider_shield_id: __disabled__}]\n"
    assert settings(folder, stack(off)).shields == ()
