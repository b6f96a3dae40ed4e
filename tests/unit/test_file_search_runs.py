"""`file_search` in a run: items, events in order, results by include, citations, and what the next turn sees."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from antiphon.core.commands import CallTool
from antiphon.core.errors import NotFound
from antiphon.core.hosted_items import FileSearchResult
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ToolDone
from antiphon.core.writer import Event
from antiphon.models.catalog import Catalog
from antiphon.ports import Owner
from antiphon.ports.mcp import CallHost
from antiphon.responses.rendering import Visible
from antiphon.responses.service import ResponseService
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, FakeIds, PlainSealer, Scripted, scripted_model
from antiphon.tools.none import NoTools

OWNER = Owner("t", "o")
TOOL = {"type": "file_search", "vector_store_ids": ["vs_1"]}
SEARCH = {"calls": [{"name": "file_search", "arguments": {"queries": ["fjords", "Oslo"]}}]}
ANSWER = "Oslo lies at a fjord [cite:1]. So does Bergen [cite:2], they say [cite:1,2]."
CITING = (
    {"when": {"tool_outputs": False}, "reply": [SEARCH]},
    {"when": {"tool_outputs": True}, "reply": [{"text": ANSWER, "by": "char"}]},
)


class Files(NoTools):
    """A `ToolRuntime` that finds two passages, or fails."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.calls: list[CallTool] = []

    async def check(self, owner: Owner, tools: Sequence[AnyTool]) -> None:
        if "vs_gone" in str(tools):
            raise NotFound("there is no vector store", param="tools[0].vector_store_ids[0]")

    async def run(self, owner: Owner, call: CallTool, host: CallHost) -> ToolDone:
        self.calls.append(call)
        assert call.item is not None
        found = [
            FileSearchResult(
                file_id="file-a", filename="a.md", text="Oslo: a fjord", score=0.9, attributes={}
            ),
            FileSearchResult(
                file_id="file-b",
                filename="b.pdf",
                text="Bergen: seven hills",
                score=0.5,
                attributes={"page": 3},
            ),
        ]
        status = "failed" if self.fails else "completed"
        item = msgspec.structs.replace(call.item, status=status, results=[] if self.fails else found)
        return ToolDone(call.call.call_id, "", item)


def service(*rules: Any, files: Files | None = None) -> ResponseService:
    catalog = Catalog({"demo": scripted_model(*rules)}, clock=FakeClock())
    return ResponseService(catalog, MemoryStore(), files or Files(), FakeClock(), FakeIds(), PlainSealer())


async def respond(responses: ResponseService, **fields: object) -> tuple[dict[str, Any], list[Event]]:
    body = json.dumps({"model": "demo", "input": "Where is Oslo?", "tools": [TOOL], **fields}).encode()
    run = await responses.prepare(OWNER, ResponseRequest.parse(body))
    events: list[Event] = []

    async def emit(some: list[Event]) -> None:
        events.extend(some)

    run.emit = emit if fields.get("stream") else None
    made: dict[str, Any] = json.loads(await run.execute())
    return made, events


