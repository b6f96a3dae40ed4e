"""The WebSocket and compaction cases of the Open Responses compliance suite, by their ids, against the program.

As in the suite every frame must be a member of the document's event union, every final response a
`ResponseResource`, every compaction a `CompactResource`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.program import Program, start_antiphon
from tests.conformance import official
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw
from tests.integration.sockets import RawSocket, is_refusal

pytestmark = pytest.mark.skipif(not official.available(), reason=official.MISSING)
Json = dict[str, Any]
MODEL = "demo"
COMPACT = "/v1/responses/compact"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("conformance")
    with start_antiphon(folder, configuration(folder)) as program:
        program.wait_ready()
        yield program


def configuration(folder: Path) -> str:
    return f"""\
version: 2
providers:
  inference:
  - provider_id: scripted
    provider_type: inline::scripted
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""


def message(role: str, text: str) -> Json:
    return {"type": "message", "role": role, "content": text}


def completed(frames: list[Json]) -> Json:
    """The final response of a turn, after everything in the turn was held against the document."""
    document = official.open_responses()
    problems = [problem for frame in frames for problem in document.event_errors(frame)]
    response: Json = frames[-1]["response"]
    problems += document.errors("ResponseResource", response)
    assert not problems, "\n".join(problems)
    assert (frames[-1]["type"], response["status"]) == ("response.completed", "completed")
    return response


def code_of(frames: list[Json]) -> str:
    (frame,) = frames
    assert is_refusal(frame)
    assert official.open_responses().errors("WebSocketErrorEvent", frame) == []
    return str(frame["error"]["code"])


@pytest.fixture
def connection(server: Program, recorder: Recorder) -> Iterator[RawSocket]:
    with RawSocket(server.port, recorder) as made:
        yield made


def test_websocket_response(connection: RawSocket) -> None:
    frames = connection.turn(MODEL, [message("user", "Count from 1 to 3.")])
    assert completed(frames)["output"]


def test_websocket_sequential_responses(connection: RawSocket) -> None:
    """Both are asked for before the first has ended, and come one after the other."""
    for text in ("Reply with exactly: first", "Reply with exactly: second"):
        connection.create(MODEL, text, store=False)
    first, second = completed(connection.until_end()), completed(connection.until_end())
    assert first["id"] != second["id"]


def test_websocket_continuation(connection: RawSocket) -> None:
    first = completed(connection.turn(MODEL, "The code word is cobalt. Reply with OK.", store=False))
    asked = {"store": False, "previous_response_id": first["id"]}
    assert completed(connection.turn(MODEL, "What is the code word?", **asked))["output"]


def test_websocket_reconnect_store_false_recovery(
    server: Program, connection: RawSocket, recorder: Recorder
) -> None:
    first = completed(connection.turn(MODEL, "The code word is copper. Reply with OK.", store=False))
    with RawSocket(server.port, recorder) as other:
        chained = other.turn(MODEL, "Which?", store=False, previous_response_id=first["id"])
        assert code_of(chained) == "previous_response_not_found"
        assert completed(other.turn(MODEL, "Then from the beginning.", store=False))["output"]


def test_websocket_previous_response_not_found(connection: RawSocket) -> None:
    frames = connection.turn(MODEL, "Go on.", store=False, previous_response_id="resp_missing_1")
    assert code_of(frames) == "previous_response_not_found"


def test_websocket_failed_continuation_evicts_cache(connection: RawSocket) -> None:
    first = completed(connection.turn(MODEL, "The code word is ember. Reply with OK.", store=False))
    chain = {"store": False, "previous_response_id": first["id"]}
    orphan = {"type": "function_call_output", "call_id": "call_missing", "output": "nobody asked"}
    assert code_of(connection.turn(MODEL, [orphan], **chain)) == "invalid_value"
    assert code_of(connection.turn(MODEL, "And now?", **chain)) == "previous_response_not_found"


def test_websocket_generate_false(connection: RawSocket) -> None:
    """Of a branch of the suite: a warm-up has an id and no output."""
    warm = completed(connection.turn(MODEL, "The code word is slate.", store=False, generate=False))
    assert warm["output"] == []
    chain = {"store": False, "previous_response_id": warm["id"]}
    assert completed(connection.turn(MODEL, "What is the code word?", **chain))["output"]


def test_response_output_phase_schema() -> None:
    """Nothing is sent: a message of the output may say its phase."""
    text: Json = {"type": "output_text", "text": "four", "annotations": [], "logprobs": []}
    for phase in ("commentary", "final_answer"):
        said = {
            "id": "msg_1",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [text],
        }
        assert official.open_responses().errors("ItemField", {**said, "phase": phase}) == []


# --- compaction -------------------------------------------------------------------------------------------
TALK = [
    message("user", "We agreed to launch on Tuesday and to tell support first."),
    message("assistant", "Understood: Tuesday, support first."),
]


@pytest.fixture
def compact(server: Program, recorder: Recorder) -> Iterator[Raw]:
    with Raw(server.port, recorder) as raw:
        yield raw


def compacted(raw: Raw) -> Json:
    answer = raw.post(COMPACT, {"model": MODEL, "prompt_cache_key": "compact-test", "input": TALK})
    assert answer.status == 200, answer.body
    assert official.open_responses().errors("CompactResource", answer.json) == []
    body: Json = answer.json
    return body


def test_compact_response(compact: Raw) -> None:
    body = compacted(compact)
    assert body["object"] == "response.compaction"
    assert [item["type"] for item in body["output"]][-1] == "compaction"


def test_compact_missing_model(compact: Raw) -> None:
    assert compact.post(COMPACT, {"input": TALK}).status in (400, 422)


def test_websocket_compact_new_chain(compact: Raw, connection: RawSocket) -> None:
    asked = [*compacted(compact)["output"], message("user", "When do we launch?")]
    response = completed(connection.turn(MODEL, asked, store=False))
    assert response["output"]
    assert response["previous_response_id"] is None
