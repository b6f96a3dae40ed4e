"""Every row of the table of parameters, through a whole server: seen by a strict Messages API, or refused by name; on a
lenient server left out, with a warning.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from antiphon.providers.chat_parameters import Rule
from antiphon.providers.messages_config import MessagesCapabilities
from antiphon.providers.messages_parameters import RULES
from bench.program import Program, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw
from tests.wire.fake_anthropic import KEY, FakeAnthropic
from tests.wire.messages_probes import PROBES

SEALED = {"input: reasoning", "reasoning.context"}
"""Their probes have thoughts in the form that only the inside of a server knows; `test_anthropic` has real ones."""
CAN: Any = MessagesCapabilities()  # a rule reads it by name
SENT = [rule for rule in RULES if rule.kind(CAN) != "refused" and rule.param not in SEALED]
REFUSED = [rule for rule in RULES if rule.kind(CAN) == "refused"]


@dataclass(frozen=True)
class Servers:
    fake: FakeAnthropic
    strict: Program
    lenient: Program


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    def config(folder: Path, parameters: str) -> str:
        return f"""\
version: 2
server: {{parameters: {parameters}}}
providers:
  inference:
  - provider_id: up
    provider_type: remote::anthropic
    config: {{base_url: "{fake.url}", api_key: {KEY}}}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""

    one, other = tmp_path_factory.mktemp("strict"), tmp_path_factory.mktemp("lenient")
    with (
        FakeAnthropic() as fake,
        start_antiphon(one, config(one, "strict")) as strict,
        start_antiphon(other, config(other, "lenient")) as lenient,
    ):
        strict.wait_ready()
        lenient.wait_ready()
        yield Servers(fake, strict, lenient)


@pytest.mark.parametrize("rule", SENT, ids=lambda rule: rule.param)
def test_what_passes_or_is_emulated_is_seen_there(rule: Rule, servers: Servers, recorder: Recorder) -> None:
    probe = PROBES[rule.param]
    before = len(servers.fake.seen.requests)
    with Raw(servers.strict.port, recorder) as raw:
        answer = raw.post("/v1/responses", {"model": "up/echo", "input": "hi", **probe.request})
    body = servers.fake.seen.requests[before]
    seen = probe.passed if rule.kind(CAN) == "passed" else probe.emulated
    assert seen is not None
    assert seen(body)
    assert servers.fake.seen.refused == []
    held = rule.param in (
        "text.format: json_object",
        "text.format: grammar",
    )  # which the answer does not keep to
    assert answer.json["status"] == ("failed" if held else "completed")
    assert "warning" not in answer.headers


@pytest.mark.parametrize("rule", REFUSED, ids=lambda rule: rule.param)
def test_what_is_refused_is_named_or_left_out_with_a_warning(
    rule: Rule, servers: Servers, recorder: Recorder
) -> None:
    probe = PROBES[rule.param]
    name = probe.param or rule.param
    body = {"model": "up/echo", "input": "hi", **probe.request}
    before = len(servers.fake.seen.requests)
    with Raw(servers.strict.port, recorder) as raw:
        answer = raw.post("/v1/responses", body)
    assert (answer.status, answer.error["code"]) == (400, "unsupported_parameter")
    assert answer.error["param"].startswith(name)
    assert 'provider "up"' in answer.error["message"]
    assert len(servers.fake.seen.requests) == before, "the upstream was not asked"
    with Raw(servers.lenient.port, recorder) as raw:
        answer = raw.post("/v1/responses", body)
    assert answer.status == 200
    assert name in answer.headers["warning"]
    assert not probe.passed(servers.fake.last_request())
    assert servers.fake.seen.refused == []


def test_both_kinds_are_there() -> None:
    assert len(SENT) > 20
    assert len(REFUSED) > 5
