"""What is known of embedding models by their names: how they want to be asked, and whether their vectors may be cut.

Models of these families were trained with the prefixes of their cards; without them they find less. Names are those
that servers give them: `nomic-embed-text:latest`, `intfloat/multilingual-e5-small`, `mxbai-embed-large-v1.Q8_0`.
"""

import re
from dataclasses import dataclass

DEFAULT_BATCH = 32
"""Texts in one request: what servers of Hugging Face's text-embeddings-inference take unless they are told."""


@dataclass(frozen=True, slots=True)
class Family:
    """`query` and `document` go in front of texts; the `_type`s are sent as `input_type`, "" for none.

    `can_be_cut`: trained so that the first numbers of a vector are one too (Matryoshka, arXiv 2205.13147).
    """

    query: str = ""
    document: str = ""
    query_type: str = ""
    document_type: str = ""
    can_be_cut: bool = False
    batch: int = DEFAULT_BATCH


PLAIN = Family()
_RETRIEVE = "Given a web search query, retrieve relevant passages that answer the query"
_PASSAGES = "Represent this sentence for searching relevant passages: "
_FAMILIES: tuple[tuple[str, Family], ...] = (
    (
        r"nomic-embed-text-v1\.5|nomic-embed-text-v2|nomic-embed-text(:|$)",
        Family("search_query: ", "search_document: ", can_be_cut=True),
    ),
    (r"nomic-embed-text", Family("search_query: ", "search_document: ")),
    (r"\be5-.*instruct", Family(f"Instruct: {_RETRIEVE}\nQuery: ")),
    (r"\be5-(small|base|large)|multilingual-e5-", Family("query: ", "passage: ")),
    (r"bge-(small|base|large)-en", Family(_PASSAGES)),
    (r"bge-(small|base|large)-zh", Family("为这个句子生成表示以用于检索相关文章:")),
    (r"mxbai-embed-large", Family(_PASSAGES, can_be_cut=True)),
    (r"arctic-embed2|arctic-embed-.*v2\.0", Family("query: ", can_be_cut=True)),
    (r"arctic-embed", Family(_PASSAGES)),
    (r"embeddinggemma", Family("task: search result | query: ", "title: none | text: ", can_be_cut=True)),
    (r"qwen3-embedding", Family(f"Instruct: {_RETRIEVE}\nQuery:", can_be_cut=True)),
    (
        r"nv-embedqa|nv-embed|nemoretriever.*embed|nemotron.*embed",
        Family(query_type="query", document_type="passage"),
    ),
    (r"text-embedding-3-(small|large)", Family(can_be_cut=True)),
)
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE), family) for pattern, family in _FAMILIES)


def family_of(model: str) -> Family:
    """By a model's name at its provider; `PLAIN` for one that nothing is known of."""
    return next((family for pattern, family in _COMPILED if pattern.search(model)), PLAIN)
