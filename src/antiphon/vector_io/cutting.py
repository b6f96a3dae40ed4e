"""A document that a caller names, cut into chunks of a vector store."""

from antiphon.core.chunking import chunks
from antiphon.core.chunking_strategy import ChunkSizes
from antiphon.core.documents import Document, TextChunk
from antiphon.core.errors import InvalidRequest
from antiphon.core.wire import JsonObject, encode
from antiphon.ports.knowledge import Chunk
from antiphon.vector_io.service import attributes_of, document_of, told_id

MAX_METADATA = 16 * 1024
"""Bytes of JSON: it is kept with each chunk of a document."""


def check_metadata(metadata: JsonObject, param: str) -> None:
    """Raises InvalidRequest for metadata that is too large."""
    size = len(encode(metadata))
    if size > MAX_METADATA:
        raise InvalidRequest(
            f"`{param}`: has {size} bytes, and is kept with each chunk of the document; {MAX_METADATA} are the most.",
            param=param,
        )


def cut(document_id: str, document: Document, sizes: ChunkSizes, metadata: JsonObject) -> list[Chunk]:
    """In order, with what was told of the document. The same each time it is cut so."""
    kept: JsonObject = {**metadata, "document_id": document_id}
    return [_chunk(document_id, number, one, kept) for number, one in enumerate(chunks(document, sizes))]


def _chunk(document_id: str, number: int, one: TextChunk, metadata: JsonObject) -> Chunk:
    chunk_id = told_id(document_id, f"{number}\0{one.text}")
    beside: JsonObject = {"document_id": document_id, "start": one.start, "end": one.end}
    if one.page is not None:
        beside["page"] = one.page
    kept = {"chunk_id": chunk_id, "metadata": metadata, "chunk_metadata": beside}
    return Chunk(
        id=f"chunk:{chunk_id}",
        file_id=document_of(document_id),
        number=number,
        text=one.text,
        attributes=attributes_of(metadata),
        metadata=encode(kept),
    )
