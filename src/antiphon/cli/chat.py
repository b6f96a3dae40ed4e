"""`antiphon chat`: a conversation in the terminal, over `POST /v1/responses` of this server or any other."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from antiphon import __version__
from antiphon.cli.chat_tools import ToolsUnusable, answer_to, called_with, calls_in, load_tools
from antiphon.cli.chat_turn import Exchanges, ParentUnknown, TurnFailed
from antiphon.cli.conversation import Conversation
from antiphon.cli.screen import Screen
from antiphon.client import Client, ConnectionFailed, Json, server_version
from antiphon.system import SystemClock

PROMPT = "> "
HELP = """\
/model [NAME]           show the models, or go on with another
/reset                  forget the conversation
/retry                  send the last message again
/tools [FILE.json|off]  show the tools, load them from a file, or send none; you answer their calls
/help                   this
/quit                   leave, as Ctrl-D does
Ctrl-C stops an answer. Lines between two \"\"\" are one message; // begins one with a slash."""
_STOPPED = "The user stopped this call."
_NO_TEXT_MODELS = ("embed", "rerank", "whisper", "tts", "moderation", "dall-e", "image")


@dataclass(slots=True)
class Chat:
    """One user, one server. `failed` says that the latest message was not answered."""

    client: Client
    screen: Screen
    exchanges: Exchanges
    model: str
    instructions: str = ""
    tools: list[Json] = field(default_factory=list[Json])
    conversation: Conversation = field(default_factory=Conversation)
    last: str = ""
    failed: bool = False

    def run(self) -> int:
        """Until the user leaves. The exit code: 1 when the last message was not answered."""
        while True:
            try:
                line = self.screen.read(PROMPT)
            except KeyboardInterrupt:
                if not self.screen.interactive:
                    return 130
                self.screen.note("\nCtrl-D or /quit leaves")
                continue
            if line is None or line.strip() in {"/quit", "/exit"}:
                return 1 if self.failed else 0
            if line.strip():
                self._take_or_stop(line)

    def _take_or_stop(self, line: str) -> None:
        """Ctrl-C never ends a chat at a terminal, also where it comes between two steps."""
        try:
            self.take(line)
        except KeyboardInterrupt:
            if not self.screen.interactive:
                raise
            self.screen.note("[stopped]")

    def take(self, line: str) -> None:
        """A message, or a command."""
        if line.startswith("//"):
            self.send(line[1:])
        elif line.startswith("/"):
            name, _, rest = line[1:].partition(" ")
            self._command(name.strip(), rest.strip())
        else:
            self.send(line)

    # --- a message ----------------------------------------------------------------------------------------
    def send(self, text: str) -> None:
        """Ask, show the answer, and go on while the model calls tools. What fails leaves the conversation as it was."""
        self.last = text
        before = self.conversation.copy()
        self.failed = True
        try:
            self.conversation.say({"type": "message", "role": "user", "content": text})
            while outputs := self._answers(self._ask()):
                self.conversation.say(*outputs)
        except KeyboardInterrupt:
            self._stopped(before)
            if not self.screen.interactive:
                raise
        except TurnFailed as failure:
            self.conversation = before
            self.screen.note(f"not answered: {failure}")
        except ConnectionFailed as failure:
            self.conversation = before
            self.screen.note(
                f"not answered: {failure}. The conversation is kept; /retry sends the message again"
            )
        else:
            self.failed = False
        self.screen.end_line()

    def _ask(self) -> Json:
        """The response to what was said last."""
        try:
            response = self.exchanges.ask(self._body())
        except ParentUnknown:
            self.screen.note("[the server keeps no responses: sending the conversation each time]")
            self.conversation.unchain()
            response = self.exchanges.ask(self._body())
        self.conversation.answered(response)
        return response

    def _body(self) -> Json:
        body: Json = {"model": self.model, "stream": True, **self.conversation.question()}
        if self.instructions:
            body["instructions"] = self.instructions
        if self.tools:
            body["tools"] = self.tools
        return body

    def _answers(self, response: Json) -> list[Json]:
        """What the user says to the calls of a response. Stopping answers the rest of them, so that they are not left
        open; then there is no next request.
        """
        calls = calls_in(response)
        for call in calls:
            self.screen.call(str(call.get("name")), called_with(call))
        outputs: list[Json] = []
        try:
            for call in calls:
                output = self.screen.read(f"output of {call.get('name')}> ")
                outputs.append(answer_to(call, self._required(output)))
        except KeyboardInterrupt:
            rest = [answer_to(call, _STOPPED) for call in calls[len(outputs) :]]
            self.conversation.say(*outputs, *rest)
            self.exchanges.heard.said.clear()
            raise
        return outputs

    def _required(self, output: str | None) -> str:
        """The output; at the end of the input there is none, which stops the answer, or a script."""
        if output is not None:
            return output
        if self.screen.interactive:
            raise KeyboardInterrupt
        raise TurnFailed("the input ended before the outputs of the tools")

    def _stopped(self, before: Conversation) -> None:
        """Keep what was shown of a stopped answer: the next message may be about it."""
        partial = self.exchanges.heard.text
        if partial:
            content = [{"type": "output_text", "text": partial}]
            self.conversation.say({"type": "message", "role": "assistant", "content": content})
        elif self.conversation.previous == before.previous and len(before.items) + 1 == len(
            self.conversation.items
        ):
            self.conversation = before  # nothing of an answer came
        self.failed = False
        self.screen.note("[stopped]")

    # --- commands -----------------------------------------------------------------------------------------
    def _command(self, name: str, rest: str) -> None:
        commands: dict[str, Callable[[str], None]] = {
            "model": self._model,
            "reset": self._reset,
            "retry": self._retry,
            "tools": self._tools,
            "help": lambda _: self.screen.note(HELP),
        }
        command = commands.get(name)
        if command is None:
            self.screen.note(
                f"there is no /{name}; /help lists the commands, // begins a message with a slash"
            )
            return
        command(rest)

    def _model(self, name: str) -> None:
        try:
            served = served_models(self.client)
        except (ConnectionFailed, TurnFailed) as failure:
            served = []
            self.screen.note(f"the models cannot be listed: {failure}")
        if not name:
            for one in served or [self.model]:
                self.screen.note(f"{'*' if one == self.model else ' '} {one}")
            if served and self.model not in served:
                self.screen.note(f"* {self.model}")
            return
        self.model = name
        known = name in served or any(one.partition("/")[2] == name for one in served)
        self.screen.note(
            f"model {name}" + ("" if known or not served else ", which the server does not list")
        )

    def _reset(self, _: str) -> None:
        self.conversation = Conversation(chained=self.conversation.chained)
        self.screen.note("forgotten")

    def _retry(self, _: str) -> None:
        if self.last:
            self.send(self.last)
        else:
            self.screen.note("nothing was sent yet")

    def _tools(self, argument: str) -> None:
        if argument == "off":
            self.tools = []
        elif argument:
            try:
                self.tools = load_tools(Path(argument))
            except ToolsUnusable as unusable:
                self.screen.note(str(unusable))
                return
        names = ", ".join(str(tool["name"]) for tool in self.tools)
        self.screen.note(f"tools: {names}" if names else "no tools; /tools FILE.json loads some")


