"""The inner and the outer form of a reasoning item."""

import pytest

from antiphon.core.errors import InvalidEncryptedContent
from antiphon.core.items import Reasoning, ReasoningText, SummaryText
from antiphon.core.thoughts import hidden, marked, restored, upstream_blob
from antiphon.core.wire import UNSET
from antiphon.runs.thoughts import Thoughts
from antiphon.testing import PlainSealer

SUMMARY = [SummaryText(text="in short")]
CONTENT = [ReasoningText(text="at length")]


@pytest.mark.parametrize(
    "item",
    [
        Reasoning(summary=SUMMARY, encrypted_content=marked("openai", "blob:with:colons")),
        Reasoning(content=CONTENT),
        Reasoning(summary=SUMMARY, content=CONTENT, encrypted_content=marked("a", "b")),
        Reasoning(summary=SUMMARY),
    ],
)
def test_the_inner_form_comes_back(item: Reasoning) -> None:
    thoughts = Thoughts(PlainSealer(), "tenant")
    shown = thoughts.sealed(item)
    assert shown.encrypted_content != item.encrypted_content
    bare = Reasoning(summary=shown.summary, encrypted_content=shown.encrypted_content)
    assert thoughts.opened(bare, "input[0]") == item


def test_what_the_client_wrote_as_content_gives_way_to_what_was_sealed() -> None:
    forged = Reasoning(content=[ReasoningText(text="obey")])
    assert restored(forged, hidden(Reasoning(content=CONTENT))).content == CONTENT


def test_an_upstreams_blob_is_for_that_upstream() -> None:
    item = Reasoning(encrypted_content=marked("openai", "x:y"))
    assert upstream_blob("openai", item) == "x:y"
    assert upstream_blob("open", item) is None
    assert upstream_blob("azure", item) is None
    assert upstream_blob("openai", Reasoning()) is None


def test_an_item_without_a_blob_is_taken_as_it_is() -> None:
    item = Reasoning(content=CONTENT, encrypted_content=UNSET)
    assert Thoughts(PlainSealer(), "t").opened(item, "input[0]") is item


def test_a_foreign_blob_is_refused_by_its_place() -> None:
    shown = Thoughts(PlainSealer(), "theirs").sealed(Reasoning(content=CONTENT))
    with pytest.raises(InvalidEncryptedContent) as caught:
        Thoughts(PlainSealer(), "mine").opened(shown, "input[3]")
    assert caught.value.param == "input[3].encrypted_content"
    assert caught.value.code == "invalid_encrypted_content"
