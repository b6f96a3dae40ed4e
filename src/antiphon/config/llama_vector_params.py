"""The parts of `vector_stores` of a Llama Stack file that hold parameters: what has a counterpart here is taken.

Source: `VectorStoresConfig` of Llama Stack 0.4 to 0.7.
"""

from collections.abc import Iterator
from collections.abc import Mapping as Table
from dataclasses import dataclass, replace
from typing import Final

from antiphon.config.mapping import Mapping, line_of
from antiphon.config.yaml_nodes import Node, plain

MAX_WORKERS: Final = 64
_OWN: Final = "this server has its own"
_BY_REQUEST: Final = "requests say it"
IGNORED: Final[Table[str, Table[str, str]]] = {
    "rewrite_query_params": {"prompt": _OWN, "max_tokens": _OWN, "temperature": _OWN},
    "contextual_retrieval_params": {
        "default_timeout_seconds": _BY_REQUEST,
        "default_max_concurrency": _BY_REQUEST,
        "max_document_tokens": "of a longer document the model sees the part around the chunk",
    },
    "file_ingestion_params": {
        "default_chunk_size_tokens": f"{_BY_REQUEST}; 800 where they do not",
        "default_chunk_overlap_tokens": f"{_BY_REQUEST}; 400 where they do not",
    },
    "chunk_retrieval_params": {
        "chunk_multiplier": _OWN,
        "max_tokens_in_context": _BY_REQUEST,
        "default_reranker_strategy": f"{_BY_REQUEST}; rrf where they do not",
        "rrf_impact_factor": f"{_BY_REQUEST}; 60 where they do not",
        "weighted_search_alpha": f"{_BY_REQUEST}; 0.5 where they do not",
        "default_search_mode": f"{_BY_REQUEST}; hybrid in a store with vectors where they do not",
    },
    "file_batch_params": {
        "file_batch_chunk_size": "files are taken in one by one",
        "cleanup_interval_seconds": "batches stay as long as their store",
    },
    "file_search_params": {"header_template": _OWN, "footer_template": _OWN},
    "context_prompt_params": {"chunk_annotation_template": _OWN, "context_template": _OWN},
    "annotation_prompt_params": {
        "enable_annotations": "citations are always there",
        "annotation_instruction_template": _OWN,
        "chunk_annotation_template": _OWN,
    },
}
"""Sections and their keys without a counterpart, and what is done instead."""
_MODELS: Final[Table[str, str]] = {
    "rewrite_query_params": "rewrite_query_model",
    "contextual_retrieval_params": "context_model",
}


@dataclass(frozen=True, slots=True)
class Params:
    """`inference` are the ids of the model servers that there are."""

    mapping: Mapping
    inference: set[str]

    def of(self, section: str, node: Node) -> Iterator[tuple[str, Node]]:
        """What a section becomes in our `vector_stores`: keys and values."""
        for name, value in node.mapping().items():
            line, path = line_of(node, name), f"vector_stores.{section}.{name}"
            if value.value is None or value.value == {}:
                self.mapping.add(line, path, "ignored", "empty")
            elif name == "model" and section in _MODELS:
                yield from self._model(section, value, path, line)
            elif name == "max_concurrent_files_per_batch" and section == "file_batch_params":
                yield from self._workers(value, path, line)
            else:
                why = IGNORED[section].get(name, "not known here")
                self.mapping.add(line, path, "ignored", why)

    def _model(self, section: str, value: Node, path: str, line: int) -> Iterator[tuple[str, Node]]:
        owner, model = value["provider_id"].text(), value["model_id"].text()
        if owner in self.inference and model:
            name = _MODELS[section]
            self.mapping.add(line, path, "changed", f"{name}: {owner}/{model}")
            yield name, replace(value, value=f"{owner}/{model}")
            return
        effect = (
            "queries are not rewritten" if section == "rewrite_query_params" else "requests have to name one"
        )
        why = f"its provider {owner or 'is not named, and'} is not there; {effect}"
        self.mapping.leave_out(line, path, "vector_stores", section, why)

    def _workers(self, value: Node, path: str, line: int) -> Iterator[tuple[str, Node]]:
        count = plain(value)
        if isinstance(count, int) and not isinstance(count, bool) and count >= 1:
            workers = min(count, MAX_WORKERS)
            self.mapping.add(line, path, "changed", f"workers: {workers}, of all batches together")
            yield "workers", replace(value, value=workers)
        else:
            self.mapping.refuse(value, path, f"expected a whole number of at least 1, got {value.text()}")
