"""`antiphon serve` starts from Llama Stack files of every version, and answers."""

from pathlib import Path

import pytest

from bench.program import start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw
from tests.integration.upstream import Upstream
from tests.llama_stack_files import FILES, StackFile


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_server_starts_from_it_and_answers(
    file: StackFile, upstream: Upstream, tmp_path: Path, recorder: Recorder
) -> None:
    state = tmp_path / "llama"
    env = file.environ(upstream.url, str(state))
    with start_antiphon(tmp_path, file.path.read_text(), env=env) as program:
        program.wait_ready()
        with Raw(program.port, recorder) as raw:
            answer = raw.post("/v1/responses", {"model": file.model, "input": "hello"})
            assert answer.status == 200, answer.body
            assert answer.json["output"][0]["content"][0]["text"] == "You said: hello"
            again = raw.get(f"/v1/responses/{answer.json['id']}")
            assert again.json["output"] == answer.json["output"]
        assert "note" in program.output
        assert upstream.last_request()["model"] == "echo"
    assert (state / "antiphon.db").exists()
