"""`antiphon reindex`: vector stores embedded anew, or kept in another index, while no server runs on their state."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from antiphon.app import make_catalog, make_providers, state_folder
from antiphon.config.settings import Settings
from antiphon.core.errors import AntiphonError, Conflict, NotFound
from antiphon.knowledge import make_embedder, make_indexes, vector_cache
from antiphon.models.catalog import Catalog
from antiphon.ports import Owner
from antiphon.ports.knowledge import StoredVectorStore
from antiphon.providers.upstream import UpstreamClient
from antiphon.storage.alone import Presence
from antiphon.storage.migrate import path_of
from antiphon.storage.sqlite import SqliteStore
from antiphon.system import SystemClock, SystemIds
from antiphon.vector_stores.indexes import Indexes
from antiphon.vector_stores.reindexing import Goal, Reindexing

Owned = tuple[Owner, StoredVectorStore]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says. No `store_ids`: all stores of anybody."""

    store_ids: tuple[str, ...]
    goal: Goal


def reindex(settings: Settings, wanted: Wanted) -> int:
    """The exit code: 0, or 1 when a store could not be done; the others are. Raises ConfigError and AntiphonError."""
    return asyncio.run(_reindex(settings, wanted))


async def _reindex(settings: Settings, wanted: Wanted) -> int:
    path = path_of(settings.storage.url)
    if not path.exists():
        raise NotFound(f"there is no state at {path}; nothing was ever stored there.")
    presence = Presence(path.with_name(f"{path.name}-workers"))
    if not await presence.enter():
        presence.leave()
        raise Conflict(
            f"a server runs on {path}, or another command. Stop it first: what it would write meanwhile would be lost."
        )
    try:
        return await _alone(settings, wanted, path)
    finally:
        presence.leave()


async def _alone(settings: Settings, wanted: Wanted, path: Path) -> int:
    clock, ids = SystemClock(), SystemIds()
    upstreams = UpstreamClient(clock)
    catalog = make_catalog(settings, make_providers(settings, upstreams, ids), clock)
    folder = state_folder(settings)
    indexes = make_indexes(settings, folder)
    store = SqliteStore.open(path)
    cache = vector_cache(folder)
    try:
        chosen = _chosen(await store.knowledge.live_stores(), wanted.store_ids)
        if cache is not None and any(_same_model(one, wanted.goal) for _, one in chosen):
            await cache.clear()  # the model has changed under its name; what it made before is of another one
        work = Reindexing(store.knowledge, Indexes(indexes), make_embedder(settings, catalog, cache))
        failed = [one for owner, one in chosen if not await _one(work, owner, one, wanted.goal)]
        return 1 if failed else 0
    finally:
        await _close(catalog, upstreams)
        for index in indexes.values():
            await index.aclose()
        if cache is not None:
            await cache.aclose()
        await store.aclose()


async def _one(work: Reindexing, owner: Owner, store: StoredVectorStore, goal: Goal) -> bool:
    """Whether it was done; it is said either way."""

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{store.id}: {done} of {total} chunks")
            sys.stderr.flush()

    try:
        made = await work.reindex(owner, store, goal, progress)
    except AntiphonError as error:
        sys.stderr.write(f"{store.id}: {error.message} It is as it was.\n")
        return False
    how = (
        f"model {made.embedding_model}, {made.dimension} numbers"
        if made.embedding_model
        else "keywords alone"
    )
    sys.stdout.write(f"{store.id}: in {made.provider_id}, {how}\n")
    return True


def _chosen(there: Sequence[Owned], store_ids: Sequence[str]) -> list[Owned]:
    """Raises NotFound, before anything is done."""
    if not store_ids:
        return list(there)
    known = {store.id for _, store in there}
    for store_id in store_ids:
        if store_id not in known:
            raise NotFound(f'there is no vector store "{store_id}" here, or it has expired.')
    return [(owner, store) for owner, store in there if store.id in store_ids]


def _same_model(store: StoredVectorStore, goal: Goal) -> bool:
    return bool(store.embedding_model) and goal.embedding_model in (None, store.embedding_model)


async def _close(catalog: Catalog, upstreams: UpstreamClient) -> None:
    await catalog.aclose()
    await asyncio.gather(*(provider.aclose() for provider in catalog.providers.values()))
    await upstreams.aclose()
