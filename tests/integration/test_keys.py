"""API keys: who may ask, whose data is whose, and where the server refuses to listen."""

import hashlib
from pathlib import Path

import openai
import pytest

from bench.program import ProgramFailed, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw, sync_client
from tests.integration.conftest import StartServer, configuration
from tests.integration.upstream import Upstream


def key(name: str, tenant: str) -> str:
    digest = hashlib.sha256(f"key-of-{name}".encode()).hexdigest()
    return f"{{name: {name}, hash: 'sha256:{digest}', tenant: {tenant}}}"


KEYS = f"server: {{auth: {{keys: [{key('ann', 'first')}, {key('bob', 'first')}, {key('cyd', 'second')}]}}}}"


def test_without_a_key_everything_but_the_probes_is_401(
    start_server: StartServer, recorder: Recorder
) -> None:
    server = start_server(KEYS)
    with Raw(server.port, recorder) as raw:
        for path in ("/v1/models", "/v1/responses/resp_1", "/v1/responses/resp_1/input_items"):
            assert raw.get(path).status == 401, path
        answer = raw.post("/v1/responses", {"model": "echo", "input": "hi"})
        assert answer.status == 401
        assert answer.error["type"] == "authentication_error"
        for path in ("/livez", "/readyz"):
            assert raw.get(path).status == 200, path
        wrong = raw.send("GET", "/v1/models", None, {"authorization": "Bearer wrong"})
        assert wrong.status == 401
    with (
        sync_client(server.url, recorder, api_key="key-of-nobody") as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


def test_a_foreign_id_answers_exactly_as_an_unknown_one(
    start_server: StartServer, recorder: Recorder
) -> None:
    server = start_server(KEYS)
    with sync_client(server.url, recorder, api_key="key-of-ann") as ann:
        made = ann.responses.create(model="echo", input="mine")
        assert ann.responses.retrieve(made.id).id == made.id
    for other in ("bob", "cyd"):
        headers = {"authorization": f"Bearer key-of-{other}"}
        with Raw(server.port, recorder, headers) as raw:
            for method, suffix in (("GET", ""), ("GET", "/input_items"), ("DELETE", "")):
                foreign = raw.send(method, f"/v1/responses/{made.id}{suffix}")
                unknown = raw.send(method, f"/v1/responses/resp_{'0' * 32}{suffix}")
                assert foreign.status == unknown.status == 404
                assert str(foreign.error).replace(made.id, "?") == str(unknown.error).replace(
                    f"resp_{'0' * 32}", "?"
                )
            body = {"model": "echo", "input": "x", "previous_response_id": made.id}
            refused = raw.post("/v1/responses", body)
            assert (refused.status, refused.error["code"]) == (400, "previous_response_not_found")
            item = made.output[0].id
            taken = raw.post(
                "/v1/responses", {"model": "echo", "input": [{"type": "item_reference", "id": item}]}
            )
            assert taken.status == 400
    with sync_client(server.url, recorder, api_key="key-of-ann") as ann:
        assert ann.responses.retrieve(made.id).output_text == "You said: mine"


def test_a_public_address_without_keys_refuses_to_start(upstream: Upstream, tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed) as caught:
        start_antiphon(tmp_path, configuration(upstream, tmp_path), arguments=["--host", "0.0.0.0"])
    assert "key" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_public_address_with_keys_starts(upstream: Upstream, tmp_path: Path, recorder: Recorder) -> None:
    config = configuration(upstream, tmp_path, KEYS)
    with start_antiphon(tmp_path, config, arguments=["--host", "0.0.0.0"]) as server:
        server.wait_ready()
        with Raw(server.port, recorder) as raw:
            assert raw.get("/v1/models").status == 401


def test_no_secret_is_printed(start_server: StartServer, recorder: Recorder) -> None:
    server = start_server(KEYS)
    with sync_client(server.url, recorder, api_key="key-of-ann") as ann:
        ann.responses.create(model="echo", input="hi")
        with pytest.raises(openai.APIStatusError):
            ann.responses.create(model="fails-401", input="hi")
    server.stop()
    assert "sk-upstream-secret" not in server.output
    assert "key-of-ann" not in server.output
