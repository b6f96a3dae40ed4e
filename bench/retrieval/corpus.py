"""What is searched, and what is asked: made from what is here, the same on every machine with the same Python.

Three sources: the documents of this repository, the sources of Python's standard library, and facts that are made up.
A question knows which chunks answer it. A fact's chunk is its own; of the library, a definition's chunks are those that
hold its first line and the first words of its docstring.
"""

import ast
import random
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from antiphon.core.chunking import chunks
from antiphon.core.chunking_strategy import ChunkSizes
from antiphon.core.documents import Document
from bench.retrieval.facts import Facts

SEED = 20_26
SIZES = ChunkSizes(max_tokens=200, overlap_tokens=40)
LEFT_OUT = frozenset(
    {"test", "tests", "idlelib", "lib2to3", "site-packages", "ensurepip", "turtledemo", "__pycache__"}
)
DOCSTRING_WORDS = (5, 14)
CHARACTERS_OF_A_PIECE = 400  # fewer than it has, so that a text that is taken fits
SHARE_OF_TEXTS = 0.5
"""At most so much of the corpus is documents and sources; the rest are facts."""


@dataclass(frozen=True, slots=True)
class Text:
    """One document, as it is read."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    """One chunk of a document."""

    id: str
    document: str
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """`kind`: `exact` (a code or a name, as it is written), `paraphrase` (most words are others), `mixed` (a name as
    it is written, most of the rest in other words), `library` (some words of a docstring).
    """

    kind: str
    text: str
    answers: frozenset[str]


@dataclass(slots=True)
class Corpus:
    texts: list[Text] = field(default_factory=list[Text])
    pieces: list[Piece] = field(default_factory=list[Piece])
    questions: list[Question] = field(default_factory=list[Question])


def cut(text: Text) -> Iterator[Piece]:
    for number, one in enumerate(chunks(Document(text.text), SIZES)):
        yield Piece(f"{text.name}#{number}", text.name, number, one.text)


def make(chunk_count: int, questions_per_kind: int) -> Corpus:
    """Of about so many chunks, at least; the questions in any order."""
    chance = random.Random(SEED)
    corpus = Corpus()
    sources: list[Text] = []
    texts = [*_documents(), *_library()]
    chance.shuffle(texts)
    for text in texts:
        room = SHARE_OF_TEXTS * chunk_count - len(corpus.pieces)
        if len(text.text) > CHARACTERS_OF_A_PIECE * room:
            continue
        corpus.texts.append(text)
        corpus.pieces += cut(text)
        if text.name.endswith(".py"):
            sources.append(text)
    corpus.questions += _library_questions(chance, corpus.pieces, sources, questions_per_kind)
    facts = Facts(chance)
    while len(corpus.pieces) < chunk_count:
        fact = facts.next()
        text = Text(f"fact/{fact.number}", fact.text)
        corpus.texts.append(text)
        corpus.pieces += cut(text)
    for kind, question, number in facts.questions(questions_per_kind):
        corpus.questions.append(Question(kind, question, frozenset({f"fact/{number}#0"})))
    chance.shuffle(corpus.questions)
    return corpus


def _documents() -> Iterator[Text]:
    root = Path(__file__).parents[2]
    for path in sorted([*root.glob("*.md"), *(root / "docs").rglob("*.md")]):
        yield Text(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))


def _library() -> Iterator[Text]:
    root = Path(sysconfig.get_path("stdlib"))
    paths = [path for path in sorted(root.rglob("*.py")) if not LEFT_OUT & set(path.relative_to(root).parts)]
    for path in paths:
        text = path.read_text(encoding="utf-8", errors="replace")
        if text.strip():
            yield Text(f"lib/{path.relative_to(root).as_posix()}", text)


def _library_questions(
    chance: random.Random, pieces: Sequence[Piece], sources: Sequence[Text], count: int
) -> Iterator[Question]:
    by_document: dict[str, list[Piece]] = {}
    for piece in pieces:
        by_document.setdefault(piece.document, []).append(piece)
    found = [(text, *one) for text in sources for one in _definitions(text.text)]
    chance.shuffle(found)
    made = 0
    for text, first_line, sentence in found:
        answers = frozenset(
            piece.id
            for piece in by_document[text.name]
            if first_line in piece.text and sentence in piece.text
        )
        if answers and made < count:
            made += 1
            words = sentence.split()
            kept = sorted(chance.sample(range(len(words)), max(3, 2 * len(words) // 3)))
            yield Question("library", " ".join(words[at] for at in kept), answers)


def _definitions(source: str) -> Iterator[tuple[str, str]]:
    """The first line of each function and class with a docstring, and that one's first sentence."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    lines = source.splitlines()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            sentence = (ast.get_docstring(node) or "").split("\n")[0].strip(" .")
            if DOCSTRING_WORDS[0] <= len(sentence.split()) <= DOCSTRING_WORDS[1]:
                yield lines[node.lineno - 1].strip(), sentence
