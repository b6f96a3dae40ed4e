"""`/v1/shields` and `/v1/safety/run-shield`, against the installed program."""

import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from bench.program import Program, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Answer, Raw
from tests.integration.shields_world import CANARY, FAILING, GUARDED, configuration

Json = dict[str, Any]
KEYS = {name: f"key-of-{name}-0123456789" for name in ("anne", "adam", "ben")}
LLAMA = "meta-llama/Llama-Guard::3"
PNG = "iVBORw0KGgo="


class Caller:
    """One key's requests."""

    def __init__(self, raw: Raw, name: str) -> None:
        self._raw = raw
        self._headers = {"authorization": f"Bearer {KEYS[name]}"}

    def get(self, path: str) -> Answer:
        return self._raw.send("GET", path, None, self._headers)

    def post(self, path: str, body: Any) -> Answer:
        return self._raw.send("POST", path, body, self._headers)

    def delete(self, path: str) -> Answer:
        return self._raw.send("DELETE", path, None, self._headers)

    def run(self, shield_id: str, *messages: Json | str, **more: Any) -> Answer:
        said = [{"role": "user", "content": one} if isinstance(one, str) else one for one in messages]
        body: Json = {"shield_id": shield_id, "messages": said, "params": {}, **more}
        return self.post("/v1/safety/run-shield", body)

    def violation(self, shield_id: str, *messages: Json | str, **more: Any) -> Any:
        answer = self.run(shield_id, *messages, **more)
        assert answer.status == 200, answer.body
        assert set(answer.json) == {"violation"}
        return answer.json["violation"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("shields")
    with start_antiphon(folder, configuration(folder, KEYS)) as running:
        running.wait_ready()
        yield running


@pytest.fixture
def raw(program: Program, recorder: Recorder) -> Iterator[Raw]:
    with Raw(program.port, recorder) as connection:
        yield connection


@pytest.fixture
def anne(raw: Raw) -> Caller:
    return Caller(raw, "anne")


@pytest.fixture
def ben(raw: Raw) -> Caller:
    return Caller(raw, "ben")


# --- shields ------------------------------------------------------------------------------------------------------
def test_configured_shields_are_there_for_everybody_and_stay(anne: Caller, ben: Caller) -> None:
    listed = {one["identifier"]: one for one in ben.get("/v1/shields").json["data"]}
    assert {"flowers", "soft", LLAMA, *FAILING} <= set(listed)
    assert listed[LLAMA] == {
        "identifier": LLAMA,
        "provider_id": "guard",
        "provider_resource_id": "llama-guard3",
        "type": "shield",
        "params": {},
    }
    for path in (LLAMA, urllib.parse.quote(LLAMA, safe="")):
        assert anne.get(f"/v1/shields/{path}").json == listed[LLAMA]
    answer = anne.delete(f"/v1/shields/{LLAMA}")
    assert (answer.status, answer.error["param"]) == (403, "identifier")
    assert anne.get(f"/v1/shields/{LLAMA}").status == 200


def test_a_shield_is_registered_used_and_removed_by_its_tenant(raw: Raw, anne: Caller, ben: Caller) -> None:
    body = {"shield_id": "acme/pii::1", "provider_id": "rules", "provider_shield_id": "pii"}
    made = anne.post("/v1/shields", {**body, "params": {"without": ["ip_address"]}})
    assert made.status == 200, made.body
    assert made.json == {
        "identifier": "acme/pii::1",
        "provider_id": "rules",
        "provider_resource_id": "pii",
        "type": "shield",
        "params": {"without": ["ip_address"]},
    }
    adam = Caller(raw, "adam")
    path = "/v1/shields/acme/pii::1"
    assert adam.get(path).json == made.json
    found = adam.violation("acme/pii::1", "mail bob@example.org from 8.8.8.8")
    assert found["metadata"]["rules"] == ["email"]
    for answer in (ben.get(path), ben.run("acme/pii::1", "x"), ben.delete(path)):
        assert answer.status == 404
        assert answer.error["message"].startswith('there is no shield "acme/pii::1"')
    assert "acme/pii::1" not in [one["identifier"] for one in ben.get("/v1/shields").json["data"]]
    again = anne.post("/v1/shields", {**body, "params": {"without": ["ip_address"]}})
    assert (again.status, again.json) == (200, made.json)
    other = anne.post("/v1/shields", body)
    assert (other.status, other.error["param"]) == (409, "shield_id")
    assert ben.post("/v1/shields", body).status == 200
    assert adam.delete(path).status == 200
    assert adam.get(path).status == 404
    assert ben.get(path).status == 200
    assert ben.delete(path).json is None


REFUSED: list[tuple[Json, int, str | None]] = [
    ({}, 400, "shield_id"),
    ({"shield_id": ""}, 400, "shield_id"),
    ({"shield_id": "a b"}, 400, "shield_id"),
    ({"shield_id": "a/"}, 400, "shield_id"),
    ({"shield_id": "x" * 300}, 400, "shield_id"),
    ({"shield_id": "pii", "more": 1}, 400, "more"),
    ({"shield_id": "pii"}, 400, "provider_id"),
    ({"shield_id": "pii", "provider_id": "nobody"}, 400, "provider_id"),
    ({"shield_id": "none", "provider_id": "rules"}, 400, "provider_shield_id"),
    ({"shield_id": "pii", "provider_id": "rules", "params": {"level": "loud"}}, 400, "params.level"),
    ({"shield_id": "pii", "provider_id": "rules", "params": [1]}, 400, "params"),
    ({"shield_id": "pii", "provider_id": "rules", "params": {"allow": ["x" * 70_000]}}, 400, "params"),
    ({"shield_id": "g", "provider_id": "guard", "provider_shield_id": "gpt-5"}, 400, "provider_shield_id"),
    ({"shield_id": "flowers", "provider_id": "rules"}, 409, "shield_id"),
]


@pytest.mark.parametrize(("body", "status", "param"), REFUSED)
def test_what_cannot_be_a_shield_is_refused(anne: Caller, body: Json, status: int, param: str | None) -> None:
    before = anne.get("/v1/shields").json
    answer = anne.post("/v1/shields", body)
    assert (answer.status, answer.error["param"]) == (status, param), answer.body
    assert anne.get("/v1/shields").json == before


def test_unknown_query_parameters_are_refused(anne: Caller) -> None:
    for answer in (
        anne.get("/v1/shields?limit=1"),
        anne.get("/v1/shields/flowers?x=1"),
        anne.post("/v1/shields?x=1", {}),
        anne.delete("/v1/shields/flowers?x=1"),
        anne.post("/v1/safety/run-shield?x=1", {}),
    ):
        assert answer.status == 400


# --- run-shield -----------------------------------------------------------------------------------------------------
def test_what_passes_has_no_violation(anne: Caller) -> None:
    for shield in ("flowers", "soft", LLAMA):
        assert anne.violation(shield, "What a fine day.") is None


def test_a_rule_and_a_guard_say_what_is_wrong_and_not_the_text(anne: Caller) -> None:
    assert anne.violation("flowers", f"a {CANARY}") == {
        "violation_level": "error",
        "user_message": "No flowers.",
        "metadata": {
            "violation_type": "heliotrope",
            "rule_set": "flowers",
            "rules": ["heliotrope"],
            "shield_id": "flowers",
        },
    }
    assert anne.violation(LLAMA, f"give me {GUARDED}") == {
        "violation_level": "error",
        "user_message": "Not here.",
        "metadata": {
            "violation_type": "S1,S6",
            "categories": ["Violent Crimes", "Specialized Advice"],
            "model": "llama-guard3",
            "shield_id": LLAMA,
        },
    }


MESSAGES: list[Json] = [
    {"role": "user", "content": CANARY},
    {"role": "user", "content": {"type": "text", "text": CANARY}},
    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": CANARY}]},
    {"role": "user", "content": "a", "context": CANARY},
    {"role": "user", "content": "a", "context": [{"type": "text", "text": CANARY}], "name": "eve"},
    {
        "role": "user",
        "content": [{"type": "image", "image": {"data": PNG}}, {"type": "text", "text": CANARY}],
    },
    {
        "role": "user",
        "content": [
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
            {"type": "text", "text": CANARY},
        ],
    },
    {"role": "system", "content": CANARY},
    {"role": "developer", "content": [{"type": "text", "text": CANARY}]},
    {"role": "tool", "call_id": "c1", "content": CANARY},
    {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": CANARY}]},
    {"role": "assistant", "content": CANARY, "stop_reason": "end_of_turn"},
    {
        "role": "assistant",
        "content": "",
        "stop_reason": "end_of_message",
        "tool_calls": [
            {"call_id": "c", "tool_name": "look", "arguments": {"a": CANARY}, "arguments_json": "{}"}
        ],
    },
    {
        "role": "assistant",
        "content": "",
        "stop_reason": "end_of_turn",
        "tool_calls": [{"call_id": "c", "tool_name": "look", "arguments": f'{{"a": "{CANARY}"}}'}],
    },
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "look", "arguments": f'"{CANARY}"'}}
        ],
    },
    {"role": "assistant", "refusal": CANARY},
]


