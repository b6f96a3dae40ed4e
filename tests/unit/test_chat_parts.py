"""The parts of the chat: what is remembered, which tools are taken, what is read and shown."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from antiphon.cli.chat_tools import ToolsUnusable, load_tools
from antiphon.cli.conversation import Conversation
from antiphon.cli.screen import Screen, clean
from antiphon.client import Client

NAMED: dict[str, Any] = {"type": "function", "name": "f", "parameters": {"type": "object"}}


def message(text: str, role: str = "user") -> dict[str, Any]:
    return {"type": "message", "role": role, "content": text}


# --- the conversation -----------------------------------------------------------------------------------------


def test_a_kept_response_is_continued_by_its_id() -> None:
    talk = Conversation()
    talk.say(message("a"))
    assert talk.question() == {"input": [message("a")]}
    talk.answered({"id": "resp_1", "output": [message("b", "assistant")], "store": True})
    talk.say(message("c"))
    assert talk.question() == {"input": [message("c")], "previous_response_id": "resp_1"}


def test_after_unchaining_everything_is_sent() -> None:
    talk = Conversation()
    talk.say(message("a"))
    talk.answered({"id": "resp_1", "output": [{"id": "msg_1", **message("b", "assistant")}]})
    talk.say(message("c"))
    talk.unchain()
    assert talk.question() == {"input": [message("a"), message("b", "assistant"), message("c")]}
    talk.answered({"id": "resp_2", "output": [], "store": True})
    talk.say(message("d"))
    assert "previous_response_id" not in talk.question()


def test_a_copy_does_not_change_with_the_original() -> None:
    talk = Conversation()
    talk.say(message("a"))
    before = talk.copy()
    talk.say(message("b"))
    assert before.question() == {"input": [message("a")]}


# --- tools ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        [NAMED],
        {"tools": [NAMED]},
        NAMED,
        [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        [{"name": "f", "parameters": {"type": "object"}}],
    ],
)
def test_tools_are_taken_in_every_usual_form(tmp_path: Path, value: Any) -> None:
    (tmp_path / "tools.json").write_text(json.dumps(value))
    (tool,) = load_tools(tmp_path / "tools.json")
    assert (tool["type"], tool["name"], tool["parameters"]) == ("function", "f", {"type": "object"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "is not JSON"),
        ("[]", "expected a list of function tools"),
        ('"f"', "expected a list of function tools"),
        ("[1]", "tool 1 is no object"),
        ('[{"type": "function"}]', "tool 1 has no `name`"),
        ('[{"type": "web_search", "name": "x"}]', 'tool 1 is of type "web_search"'),
        ('[{"name": "f", "parameters": 1}]', "`parameters` is no JSON schema"),
    ],
)
def test_a_file_that_holds_no_tools_says_why(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "tools.json").write_text(text)
    with pytest.raises(ToolsUnusable) as unusable:
        load_tools(tmp_path / "tools.json")
    assert words in str(unusable.value)


# --- the screen -----------------------------------------------------------------------------------------------


def screen(text: str = "") -> tuple[Screen, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return Screen(colours=True, stdin=io.StringIO(text), out=out, err=err), out, err


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\nb\n", ["a", "b"]),
        ("a\r\nb", ["a", "b"]),
        ('"""a\nb"""\nc\n', ["a\nb", "c"]),
        ('"""\na\n\nb\n"""\n', ["a\n\nb"]),
        ('"""one line"""\n', ["one line"]),
        ('"""never ended\nb\n', ["never ended\nb"]),
    ],
)
def test_lines_and_texts_are_read(text: str, lines: list[str]) -> None:
    shown, _, _ = screen(text)
    found = [shown.read("> ") for _ in lines]
    assert found == lines
    assert shown.read("> ") is None


def test_answers_and_the_rest_go_separate_ways_through_pipes() -> None:
    shown, out, err = screen()
    shown.thinking("hm")
    shown.text("an answer")
    shown.note("a note")
    shown.call("f", '{"a":1}')
    assert out.getvalue() == "an answer\n"
    assert err.getvalue() == 'hm\na note\nf({"a":1})\n'


def test_control_characters_are_taken_out() -> None:
    assert clean("a\x1b[31m\x07\r\x9bb\tc\n\u2028é") == "a[31mb\tc\n\u2028é"


# --- the client -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://host", "http://host:80/v1"),
        ("https://host/", "https://host:443/v1"),
        ("http://host:1/openai/v1/", "http://host:1/openai/v1"),
        ("http://[::1]:8321", "http://[::1]:8321/v1"),
        ("http://user:secret@host:1/v1?key=x", "http://host:1/v1"),
    ],
)
def test_a_bare_host_means_v1_and_no_secret_is_shown(url: str, expected: str) -> None:
    assert Client(url).url == expected


@pytest.mark.parametrize("url", ["host", "ftp://host", "http://", "http://host:99999"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|Port"):
        Client(url)
