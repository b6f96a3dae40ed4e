"""What is wrong about a conversation is refused by name and changes nothing."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from bench.program import Program
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw
from tests.integration.conftest import StartServer
from tests.integration.upstream import Upstream

HI: dict[str, Any] = {"role": "user", "content": "hi"}
MANY = [HI] * 21

BODIES: dict[str, tuple[Any, str | None]] = {
    "no JSON": (b'{"items": [', None),
    "no object": (b"[]", None),
    "deep nesting": (b'{"items": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", None),
    "an unknown field": ({"itmes": []}, "itmes"),
    "items that are no array": ({"items": "hi"}, "items"),
    "too many items": ({"items": MANY}, "items"),
    "an item that is no object": ({"items": ["hi"]}, "items[0]"),
    "an item of no type": ({"items": [HI, {"content": "x"}]}, "items[1].type"),
    "an item of an unknown type": ({"items": [{"type": "dream"}]}, "items[0].type"),
    "an item of a type that is not served": (
        {"items": [{"type": "web_search_call", "id": "ws_1", "status": "completed"}]},
        "items[0]",
    ),
    "an unknown role": ({"items": [{"role": "judge", "content": "x"}]}, "items[0].role"),
    "an unknown part": (
        {"items": [{"role": "user", "content": [{"type": "smell"}]}]},
        "items[0].content[0].type",
    ),
    "a file that is named twice": (
        {"items": [{"role": "user", "content": [{"type": "input_file", "file_id": "a", "file_url": "b"}]}]},
        "items[0].content[0].file_url",
    ),
    "a reference to nothing": ({"items": [{"type": "item_reference", "id": "msg_1"}]}, "items[0].id"),
    "an id that is there twice": (
        {"items": [{**HI, "type": "message", "id": "msg_a"}, {**HI, "type": "message", "id": "msg_a"}]},
        "items[1].id",
    ),
    "thoughts of somebody else": (
        {"items": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}]},
        "items[0].encrypted_content",
    ),
    "a request to compact": ({"items": [{"type": "compaction_trigger"}]}, "items[0]"),
}
METADATA: dict[str, tuple[Any, str | None]] = {
    "too many pairs": ({str(at): "x" for at in range(17)}, "metadata"),
    "a long key": ({"k" * 65: "x"}, "metadata"),
    "a long value": ({"k": "x" * 513}, "metadata.k"),
    "a number": ({"k": 1}, "metadata.k"),
    "a list": ([], "metadata"),
}


@pytest.fixture
def conversation(raw: Raw) -> str:
    return str(raw.post("/v1/conversations", {"items": [HI], "metadata": {"a": "b"}}).json["id"])


def texts(raw: Raw, conversation: str) -> list[str]:
    page = raw.get(f"/v1/conversations/{conversation}/items?order=asc").json
    return [item["content"][0]["text"] for item in page["data"]]


@pytest.mark.parametrize("name", BODIES)
def test_bad_items_are_named_and_nothing_is_added(raw: Raw, conversation: str, name: str) -> None:
    body, param = BODIES[name]
    for path in ("/v1/conversations", f"/v1/conversations/{conversation}/items"):
        answer = raw.post(path, body)
        assert (answer.status, answer.error["param"]) == (400, param), answer.body
        assert answer.error["type"] == "invalid_request_error"
    assert texts(raw, conversation) == ["hi"]


@pytest.mark.parametrize("name", METADATA)
def test_bad_metadata_is_named_and_nothing_is_changed(raw: Raw, conversation: str, name: str) -> None:
    metadata, param = METADATA[name]
    for path in ("/v1/conversations", f"/v1/conversations/{conversation}"):
        answer = raw.post(path, {"metadata": metadata})
        assert answer.status == 400, answer.body
        assert str(answer.error["param"]).startswith(str(param))
    assert raw.get(f"/v1/conversations/{conversation}").json["metadata"] == {"a": "b"}


def test_no_body_has_no_type(raw: Raw) -> None:
    nothing = {"content-type": "application/octet-stream"}
    assert raw.send("POST", "/v1/conversations", b"", nothing).status == 200
    assert raw.send("POST", "/v1/conversations", b"{}", nothing).status == 415


def test_a_change_needs_metadata_and_an_addition_items(raw: Raw, conversation: str) -> None:
    for path, param in (("", "metadata"), ("/items", "items")):
        answer = raw.post(f"/v1/conversations/{conversation}{path}", {})
        assert (answer.status, answer.error["param"]) == (400, param)
        answer = raw.post(f"/v1/conversations/{conversation}{path}", b"")
        assert answer.status == 400
    answer = raw.post(f"/v1/conversations/{conversation}", {"metadata": {}, "items": [HI]})
    assert (answer.status, answer.error["param"]) == (400, "items")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("order=random", "order"),
        ("after=msg_none", "after"),
        ("before=msg_none", "before"),
        ("include[]=everything", "include"),
        ("page=2", "page"),
    ],
)
def test_bad_queries_are_named(raw: Raw, conversation: str, query: str, param: str) -> None:
    answer = raw.get(f"/v1/conversations/{conversation}/items?{query}")
    assert (answer.status, answer.error["param"]) == (400, param)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", ""), ("DELETE", ""), ("POST", "/items"), ("GET", "/items/msg_1")],
)
def test_a_query_that_a_route_does_not_know_is_named(
    raw: Raw, conversation: str, method: str, path: str
) -> None:
    body: dict[str, Any] = {"items": [HI]} if path else {"metadata": {}}
    answer = raw.send(method, f"/v1/conversations/{conversation}{path}?verbose=1", body)
    assert (answer.status, answer.error["param"]) == (400, "verbose")
    assert texts(raw, conversation) == ["hi"]


def test_a_form_is_not_read(raw: Raw) -> None:
    answer = raw.send(
        "POST", "/v1/conversations", b"a=b", {"content-type": "application/x-www-form-urlencoded"}
    )
    assert answer.status == 415


@pytest.mark.parametrize("name", ["conv_none", "", "resp_1", "conv_" + "0" * 32, "x" * 1000])
def test_a_response_in_an_unknown_conversation_is_refused(raw: Raw, upstream: Upstream, name: str) -> None:
    asked = len(upstream.seen.requests)
    for conversation in (name, {"id": name}):
        for stream in (False, True):
            body = {"model": "echo", "input": "hi", "conversation": conversation, "stream": stream}
            answer = raw.post("/v1/responses", body)
            assert (answer.status, answer.error["param"]) == (404, "conversation")
            assert answer.error["type"] == "not_found_error"
    assert len(upstream.seen.requests) == asked


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"store": False}, "store"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": 7}, "conversation"),
        ({"conversation": {}}, "conversation.id"),
        ({"conversation": {"id": "conv_1", "tip": "x"}}, "conversation.tip"),
        ({"conversation": "c" * 1025}, "conversation"),
    ],
)
def test_a_bad_request_for_a_conversation_is_named(
    raw: Raw, conversation: str, more: dict[str, Any], param: str
) -> None:
    body = {"model": "echo", "input": "hi", "conversation": conversation, **more}
    answer = raw.post("/v1/responses", body)
    assert (answer.status, answer.error["param"]) == (400, param), answer.body
    assert texts(raw, conversation) == ["hi"]


def test_a_bad_turn_is_named_and_the_next_one_goes_on(raw: Raw, conversation: str) -> None:
    orphan = {"type": "function_call_output", "call_id": "call_none", "output": "x"}
    body = {"model": "echo", "input": [orphan], "conversation": conversation}
    for stream in (True, False):
        answer = raw.post("/v1/responses", {**body, "stream": stream})
        assert (answer.status, answer.error["param"]) == (400, "input[0].call_id")
    answer = raw.post("/v1/responses", {**body, "input": "on"})
    assert answer.json["status"] == "completed"


# --- whose it is -----------------------------------------------------------------------------------------------
ALICE, BOB, STRANGER = "sk-alice", "sk-bob", "sk-stranger"


@pytest.fixture
def guarded(start_server: StartServer) -> Program:
    def key(secret: str, tenant: str, owner: str) -> str:
        digest = sha256(secret.encode()).hexdigest()
        return f'{{name: {tenant}-{owner}, tenant: {tenant}, owner: {owner}, hash: "sha256:{digest}"}}'

    keys = (key(ALICE, "acme", "alice"), key(BOB, "acme", "bob"), key(STRANGER, "other", "alice"))
    return start_server(f"server: {{auth: {{keys: [{', '.join(keys)}]}}}}")


@pytest.fixture
def callers(guarded: Program, recorder: Recorder) -> Iterator[dict[str, Raw]]:
    made = {
        key: Raw(guarded.port, recorder, {"authorization": f"Bearer {key}"}) for key in (ALICE, BOB, STRANGER)
    }
    with made[ALICE], made[BOB], made[STRANGER]:
        yield made


def test_a_foreign_conversation_answers_as_an_unknown_one(callers: dict[str, Raw]) -> None:
    alice = callers[ALICE]
    made = alice.post("/v1/conversations", {"items": [HI]}).json["id"]
    (item,) = alice.get(f"/v1/conversations/{made}/items").json["data"]
    for key in (BOB, STRANGER):
        asked: list[tuple[str, str, dict[str, Any] | None]] = [
            ("GET", "", None),
            ("POST", "", {"metadata": {}}),
            ("DELETE", "", None),
            ("GET", "/items", None),
            ("POST", "/items", {"items": [HI]}),
            ("GET", f"/items/{item['id']}", None),
            ("DELETE", f"/items/{item['id']}", None),
        ]
        for method, path, body in asked:
            answers = [
                callers[key].send(method, f"/v1/conversations/{one}{path}", body)
                for one in (made, "conv_unknown")
            ]
            assert [answer.status for answer in answers] == [404, 404], (method, path)
            foreign, unknown = (answer.error for answer in answers)
            assert foreign["message"].replace(made, "conv_unknown") == unknown["message"]
            assert foreign["param"] == unknown["param"] == "conversation_id"
        turn = {"model": "echo", "input": "hi", "conversation": made}
        assert callers[key].post("/v1/responses", turn).status == 404
        reference = {"items": [{"type": "item_reference", "id": item["id"]}]}
        assert callers[key].post("/v1/conversations", reference).status == 400
    assert [one["id"] for one in alice.get(f"/v1/conversations/{made}/items").json["data"]] == [item["id"]]
