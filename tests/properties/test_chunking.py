"""What holds for the chunks of every document."""

from bisect import bisect_right
from itertools import pairwise

from hypothesis import event, given
from hypothesis import strategies as st

from antiphon.core.chunk_tokens import TokenMap, count_tokens
from antiphon.core.chunking import chunks
from antiphon.core.chunking_strategy import ChunkSizes
from antiphon.core.documents import Document, Heading, TextChunk

WORDS = st.sampled_from(
    [
        "fish",
        "the",
        "a",
        "x_y",
        "(),",
        "--",
        "1234",
        "Größe",
        "世界",
        "ответственность",
        "e\u0301",
        "🙂",
        "²",
        "_",
    ]
)
BETWEEN = st.sampled_from([" ", " ", " ", ". ", "\n", "\n\n", "", "\t", " " * 20, "。", "\x0b\u2028"])


@st.composite
def texts(draw: st.DrawFn) -> str:
    pieces = draw(st.lists(st.tuples(WORDS, BETWEEN, st.integers(1, 30)), max_size=40))
    return "".join((word + between) * times for word, between, times in pieces)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """With headings and pages at any offset."""
    text = draw(texts())
    offsets = st.integers(0, len(text))
    starts = sorted(draw(st.sets(offsets, max_size=12)))
    headings = tuple(Heading(at, draw(st.integers(1, 6)), f"at {at}") for at in starts)
    pages = tuple(sorted({0, *draw(st.sets(offsets, max_size=4))})) if draw(st.booleans()) else ()
    return Document(text, pages, headings)


@st.composite
def sizes(draw: st.DrawFn) -> ChunkSizes:
    most = draw(st.sampled_from([16, 40, 100]))
    return ChunkSizes(most, draw(st.integers(0, most * 3 // 4)), by_section=draw(st.booleans()))


@given(documents(), sizes())
def test_chunks_are_exact_within_their_limit_and_leave_nothing_out(
    document: Document, asked: ChunkSizes
) -> None:
    made = list(chunks(document, asked))
    event(f"chunks: {min(len(made), 5)}")
    covered = 0
    for one in made:
        assert document.text[one.start : one.end] == one.text
        assert one.text == one.text.strip()
        assert 0 < count_tokens(one.text) <= asked.max_tokens
        assert not document.text[covered : one.start].strip()
        assert one.end > covered
        covered = one.end
    assert not document.text[covered:].strip()
    assert [one.start for one in made] == sorted({one.start for one in made})


@given(documents(), sizes())
def test_a_chunk_knows_its_page_and_the_headings_above_it(document: Document, asked: ChunkSizes) -> None:
    for one in chunks(document, asked):
        page = max(1, bisect_right(document.pages, one.start)) if document.pages else None
        assert one.page == page
        assert one.headings == tuple(above(document, one.start))


def above(document: Document, offset: int) -> list[str]:
    """The plain meaning: of the headings so far those that no later one of the same or a higher level replaced."""
    so_far = [one for one in document.headings if one.start <= offset]
    return [
        one.title
        for at, one in enumerate(so_far)
        if all(later.level > one.level for later in so_far[at + 1 :])
    ]


@given(texts(), sizes())
def test_chunks_overlap_by_what_was_asked_less_a_quarter_at_most(text: str, asked: ChunkSizes) -> None:
    whole = ChunkSizes(asked.max_tokens, asked.overlap_tokens)
    made = list(chunks(Document(text), whole))
    for one, after in pairwise(made):
        shared = count_tokens(text[after.start : one.end]) if after.start < one.end else 0
        event("overlaps" if shared else "does not")
        assert shared <= asked.overlap_tokens
        # White space of 16 characters is a token too, and no chunk begins or ends with it.
        if " " * 16 not in text:
            assert shared >= asked.overlap_tokens - asked.overlap_tokens // 4 - 1


@given(documents(), sizes())
def test_no_chunk_reaches_from_one_large_section_into_another(document: Document, asked: ChunkSizes) -> None:
    if not asked.by_section or not document.headings:
        return
    level = top_level(document.headings)
    starts = [one.start for one in document.headings if one.level <= level]
    for one in chunks(document, asked):
        for border in starts:
            if one.start < border < one.end:
                event("crosses")
                section = max([0, *(at for at in starts if at < border)])
                assert count_tokens(document.text[section:border]) <= asked.max_tokens // 8


def top_level(headings: tuple[Heading, ...]) -> int:
    levels = sorted(one.level for one in headings)
    return levels[1] if len(levels) > 1 else 0


@given(texts(), st.integers(0, 400))
def test_the_map_of_tokens_agrees_with_counting(text: str, number: int) -> None:
    tokens = TokenMap(text)
    assert len(tokens) == count_tokens(text)
    end = tokens.end_of(number)
    if number < len(tokens):
        assert tokens.before(end) == number == count_tokens(text[:end])
        assert tokens.before(end + 1) in {number, number + 1}
    assert tokens.before(len(text)) == len(tokens)


def test_a_text_without_any_border_is_cut_where_the_room_ends() -> None:
    made = list(chunks(Document("a" * 700_000), ChunkSizes(100, 50)))
    assert {len(one.text) for one in made[:-1]} == {700}
    assert len(made) == 1999
    assert [type(one) for one in made[:1]] == [TextChunk]
