"""The chat against servers that are busy, break off, or keep nothing. Waits are counted, not waited."""

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from antiphon.cli.chat import Chat
from antiphon.cli.chat_turn import MAX_TRIES, Exchanges
from antiphon.cli.screen import Screen
from antiphon.client import Client
from tests.integration.canned import Canned, CannedServer, refuses, response, says, stream

BUSY = "slow down"


class Session:
    """A chat with a canned server. `waits` are the seconds that it would have waited."""

    def __init__(self, server: CannedServer) -> None:
        self.server = server
        self.out, self.err = io.StringIO(), io.StringIO()
        self.waits: list[float] = []
        self.interrupt_wait = False
        screen = Screen(colours=True, stdin=io.StringIO(), out=self.out, err=self.err)
        client = Client(server.url, "sk-chat")
        self.chat = Chat(client, screen, Exchanges(client, screen, self._sleep, lambda: 0), "canned")

    def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        if self.interrupt_wait:
            raise KeyboardInterrupt

    def asked(self, at: int) -> dict[str, Any]:
        return self.server.asked[at]


Open = Callable[..., Session]


@pytest.fixture
def session() -> Iterator[Open]:
    with ExitStack() as running:
        yield lambda *answers: Session(running.enter_context(CannedServer(*answers)))


def texts(items: list[dict[str, Any]]) -> list[str]:
    return [
        item["content"] if isinstance(item["content"], str) else item["content"][0]["text"] for item in items
    ]


def test_a_429_is_waited_out_as_the_server_asks(session: Open) -> None:
    busy = refuses(429, BUSY, headers={"retry-after": "7"})
    talk = session(busy, busy, says("there you are"))
    talk.chat.send("hello")
    assert talk.out.getvalue() == "there you are\n"
    assert talk.waits == [7, 7]
    assert f"{BUSY}; trying again in 7 s (1 of 5), Ctrl-C stops waiting\n" in talk.err.getvalue()
    assert talk.server.keys == ["Bearer sk-chat"] * 3
    assert not talk.chat.failed


def test_without_retry_after_the_waits_grow_and_end(session: Open) -> None:
    talk = session(refuses(429, BUSY))
    talk.chat.send("hello")
    assert talk.waits == [1, 2, 4, 8, 16]
    assert len(talk.server.asked) == MAX_TRIES
    assert "not answered: slow down; try again later with /retry" in talk.err.getvalue()
    assert talk.chat.failed
    assert talk.chat.conversation.items == []


def test_a_wait_of_an_hour_is_not_waited(session: Open) -> None:
    talk = session(refuses(429, BUSY, headers={"retry-after": "3600"}))
    talk.chat.send("hello")
    assert talk.waits == []
    assert "it asks to wait 3600 s" in talk.err.getvalue()


def test_a_503_that_says_when_is_waited_for_and_another_is_not(session: Open) -> None:
    talk = session(refuses(503, "starting", headers={"retry-after": "1"}), refuses(503, "down"))
    talk.chat.send("hello")
    assert talk.waits == [1]
    assert "not answered: down" in talk.err.getvalue()


def test_a_limit_inside_a_stream_is_waited_out_too(session: Open) -> None:
    error = {"code": "rate_limit_exceeded", "message": BUSY}
    failed = response("", status="failed", error=error, output=[])
    talk = session(stream({"type": "response.failed", "response": failed}), says("now"))
    talk.chat.send("hello")
    assert (talk.waits, talk.out.getvalue()) == ([1], "now\n")


def test_ctrl_c_stops_the_waiting(session: Open) -> None:
    talk = session(refuses(429, BUSY), says("never"))
    talk.interrupt_wait = True
    with pytest.raises(KeyboardInterrupt):
        talk.chat.send("hello")
    assert len(talk.server.asked) == 1
    assert "[stopped]" in talk.err.getvalue()
    assert talk.chat.conversation.items == []


@pytest.mark.parametrize(
    "broken",
    [
        stream({"type": "response.output_text.delta", "delta": "I was "}, cut=True),
        stream({"type": "response.output_text.delta", "delta": "I was "}),
    ],
    ids=["cut off", "ends without an end"],
)
def test_a_broken_connection_is_said_and_keeps_the_conversation(session: Open, broken: Canned) -> None:
    talk = session(says("hello yourself"), broken, says("saying", 3))
    talk.chat.send("hello")
    talk.chat.send("and?")
    assert "broke" in talk.err.getvalue()
    assert "The conversation is kept; /retry sends the message again" in talk.err.getvalue()
    assert talk.chat.failed
    talk.chat.take("/retry")
    assert talk.out.getvalue() == "hello yourself\nI was \nsaying\n"
    assert talk.asked(2) == talk.asked(1)
    assert talk.asked(2)["previous_response_id"] == "resp_1"
    assert texts(talk.asked(2)["input"]) == ["and?"]


