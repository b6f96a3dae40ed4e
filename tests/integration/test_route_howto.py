"""The configuration in docs/howto/route-between-models.md does what the page says."""

import socket
from pathlib import Path

import pytest

from bench.program import start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw
from tests.integration.upstream import Upstream

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "route-between-models.md"
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}


def configuration(folder: Path, local: str, cloud: str) -> str:
    """The page's file, and beside it a `.env` that points its variables at the tests' upstreams."""
    (text,) = PAGE.read_text().split("```yaml\n")[1:]
    (folder / ".env").write_text(f"LOCAL_URL={local}\nOPENAI_BASE_URL={cloud}\nOPENAI_API_KEY=sk-cloud\n")
    return text.split("```")[0]


def served_by(http: Raw, model: str, *parts: object) -> str:
    message = {"role": "user", "content": [{"type": "input_text", "text": "hello"}, *parts]}
    answer = http.post("/v1/responses", {"model": model, "input": [message]})
    assert answer.status == 200, answer.body
    assert answer.json["model"] == model
    return answer.headers["x-antiphon-served-by"]


@pytest.fixture
def dead() -> str:
    """An address on which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/v1"


def test_while_all_is_well(upstream: Upstream, tmp_path: Path, recorder: Recorder) -> None:
    text = configuration(tmp_path, upstream.url, upstream.url)
    with start_antiphon(tmp_path, text) as program, Raw(program.port, recorder) as http:
        assert served_by(http, "quick") == "local/Qwen/Qwen3-8B"
        assert served_by(http, "assistant") == "local/Qwen/Qwen3-8B"
        assert served_by(http, "any-size") == "local/Qwen/Qwen3-8B"
        assert served_by(http, "any-size", IMAGE) == "cloud/gpt-5-mini"
        assert served_by(http, "any-size", {"type": "input_text", "text": "x" * 25_000}) == "cloud/gpt-5-mini"
        drawn = {served_by(http, "trial") for _ in range(100)}
        assert drawn == {"cloud/gpt-5-mini", "cloud/gpt-5-nano"}


def test_while_the_local_server_is_down(
    upstream: Upstream, dead: str, tmp_path: Path, recorder: Recorder
) -> None:
    text = configuration(tmp_path, dead, upstream.url)
    with start_antiphon(tmp_path, text) as program, Raw(program.port, recorder) as http:
        assert served_by(http, "assistant") == "cloud/gpt-5-mini"
        refused = http.post("/v1/responses", {"model": "quick", "input": "hello"})
        assert (refused.status, refused.error["code"]) == (503, "provider_unavailable")
