"""`python -m bench.retrieval` at a tiny size: every row is there, and what they say is sound."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.retrieval import corpus, places
from bench.retrieval.__main__ import DEFAULT, main
from bench.retrieval.embedding import Embedding

KINDS = ("exact", "library", "mixed", "paraphrase", "all")


@contextmanager
def nothing_to_run(_: Path) -> Generator[Mapping[str, object]]:
    if True:
        raise places.LeftOut("no server could be started")
    yield {}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| \n").split("|")]


def test_every_index_has_its_rows_and_what_cannot_run_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = places.Place("remote::pgvector", nothing_to_run)
    monkeypatch.setattr(places, "PLACES", {**places.PLACES, "absent": absent})
    main(["--chunks", "600", "--questions", "8", "--indexes", "sqlite-vec", "faiss", "absent"])
    said = capsys.readouterr().out.splitlines()
    assert "absent: left out: no server could be started" in said
    rows = [cells(line) for line in said if line.startswith("|")]
    quality = {(row[0], row[1]): row[2:] for row in rows if row[1] in KINDS}
    assert set(quality) == {(index, kind) for index in ("sqlite-vec", "faiss") for kind in KINDS}
    for numbers in quality.values():
        assert all(0 <= float(number) <= 1 for number in numbers)
    assert quality["sqlite-vec", "exact"] == ["1.000"] * 2 + quality["sqlite-vec", "exact"][2:]
    costs = [row for row in rows if row[0] in ("sqlite-vec", "faiss") and row[1] not in KINDS]
    assert [len(row) for row in costs] == [13, 13]
    assert [row[8] for row in costs] == ["1.000", "1.000"]  # so few are all compared
    assert (
        len([line for line in said if line.startswith(f"{DEFAULT}: ") and line.endswith((": ok", ": miss"))])
        == 6
    )
    assert (
        len([line for line in said if line.startswith("faiss: ") and line.endswith((": ok", ": miss"))]) == 3
    )


def test_the_corpus_is_the_same_each_time_and_its_questions_have_answers() -> None:
    one, other = corpus.make(400, 5), corpus.make(400, 5)
    assert one.pieces == other.pieces
    assert one.questions == other.questions
    texts = {piece.id: piece.text for piece in one.pieces}
    assert len(texts) == len(one.pieces) >= 400
    for question in one.questions:
        assert question.answers <= set(texts)
        if question.kind == "exact":
            (answer,) = question.answers
            assert question.text.removeprefix("What is filed under ").rstrip("?") in texts[answer]


def test_the_embedder_knows_synonyms_and_forgets_nothing() -> None:
    embedding = Embedding(["a boat", "a vessel", "a lamp"] * 5)
    boat, vessel, lamp, again = embedding.matrix(["boat", "vessel", "lamp", "boat"])
    assert (boat == again).all()
    assert abs(float(boat @ boat) - 1) < 1e-5
    assert float(boat @ vessel) > 0.3 > abs(float(boat @ lamp))
