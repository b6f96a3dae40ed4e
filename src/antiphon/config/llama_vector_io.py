"""The indexes of vector stores of a Llama Stack file, and its defaults for those, in our shape."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Final

from antiphon.config.llama_vector_params import IGNORED, Params
from antiphon.config.mapping import Mapping, line_of, origin, switched_off, written
from antiphon.config.yaml_nodes import Node
from antiphon.index_plugins import BUILT_IN, DEFAULT_TYPE, INSTEAD, known_types

_FAISS: Final = "inline::faiss"
_SAME: Final = {"inline::meta-reference": _FAISS, "inline::sqlite_vec": DEFAULT_TYPE}
_IN_FILES: Final = frozenset({_FAISS, DEFAULT_TYPE})
_STATE: Final = ("kvstore", "persistence", "persistence_store", "metadata_store")
_MODELS: Final = ("default_embedding_model", "default_reranker_model")
_MODEL_KEYS: Final = frozenset({"provider_id", "model_id", "embedding_dimensions"})


@dataclass(slots=True)
class VectorIo:
    """Translates entry by entry, and remembers which ids it kept."""

    mapping: Mapping
    kept: list[str] = field(default_factory=list[str])

    def providers(self, entries: Node) -> Iterator[Node]:
        for entry in entries.items():
            kind, owner = entry["provider_type"].text(), entry["provider_id"]
            if switched_off(entry):
                key = f"providers.vector_io.{owner.when_set or kind}"
                self.mapping.add(entry.line, key, "off", f"switched off{origin(owner)}")
                continue
            found = self._provider(entry, f"providers.vector_io.{owner.text()}", _SAME.get(kind, kind))
            if found is not None:
                self.kept.append(owner.text())
                yield found

    def _provider(self, entry: Node, key: str, kind: str) -> Node | None:
        if kind not in BUILT_IN and kind not in known_types():
            advice = INSTEAD.get(kind) or f"use one of {', '.join(sorted(BUILT_IN))}"
            why = f'vector_io provider type "{kind}" is not served here; {advice}'
            self.mapping.refuse(entry["provider_type"], key, why)
            return None
        if kind == _FAISS and find_spec("faiss") is None:
            why = f"provider of type {DEFAULT_TYPE}, as FAISS is not installed (antiphon[faiss])"
            self.mapping.add(entry.line, key, "changed", why)
            kind = DEFAULT_TYPE
        else:
            same = kind == entry["provider_type"].text()
            self.mapping.add(entry.line, key, "taken" if same else "changed", f"provider of type {kind}")
        value = {
            "provider_id": entry["provider_id"],
            "provider_type": replace(entry["provider_type"], value=kind),
            "config": replace(entry["config"], value=self._config(entry["config"], f"{key}.config", kind)),
        }
        return replace(entry, value=value)

    def _config(self, config: Node, path: str, kind: str) -> dict[str, Node]:
        kept: dict[str, Node] = {}
        for name, node in config.mapping().items():
            line, at = line_of(config, name), f"{path}.{name}"
            if name in _STATE:
                self.mapping.add(line, at, "ignored", "what an index knows of itself is kept with its chunks")
            elif name == "db_path" and kind in _IN_FILES:
                self.mapping.add(
                    line, at, "changed", "each vector store is a file beside the rest of the state"
                )
            else:
                kept[name] = node
                self.mapping.add(line, at, "taken", written(node, name))
        return kept

    # --- defaults -------------------------------------------------------------------------------------------
    def defaults(self, node: Node, inference: set[str]) -> dict[str, Node]:
        """`vector_stores`. `inference` are the ids of the model servers that there are."""
        kept: dict[str, Node] = {}
        for name, value in node.mapping().items():
            line, path = line_of(node, name), f"vector_stores.{name}"
            if not value.value:
                self.mapping.add(line, path, "ignored", "empty")
            elif name == "default_provider_id":
                self._default_provider(value, path, line, kept)
            elif name in _MODELS:
                self._default_model(value, name, line, inference, kept)
            elif name in IGNORED:
                kept |= dict(Params(self.mapping, inference).of(name, value))
            else:
                self.mapping.add(line, path, "ignored", "requests say it, or this server has its own")
        return kept

    def _default_provider(self, value: Node, path: str, line: int, kept: dict[str, Node]) -> None:
        if value.text() in self.kept:
            kept["default_provider_id"] = value
            self.mapping.add(line, path, "taken", written(value))
        else:
            why = f"no vector_io provider {value.text()} is there; the first one is used"
            self.mapping.leave_out(line, path, "vector_stores", "", why)

    def _default_model(
        self, value: Node, name: str, line: int, inference: set[str], kept: dict[str, Node]
    ) -> None:
        path, owner = f"vector_stores.{name}", value["provider_id"].text()
        if owner in inference:
            own = {key: node for key, node in value.mapping().items() if key in _MODEL_KEYS}
            kept[name] = replace(value, value=own)
            self.mapping.add(line, path, "taken", f"{owner}/{value['model_id'].text()}")
            return
        effect = (
            "vector stores are searched by keywords until one is set"
            if name == _MODELS[0]
            else "results stay in the order in which they were found"
        )
        why = f"its provider {owner or 'is not named, and'} is not there; {effect}"
        self.mapping.leave_out(line, path, "vector_stores", name, why)
