"""Composition of files, vector stores and file search: settings → adapters → services → routes. `app.py` calls it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from antiphon import blob_plugins, index_plugins
from antiphon.blobs.local import LocalBlobs
from antiphon.blobs.memory import MemoryBlobs
from antiphon.config.settings import ConfigError, ProviderSettings, Settings
from antiphon.embeddings.embedder import CatalogEmbedder
from antiphon.embeddings.families import Family
from antiphon.extraction.extractor import DocumentExtractor
from antiphon.extraction.limits import ExtractionLimits
from antiphon.fetching.addresses import Reach
from antiphon.fetching.fetcher import GuardedFetcher
from antiphon.fetching.urls import Egress
from antiphon.files.routes import FileRoutes
from antiphon.files.service import FileService
from antiphon.files.sweeping import Sweeper
from antiphon.files.upload_routes import UploadRoutes
from antiphon.files.uploads import UploadService
from antiphon.models.catalog import Catalog
from antiphon.ports import Clock, Ids, Store
from antiphon.ports.adapters import AdapterConfigError
from antiphon.ports.files import BlobStore, Fetcher
from antiphon.ports.knowledge import Embedder, Extractor, VectorIndex
from antiphon.storage.vector_cache import SqliteVectorCache
from antiphon.vector_io.rag import RagTool
from antiphon.vector_io.reading import DocumentReader
from antiphon.vector_io.routes import VectorIoRoutes
from antiphon.vector_io.service import VectorIo
from antiphon.vector_io.stores import NamedStores
from antiphon.vector_stores.file_routes import StoreFileRoutes
from antiphon.vector_stores.indexes import Indexes
from antiphon.vector_stores.ingestion import Ingestion
from antiphon.vector_stores.jobs import Jobs
from antiphon.vector_stores.routes import VectorStoreRoutes
from antiphon.vector_stores.searching import Searches
from antiphon.vector_stores.service import EmbeddingDefaults, VectorStores
from antiphon.vector_stores.store_files import StoreFiles
from antiphon.web.routing import Route

SWEEP_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What this capability needs, made once per server."""

    blobs: BlobStore
    files: FileService
    uploads: UploadService
    sweeper: Sweeper
    fetcher: Fetcher
    extractor: Extractor
    vectors: SqliteVectorCache | None
    embedder: CatalogEmbedder
    searcher: Searches
    indexes: Mapping[str, VectorIndex]  # by provider_id, the default one first
    vector_stores: VectorStores
    rag: RagTool

    def routes(self) -> list[Route]:
        return [
            *FileRoutes(self.files).table(),
            *UploadRoutes(self.uploads).table(),
            *VectorStoreRoutes(self.vector_stores).table(),
            *StoreFileRoutes(self.vector_stores.files).table(),
            *VectorIoRoutes(self.rag.vector_io, self.rag).table(),
        ]

    async def start(self) -> None:
        """Begin what runs in the background. Waits for nothing."""
        self.sweeper.start()
        self.vector_stores.ingestion.start()

    async def stop(self) -> None:
        """End it, and let go of what is held."""
        await self.sweeper.stop()
        await self.vector_stores.ingestion.stop()
        await self.fetcher.aclose()
        await self.extractor.aclose()
        for index in self.indexes.values():
            await index.aclose()
        if self.vectors is not None:
            await self.vectors.aclose()
        await self.blobs.aclose()


