"""Llama Stack's RAG tool: documents put into a vector store at once, and what is found there, as a context."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from antiphon.core.chunk_tokens import count_tokens
from antiphon.core.chunking_strategy import ChunkSizes, llama_stack_sizes
from antiphon.core.documents import Document
from antiphon.core.errors import InvalidRequest, UnsupportedParameter
from antiphon.core.json_values import is_object
from antiphon.core.searching import FoundChunk
from antiphon.ports import Owner
from antiphon.ports.files import Fetched
from antiphon.ports.knowledge import Chunk, StoredVectorStore
from antiphon.vector_io.content import text_of
from antiphon.vector_io.cutting import check_metadata, cut
from antiphon.vector_io.reading import DocumentReader, is_url
from antiphon.vector_io.service import VectorIo, document_of, metadata_of
from antiphon.vector_io.shapes import (
    QueryParams,
    RagAnswer,
    RagDocument,
    RagInsert,
    RagQuery,
    RagQueryConfig,
    TextItem,
)
from antiphon.vector_io.stores import name_of

_HOLE = re.compile(r"\{(index|chunk\.content|metadata)\}")
_BEGIN = "knowledge_search tool found {count} chunks:\nBEGIN of knowledge_search tool results.\n"
_END = "END of knowledge_search tool results.\n"
_CLOSING = (
    'The above results were retrieved to help answer the user\'s query: "{query}". Use them as supporting'
    " information only in answering this query.\n"
)


@dataclass(frozen=True, slots=True)
class RagTool:
    vector_io: VectorIo
    reader: DocumentReader

    async def insert(self, owner: Owner, body: RagInsert) -> None:
        """Read, cut, embed and write documents, each in place of what there was of it. When this returns they can be
        found. A document that cannot be had is an error that names it, and then none of them is written.

        Raises NotFound, InvalidRequest, FetchRefused, and what the embedding model raises.
        """
        sizes = llama_stack_sizes(body.chunk_size_in_tokens)
        store = await self.vector_io.stores.asked_for(owner, body.vector_store_id, body.vector_db_id)
        names = [one.document_id for one in body.documents]
        for at, name in enumerate(names):
            if name in names[:at]:
                path = f"documents[{at}].document_id"
                raise InvalidRequest(f'`{path}`: "{name[:200]}" is there twice.', param=path)
            check_metadata(body.documents[at].metadata or {}, f"documents[{at}].metadata")
        made: list[Chunk] = []
        for at, one in enumerate(body.documents):
            document = await self._read(one, f"documents[{at}]")
            made += await asyncio.to_thread(_cut, one, document, sizes)
        await self.vector_io.put(owner, store, made, [document_of(name) for name in names])

    async def query(self, owner: Owner, body: RagQuery) -> RagAnswer:
        """Raises NotFound, InvalidRequest, and what `Searcher.search` raises."""
        stores = await self._stores(owner, body)
        config = body.query_config or RagQueryConfig()
        _check_generator(config)
        query = text_of(body.content, "content")
        params = QueryParams(max_chunks=config.max_chunks, mode=config.mode, ranker=config.ranker)
        found = await self.vector_io.search(owner, stores, query, params, "query_config")
        items: list[TextItem] = []
        shown: list[FoundChunk] = []
        tokens = 0
        for index, one in enumerate(found, 1):
            text = _filled(config.chunk_template, index, one)
            tokens += count_tokens(text)
            if tokens > config.max_tokens_in_context:
                break
            items.append(TextItem(text=text))
            shown.append(one)
        metadata = {
            "document_ids": [_document_id(one) for one in shown],
            "chunks": [one.text for one in shown],
            "scores": [one.score for one in shown],
            "vector_store_ids": [one.store_id for one in shown],
        }
        if body.vector_db_ids:
            names = {one.id: name_of(one) for one in stores}
            metadata["vector_db_ids"] = [names[one.store_id] for one in shown]
        if not items:
            return RagAnswer(metadata=metadata)
        first, last = TextItem(text=_BEGIN.format(count=len(items))), TextItem(text=_END)
        closing = TextItem(text=_CLOSING.replace("{query}", query))
        return RagAnswer(metadata=metadata, content=[first, *items, last, closing])

    async def _stores(self, owner: Owner, body: RagQuery) -> list[StoredVectorStore]:
        if bool(body.vector_store_ids) == bool(body.vector_db_ids):
            raise InvalidRequest(
                "`vector_store_ids`: required; `vector_db_ids` says the same, and one of them is enough.",
                param="vector_store_ids",
            )
        names = body.vector_store_ids or body.vector_db_ids or []
        field = "vector_store_ids" if body.vector_store_ids else "vector_db_ids"
        stores = self.vector_io.stores
        return [await stores.get(owner, name, f"{field}[{at}]") for at, name in enumerate(names)]

    async def _read(self, given: RagDocument, path: str) -> Document:
        content: Any = given.content
        param = f"{path}.content"
        url = content.get("uri") if is_object(content) else content
        said = given.mime_type or ""
        if isinstance(url, str) and (is_object(content) or is_url(url)):
            return await self.reader.document(await self.reader.content(url, param), said, param)
        text = text_of(content, param)
        if not text.strip():
            raise InvalidRequest(f"`{param}`: holds no text.", param=param)
        if said in ("", "text/plain"):
            return Document(text)
        return await self.reader.document(Fetched(text.encode("utf-8", "replace"), said, ""), said, param)


def _cut(given: RagDocument, document: Document, sizes: ChunkSizes) -> list[Chunk]:
    return cut(given.document_id, document, sizes, given.metadata or {})


def _check_generator(config: RagQueryConfig) -> None:
    generator = config.query_generator_config or {}
    if generator.get("type", "default") != "default":
        param = "query_config.query_generator_config.type"
        raise UnsupportedParameter(
            f'`{param}`: queries are not written by a model here. Send "default", or search a vector store with'
            " rewrite_query.",
            param=param,
        )


def _filled(template: str, index: int, found: FoundChunk) -> str:
    """What was found is data: holes in it stay as they are."""
    metadata, _ = metadata_of(found)
    values = {"index": str(index), "chunk.content": found.text, "metadata": str(metadata)}
    return _HOLE.sub(lambda hole: values[hole[1]], template)


def _document_id(found: FoundChunk) -> str:
    metadata, beside = metadata_of(found)
    return str(metadata.get("document_id") or beside.get("document_id") or found.file_id)
