"""`text.format` of type `grammar`, with the official client, over an upstream that knows no grammars."""

from typing import Any

import openai
import pytest

from tests.integration.upstream import Upstream

ECHO = r"You said: (one|Your answer does not match[\s\S]*)"


def grammar(definition: str, syntax: str = "regex") -> Any:
    return {"format": {"type": "grammar", "syntax": syntax, "definition": definition}}


def test_the_model_is_told_the_grammar_and_what_matches_is_the_answer(
    client: openai.OpenAI, upstream: Upstream
) -> None:
    before = len(upstream.seen.requests)
    final = client.responses.create(model="echo", input="one", text=grammar(ECHO), instructions="Be brief.")
    assert final.output_text == "You said: one"
    assert len(upstream.seen.requests) == before + 1
    system = upstream.last_request()["messages"][0]["content"]
    assert system.startswith("Be brief.\n\nAnswer with text that matches this regular expression")
    assert ECHO in system
    shown: Any = final.text
    assert (shown.format.type, shown.format.syntax, shown.format.definition) == ("grammar", "regex", ECHO)


@pytest.mark.parametrize("streamed", [False, True])
def test_what_breaks_it_is_asked_for_once_more_and_never_shown(
    client: openai.OpenAI, upstream: Upstream, streamed: bool
) -> None:
    before = len(upstream.seen.requests)
    final: Any
    if streamed:
        events = list(client.responses.create(model="echo", input="two", text=grammar(ECHO), stream=True))
        shown = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        last: Any = events[-1]
        final = last.response
        assert shown == final.output_text
    else:
        final = client.responses.create(model="echo", input="two", text=grammar(ECHO))
    assert final.status == "completed"
    assert len(final.output) == 1
    assert len(upstream.seen.requests) == before + 2
    told = upstream.last_request()["messages"][-1]["content"]
    assert told.startswith("Your answer does not match the required regular expression: it breaks off at")
    assert final.output_text == f"You said: {told}"


def test_a_model_that_keeps_breaking_it_ends_as_a_failed_response(client: openai.OpenAI) -> None:
    definition = 'start: "yes" | "no"'
    final = client.responses.create(model="echo", input="maybe", text=grammar(definition, "lark"))
    assert final.status == "failed"
    assert final.error is not None
    assert "its answer does not match text.format" in final.error.message
    assert final.output == []


@pytest.mark.parametrize(
    ("text", "param", "says"),
    [
        (grammar("(a"), "text.format.definition", "unclosed group"),
        (grammar("start: nothing", "lark"), "text.format.definition", "unknown name"),
        (grammar("  "), "text.format.definition", "empty"),
        (grammar("a", "gbnf"), "text.format.syntax", "lark"),
        ({"format": {"type": "grammar", "syntax": "lark"}}, "text.format.definition", "required"),
        ({"format": {"type": "grammar", "definition": "a"}}, "text.format.syntax", "required"),
        (
            {"format": {"type": "grammar", "syntax": "regex", "definition": 5}},
            "text.format.definition",
            "str",
        ),
        (
            {"format": {"type": "grammar", "syntax": "regex", "definition": "a", "name": "x"}},
            "text.format.name",
            "name",
        ),
        ({"format": {"type": "ebnf"}}, "text.format.type", "grammar"),
    ],
)
def test_a_fault_of_the_grammar_is_named_with_its_place(
    client: openai.OpenAI, upstream: Upstream, text: Any, param: str, says: str
) -> None:
    before = len(upstream.seen.requests)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="echo", input="x", text=text)
    assert caught.value.param == param
    assert says in str(caught.value)
    assert len(upstream.seen.requests) == before
