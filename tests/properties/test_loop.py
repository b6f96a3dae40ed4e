"""What holds for every run, whatever the model does. Each property is shown to catch a seeded fault."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, event, find, given, settings
from hypothesis.errors import NoSuchExample

from antiphon.core import signals
from antiphon.core.commands import Step
from antiphon.core.hosted_items import McpCall, ToolSearchOutput
from antiphon.core.items import Call, CallOutput
from antiphon.core.loop import Loop
from antiphon.core.machine_items import ShellCall
from antiphon.core.server_calls import ServerCalls
from antiphon.core.toolbox import Toolbox
from antiphon.core.transcript import Transcript
from antiphon.core.writer import Event, EventWriter
from tests.properties.scripts import CLIENT_RUN, SERVER_TOOLS, Played, Player, Script, scripts

QUESTIONS = ("mcp_approval_request", "antiphon:mcp_elicitation_request")
MCP_ITEMS = (*QUESTIONS, "mcp_list_tools", "mcp_call")
TERMINAL = {"response.completed", "response.incomplete", "response.failed"}


def decoded(played: Played) -> list[dict[str, Any]]:
    return [json.loads(one.data) for one in played.events]


def ends_once(played: Played) -> bool:
    ends = [at for at, one in enumerate(played.events) if one.type in TERMINAL]
    return len(played.finishes) == 1 and ends == [len(played.events) - 1]


def numbers_have_no_gap(played: Played) -> bool:
    return [one["sequence_number"] for one in decoded(played)] == list(range(len(played.events)))


def event_names_match(played: Played) -> bool:
    return all(one.type == body["type"] for one, body in zip(played.events, decoded(played), strict=True))


def indexes_are_distinct_and_stable(played: Played) -> bool:
    place: dict[str, int] = {}
    for body in decoded(played):
        if body["type"] == "response.output_item.added":
            place[body["item"]["id"]] = body["output_index"]
        item_id = body.get("item_id") or body.get("item", {}).get("id")
        if item_id is not None and place.get(item_id) != body["output_index"]:
            return False
    return sorted(place.values()) == list(range(len(place)))


def every_item_is_closed_once(played: Played) -> bool:
    open_items: set[str] = set()
    for body in decoded(played):
        if body["type"] == "response.output_item.added":
            open_items.add(body["item"]["id"])
        elif body["type"] == "response.output_item.done":
            if body["item"]["id"] not in open_items:
                return False
            open_items.remove(body["item"]["id"])
    return not open_items


def every_call_is_answered_before_the_next_step(played: Played) -> bool:
    for call in played.calls:
        items = call.transcript.items
        calls = [item.call_id for item in items if isinstance(item, Call)]
        answers = [item.call_id for item in items if isinstance(item, CallOutput)]
        if sorted(calls) != sorted(answers):
            return False
    return True


def final_output_is_the_fold_of_the_events(played: Played) -> bool:
    done = {
        body["output_index"]: body["item"]
        for body in decoded(played)
        if body["type"] == "response.output_item.done"
    }
    output: list[Any] = json.loads(played.final)["output"]
    last: list[Any] = decoded(played)[-1]["response"]["output"]
    return [done[index] for index in sorted(done)] == output == last


def deltas_add_up(played: Played) -> bool:
    """Reconstruct each text from its deltas alone and compare with the `done` events and the final object."""
    built: dict[tuple[str, str, int], str] = {}
    final = {item["id"]: item for item in json.loads(played.final)["output"]}
    for body in decoded(played):
        kind, _, verb = body["type"].rpartition(".")
        key = (body.get("item_id", ""), kind, body.get("content_index", body.get("summary_index", 0)))
        if verb == "delta":
            built[key] = built.get(key, "") + body["delta"]
        elif verb == "done" and kind.endswith(
            ("output_text", "refusal", "arguments", "input", "reasoning_text", "summary_text")
        ):
            text = next(body[name] for name in ("text", "refusal", "arguments", "input") if name in body)
            if built.get(key, "") != text or _text_of(final[key[0]], kind, key[2]) != text:
                return False
    return True


def _text_of(item: dict[str, Any], kind: str, index: int) -> str:
    if kind.endswith(("arguments", "input")):
        return str(item["arguments" if kind.endswith("arguments") else "input"])
    part = item["summary" if kind.endswith("summary_text") else "content"][index]
    return str(part.get("text", part.get("refusal")))


def forbidden_calls_are_never_shown(played: Played) -> bool:
    shown = {item["name"] for item in json.loads(played.final)["output"] if item["type"] == "function_call"}
    return not shown & {"unheard_of", "search", "lookup"}


def one_item_at_a_time(played: Played) -> bool:
    """Between an item's first event and its last there is no other item's."""
    current: int | None = None
    for body in decoded(played):
        index = body.get("output_index")
        if index is not None and current not in (None, index):
            return False
        if body["type"] == "response.output_item.added":
            current = index
        elif body["type"] == "response.output_item.done":
            current = None
    return True


def items_of(played: Played) -> list[dict[str, Any]]:
    output: list[dict[str, Any]] = json.loads(played.final)["output"]
    return output


def calls_keep_the_models_order(played: Played) -> bool:
    """A call is named by its step and its place in it; a search of the server's own has no name, and one that an
    upstream left without is named by us.
    """
    named = [item["call_id"].split("_")[1:] for item in items_of(played) if item.get("call_id")]
    places = [[int(part) for part in parts] for parts in named if all(part.isdigit() for part in parts)]
    return places == sorted(places)


def kinds_keep_the_models_order(played: Played) -> bool:
    """What is shown of the model calls is what they made, in their order, with nothing twice."""
    made = iter(played.kinds_made)
    ours = ("compaction", "file_search_call", *MCP_ITEMS)
    return all(item["type"] in made for item in items_of(played) if item["type"] not in ours)


def client_run_calls_are_items_of_their_own_type(played: Played) -> bool:
    functions = [item for item in items_of(played) if item["type"] == "function_call"]
    return not any(item["name"] in CLIENT_RUN or "__" in item["name"] for item in functions)


def what_the_client_is_to_answer_is_not_answered_here(played: Played) -> bool:
    shown = {item["call_id"] for item in items_of(played) if item.get("call_id")}
    answered = {
        item.call_id
        for call in played.calls
        for item in call.transcript.items
        if isinstance(item, CallOutput)
    }
    return not shown & answered


def searches_are_answered_at_once(played: Played) -> bool:
    kinds = [item["type"] for item in items_of(played)]
    asked = [at for at, kind in enumerate(kinds) if kind == "tool_search_call"]
    return kinds.count("tool_search_output") == len(asked) and all(
        kinds[at + 1 : at + 2] == ["tool_search_output"] for at in asked
    )


def commands_add_up(played: Played) -> bool:
    """The commands of each shell call, by the events alone."""
    told: dict[int, list[str]] = {}
    for body in decoded(played):
        if body["type"] == "response.shell_call_command.delta":
            told.setdefault(body["output_index"], []).append(body["delta"])
    shells = {at: item for at, item in enumerate(items_of(played)) if item["type"] == "shell_call"}
    return told == {at: item["action"]["commands"] for at, item in shells.items()}


def hosted_calls_tell_how_they_go(played: Played) -> bool:
    """Each is begun, carried out and ended, by events of its own."""
    told: dict[str, list[str]] = {}
    for body in decoded(played):
        if body["type"].startswith("response.file_search_call."):
            told.setdefault(body["item_id"], []).append(body["type"].rpartition(".")[2])
    whole = ["in_progress", "searching", "completed"]
    calls = {item["id"]: item["status"] for item in items_of(played) if item["type"] == "file_search_call"}
    return told == {
        item_id: whole if status == "completed" else whole[:2] for item_id, status in calls.items()
    }


def servers_are_asked_once(played: Played) -> bool:
    """At most one `tools/list` for each server, and an item for each, in front of all others."""
    asked = [one.tool.server_label for one in played.listings]
    kinds = [item["type"] for item in items_of(played)]
    return len(asked) == len(set(asked)) and kinds[: len(asked)] == ["mcp_list_tools"] * len(asked)


def servers_tell_how_it_goes(played: Played) -> bool:
    """Lists and calls of MCP servers are begun and ended by events of their own, between added and done."""
    told: dict[str, list[str]] = {}
    for body in decoded(played):
        if ".mcp_" in body["type"]:
            told.setdefault(body["item_id"], []).append(body["type"].removeprefix("response.mcp_"))
    expected: dict[str, list[str]] = {}
    for item in items_of(played):
        if item["type"] == "mcp_list_tools":
            is_cut = item["server_label"] != "down" and not item["tools"]
            ended = "failed" if item.get("error") else "completed"
            expected[item["id"]] = ["list_tools.in_progress", f"list_tools.{ended}"]
            if is_cut:
                return False
        elif item["type"] == "mcp_call":
            arguments = ["call_arguments.delta", "call_arguments.done"]
            ended_so = [f"call.{item['status']}"] if item["status"] != "incomplete" else []
            expected[item["id"]] = ["call.in_progress", *arguments, *ended_so]
    return told == expected


def users_are_waited_for(played: Played) -> bool:
    """What needs approval does not run, and behind a question to the user no model is asked."""
    asking = {"mcp_approval_request", "antiphon:mcp_elicitation_request"}
    ran = {one.item.name for one in played.tool_calls if isinstance(one.item, McpCall)}
    asked = [item["type"] for item in items_of(played) if item["type"] in asking]
    if "guarded" in ran:
        return False
    ends = {"completed", "failed", "cancelled"}
    return not asked or bool(played.finishes and played.finishes[0].status in ends)


def questions_end_the_response(played: Played) -> bool:
    """No model call is shown that comes behind one that ended in a question."""
    places = [at for at, item in enumerate(items_of(played)) if item["type"] in QUESTIONS]
    later = items_of(played)[places[0] + 1 :] if places else []
    return all(item["type"] in (*MCP_ITEMS, "file_search_call") for item in later)


def annotations_add_up(played: Played) -> bool:
    """Those of the events are those of the items, and none lies outside of its text."""
    told: dict[str, list[Any]] = {}
    for body in decoded(played):
        if body["type"] == "response.output_text.annotation.added":
            if body["annotation_index"] != len(told.setdefault(body["item_id"], [])):
                return False
            told[body["item_id"]].append(body["annotation"])
    found: dict[str, list[Any]] = {}
    for item in items_of(played):
        for part in item["content"] if item["type"] == "message" else ():
            for one in part.get("annotations", ()):
                if not 0 <= one["index"] <= len(part["text"]):
                    return False
                found.setdefault(item["id"], []).append(one)
    return told == found


PROPERTIES: list[Callable[[Played], bool]] = [
    ends_once,
    numbers_have_no_gap,
    event_names_match,
    indexes_are_distinct_and_stable,
    every_item_is_closed_once,
    every_call_is_answered_before_the_next_step,
    final_output_is_the_fold_of_the_events,
    deltas_add_up,
    forbidden_calls_are_never_shown,
    one_item_at_a_time,
    calls_keep_the_models_order,
    client_run_calls_are_items_of_their_own_type,
    searches_are_answered_at_once,
    commands_add_up,
    hosted_calls_tell_how_they_go,
    annotations_add_up,
    servers_are_asked_once,
    servers_tell_how_it_goes,
    users_are_waited_for,
    questions_end_the_response,
]
SCRIPTED_PROPERTIES = [
    *PROPERTIES,
    kinds_keep_the_models_order,
    what_the_client_is_to_answer_is_not_answered_here,
]
"""With those that need a model which is known and gives each call an id of its own."""


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scripts)
def test_every_property_holds_for_every_script(script: Script) -> None:
    played = Player(script).play()
    event(f"model calls: {min(len(played.calls), 4)}")
    event(f"end: {played.finishes[0].status if played.finishes else 'none'}")
    for kind in {item["type"] for item in items_of(played)}:
        event(f"shown: {kind}")
    for holds in SCRIPTED_PROPERTIES:
        assert holds(played), holds.__name__


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scripts.filter(lambda script: script.request.max_tool_calls is not None))
def test_max_tool_calls_bounds_what_runs(script: Script) -> None:
    played = Player(script).play()
    searches = [item for item in items_of(played) if item["type"] == "tool_search_call"]
    event(f"ran: {len(played.tool_calls)}, searched: {len(searches)}")
    assert len(played.tool_calls) + len(searches) <= (script.request.max_tool_calls or 0)


# --- seeded faults ----------------------------------------------------------------------------------------------
class SkipsANumber(EventWriter):
    def close(self, slot: int, item: Any) -> Any:
        self._next += 1
        return super().close(slot, item)


class ReusesAnIndex(EventWriter):
    def _item_event(self, event: str, open_item: Any, index: int, item: Any) -> None:
        super()._item_event(event, open_item, 0, item)


class ForgetsToClose(EventWriter):
    def _item_event(self, event: str, open_item: Any, index: int, item: Any) -> None:
        if event.endswith("added") or index != 1:
            super()._item_event(event, open_item, index, item)


class WritesSeveralAtOnce(EventWriter):
    def _say(self, open_item: Any, event: str, body: bytes) -> None:
        self._emit(event, body)


class LosesADelta(EventWriter):
    def delta(self, slot: int, kind: str, text: str, logprobs: Any = ()) -> None:
        super().delta(slot, kind, text[:1], logprobs)


class EndsTwice(EventWriter):
    def end(self, status: str, response: bytes) -> None:
        super().end(status, response)
        self._whole("response.completed", response)


class MisnamesAnEvent(EventWriter):
    def take(self) -> list[Event]:
        return [
            msgspec.structs.replace(one, type=one.type.replace("_text.done", "_text.delta"))
            for one in super().take()
        ]


def _play_with(writer: type[EventWriter]) -> Callable[[Script], Played]:
    return lambda script: Player(script, writer()).play()


def _without_answers(script: Script) -> Played:
    played = Player(script).play()
    for call in played.calls:
        kept = tuple(item for item in call.transcript.items if not isinstance(item, CallOutput))
        object.__setattr__(call.transcript, "items", kept)
    return played


class OutOfLine(Loop):
    """Opens what comes behind a client-run call before that is complete."""

    def _admit(self, slot: int, item: signals.ModelItem) -> bool:
        line, self._line = self._line, []
        try:
            return slot not in line and super()._admit(slot, item)
        finally:
            self._line = line + self._line


class AnswersToo(Loop):
    """Shows a client-run call and answers it as well."""

    def _whole_call(self, call: Call) -> Iterator[Step]:
        yield from super()._whole_call(call)
        self._calls.clear()
        self._rejections.append((call, "no"))


class FindsInSilence(ServerCalls):
    """Shows that it searched, and not what it found."""

    def show(self, item: signals.OutputItem, kind: str = "") -> Iterator[Step]:
        if not isinstance(item, ToolSearchOutput):
            yield from super().show(item, kind)


class Unaware(Loop):
    """Takes client-run tools for functions of the client's."""

    def _use(self, toolbox: Toolbox) -> None:
        super()._use(Functions(self.request, self.brought))


