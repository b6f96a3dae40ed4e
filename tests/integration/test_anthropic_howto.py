"""`docs/howto/anthropic.md`: its configurations and its program, run against a strict fake of the API."""

import re
import subprocess
import sys
from pathlib import Path

import msgspec

from antiphon.config.load import load
from antiphon.providers.messages_config import MessagesCapabilities, MessagesConfig, parse_messages_config
from bench.program import start_antiphon
from tests.wire.fake_anthropic import KEY, FakeAnthropic

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "anthropic.md").read_text()
ADDRESS = "http://127.0.0.1:8321"
MODEL = "claude-opus-4-6"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_program_runs_against_the_configuration_of_the_page(tmp_path: Path) -> None:
    [program] = blocks("python")
    assert ADDRESS in program
    assert MODEL in program
    with FakeAnthropic() as fake:
        config = blocks("yaml")[0].replace("{api_key:", f'{{base_url: "{fake.url}", api_key:')
        with start_antiphon(tmp_path, config, env={"ANTHROPIC_API_KEY": KEY}) as server:
            server.wait_ready()
            source = program.replace(ADDRESS, server.url).replace(MODEL, "caller")
            done = subprocess.run(
                [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False
            )
        assert done.returncode == 0, done.stderr
        assert "You said: rain, 12 degrees" in done.stdout
        assert "20 tokens came from the cache" in done.stdout
        assert fake.seen.refused == []


def test_the_other_configuration_loads(tmp_path: Path) -> None:
    (tmp_path / "antiphon.yaml").write_text(blocks("yaml")[1])
    [provider] = load(cwd=tmp_path, environ={}).providers.inference
    config = parse_messages_config(provider.config)
    assert config.capabilities == MessagesCapabilities(thinking="none", json_schema=False, strict_tools=False)


def test_the_page_has_every_key_of_this_type_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (\S+) \|", PAGE, re.MULTILINE))
    shared = {"base_url", "api_key", "allowed_models", "timeouts", "max_retries", "max_retry_wait_s"}
    shared |= {"tls_verify", "wire", "capabilities"}
    own = {
        field.name: field.default
        for field in msgspec.structs.fields(MessagesConfig)
        if field.name not in shared
    }
    own |= {f"capabilities.{one.name}": one.default for one in msgspec.structs.fields(MessagesCapabilities)}
    assert set(rows) == set(own)
    for name, default in own.items():
        if name != "headers":
            assert rows[name].strip("`").lower() == str(default).lower(), name