def test_a_server_that_is_gone_is_said(session: Open) -> None:
    talk = session(says("hello"))
    talk.chat.client = Client("http://127.0.0.1:1")
    talk.chat.exchanges.client = talk.chat.client
    talk.chat.send("hello")
    assert "cannot be reached" in talk.err.getvalue()
    talk.chat.take("/model other")
    assert "the models cannot be listed" in talk.err.getvalue()
    assert talk.chat.model == "other"


def test_turns_are_chained_where_the_server_keeps_them(session: Open) -> None:
    talk = session(says("one", 1), says("two", 2), says("three", 3))
    for words in ("a", "b", "c"):
        talk.chat.send(words)
    assert "previous_response_id" not in talk.asked(0)
    assert [talk.asked(at)["previous_response_id"] for at in (1, 2)] == ["resp_1", "resp_2"]
    assert texts(talk.asked(2)["input"]) == ["c"]


def test_items_are_sent_where_the_server_says_that_it_keeps_none(session: Open) -> None:
    reasoning: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": []}
    sealed: dict[str, Any] = {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "xyz"}
    first = response("one", 1, store=False)
    first["output"] = [reasoning, sealed, *first["output"]]
    talk = session(stream({"type": "response.completed", "response": first}), says("two", 2))
    talk.chat.send("a")
    talk.chat.send("b")
    sent = talk.asked(1)
    assert "previous_response_id" not in sent
    assert [item["type"] for item in sent["input"]] == ["message", "reasoning", "message", "message"]
    assert sent["input"][1] == {"type": "reasoning", "summary": [], "encrypted_content": "xyz"}
    assert "id" not in sent["input"][2]
    assert talk.out.getvalue() == "one\ntwo\n"  # the first came without deltas


@pytest.mark.parametrize(
    "forgot",
    [
        refuses(400, "no such response", code="previous_response_not_found", param="previous_response_id"),
        refuses(404, "no such response", param="previous_response_id"),
        refuses(400, "llama.cpp does not support 'previous_response_id'", code=400),
        Canned(404, b"not found", {"content-type": "text/plain"}),
    ],
)
def test_items_are_sent_when_the_server_forgot_the_response(session: Open, forgot: Canned) -> None:
    talk = session(says("one", 1), forgot, says("two", 2), says("three", 3))
    for words in ("a", "b", "c"):
        talk.chat.send(words)
    assert texts(talk.asked(2)["input"]) == ["a", "one", "b"]
    assert texts(talk.asked(3)["input"]) == ["a", "one", "b", "two", "c"]
    assert "previous_response_id" not in talk.asked(3)
    assert talk.err.getvalue().count("keeps no responses") == 1


def test_other_refusals_are_said_and_the_conversation_stays(session: Open) -> None:
    talk = session(says("one", 1), refuses(400, "the context is too long."), says("two", 2))
    for words in ("a", "far too long", "b"):
        talk.chat.send(words)
    assert "not answered: the context is too long\n" in talk.err.getvalue()
    assert texts(talk.asked(2)["input"]) == ["b"]
    assert talk.asked(2)["previous_response_id"] == "resp_1"


def test_a_wrong_key_says_where_the_key_goes(session: Open) -> None:
    talk = session(refuses(401, "no such key"))
    talk.chat.send("a")
    assert "no such key; pass a key with --key or in ANTIPHON_API_KEY" in talk.err.getvalue()


def test_an_answer_that_is_cut_says_why(session: Open) -> None:
    cut = response("too long", status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    talk = session(stream({"type": "response.incomplete", "response": cut}))
    talk.chat.send("a")
    assert "[cut: max_output_tokens]" in talk.err.getvalue()
    assert talk.out.getvalue() == "too long\n"


def test_a_models_words_do_not_drive_the_terminal(session: Open) -> None:
    talk = session(says("\x1b]0;owned\x07red \x1b[31malert\x9b2J\ttab\n"))
    talk.chat.send("a")
    assert talk.out.getvalue() == "]0;ownedred [31malert2J\ttab\n"


def test_what_is_no_event_is_said(session: Open) -> None:
    talk = session(Canned(200, b"data: oops\n\n", {"content-type": "text/event-stream"}))
    talk.chat.send("a")
    assert "no JSON object: oops" in talk.err.getvalue()
