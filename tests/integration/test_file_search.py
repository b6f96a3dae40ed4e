"""A file, a vector store, and an answer that cites it: the official client on a server as it comes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from openai.types.responses import (
    ResponseFileSearchToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseOutputTextAnnotationAddedEvent,
    ResponseTextDeltaEvent,
)

FJORDS = b"""# Fjords of Norway

The Sognefjord is the deepest fjord of Norway, with 1308 metres of water in it.

# Mountains of Norway

The Galdhoepiggen is the highest mountain, with 2469 metres.
"""
LAKES = b"The Mjosa is the largest lake of Norway. Its deepest place has 453 metres."


@dataclass(frozen=True)
class Library:
    """A store of two files."""

    store: str
    fjords: str
    lakes: str

    def tool(self, **more: Any) -> Any:
        return {"type": "file_search", "vector_store_ids": [self.store], **more}


@pytest.fixture
def library(client: openai.OpenAI) -> Iterator[Library]:
    store = client.vector_stores.create(name="Norway")
    fjords = client.files.create(file=("fjords.md", FJORDS), purpose="assistants")
    lakes = client.files.create(file=("lakes.txt", LAKES), purpose="user_data")
    for file, kind in ((fjords, "sea"), (lakes, "lake")):
        put = client.vector_stores.files.create_and_poll(
            file.id, vector_store_id=store.id, attributes={"kind": kind, "year": 2024}
        )
        assert put.status == "completed", put.last_error
    yield Library(store.id, fjords.id, lakes.id)
    client.vector_stores.delete(store.id)


def parts(response: Any) -> tuple[ResponseFileSearchToolCall, ResponseOutputText]:
    call, message = response.output
    assert isinstance(call, ResponseFileSearchToolCall)
    assert isinstance(message, ResponseOutputMessage)
    text = message.content[0]
    assert isinstance(text, ResponseOutputText)
    return call, text


def test_an_answer_cites_the_file_that_it_is_from(client: openai.OpenAI, library: Library) -> None:
    response = client.responses.create(
        model="scripted/demo",
        input="What is the deepest fjord?",
        tools=[library.tool()],
        include=["file_search_call.results"],
    )
    call, text = parts(response)
    assert call.status == "completed"
    assert call.queries == ["What is the deepest fjord?"]
    assert call.results
    first = call.results[0]
    assert (first.file_id, first.filename) == (library.fjords, "fjords.md")
    assert "Sognefjord" in (first.text or "")
    assert first.attributes is not None
    assert first.attributes["kind"] == "sea"
    assert FJORDS.decode()[int(first.attributes["start"]) :].startswith((first.text or "")[:20])
    assert 0 < (first.score or 0) <= 1
    [citation] = text.annotations
    assert citation.type == "file_citation"
    assert (citation.file_id, citation.filename) == (library.fjords, "fjords.md")
    assert citation.index == len(text.text)
    assert "Sognefjord" in text.text
    assert "cite" not in text.text


def test_the_stream_adds_up_to_the_stored_response(client: openai.OpenAI, library: Library) -> None:
    said = ""
    cited: list[Any] = []
    kinds: list[str] = []
    with client.responses.stream(
        model="scripted/demo", input="What is the deepest fjord?", tools=[library.tool()]
    ) as stream:
        for event in stream:
            kinds.append(event.type)
            if isinstance(event, ResponseTextDeltaEvent):
                said += event.delta
            elif isinstance(event, ResponseOutputTextAnnotationAddedEvent):
                cited.append(event.annotation)
                assert cited[-1].index == len(said)
        final = stream.get_final_response()
    call, text = parts(final)
    assert call.results is None
    assert said == text.text
    assert [one.model_dump() for one in text.annotations] == [one.model_dump() for one in cited]
    searching = [one for one in kinds if "file_search_call" in one]
    assert [one.rpartition(".")[2] for one in searching] == ["in_progress", "searching", "completed"]
    again = client.responses.retrieve(final.id)
    stored_call, stored_text = parts(again)
    assert stored_call.model_dump() == call.model_dump()
    assert stored_text.model_dump().items() <= text.model_dump().items()  # the helper adds `parsed`


def test_filters_and_limits_hold(client: openai.OpenAI, library: Library) -> None:
    lake = {"type": "and", "filters": [{"type": "eq", "key": "kind", "value": "lake"}]}
    response = client.responses.create(
        model="scripted/demo",
        input="What is the deepest of Norway?",
        tools=[library.tool(filters=lake, max_num_results=1)],
        include=["file_search_call.results"],
    )
    call, text = parts(response)
    assert [one.file_id for one in call.results or ()] == [library.lakes]
    assert [one.filename for one in text.annotations if one.type == "file_citation"] == ["lakes.txt"]
    nothing = {"type": "gt", "key": "year", "value": 2024}
    response = client.responses.create(
        model="scripted/demo", input="deepest?", tools=[library.tool(filters=nothing)]
    )
    assert parts(response)[1].annotations == []


def test_a_later_turn_goes_on_from_what_was_found(client: openai.OpenAI, library: Library) -> None:
    first = client.responses.create(
        model="scripted/demo", input="What is the deepest fjord?", tools=[library.tool()]
    )
    second = client.responses.create(
        model="scripted/demo",
        input="And the largest lake?",
        tools=[library.tool()],
        previous_response_id=first.id,
    )
    assert [one.filename for one in parts(second)[1].annotations if one.type == "file_citation"] == [
        "lakes.txt"
    ]
    listed = client.responses.input_items.list(second.id, include=["file_search_call.results"], order="asc")
    kinds = [one.type for one in listed.data]
    assert kinds == ["message", "file_search_call", "message", "message"]
    call: Any = listed.data[1]
    assert call.results[0].file_id == library.fjords


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"vector_store_ids": ["vs_unknown"]}, 404, "tools[0].vector_store_ids[0]"),
        ({"vector_store_ids": []}, 400, "tools[0].vector_store_ids"),
        ({"max_num_results": 0}, 400, "tools[0].max_num_results"),
        ({"max_num_results": 51}, 400, "tools[0].max_num_results"),
        ({"filters": {"type": "eq", "key": "a"}}, 400, "tools[0].filters.value"),
        ({"filters": {"type": "and", "filters": []}}, 400, "tools[0].filters.filters"),
        ({"filters": {"type": "like", "key": "a", "value": "b"}}, 400, "tools[0].filters.type"),
        ({"filters": {"type": "in", "key": "a", "value": "b"}}, 400, "tools[0].filters.value"),
        ({"ranking_options": {"score_threshold": 2}}, 400, "tools[0].ranking_options.score_threshold"),
        ({"ranking_options": {"ranker": "best"}}, 400, "tools[0].ranking_options.ranker"),
        ({"rank": 1}, 400, "tools[0].rank"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(
    client: openai.OpenAI, library: Library, change: dict[str, Any], status: int, param: str
) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        client.responses.create(model="scripted/demo", input="hi", tools=[library.tool(**change)])
    assert refused.value.status_code == status
    assert refused.value.param == param