def served_models(client: Client) -> list[str]:
    """The names that a server lists. Raises TurnFailed when it lists none."""
    answer = client.send("GET", "/models")
    if answer.status in {401, 403}:
        raise TurnFailed("the server wants another key; pass it with --key or in ANTIPHON_API_KEY")
    try:
        return [str(model["id"]) for model in answer.json()["data"]]
    except (ValueError, KeyError, TypeError):
        raise TurnFailed(f"{client.url}/models answered {answer.status} and no list of models") from None


def first_model(client: Client) -> str:
    """The model to talk to when none is named. Raises TurnFailed."""
    served = served_models(client)
    fit = [name for name in served if not any(word in name.lower() for word in _NO_TEXT_MODELS)]
    if not served:
        raise TurnFailed("the server lists no models; name one with --model")
    return (fit or served)[0]


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """What the command line says. `url` empty: this configuration's server, running or started for the chat."""

    url: str = ""
    key: str = ""
    model: str = ""
    instructions: str = ""
    tools: str = ""
    config: str | None = None


def chat(options: ChatOptions, *, colours: bool) -> int:
    """Returns the exit code."""
    screen = Screen(colours=colours)
    try:
        with _server(options, screen) as (client, history):
            model = options.model or first_model(client)
            exchanges = Exchanges(client, screen, time.sleep, SystemClock().now)
            session = Chat(client, screen, exchanges, model, options.instructions)
            if options.tools:
                session.tools = load_tools(Path(options.tools))
            if screen.interactive:
                screen.note(f"antiphon {__version__}: {model} at {client.url}. /help lists the commands.")
            return _with_history(session, history)
    except (TurnFailed, ToolsUnusable, ConnectionFailed, ValueError) as failure:
        screen.note(str(failure))
        return 1
    except KeyboardInterrupt:
        screen.end_line()
        return 130


def _with_history(session: Chat, history: Path | None) -> int:
    if history is None or not session.screen.interactive:
        return session.run()
    from antiphon.cli.screen import remember_lines

    save = remember_lines(history)
    try:
        return session.run()
    finally:
        save()


@contextmanager
def _server(options: ChatOptions, screen: Screen) -> Generator[tuple[Client, Path | None]]:
    """The client of the server to talk to, and the file of the history."""
    from antiphon.config.load import load

    if options.url:
        yield Client(options.url, options.key, timeout_s=600), None
        return
    from antiphon.cli.found import address_of, with_found

    settings = load(options.config)
    history = Path(settings.home) / "chat_history"
    running = address_of(settings)
    if settings.server.port and server_version(running) is not None:
        yield Client(running, options.key, timeout_s=600), history
        return
    from antiphon.cli.local_server import LocalServer

    settings, found = with_found(settings)
    if found is not None and found.demo:
        screen.note("no model server was found; this is demo, a scripted model")
    with LocalServer(settings) as server:
        yield Client(server.url, server.key, timeout_s=600), history
