"""What was answered is there after the process was killed, and a stop is clean."""

from pathlib import Path
from typing import cast

import openai
import pytest

from tests.conformance.recorder import Recorder
from tests.integration.clients import open_stream, read_until, sync_client
from tests.integration.conftest import StartServer
from tests.integration.upstream import Upstream


def test_kill_dash_nine_right_after_a_reply_loses_nothing(
    start_server: StartServer, recorder: Recorder
) -> None:
    first = start_server()
    with sync_client(first.url, recorder) as client:
        kept = [client.responses.create(model="echo", input=f"remember {number}") for number in range(5)]
        chained = client.responses.create(model="echo", input="and this", previous_response_id=kept[-1].id)
        first.kill()
    second = start_server()
    with sync_client(second.url, recorder) as client:
        for made in [*kept, chained]:
            assert client.responses.retrieve(made.id).model_dump() == made.model_dump()
        more = client.responses.create(model="echo", input="go on", previous_response_id=chained.id)
        assert len(client.responses.input_items.list(more.id).data) == 5


def test_a_streamed_response_is_stored_before_its_last_event(
    start_server: StartServer, recorder: Recorder
) -> None:
    first = start_server()
    with sync_client(first.url, recorder) as client:
        final = None
        for event in client.responses.create(model="echo", input="stream and die", stream=True):
            if event.type == "response.completed":
                first.kill()
                final = event.response
                break
    assert final is not None
    with sync_client(start_server().url, recorder) as client:
        assert client.responses.retrieve(final.id).model_dump() == final.model_dump()


def test_kill_dash_nine_right_after_a_reply_leaves_the_turn_in_its_conversation(
    start_server: StartServer, recorder: Recorder
) -> None:
    first = start_server()
    with sync_client(first.url, recorder) as client:
        kept = client.conversations.create(items=[{"role": "user", "content": "begin"}])
        client.responses.create(model="echo", input="whole", conversation=kept.id)
        with client.responses.stream(model="echo", input="streamed", conversation=kept.id) as stream:
            for event in stream:
                if event.type == "response.completed":
                    first.kill()
                    break
    with sync_client(start_server().url, recorder) as client:
        client.responses.create(model="echo", input="go on", conversation=kept.id)
        items = [item.to_dict() for item in client.conversations.items.list(kept.id, order="asc")]
    texts = [part["text"] for item in items for part in cast("list[dict[str, str]]", item["content"])]
    assert texts[0::2] == ["begin", "You said: whole", "You said: streamed", "You said: go on"]
    assert texts[1::2] == ["whole", "streamed", "go on"]


def test_a_deletion_survives_a_kill(start_server: StartServer, recorder: Recorder) -> None:
    first = start_server()
    with sync_client(first.url, recorder) as client:
        made = client.responses.create(model="echo", input="forget")
        client.responses.delete(made.id)
        first.kill()
    with sync_client(start_server().url, recorder) as client, pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_nothing_of_a_store_false_request_is_on_disk(
    start_server: StartServer, recorder: Recorder, tmp_path: Path
) -> None:
    server = start_server()
    with sync_client(server.url, recorder) as client:
        client.responses.create(model="echo", input="xylophone-secret", store=False)
        client.responses.create(model="echo", input="marimba-kept")
    server.stop()
    content = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"marimba-kept" in content
    assert b"xylophone-secret" not in content


def test_nothing_of_a_deleted_response_is_on_disk(
    start_server: StartServer, recorder: Recorder, tmp_path: Path
) -> None:
    server = start_server()
    with sync_client(server.url, recorder) as client:
        kept = client.responses.create(model="scripted/demo", input="the kept canary, tweet tweet")
        gone = client.responses.create(model="scripted/demo", input="the deleted canary " + "tweet " * 2_000)
        client.responses.delete(gone.id)
        assert client.responses.retrieve(kept.id).id == kept.id
    server.stop()
    stored = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"the kept canary" in stored
    assert b"the deleted canary" not in stored
    assert b"tweet tweet tweet" not in stored


def test_sigterm_ends_the_server_with_exit_code_zero(start_server: StartServer) -> None:
    server = start_server()
    assert server.stop() == 0
    assert "Traceback" not in server.output


def test_sigterm_does_not_wait_for_ever_for_an_open_stream(start_server: StartServer) -> None:
    server = start_server("server: {shutdown_grace_s: 0.5}")
    body = {"model": "endless", "input": "x", "stream": True}
    with open_stream(server.port, "/v1/responses", body) as connection:
        read_until(connection, b"once upon a time")
        assert server.stop() == 0
        ended = read_until(connection, b"0\r\n\r\n")
    assert b"event: response.failed" in ended
    assert b'"status":"cancelled"' in ended
    assert "Traceback" not in server.output


def test_a_completion_that_the_server_cannot_wait_for_ends_with_an_error(start_server: StartServer) -> None:
    server = start_server("server: {shutdown_grace_s: 0.5}")
    body = {"model": "endless", "messages": [{"role": "user", "content": "x"}], "stream": True}
    with open_stream(server.port, "/v1/chat/completions", body) as connection:
        read_until(connection, b"once upon a time")
        assert server.stop() == 0
        assert b"server_shutting_down" in read_until(connection, b"0\r\n\r\n")
    assert "Traceback" not in server.output


def test_a_request_that_the_server_cannot_wait_for_is_answered_with_503(
    start_server: StartServer, upstream: Upstream
) -> None:
    server = start_server("server: {shutdown_grace_s: 0.5}")
    before = len(upstream.seen.requests)
    with open_stream(server.port, "/v1/responses", {"model": "endless-whole", "input": "x"}) as connection:
        upstream.wait_for("the request", lambda seen: len(seen.requests) > before)
        assert server.stop() == 0
        assert b"server_shutting_down" in read_until(connection, b"}}")
    assert "Traceback" not in server.output


def test_two_servers_with_a_database_each_do_not_see_each_other(
    start_server: StartServer, client: openai.OpenAI, recorder: Recorder
) -> None:
    made = client.responses.create(model="echo", input="over here")
    with sync_client(start_server().url, recorder) as other, pytest.raises(openai.NotFoundError):
        other.responses.retrieve(made.id)
