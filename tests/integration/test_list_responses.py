"""`GET /v1/responses` and the pages of `input_items`, against the installed program."""

from collections.abc import Iterator
from typing import Any

import pytest

from bench.program import Program
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw
from tests.integration.conftest import StartServer

ALICE, BOB, STRANGER = "sk-alice", "sk-bob", "sk-stranger"


@pytest.fixture
def lister(start_server: StartServer) -> Program:
    return start_server()


@pytest.fixture
def raw(lister: Program, recorder: Recorder) -> Iterator[Raw]:
    with Raw(lister.port, recorder) as made:
        yield made


def create(raw: Raw, said: str | list[dict[str, str]], **more: Any) -> str:
    answer = raw.post("/v1/responses", {"model": "demo", "input": said, **more})
    assert answer.status == 200, answer.body
    return str(answer.json["id"])


def listed(raw: Raw, query: str = "") -> dict[str, Any]:
    answer = raw.get(f"/v1/responses?{query}")
    assert answer.status == 200, answer.body
    return answer.json


def ids(page: dict[str, Any]) -> list[str]:
    return [one["id"] for one in page["data"]]


def test_an_empty_list_is_a_list(raw: Raw) -> None:
    empty: dict[str, Any] = {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
    assert listed(raw) == empty


def test_responses_are_listed_as_they_are_got_newest_first(raw: Raw) -> None:
    made = [create(raw, f"number {at}", metadata={"at": str(at)}) for at in range(5)]
    page = listed(raw)
    assert ids(page) == made[::-1]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (made[4], made[0], False)
    assert page["data"] == [raw.get(f"/v1/responses/{one}").json for one in made[::-1]]
    assert ids(listed(raw, "order=asc")) == made


def test_pages_of_each_size_make_the_whole_list_forth_and_back(raw: Raw) -> None:
    made = [create(raw, str(at)) for at in range(7)]
    for order, whole in (("asc", made), ("desc", made[::-1])):
        for limit in (1, 3, 7, 100):
            query, forth = f"order={order}&limit={limit}", list[str]()
            page = listed(raw, query)
            while True:
                forth += ids(page)
                if not page["has_more"]:
                    break
                page = listed(raw, f"{query}&after={page['last_id']}")
            assert forth == whole
            back = [whole[-1]]
            page = listed(raw, f"{query}&before={back[0]}")
            while True:
                back = ids(page) + back
                if not page["has_more"]:
                    break
                page = listed(raw, f"{query}&before={page['first_id']}")
            assert back == whole


def test_what_is_not_stored_deleted_or_of_another_model_is_not_listed(raw: Raw) -> None:
    kept = create(raw, "kept")
    parent = create(raw, "parent")
    child = create(raw, "child", previous_response_id=parent)
    create(raw, "not stored", store=False)
    other = create(raw, "other", model="scripted/demo")
    assert raw.send("DELETE", f"/v1/responses/{parent}").status == 200
    assert ids(listed(raw)) == [other, child, kept]
    assert ids(listed(raw, "model=demo")) == [child, kept]
    assert ids(listed(raw, "model=scripted/demo&limit=1")) == [other]
    assert ids(listed(raw, "model=nothing")) == []
    for cursor in ("after", "before"):
        gone = raw.get(f"/v1/responses?{cursor}={parent}")
        assert (gone.status, gone.error["param"]) == (400, cursor)


def test_a_failed_response_is_listed_too(raw: Raw) -> None:
    stored = raw.post("/v1/responses", {"model": "up/breaks", "input": "x", "stream": True})
    assert b"response.failed" in stored.body
    assert [one["status"] for one in listed(raw)["data"]] == ["failed"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=2.5",
        "limit=many",
        "order=sideways",
        "after=resp_nobody",
        "before=resp_nobody",
        "include=everything",
        "colour=blue",
    ],
)
def test_a_faulty_query_is_refused_by_name(raw: Raw, query: str) -> None:
    answer = raw.get(f"/v1/responses?{query}")
    assert answer.status == 400, answer.body
    assert answer.error["param"] == query.partition("=")[0]


def test_include_decides_what_is_shown(raw: Raw) -> None:
    create(raw, "hi", model="up/probable", include=["message.output_text.logprobs"])
    [bare] = listed(raw)["data"]
    [full] = listed(raw, "include=message.output_text.logprobs")["data"]
    assert bare["output"][0]["content"][0]["logprobs"] == []
    assert full["output"][0]["content"][0]["logprobs"]


def test_each_tenant_and_each_owner_lists_its_own(start_server: StartServer, recorder: Recorder) -> None:
    from hashlib import sha256

    def key(secret: str, tenant: str, owner: str) -> str:
        digest = sha256(secret.encode()).hexdigest()
        return f'{{name: {tenant}-{owner}, tenant: {tenant}, owner: {owner}, hash: "sha256:{digest}"}}'

    keys = ", ".join((key(ALICE, "acme", "alice"), key(BOB, "acme", "bob"), key(STRANGER, "other", "alice")))
    server = start_server(f"server: {{auth: {{keys: [{keys}]}}}}")
    made: dict[str, str] = {}
    for secret in (ALICE, BOB, STRANGER):
        with Raw(server.port, recorder, {"authorization": f"Bearer {secret}"}) as raw:
            made[secret] = create(raw, secret)
    for secret, own in made.items():
        with Raw(server.port, recorder, {"authorization": f"Bearer {secret}"}) as raw:
            assert ids(listed(raw)) == [own]
            for other in made.values():
                status = raw.get(f"/v1/responses?after={other}").status
                assert status == (200 if other == own else 400)
    with Raw(server.port, recorder) as raw:
        assert raw.get("/v1/responses").status == 401


def test_input_items_have_both_cursors(raw: Raw) -> None:
    items = [{"role": "user", "content": str(at)} for at in range(5)]
    made = create(raw, items)
    path = f"/v1/responses/{made}/input_items"
    whole = [one["id"] for one in raw.get(f"{path}?order=asc").json["data"]]
    assert len(whole) == 5
    page = raw.get(f"{path}?order=asc&limit=2&before={whole[4]}").json
    assert (ids(page), page["has_more"]) == (whole[2:4], True)
    page = raw.get(f"{path}?limit=2&after={whole[4]}&before={whole[1]}").json
    assert (ids(page), page["has_more"]) == ([whole[3], whole[2]], False)
    for cursor in ("after", "before"):
        answer = raw.get(f"{path}?{cursor}=msg_nobody")
        assert (answer.status, answer.error["param"]) == (400, cursor)