def make_knowledge(
    settings: Settings, catalog: Catalog, store: Store, clock: Clock, ids: Ids, folder: Path | None
) -> Knowledge:
    """The parts over these settings. `folder` is where state is kept, None where nothing is.

    Raises ConfigError for a provider that cannot be made.
    """
    limits = settings.server.limits
    blobs = make_blobs(settings, folder)
    files = FileService(store.files, blobs, clock, ids, max_file_bytes=limits.max_file_bytes)
    uploads = UploadService(files, store.files, blobs, clock, ids, limits.max_upload_bytes)
    vectors = vector_cache(folder)
    embedder = make_embedder(settings, catalog, vectors)
    indexes = Indexes(make_indexes(settings, folder))
    extractor = DocumentExtractor(ExtractionLimits(workers=settings.vector_stores.workers))
    searcher = make_searcher(settings, store, indexes, embedder, catalog, clock)
    parts = Parts(settings, catalog, store, clock, ids, files, indexes, embedder, extractor, searcher)
    vector_stores = make_vector_stores(parts)
    files.before_delete = vector_stores.files.detach
    fetcher = make_fetcher(settings)
    return Knowledge(
        blobs=blobs,
        files=files,
        uploads=uploads,
        sweeper=Sweeper((uploads.sweep, files.sweep), SWEEP_EVERY_S),
        fetcher=fetcher,
        extractor=extractor,
        vectors=vectors,
        embedder=embedder,
        searcher=searcher,
        indexes=indexes.by_id,
        vector_stores=vector_stores,
        rag=RagTool(VectorIo(NamedStores(vector_stores)), DocumentReader(fetcher, extractor)),
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """What vector stores are put together from."""

    settings: Settings
    catalog: Catalog
    store: Store
    clock: Clock
    ids: Ids
    files: FileService
    indexes: Indexes
    embedder: Embedder
    extractor: Extractor
    searcher: Searches


def make_vector_stores(parts: Parts) -> VectorStores:
    """Vector stores with their files and what reads those."""
    asked = parts.settings.vector_stores
    records = parts.store.knowledge
    jobs = Jobs(
        records,
        parts.files,
        parts.indexes,
        parts.extractor,
        parts.embedder,
        parts.catalog,
        asked.context_model,
    )
    ingestion = Ingestion(records, parts.indexes, jobs, parts.clock, parts.ids, workers=asked.workers)
    files = StoreFiles(
        records,
        parts.files,
        parts.store.files,
        parts.indexes,
        parts.catalog,
        ingestion,
        parts.clock,
        parts.ids,
        asked.context_model,
    )
    model, reranker = asked.default_embedding_model, asked.default_reranker_model
    return VectorStores(
        records,
        files,
        parts.indexes,
        parts.embedder,
        parts.catalog,
        parts.searcher,
        ingestion,
        parts.clock,
        parts.ids,
        EmbeddingDefaults() if model is None else EmbeddingDefaults(model.name, model.embedding_dimensions),
        reranker.name if reranker is not None else "",
    )


def vector_cache(folder: Path | None) -> SqliteVectorCache | None:
    """Vectors that were made before, in a file beside the state that may be deleted at any time."""
    return None if folder is None else SqliteVectorCache(folder / "embeddings.db")


def make_embedder(settings: Settings, catalog: Catalog, vectors: SqliteVectorCache | None) -> CatalogEmbedder:
    """What vector stores embed with. `vectors` None: nothing is kept."""
    families = {
        one.model_id: Family(
            query=one.query_prefix,
            document=one.document_prefix,
            query_type=one.query_input_type,
            document_type=one.document_input_type,
            can_be_cut=one.can_be_cut,
            batch=one.batch,
        )
        for one in settings.vector_stores.embedding_models
    }
    return CatalogEmbedder(catalog, vectors, families)


def make_searcher(
    settings: Settings, store: Store, indexes: Indexes, embedder: Embedder, catalog: Catalog, clock: Clock
) -> Searches:
    """What searches vector stores, with the models that the configuration names."""
    reranker = settings.vector_stores.default_reranker_model
    return Searches(
        store.knowledge,
        store.files,
        indexes,
        embedder,
        catalog,
        clock,
        default_reranker=reranker.name if reranker is not None else "",
        rewrite_model=settings.vector_stores.rewrite_query_model,
    )


def make_indexes(settings: Settings, folder: Path | None) -> Mapping[str, VectorIndex]:
    """The configured indexes by id, the default one first; with none configured `sqlite-vec`. Raises ConfigError."""
    configured = settings.providers.vector_io or (
        ProviderSettings(provider_id="sqlite-vec", provider_type=index_plugins.DEFAULT_TYPE),
    )
    first = settings.vector_stores.default_provider_id or configured[0].provider_id
    if first not in {one.provider_id for one in configured}:
        listed = ", ".join(one.provider_id for one in configured)
        message = f'vector_stores.default_provider_id: no vector_io provider "{first}"; configured: {listed}'
        raise ConfigError(settings.source, None, message)
    ordered = sorted(configured, key=lambda one: one.provider_id != first)
    return {one.provider_id: _index(settings, one, folder) for one in ordered}


def _index(settings: Settings, one: ProviderSettings, folder: Path | None) -> VectorIndex:
    try:
        make = index_plugins.index_class(one.provider_type).from_config
        return make(one.provider_id, one.config, folder)
    except index_plugins.UnknownIndexType as error:
        raise settings.provider_error(one.provider_id, "", str(error)) from error
    except AdapterConfigError as error:
        raise settings.provider_error(one.provider_id, error.key, str(error)) from error


def make_fetcher(settings: Settings) -> Fetcher:
    """The one way to URLs of callers. Raises ConfigError for a network that is none."""
    return GuardedFetcher(make_egress(settings))


def make_egress(settings: Settings) -> Egress:
    """Where URLs of callers may lead. Raises ConfigError for a network that is none."""
    egress = settings.server.egress
    try:
        reach = Reach.of(egress.allow_private)
    except ValueError as error:
        raise ConfigError(settings.source, None, f"server.egress.allow_private: {error}") from None
    return Egress(reach, egress.allow_hosts, egress.max_bytes, egress.timeout_s)


def check_knowledge(settings: Settings) -> None:
    """Raises ConfigError for `providers.files` and `providers.vector_io` that cannot be had. Nothing is opened."""
    make_blobs(settings, None)
    make_indexes(settings, None)


def make_blobs(settings: Settings, folder: Path | None) -> BlobStore:
    """Where files are kept: as `providers.files` says, else below `folder`, else in memory. Raises ConfigError."""
    if not settings.providers.files:
        return MemoryBlobs() if folder is None else LocalBlobs(folder / "files")
    first, *more = settings.providers.files
    if more:
        message = "files are kept in one place; remove all of providers.files but one."
        raise settings.provider_error(more[0].provider_id, "", message)
    try:
        return blob_plugins.blobs_class(first.provider_type).from_config(first.config, folder)
    except blob_plugins.UnknownBlobsType as error:
        raise settings.provider_error(first.provider_id, "", str(error)) from error
    except AdapterConfigError as error:
        raise settings.provider_error(first.provider_id, error.key, str(error)) from error
