"""`antiphon providers` finds out how a server is spoken to, and says it."""

import json
import subprocess
from pathlib import Path

import pytest

from bench.program import antiphon_command, environment
from tests.wire.fake_responses import FakeResponses


@pytest.mark.parametrize(("has_responses", "wire"), [(True, "responses"), (False, "chat")])
def test_providers_shows_the_wire_that_was_found(tmp_path: Path, has_responses: bool, wire: str) -> None:
    with FakeResponses(has_responses=has_responses) as fake:
        (tmp_path / "antiphon.yaml").write_text(
            f"""\
providers:
  inference:
  - provider_id: up
    provider_type: remote::openai
    config: {{base_url: "{fake.url}", api_key: key}}
"""
        )
        done = subprocess.run(
            [*antiphon_command(), "providers", "--json"],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    [one] = json.loads(done.stdout)["providers"]
    assert (one["id"], one["wire"], one["reachable"]) == ("up", wire, True)
    assert one["capabilities"]["models_listed"] is True
    assert ("reasoning_items" in one["capabilities"]) == has_responses
