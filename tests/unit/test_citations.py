"""Markers become citations, and are never seen."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.citations import Citations
from antiphon.core.hosted_items import FileSearchCall, FileSearchResult
from antiphon.core.items import FileCitation, Message, OutputText


def citations(count: int = 3) -> Citations:
    results = [
        FileSearchResult(file_id=f"file-{n}", filename=f"{n}.txt", text="…") for n in range(1, count + 1)
    ]
    made = Citations()
    made.numbered(FileSearchCall(id="fs_1", status="completed", queries=["q"], results=results))
    return made


def shown(text: str, made: Citations | None = None) -> tuple[str, list[tuple[str, int]]]:
    part = (
        (made or citations()).cleaned(Message(role="assistant", content=[OutputText(text=text)])).content[0]
    )
    assert isinstance(part, OutputText)
    found = [(one.file_id, one.index) for one in part.annotations if isinstance(one, FileCitation)]
    return part.text, found


@pytest.mark.parametrize(
    ("said", "seen", "found"),
    [
        ("Oslo is in Norway [cite:1].", "Oslo is in Norway.", [("file-1", 17)]),
        ("One[cite:1] two [cite: 2 ] end", "One two end", [("file-1", 3), ("file-2", 7)]),
        ("Both [cite:1, 3]!", "Both!", [("file-1", 4), ("file-3", 4)]),
        ("Twice [cite:2,2][cite:2]", "Twice", [("file-2", 5), ("file-2", 5)]),
        ("Unknown [cite:9].", "Unknown.", []),
        ("gpt-oss 【2†L1-L4】 style", "gpt-oss style", [("file-2", 7)]),
        ("threads 【4:1†source】", "threads", []),
        ("中文【1】标题", "中文标题", [("file-1", 2)]),
        ("中文【42】标题", "中文【42】标题", []),
        ("a[0] and [link](x) [ci] [cite] [cite:x]", "a[0] and [link](x) [ci] [cite] [cite:x]", []),
        ("cut off [cite:1", "cut off", []),
        ("cut off 【1†sou", "cut off", []),
        ("an open [", "an open [", []),
        ("spaces   ", "spaces   ", []),
        ("\U0001f600 grin [cite:1]", "\U0001f600 grin", [("file-1", 6)]),
        ("[cite:1]", "", [("file-1", 0)]),
        ("a [ci[cite:1]te:2] b", "a  b", [("file-1", 2), ("file-2", 2)]),
        ("[cite:[cite:1]2]", "", [("file-1", 0), ("file-2", 0)]),
        ("x [[cite:1] y", "x [ y", [("file-1", 2)]),
        ("[c[c[cite:1]ite:2]ite:3] z", " z", [("file-1", 0), ("file-2", 0), ("file-3", 0)]),
        ("", "", []),
    ],
)
def test_a_text_is_shown_without_markers(said: str, seen: str, found: list[tuple[str, int]]) -> None:
    assert shown(said) == (seen, found)


_PIECES = st.sampled_from(
    [
        "[cite:",
        "1",
        "2",
        "9",
        ",",
        " ",
        "]",
        "[",
        "【",
        "】",
        "†",
        "L3",
        "a",
        "b. ",
        "\n",
        "cite",
        ":",
        "  ",
        "c",
        "[ci",
        "te:2]",
        "[cite:1]",
    ]
)


@given(st.lists(_PIECES, max_size=40), st.lists(st.integers(0, 80), max_size=8))
def test_however_a_text_is_cut_it_is_shown_alike(pieces: list[str], cuts: list[int]) -> None:
    text = "".join(pieces)
    whole, found = shown(text)
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    made = citations()
    out = [piece for start, end in itertools.pairwise(places) for piece in made.feed(0, text[start:end])]
    out += made.finish(0)
    assert "".join(one for one in out if isinstance(one, str)) == whole
    assert [(one.file_id, one.index) for one in out if isinstance(one, FileCitation)] == found
    assert all(0 <= index <= len(whole) for _, index in found)


def test_numbers_go_on_over_searches() -> None:
    made = citations(2)
    results = [FileSearchResult(file_id="file-x", filename="x", text="…")]
    later = made.numbered(FileSearchCall(id="fs_2", status="completed", queries=["q"], results=results))
    assert later.results
    assert later.results[0].number == 3
    assert shown("See [cite:3]", made) == ("See", [("file-x", 3)])
    again = Citations.of([later])
    assert shown("See [cite:3] and [cite:1]", again) == ("See and", [("file-x", 3)])
