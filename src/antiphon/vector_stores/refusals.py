"""What the services of vector stores refuse, in words; and when a store has expired."""

from antiphon.core.errors import InvalidRequest, NotFound
from antiphon.ports.knowledge import StoredVectorStore


def has_expired(store: StoredVectorStore, now: int) -> bool:
    """Also where nobody has marked it yet."""
    return store.expired or (store.expires_at is not None and store.expires_at <= now)


def unknown_store(store_id: str, param: str = "vector_store_id") -> NotFound:
    return NotFound(
        f'there is no vector store "{store_id[:200]}"; it may have been deleted. GET /v1/vector_stores lists those'
        " there are.",
        param=param,
    )


def expired(store_id: str, param: str = "vector_store_id") -> InvalidRequest:
    return InvalidRequest(
        f'the vector store "{store_id}" has expired and holds nothing any more; make a new one.', param=param
    )


def unknown_file(store_id: str, file_id: str) -> NotFound:
    return NotFound(
        f'there is no file "{file_id[:200]}" in this vector store;'
        f" GET /v1/vector_stores/{store_id}/files lists those there are.",
        param="file_id",
    )


def unknown_batch(batch_id: str) -> NotFound:
    return NotFound(f'there is no batch "{batch_id[:200]}" of this vector store.', param="batch_id")