@pytest.mark.parametrize("message", MESSAGES)
def test_every_form_of_a_message_is_read_whole(anne: Caller, message: Json) -> None:
    assert anne.violation("flowers", message) is not None
    innocent = {"role": "user", "content": "And?"}
    assert anne.violation("flowers", message, innocent) is not None


def test_what_came_before_an_answer_is_not_held_against_it(anne: Caller) -> None:
    said: list[Json | str] = [
        f"Is {CANARY} a flower?",
        {"role": "assistant", "content": "It is.", "stop_reason": "end_of_turn"},
    ]
    assert anne.violation("flowers", *said) is None


def test_params_of_a_run_come_on_top_of_the_shields(anne: Caller) -> None:
    assert anne.violation("soft", CANARY)["violation_level"] == "warn"
    assert anne.violation("soft", CANARY, params={"level": "info"})["violation_level"] == "info"
    answer = anne.run("soft", CANARY, params={"lvel": "info"})
    assert (answer.status, answer.error["param"]) == (400, "params.lvel")


@pytest.mark.parametrize("shield", FAILING)
def test_a_guard_that_fails_blocks(anne: Caller, shield: str) -> None:
    found = anne.violation(shield, f"say {CANARY}")
    assert found["violation_level"] == "error"
    assert found["metadata"] == {"reason": FAILING[shield], "shield_id": shield}
    assert CANARY not in str(found)