def cited(part: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [(one["file_id"], one["filename"], one["index"]) for one in part["annotations"]]


WHOLE = "Oslo lies at a fjord. So does Bergen, they say."
CITED = [("file-a", "a.md", 20), ("file-b", "b.pdf", 36), ("file-a", "a.md", 46), ("file-b", "b.pdf", 46)]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_search_is_an_item_and_its_sources_are_cited(stream: bool) -> None:
    made, _ = await respond(service(*CITING), stream=stream)
    call, message = made["output"]
    assert call["type"] == "file_search_call"
    assert call["id"].startswith("fs_")
    assert (call["status"], call["queries"], call["results"]) == ("completed", ["fjords", "Oslo"], None)
    assert message["content"][0]["text"] == WHOLE
    assert cited(message["content"][0]) == CITED


async def test_the_events_are_in_order_and_add_up() -> None:
    _, events = await respond(service(*CITING), stream=True, stream_options={"include_obfuscation": False})
    types = [one.type.removeprefix("response.") for one in events]
    assert types[:7] == [
        "created",
        "in_progress",
        "output_item.added",
        "file_search_call.in_progress",
        "file_search_call.searching",
        "file_search_call.completed",
        "output_item.done",
    ]
    bodies = [json.loads(one.data) for one in events]
    assert [one["sequence_number"] for one in bodies] == list(range(len(bodies)))
    said = ""
    places: list[int] = []
    for one in bodies:
        if one["type"] == "response.output_text.delta":
            said += one["delta"]
        elif one["type"] == "response.output_text.annotation.added":
            assert one["annotation"]["index"] == len(said), "an annotation comes where its marker stood"
            places.append(one["annotation_index"])
    assert said == WHOLE
    assert places == [0, 1, 2, 3]
    assert types[-4:] == ["output_text.done", "content_part.done", "output_item.done", "completed"]


async def test_results_are_shown_to_who_asks_for_them() -> None:
    responses = service(*CITING)
    made, _ = await respond(responses, include=["file_search_call.results"])
    results = made["output"][0]["results"]
    assert [one["filename"] for one in results] == ["a.md", "b.pdf"]
    assert results[1]["attributes"] == {"page": 3}
    assert all("number" not in one for one in results)
    plain = json.loads(await responses.get(OWNER, made["id"], Visible()))
    assert plain["output"][0]["results"] is None
    asked = json.loads(await responses.get(OWNER, made["id"], Visible.of(["file_search_call.results"])))
    assert asked["output"] == made["output"]
    items = await responses.input_items(
        OWNER, (await respond(responses, previous_response_id=made["id"]))[0]["id"]
    )
    shown = responses.shown_items(OWNER, items, Visible())
    assert '"results":null' in msgspec.json.encode(shown).decode()


class Listening:
    """Keeps the transcript of each call of a scripted model."""

    def __init__(self, model: Scripted) -> None:
        self.model = model
        self.heard: list[list[Any]] = []
        self.tools: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def stream(self, model: str, call: Any) -> Any:
        self.heard.append(call.transcript.all_items())
        self.tools.append(call.request.tools)
        return self.model.stream(model, call)


async def test_the_next_turn_sees_what_was_found_and_can_cite_it() -> None:
    later = {"when": {"text": "again"}, "reply": [{"text": "As said [cite:2]."}]}
    listening: Any = Listening(scripted_model(later, *CITING))
    catalog = Catalog({"demo": listening}, clock=FakeClock())
    responses = ResponseService(catalog, MemoryStore(), Files(), FakeClock(), FakeIds(), PlainSealer())
    first, _ = await respond(responses)
    second, _ = await respond(responses, input="again?", previous_response_id=first["id"], tools=[])
    assert second["output"][0]["content"][0]["text"] == "As said."
    assert cited(second["output"][0]["content"][0]) == [("file-b", "b.pdf", 7)]
    told = [item.output for item in listening.heard[1] if hasattr(item, "output")]
    again = [item.output for item in listening.heard[2] if hasattr(item, "output")]
    assert told == again
    assert told == ["[1] a.md:\nOslo: a fjord\n\n[2] b.pdf, page 3:\nBergen: seven hills"]


async def test_a_search_that_fails_is_told_to_the_model() -> None:
    rule = {"when": {"tool_outputs": True}, "reply": [{"text": "{{tool_outputs}}"}]}
    made, _ = await respond(service(rule, CITING[0], files=Files(fails=True)))
    assert made["status"] == "completed"
    assert made["output"][0]["status"] == "failed"
    assert "could not be searched" in made["output"][1]["content"][0]["text"]


async def test_a_call_that_cannot_be_read_is_answered_without_an_item() -> None:
    files = Files()
    bad = {
        "when": {"step": 1},
        "reply": [{"calls": [{"name": "file_search", "arguments": '{"queries": []}'}]}],
    }
    made, _ = await respond(service(bad, {"when": {"step": 2}, "reply": [SEARCH]}, *CITING, files=files))
    assert [item["type"] for item in made["output"]] == ["file_search_call", "message"]
    assert len(files.calls) == 1


async def test_beyond_max_tool_calls_nothing_is_searched() -> None:
    files = Files()
    twice = {"when": {"tool_outputs": False}, "reply": [{"calls": [*SEARCH["calls"], *SEARCH["calls"]]}]}
    made, _ = await respond(service(twice, *CITING, files=files), max_tool_calls=1)
    assert len(files.calls) == 1
    assert [item["type"] for item in made["output"]] == ["file_search_call", "message"]


async def test_an_answer_in_json_is_not_asked_to_cite() -> None:
    listening: Any = Listening(scripted_model(*CITING))
    catalog = Catalog({"demo": listening}, clock=FakeClock())
    responses = ResponseService(catalog, MemoryStore(), Files(), FakeClock(), FakeIds(), PlainSealer())
    body = {"model": "demo", "input": "hi", "tools": [TOOL], "text": {"format": {"type": "json_object"}}}
    run = await responses.prepare(OWNER, ResponseRequest.parse(json.dumps(body).encode()))
    await run.execute()
    assert "cite" not in listening.tools[0][0].description
    assert "a.md:" in str(listening.heard[-1])
    assert "[1]" not in str(listening.heard[-1])


async def test_a_store_that_is_not_there_is_refused_before_the_run() -> None:
    with pytest.raises(NotFound) as refused:
        await respond(service(), tools=[{**TOOL, "vector_store_ids": ["vs_gone"]}])
    assert refused.value.param == "tools[0].vector_store_ids[0]"


async def test_the_built_in_model_searches_and_cites() -> None:
    made, _ = await respond(service())
    assert made["output"][0]["queries"] == ["Where is Oslo?"]
    assert made["output"][1]["content"][0]["text"] == "This is in a.md: Oslo: a fjord"
    assert cited(made["output"][1]["content"][0]) == [("file-a", "a.md", 30)]


async def test_a_replayed_search_is_seen_by_the_model() -> None:
    responses = service(*CITING)
    first, _ = await respond(responses, include=["file_search_call.results"], store=False)
    again = [{"role": "user", "content": "hi"}, *first["output"], {"role": "user", "content": "and?"}]
    made, _ = await respond(responses, input=again, store=False)
    assert [item["type"] for item in made["output"]] == ["file_search_call", "message"]


async def test_a_function_beside_it_is_left_to_the_client() -> None:
    both = {"reply": [{"calls": [{"name": "weather", "arguments": "{}"}, *SEARCH["calls"]]}]}
    made, _ = await respond(
        service({"when": {"tool_outputs": False}, **both}, *CITING),
        tools=[TOOL, {"type": "function", "name": "weather"}],
    )
    assert [item["type"] for item in made["output"]] == ["function_call", "file_search_call"]
    assert made["output"][1]["status"] == "completed"