class Functions(Toolbox):
    def is_whole(self, name: str) -> bool:
        return False

    def outward(self, call: Call) -> Call:
        return call


class SearchesInSilence(EventWriter):
    def _call_event(self, open_item: Any, event: str) -> None:
        if not event.endswith("searching"):
            super()._call_event(open_item, event)


class AsksAgain(ServerCalls):
    """Goes on with the model although the user was asked."""

    def _ask_user(self, asks: Any) -> Iterator[Step]:
        yield from super()._ask_user(asks)
        self.asked = False

    def _asks_approval(self, call: Any, toolbox: Any) -> Any:
        yield from super()._asks_approval(call, toolbox)
        self.asked = False
        return False


class ListsEachTime(ServerCalls):
    """Asks a server again."""

    def listed(self, signal: signals.ToolsListed) -> Iterator[Step]:
        yield from super().listed(signal)
        if len(self.servers.unlisted) > 1:
            self.servers.unlisted.pop()
            yield from self.list_tools()


class EndsCallsInSilence(EventWriter):
    def _call_event(self, open_item: Any, event: str) -> None:
        if not event.endswith(("mcp_call.completed", "mcp_list_tools.failed")):
            super()._call_event(open_item, event)


class AnnotatesTwice(EventWriter):
    def _annotations(self, open_item: Any, part: Any, shown: Any) -> None:
        part.annotations.clear()
        super()._annotations(open_item, part, shown)