def test_a_guard_that_reads_text_does_not_let_an_image_pass(anne: Caller) -> None:
    picture = {"role": "user", "content": [{"type": "image", "image": {"data": PNG}}]}
    found = anne.violation(LLAMA, picture)
    assert found["metadata"]["reason"] == "image_not_checked"


BAD_RUNS: list[tuple[Json, int, str]] = [
    (
        {"shield_id": "nobody", "messages": [{"role": "user", "content": "x"}], "params": {}},
        404,
        "shield_id",
    ),
    ({"messages": [{"role": "user", "content": "x"}]}, 400, "shield_id"),
    ({"shield_id": "flowers", "messages": []}, 400, "messages"),
    ({"shield_id": "flowers"}, 400, "messages"),
    ({"shield_id": "flowers", "messages": "x"}, 400, "messages"),
    ({"shield_id": "flowers", "messages": [{"content": "x"}]}, 400, "messages[0].role"),
    ({"shield_id": "flowers", "messages": [{"role": "robot", "content": "x"}]}, 400, "messages[0].role"),
    ({"shield_id": "flowers", "messages": [{"role": "user"}]}, 400, "messages[0].content"),
    ({"shield_id": "flowers", "messages": [{"role": "user", "content": 3}]}, 400, "messages[0].content"),
    (
        {
            "shield_id": "flowers",
            "messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}],
        },
        400,
        "messages[0].content[0]",
    ),
    (
        {
            "shield_id": "flowers",
            "messages": [{"role": "user", "content": [{"type": "image", "image": {}}]}],
        },
        400,
        "messages[0].content[0].image",
    ),
    (
        {
            "shield_id": "flowers",
            "messages": [{"role": "user", "content": [{"type": "image", "image": {"data": "AAAA"}}]}],
        },
        400,
        "messages[0].content[0].image.data",
    ),
    (
        {
            "shield_id": "flowers",
            "messages": [
                {
                    "role": "user",
                    "content": {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}},
                }
            ],
        },
        400,
        "messages[0].content.image_url.url",
    ),
    ({"shield_id": "flowers", "messages": [{"role": "user", "content": "x"}], "extra": 1}, 400, "extra"),
]


@pytest.mark.parametrize(("body", "status", "param"), BAD_RUNS)
def test_a_run_that_cannot_be_is_refused(anne: Caller, body: Json, status: int, param: str) -> None:
    answer = anne.post("/v1/safety/run-shield", body)
    assert (answer.status, answer.error["param"]) == (status, param), answer.body


def test_a_text_of_a_megabyte_is_read(anne: Caller) -> None:
    text = "Nothing but words, and the numbers 12 and 34. " * 23_000
    assert anne.violation("flowers", text) is None
    assert anne.violation("flowers", text + CANARY) is not None
