"""`antiphon chat` as a person uses it, at a terminal of its own, and as a script does, through pipes."""

import json
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from antiphon.cli.local_server import LocalServer
from antiphon.client import Client, ConnectionFailed
from antiphon.config.load import ProviderSettings, load
from bench.program import Program, antiphon_command, environment
from tests.integration.canned import CannedServer, refuses, says
from tests.integration.conftest import configuration
from tests.integration.terminal import CTRL_D, Terminal
from tests.integration.upstream import Seen, Upstream

OpenChat = Callable[..., Terminal]
WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture
def config(upstream: Upstream, tmp_path: Path) -> Iterator[Path]:
    """A configuration on whose port nobody listens, nor can: the chat starts a server of its own."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        file = tmp_path / "antiphon.yaml"
        number = held.getsockname()[1]
        file.write_text(configuration(upstream, tmp_path, f"server: {{port: {number}}}"))
        yield file


@pytest.fixture
def open_chat(tmp_path: Path, config: Path) -> Iterator[OpenChat]:
    with ExitStack() as running:

        def start(*arguments: str, env: Mapping[str, str] | None = None) -> Terminal:
            command = [*antiphon_command(), "chat", "--config", str(config), *arguments]
            terminal = Terminal(command, cwd=tmp_path, env=environment(tmp_path, env))
            running.enter_context(terminal)
            terminal.wait_for("/help lists the commands.")
            terminal.wait_for("> ")
            return terminal

        yield start


def test_an_answer_is_shown_and_ctrl_d_leaves(open_chat: OpenChat) -> None:
    chat = open_chat("--model", "up/echo")
    chat.enter("good morning")
    assert chat.wait_for("You said: good morning\n")
    chat.wait_for("> ")
    chat.type(CTRL_D)
    assert chat.wait_end() == 0


def test_the_conversation_goes_on_until_reset(open_chat: OpenChat, upstream: Upstream) -> None:
    chat = open_chat("--model", "up/echo", "--instructions", "Be brief.")
    for words in ("first words", "second words"):
        chat.enter(words)
        chat.wait_for(f"You said: {words}\n")
    contents = [message["content"] for message in upstream.last_request()["messages"]]
    assert contents == ["Be brief.", "first words", "You said: first words", "second words"]
    chat.enter("/reset")
    chat.wait_for("forgotten")
    chat.enter("third words")
    chat.wait_for("You said: third words\n")
    contents = [message["content"] for message in upstream.last_request()["messages"]]
    assert contents == ["Be brief.", "third words"]
    chat.enter("/quit")
    assert chat.wait_end() == 0


def test_ctrl_c_stops_the_upstream_and_what_was_said_is_remembered(
    open_chat: OpenChat, upstream: Upstream
) -> None:
    closed = upstream.seen.closed_by_client
    chat = open_chat("--model", "up/endless")
    chat.enter("tell me a story")
    chat.wait_for("once upon a time")
    chat.interrupt("[stopped]")

    def left(seen: Seen) -> bool:
        return seen.closed_by_client > closed

    upstream.wait_for("the upstream connection closed", left)
    chat.wait_for("> ")
    chat.enter("/model up/echo")
    chat.wait_for("model up/echo")
    chat.enter("a shorter one")
    chat.wait_for("You said: a shorter one\n")
    said = [(one["role"], one["content"]) for one in upstream.last_request()["messages"]]
    assert said[0] == ("user", "tell me a story")
    assert said[1] == ("assistant", "once upon a time ")
    assert said[2] == ("user", "a shorter one")
    chat.enter("/quit")
    assert chat.wait_end() == 0


def test_ctrl_c_at_the_prompt_does_not_leave(open_chat: OpenChat) -> None:
    chat = open_chat("--model", "up/echo")
    chat.type("half a lin")
    chat.wait_for("half a lin")
    chat.interrupt("Ctrl-D or /quit leaves")
    chat.wait_for("> ")
    chat.enter("whole")
    chat.wait_for("You said: whole\n")


def test_models_are_shown_and_changed(open_chat: OpenChat, upstream: Upstream) -> None:
    chat = open_chat("--model", "up/echo")
    chat.enter("/model")
    shown = chat.wait_for("scripted/demo")
    assert "* up/echo" in shown
    assert "  up/caller" in shown
    chat.enter("/model nobody")
    chat.wait_for("model nobody, which the server does not list")
    chat.enter("hello?")
    assert "is not served here" in chat.wait_for("GET /v1/models")
    chat.enter("/model thinker")
    chat.wait_for("model thinker\n")
    chat.enter("hello!")
    chat.wait_for("You said: hello!")
    assert [one["content"] for one in upstream.last_request()["messages"]] == ["hello!"]


def test_reasoning_is_dim(open_chat: OpenChat) -> None:
    chat = open_chat("--model", "up/thinker")
    chat.enter("why")
    shown = chat.wait_for("You said: why\n")
    assert "\x1b[2mLet me think.\x1b[0m\n" in shown


def test_no_color_means_no_colours(open_chat: OpenChat) -> None:
    chat = open_chat("--model", "up/thinker", env={"NO_COLOR": "1"})
    chat.enter("why")
    shown = chat.wait_for("You said: why\n")
    assert "Let me think.\n" in shown
    assert "\x1b[2m" not in chat.shown
    assert "\x1b[1m" not in chat.shown


def test_the_user_answers_tool_calls(open_chat: OpenChat, upstream: Upstream, tmp_path: Path) -> None:
    (tmp_path / "tools.json").write_text(json.dumps([WEATHER]))
    chat = open_chat("--model", "up/caller")
    chat.enter("/tools")
    chat.wait_for("no tools")
    chat.enter("/tools nowhere.json")
    chat.wait_for("nowhere.json: No such file or directory")
    chat.enter("/tools tools.json")
    chat.wait_for("tools: get_weather")
    chat.enter("what is the weather in Paris")
    assert '({"city":"Paris"})' in chat.wait_for("output of get_weather> ")
    chat.enter("21 degrees")
    chat.wait_for("You said: 21 degrees\n")
    assert upstream.last_request()["messages"][-1]["content"] == "21 degrees"
    assert upstream.last_request()["tools"][0]["function"]["name"] == "get_weather"
    chat.enter("/tools off")
    chat.wait_for("no tools")
    chat.enter("thanks")
    chat.wait_for("You said: thanks\n")
    assert "tools" not in upstream.last_request()


def test_a_call_that_the_user_does_not_answer_is_closed(
    open_chat: OpenChat, upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "tools.json").write_text(json.dumps({"tools": [{"type": "function", "function": WEATHER}]}))
    chat = open_chat("--model", "up/caller", "--tools", "tools.json")
    chat.enter("what is the weather in Paris")
    chat.wait_for("output of get_weather> ")
    chat.type("about 2")
    chat.wait_for("about 2")
    chat.interrupt("[stopped]")
    chat.enter("/model up/echo")
    chat.wait_for("model up/echo")
    chat.enter("never mind")
    chat.wait_for("You said: never mind\n")
    tool = upstream.last_request()["messages"][-2]
    assert (tool["role"], tool["content"]) == ("tool", "The user stopped this call.")


def test_a_running_server_is_used(server: Program, tmp_path: Path) -> None:
    (tmp_path / "antiphon.yaml").write_text(f"server: {{port: {server.port}}}\n")
    command = [*antiphon_command(), "chat", "--model", "up/echo"]
    with Terminal(command, cwd=tmp_path, env=environment(tmp_path)) as chat:
        chat.wait_for(f"up/echo at {server.url}/v1")
        chat.enter("hello")
        chat.wait_for("You said: hello\n")
        chat.enter("/quit")
        assert chat.wait_end() == 0


def test_lines_are_remembered_for_their_owner_alone(open_chat: OpenChat, tmp_path: Path) -> None:
    chat = open_chat("--model", "up/echo")
    chat.enter("remember me")
    chat.wait_for("You said: remember me\n")
    chat.enter("/quit")
    assert chat.wait_end() == 0
    history = tmp_path / "state" / "chat_history"
    assert "remember me" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


def test_ctrl_c_stops_waiting_for_a_busy_server(tmp_path: Path) -> None:
    busy = refuses(429, "slow down", headers={"retry-after": "200"})
    with CannedServer(busy, says("there you are")) as server:
        command = [*antiphon_command(), "chat", "--url", server.url]
        with Terminal(command, cwd=tmp_path, env=environment(tmp_path)) as chat:
            chat.wait_for(f"canned at {server.url}/v1")
            chat.enter("hello")
            chat.wait_for("slow down; trying again in 200 s (1 of 5), Ctrl-C stops waiting")
            chat.interrupt("[stopped]")
            chat.enter("/retry")
            chat.wait_for("there you are\n")
            chat.enter("/quit")
            assert chat.wait_end() == 0
        assert len(server.asked) == 2
        assert server.asked[0] == server.asked[1]


def test_the_chats_own_server_answers_nobody_else(tmp_path: Path) -> None:
    settings = load(cwd=tmp_path, environ={"ANTIPHON_HOME": str(tmp_path), "ANTIPHON_DISCOVERY": "off"})
    demo = ProviderSettings(provider_id="demo", provider_type="inline::scripted")
    with LocalServer(settings.with_inference([demo])) as server:
        assert Client(server.url).send("GET", "/models").status == 401
        assert Client(server.url, server.key).send("GET", "/models").status == 200
        assert server.url.startswith("http://127.0.0.1:")
    with pytest.raises(ConnectionFailed, match="cannot be reached"):
        Client(server.url).send("GET", "/models")


def test_a_server_that_cannot_start_is_one_sentence(tmp_path: Path, config: Path) -> None:
    (tmp_path / "antiphon.db").write_text("this is no database, and never was one")
    done = piped(tmp_path, config, "hello\n", "--model", "demo")
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not a database of Antiphon's" in done.stderr
    assert "Traceback" not in done.stderr


# --- pipes ----------------------------------------------------------------------------------------------------


def piped(folder: Path, config: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*antiphon_command(), "chat", "--config", str(config), *arguments]
    env = {**environment(folder), "TERM": "xterm"}
    return subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=60, cwd=folder, env=env, check=False
    )


def test_a_script_gets_the_answers_and_nothing_else(tmp_path: Path, config: Path) -> None:
    done = piped(tmp_path, config, "one\n\n//two\n/model\n", "--model", "up/thinker")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "You said: one\nYou said: /two\n"
    assert "Let me think.\n" in done.stderr
    assert "* up/thinker\n" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_lines_between_quotes_are_one_message(tmp_path: Path, config: Path) -> None:
    done = piped(tmp_path, config, '"""one\ntwo\n"""\n', "--model", "up/echo")
    assert done.stdout == "You said: one\ntwo\n"


def test_a_script_fails_when_its_last_message_is_not_answered(tmp_path: Path, config: Path) -> None:
    done = piped(tmp_path, config, "one\n", "--model", "up/fails-500")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "not answered: provider" in done.stderr


def test_a_script_answers_tool_calls_by_its_next_lines(tmp_path: Path, config: Path) -> None:
    (tmp_path / "tools.json").write_text(json.dumps([WEATHER]))
    arguments = ("--model", "up/caller", "--tools", "tools.json")
    done = piped(tmp_path, config, "weather?\n21 degrees\n", *arguments)
    assert (done.returncode, done.stdout) == (0, "You said: 21 degrees\n")
    assert 'get_weather({"city":"Paris"})' in done.stderr
    done = piped(tmp_path, config, "weather?\n", *arguments)
    assert done.returncode == 1
    assert "the input ended before the outputs of the tools" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--url", "nonsense"), "is no URL of a server"),
        (("--url", "http://127.0.0.1:1"), "cannot be reached"),
        (("--tools", "nowhere.json", "--model", "demo"), "No such file"),
    ],
)
def test_what_cannot_begin_says_why(
    tmp_path: Path, config: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = piped(tmp_path, config, "hello\n", *arguments)
    assert done.returncode == 1
    assert words in done.stderr