class ForgetsACommand(EventWriter):
    def _commands(self, open_item: Any, call: ShellCall) -> None:
        action = msgspec.structs.replace(call.action, commands=call.action.commands[:1])
        super()._commands(open_item, msgspec.structs.replace(call, action=action))


def _play_by(loop: type[Loop]) -> Callable[[Script], Played]:
    def play(script: Script) -> Played:
        player = Player(script)
        player.loop = loop(script.request, Transcript(), SERVER_TOOLS)
        return player.play()

    return play


def _play_with_calls_by(calls: type[ServerCalls]) -> Callable[[Script], Played]:
    def play(script: Script) -> Played:
        player = Player(script)
        player.loop.ours = calls(script.request, player.loop.mcp)
        player.loop.ours.citations = player.loop.citations
        return player.play()

    return play


def _showing_server_calls(script: Script) -> Played:
    player = Player(script)
    player.loop.server_tools = frozenset()
    return player.play()


@pytest.mark.parametrize(
    ("play", "caught_by"),
    [
        (_play_with(SkipsANumber), numbers_have_no_gap),
        (_play_with(ReusesAnIndex), indexes_are_distinct_and_stable),
        (_play_with(ForgetsToClose), every_item_is_closed_once),
        (_play_with(LosesADelta), deltas_add_up),
        (_play_with(WritesSeveralAtOnce), one_item_at_a_time),
        (_play_with(EndsTwice), ends_once),
        (_play_with(MisnamesAnEvent), event_names_match),
        (_play_with(ForgetsToClose), final_output_is_the_fold_of_the_events),
        (_without_answers, every_call_is_answered_before_the_next_step),
        (_showing_server_calls, forbidden_calls_are_never_shown),
        (_play_by(OutOfLine), calls_keep_the_models_order),
        (_play_by(OutOfLine), kinds_keep_the_models_order),
        (_play_by(Unaware), client_run_calls_are_items_of_their_own_type),
        (_play_by(AnswersToo), what_the_client_is_to_answer_is_not_answered_here),
        (_play_with_calls_by(FindsInSilence), searches_are_answered_at_once),
        (_play_with(ForgetsACommand), commands_add_up),
        (_play_with(SearchesInSilence), hosted_calls_tell_how_they_go),
        (_play_with(AnnotatesTwice), annotations_add_up),
        (_play_with_calls_by(AsksAgain), users_are_waited_for),
        (_play_with_calls_by(AsksAgain), questions_end_the_response),
        (_play_with_calls_by(ListsEachTime), servers_are_asked_once),
        (_play_with(EndsCallsInSilence), servers_tell_how_it_goes),
    ],
)
def test_a_seeded_fault_is_found(
    play: Callable[[Script], Played], caught_by: Callable[[Played], bool]
) -> None:
    try:
        find(
            scripts,
            lambda script: not caught_by(play(script)),
            settings=settings(max_examples=20_000, deadline=None, phases=[Phase.generate]),
        )
    except NoSuchExample:
        pytest.fail(f"{caught_by.__name__} never noticed the fault")
