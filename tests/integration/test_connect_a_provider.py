"""The local servers of `docs/howto/connect-a-provider.md`: the page's own configuration, started and asked."""

import re
from pathlib import Path

import pytest

from bench.program import start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw
from tests.integration.upstream import Upstream

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "connect-a-provider.md"
LOCAL = PAGE.read_text().split("## On your own machines")[1].split("## Hosted")[0]
BLOCKS = [block.split("```")[0] for block in LOCAL.split("```yaml\n")[1:]]
URL = re.compile(r"\$\{env\.([A-Z_]+_URL):=")


def provider_id(block: str) -> str:
    return str(re.findall(r"provider_id: (\S+)", block)[0])


@pytest.mark.parametrize("block", BLOCKS, ids=provider_id)
def test_the_configuration_serves_the_models_of_that_server(
    block: str, upstream: Upstream, tmp_path: Path, recorder: Recorder
) -> None:
    (variable,) = URL.findall(block)
    with start_antiphon(tmp_path, block, env={variable: upstream.url}) as program:
        program.wait_ready()
        model = f"{provider_id(block)}/echo"
        with Raw(program.port, recorder) as raw:
            listed = raw.get("/v1/models").json["data"]
            assert model in {one["id"] for one in listed}
            answer = raw.post("/v1/responses", {"model": model, "input": "hello", "store": False})
        assert answer.status == 200, answer.body
        assert answer.json["output"][0]["content"][0]["text"] == "You said: hello"
        assert upstream.last_request()["model"] == "echo"
