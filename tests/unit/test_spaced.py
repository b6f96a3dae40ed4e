"""Text of scripts without spaces, as a word index takes it."""

import pytest

from antiphon.indexes.spaced import is_one_letter, spaced, spaced_query


@pytest.mark.parametrize(
    ("text", "document", "query"),
    [
        ("plain words, as they are", "plain words, as they are", "plain words, as they are"),
        ("Köln", "Köln", "Köln"),
        ("東京都", "東京 京都 都", "東京 京都"),
        ("東", "東", "東"),
        ("in東京at", "in 東京 京 at", "in 東京 at"),
        ("カタカナ", "カタ タカ カナ ナ", "カタ タカ カナ"),
        ("한국의", "한국 국의 의", "한국 국의"),
        ("\uff21\uff22\uff23 \uff76\uff85", "ABC カナ ナ", "ABC カナ"),  # full and half width
        ("كِتَابٌ", "كتاب", "كتاب"),
        ("\U0002000b\U0002000c", "\U0002000b\U0002000c \U0002000c", "\U0002000b\U0002000c"),
        ("", "", ""),
    ],
)
def test_runs_become_pairs(text: str, document: str, query: str) -> None:
    assert spaced(text).split() == document.split()
    assert spaced_query(text).split() == query.split()


def test_only_a_letter_of_such_a_script_begins_pairs() -> None:
    assert [is_one_letter(word) for word in ("東", "東京", "a", "é", "")] == [
        True,
        False,
        False,
        False,
        False,
    ]


def test_what_a_query_asks_for_is_in_every_document_that_holds_it() -> None:
    text = "人工智能正在改变世界"
    words = spaced(text).split()
    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            asked = spaced_query(text[start:end]).split()
            if len(asked) == 1 and is_one_letter(asked[0]):
                assert any(word.startswith(asked[0]) for word in words)
            else:
                assert set(asked) <= set(words)
