"""The named cases: our own server passes each, and each finds a server that is wrong."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from antiphon.client import Answer, Client, ConnectionFailed, Frames
from antiphon.conformance.cases import CASES, Outcome, run
from antiphon.conformance.shapes import violation
from antiphon.core.response_object import ErrorBody
from bench.program import Program, start_antiphon
from tests.conformance.faults import CHAT, FAULTS, RESPONSES, on_post, put
from tests.conformance.wrong_server import Ask, Asked, Fault, WrongServer, json_answer
from tests.conformance.wrong_sockets import SOCKET_FAULTS, Spoil, WrongSockets

BY_NAME = {case.name: case for case in CASES}
OVER_HTTP = [case for case in CASES if not case.name.startswith("socket.")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("cases")
    config = f"""\
version: 2
providers:
  inference:
  - provider_id: scripted
    provider_type: inline::scripted
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""
    with start_antiphon(folder, config) as program:
        program.wait_ready()
        yield program


@pytest.fixture(scope="module")
def wrong(server: Program) -> Iterator[WrongServer]:
    with WrongServer(Client(server.url)) as running:
        yield running


def outcome(wrong: WrongServer, case: str, fault: Fault | None) -> Outcome:
    wrong.fault = fault
    (found,) = run(Client(wrong.url), "demo", [BY_NAME[case]])
    return found


@pytest.mark.parametrize("case", BY_NAME)
def test_our_own_server_passes(server: Program, case: str) -> None:
    (found,) = run(Client(server.url), "demo", [BY_NAME[case]])
    assert (found.status, found.detail) == ("pass", "")


def test_a_right_server_behind_the_proxy_passes_everything(wrong: WrongServer) -> None:
    wrong.fault = None
    assert {found.status for found in run(Client(wrong.url), "demo", OVER_HTTP)} == {"pass"}


def test_a_server_without_websockets_does_not_support_them(wrong: WrongServer) -> None:
    wrong.fault = None
    over_sockets = [case for case in CASES if case not in OVER_HTTP]
    assert {found.status for found in run(Client(wrong.url), "demo", over_sockets)} == {"not supported"}


@pytest.mark.parametrize(
    ("case", "words", "fault"), FAULTS, ids=[f"{case}-{at}" for at, (case, _, _) in enumerate(FAULTS)]
)
def test_a_wrong_server_is_found(wrong: WrongServer, case: str, words: str, fault: Fault) -> None:
    found = outcome(wrong, case, fault)
    assert found.status == "fail", found
    assert words in found.detail


def test_every_case_was_seen_to_fail() -> None:
    assert {case for case, _, _ in (*FAULTS, *SOCKET_FAULTS)} == set(BY_NAME)


@pytest.mark.parametrize(
    ("case", "words", "spoil"),
    SOCKET_FAULTS,
    ids=[f"{case}-{at}" for at, (case, _, _) in enumerate(SOCKET_FAULTS)],
)
def test_a_wrong_server_is_found_over_websocket(server: Program, case: str, words: str, spoil: Spoil) -> None:
    (found,) = run(WrongSockets(server.url, spoil), "demo", [BY_NAME[case]])
    assert found.status == "fail", found
    assert words in found.detail


def answering(status: int, *marks: str) -> Fault:
    """Refuses, properly, the requests whose method, path and body hold one of the marks."""

    def fault(asked: Asked, ask: Ask) -> Answer:
        said = f"{asked.method} {asked.path} {asked.raw.decode()}"
        if any(mark in said for mark in marks):
            error = {"message": "not here", "type": "invalid_request_error", "param": None, "code": None}
            return json_answer(status, {"error": error})
        return ask()

    return fault


@pytest.mark.parametrize(
    ("case", "fault"),
    [
        ("chat.basic", answering(404, CHAT)),
        ("chat.stream", answering(405, CHAT)),
        ("models.list", answering(404, "/models")),
        ("responses.image", answering(400, "input_image")),
        ("responses.logprobs", answering(400, "top_logprobs")),
        ("tools.custom", answering(400, '"custom"')),
        ("responses.reasoning_effort", answering(400, '"reasoning"')),
        ("state.retrieve", on_post(RESPONSES, put(store=False))),
        ("state.delete", answering(405, "DELETE")),
        ("state.previous_response", answering(400, "previous_response_id")),
        ("state.input_items", answering(404, "input_items")),
    ],
)
def test_what_a_server_says_it_cannot_do_is_not_supported(
    wrong: WrongServer, case: str, fault: Fault
) -> None:
    assert outcome(wrong, case, fault).status == "not supported"


def test_keys_that_a_server_adds_are_no_violation(wrong: WrongServer) -> None:
    assert (
        outcome(wrong, "responses.basic", on_post(RESPONSES, put(kv_transfer=None, timings={}))).status
        == "pass"
    )
    error = {"message": "m", "type": "t", "param": None, "code": None}
    assert violation({**error, "request_id": "x"}, ErrorBody) is None
    assert violation({**error, "message": 1}, ErrorBody) == "Expected `str`, got `int` - at `$.message`"


def test_a_server_that_closes_without_an_answer_fails_each_case() -> None:
    class Broken:
        def send(self, method: str, path: str, body: object = None) -> Answer:
            raise ConnectionFailed("closed", begun=False)

        def connect(self, path: str) -> AbstractContextManager[Frames]:
            raise ConnectionFailed("closed", begun=False)

    assert {found.status for found in run(Broken(), "demo")} == {"fail"}
