"""A Llama Stack `run.yaml` (0.2 to 0.7) as a configuration of ours.

Inference, models, server and the place of the state are taken over. What has no effect here yet is left out
with a note that the operator is shown; what would change the meaning of a deployment is refused by name. Every
line is written down, with what it became.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from antiphon.config.bind import unknown_key
from antiphon.config.llama_connectors import Connectors
from antiphon.config.llama_files import Files
from antiphon.config.llama_groups import Groups
from antiphon.config.llama_inference import Inference
from antiphon.config.llama_safety import Safety
from antiphon.config.llama_tables import (
    BUILT_IN,
    DONE_BY,
    IGNORED,
    NEVER,
    NOT_YET,
    RESOURCES_NEVER,
    RESOURCES_NOT_YET,
    SERVER_IGNORED,
    SERVER_REFUSED,
    SERVER_SAME,
    STORES,
)
from antiphon.config.llama_vector_io import VectorIo
from antiphon.config.mapping import Mapping, line_of, origin, switched_off, written
from antiphon.config.settings import MappedLine
from antiphon.config.yaml_nodes import Node, plain

_MARKS = frozenset(
    {"image_name", "distro_name", "apis", "registered_resources", "metadata_store", "image_type"}
)
_TRANSLATED = ("files", "inference", "safety", "vector_io")
_EXTERNAL = ("external_providers_dir", "external_apis_dir")
_KNOWN = (
    *IGNORED,
    *STORES,
    *RESOURCES_NEVER,
    *RESOURCES_NOT_YET,
    *_EXTERNAL,
    "connectors",
    "models",
    "providers",
    "registered_resources",
    "safety",
    "server",
    "shields",
    "storage",
    "telemetry",
    "tool_groups",
    "vector_stores",
    "version",
)
_ELSEWHERE = "remove it, or say where the state is: ANTIPHON_STORAGE_URL=sqlite:///PATH"


@dataclass(frozen=True, slots=True)
class Translated:
    root: Node
    notes: tuple[str, ...]
    rows: tuple[MappedLine, ...]


def is_llama_stack(root: Node) -> bool:
    """Whether the file has a key that only Llama Stack's own files have."""
    return isinstance(root.value, dict) and not _MARKS.isdisjoint(root.value)


def translate(root: Node, *, state_elsewhere: bool = False) -> Translated:
    """The same configuration in our shape. `state_elsewhere`: the environment says where the state is.

    Raises:
        RefusedParts: with a line for everything in the file, when part of it cannot be had here.
        ConfigError: for a file that is not of this shape at all.
    """
    work = _Translation(Mapping(root.file), state_elsewhere)
    ours = work.top(root)
    work.mapping.raise_refused()
    return Translated(replace(root, value=ours), tuple(work.mapping.notes()), work.mapping.rows())


@dataclass(slots=True)
class _Translation:
    mapping: Mapping
    state_elsewhere: bool

    def top(self, root: Node) -> dict[str, Node]:
        for key in root.mapping():
            if key not in _KNOWN:
                text = unknown_key(key, _KNOWN, "a Llama Stack run.yaml")
                self.mapping.refuse(root[key], key, text, line_of(root, key))
        self._top_level(root)
        inference = Inference(self.mapping)
        resources = root["registered_resources"]
        models = [*root["models"].items(), *resources["models"].items()]
        inference.name_models([*models, root["vector_stores"]["default_embedding_model"]])
        providers = list(inference.providers(root["providers"]["inference"]))
        indexes = VectorIo(self.mapping)
        self._providers(root["providers"])
        safety = Safety.of(self.mapping, root)
        safety.section(root)
        connectors = Connectors(self.mapping)
        servers = list(connectors.found(root))
        groups = Groups(self.mapping, connectors.ids)
        ours: dict[str, Node] = {
            "providers": replace(
                root,
                value={
                    "inference": replace(root["providers"], value=providers),
                    "vector_io": replace(
                        root["providers"], value=list(indexes.providers(root["providers"]["vector_io"]))
                    ),
                    "files": replace(
                        root["providers"],
                        value=list(Files(self.mapping).providers(root["providers"]["files"])),
                    ),
                    "safety": replace(
                        root["providers"], value=list(safety.providers(root["providers"]["safety"]))
                    ),
                    "tool_runtime": replace(
                        root["providers"], value=list(groups.providers(root["providers"]["tool_runtime"]))
                    ),
                },
            ),
            "models": replace(root, value=list(inference.models(models))),
            "shields": replace(root, value=list(safety.live())),
            "connectors": replace(root, value=servers),
            "tool_groups": replace(root, value=list(groups.found(root))),
            "server": self._server(root["server"]),
        }
        if "vector_stores" in root.mapping() and not isinstance(root["vector_stores"].value, list):
            ours["vector_stores"] = self._defaults(root, indexes, inference.kept)
        url = self._storage(root)
        if url is not None:
            ours["storage"] = replace(url, value={"url": url})
        return ours

    def _defaults(self, root: Node, indexes: VectorIo, inference: set[str]) -> Node:
        node = root["vector_stores"]
        self.mapping.add(
            line_of(root, "vector_stores"), "vector_stores", "taken", "defaults of vector stores"
        )
        return replace(node, value=indexes.defaults(node, inference))

    def _top_level(self, root: Node) -> None:
        version = root["version"]
        if version.value is not None:
            line = line_of(root, "version")
            if plain(version) in {2, "2"}:
                self.mapping.add(line, "version", "taken", "a Llama Stack file of 0.2 or later")
            else:
                self.mapping.refuse(version, "version", f"{version.text()} is not known; expected 2", line)
        for key in _EXTERNAL:
            if root[key].value:
                why = "providers of Llama Stack cannot be loaded here; remove it"
                self.mapping.refuse(root[key], key, why, line_of(root, key))
        for key, why in IGNORED.items():
            if key in root.mapping() and not isinstance(root[key].value, list):
                self.mapping.add(line_of(root, key), key, "ignored", why)
        if "apis" in root.mapping():
            self._apis(root["apis"], line_of(root, "apis"))
        if root["telemetry"].value:
            line = line_of(root, "telemetry")
            self.mapping.leave_out(line, "telemetry", "telemetry", "", NOT_YET["telemetry"])
        for source, path in ((root, ""), (root["registered_resources"], "registered_resources.")):
            self._resources(source, path)

    def _apis(self, node: Node, line: int) -> None:
        never = [NEVER[name] for item in node.items() if (name := item.text()) in NEVER]
        more = f"; {', '.join(never)}: not part of this server" if never else ""
        self.mapping.add(line, "apis", "ignored", IGNORED["apis"] + more)

    # --- providers of other APIs ----------------------------------------------------------------------------
    def _providers(self, providers: Node) -> None:
        for api, entries in providers.mapping().items():
            if api in _TRANSLATED:
                continue
            if api not in NEVER and api not in NOT_YET and api not in BUILT_IN:
                known = (*NOT_YET, *BUILT_IN, *NEVER, *_TRANSLATED)
                text = unknown_key(api, known, "providers")
                self.mapping.refuse(entries, f"providers.{api}", text, line_of(providers, api))
                continue
            for entry in entries.items():
                self._provider(api, entry)

    def _provider(self, api: str, entry: Node) -> None:
        kind, owner = entry["provider_type"].text(), entry["provider_id"]
        name = owner.when_set or ("" if owner.problem else owner.text()) or kind
        key = f"providers.{api}.{name}"
        if switched_off(entry):
            self.mapping.add(entry.line, key, "off", f"switched off{origin(owner)}")
        elif kind in BUILT_IN.get(api, ()):
            why = DONE_BY.get(kind, "the Responses API is built in")
            self.mapping.add(entry.line, key, "changed", why)
        elif api in NEVER:
            why = f"the {NEVER[api]} API is not part of this server; run it with its own tool"
            self.mapping.leave_out(entry.line, key, api, kind, why)
        elif api in NOT_YET:
            self.mapping.leave_out(entry.line, key, api, kind, NOT_YET[api])
        else:
            built_in = " or ".join(sorted(BUILT_IN[api]))
            self.mapping.refuse(entry["provider_type"], key, f'"{kind}" is not known here; use {built_in}')

    # --- registered resources -------------------------------------------------------------------------------
    def _resources(self, source: Node, path: str) -> None:
        if "models" in source.mapping() and not source["models"].value:
            self.mapping.add(line_of(source, "models"), f"{path}models", "ignored", "empty")
        for name, what in RESOURCES_NEVER.items():
            if name in source.mapping():
                self._never(source, name, path, what)
        for name, why in RESOURCES_NOT_YET.items():
            node = source[name]
            if name not in source.mapping() or not isinstance(node.value, list | None):
                continue
            if not node.value:
                self.mapping.add(line_of(source, name), f"{path}{name}", "ignored", "empty")
            for entry in node.items():
                self._resource(entry, f"{path}{name}", name, why)

    def _never(self, source: Node, name: str, path: str, what: str) -> None:
        line, key = line_of(source, name), f"{path}{name}"
        if source[name].value:
            why = f"the {what} API is not part of this server; remove it, and run it with its own tool"
            self.mapping.refuse(source[name], key, why, line)
        else:
            self.mapping.add(line, key, "ignored", "empty")

    def _resource(self, entry: Node, key: str, section: str, why: str) -> None:
        owner = entry["provider_id"]
        ids = (
            value for name, value in entry.mapping().items() if name.endswith("_id") and name != "provider_id"
        )
        subject = next((value.text() for value in ids if not value.problem), "")
        if switched_off(entry):
            self.mapping.add(entry.line, f"{key}.{subject}", "off", f"switched off{origin(owner)}")
        else:
            self.mapping.leave_out(entry.line, f"{key}.{subject}", section, subject, why)

    # --- server ---------------------------------------------------------------------------------------------
    def _server(self, node: Node) -> Node:
        kept: dict[str, Node] = {}
        for key, value in node.mapping().items():
            line, path = line_of(node, key), f"server.{key}"
            if key == "auth":
                kept[key] = self._auth(value)
            elif key in SERVER_SAME:
                kept[key] = value
                self.mapping.add(line, path, "taken", written(value, key))
            elif key in SERVER_REFUSED and value.value:
                self.mapping.refuse(value, path, SERVER_REFUSED[key], line)
            elif key == "workers":
                self._workers(value, line)
            elif key in SERVER_IGNORED and value.value:
                self.mapping.leave_out(line, path, path, "", SERVER_IGNORED[key])
            elif key in SERVER_IGNORED or key in SERVER_REFUSED:
                self.mapping.add(line, path, "ignored", "empty")
            else:
                known = (*SERVER_SAME, "auth", "workers")
                self.mapping.refuse(value, path, unknown_key(key, known, "server"), line)
        # Llama Stack listens on every address by default; here a public address is somebody's decision.
        return replace(node, value=kept)

    def _workers(self, value: Node, line: int) -> None:
        if value.value in {None, 1}:
            self.mapping.add(line, "server.workers", "taken", "one process")
            return
        why = f"one process serves here, not {value.text()}; start more of them behind a proxy"
        self.mapping.leave_out(line, "server.workers", "server.workers", "", why)

    def _auth(self, node: Node) -> Node:
        """Only our own form of `auth` means anything here; another one must not vanish in silence."""
        for key, value in node.mapping().items():
            line, path = line_of(node, key), f"server.auth.{key}"
            if key == "keys":
                self.mapping.add(line, path, "taken", written(value))
            elif value.value:
                why = "only API keys are checked here yet; use server.auth.keys"
                self.mapping.refuse(value, path, why, line)
            else:
                self.mapping.add(line, path, "ignored", "empty")
        return replace(node, value={key: item for key, item in node.mapping().items() if key == "keys"})

    # --- state ----------------------------------------------------------------------------------------------
    def _storage(self, root: Node) -> Node | None:
        """Our database beside the SQLite file that the configuration names; None where it names none.

        Of `sql_*` and `kv_*` backends the first kind decides, as responses are kept there.
        """
        url = root["storage"]["url"]
        if url.value:
            self.mapping.add(line_of(root["storage"], "url"), "storage.url", "taken", written(url))
            return url
        places = list(self._places(root))
        tables = [place for place in places if _is_table(*place)]
        found: Node | None = None
        for place in places:
            key, node, line = place
            decides = found is None and (place in tables or not tables)
            found = self._place(key, node, line, decides=decides) or found
        stores = root["storage"]["stores"]
        if stores.value:
            line = line_of(root["storage"], "stores")
            self.mapping.add(line, "storage.stores", "changed", "all state is in one database")
        return found

    def _places(self, root: Node) -> Iterator[tuple[str, Node, int]]:
        backends = root["storage"]["backends"]
        for name, node in backends.mapping().items():
            yield f"storage.backends.{name}", node, line_of(backends, name)
        for name in STORES:
            node = root[name]
            if node.value:
                inner = node["sql_store_config"]
                yield name, inner if inner.value else node, line_of(root, name)

    def _place(self, key: str, node: Node, line: int, *, decides: bool) -> Node | None:
        kind, path = node["type"].text(), node["db_path"]
        if not decides:
            self.mapping.add(line, key, "changed", "in the same database as the rest of the state")
            return None
        if self.state_elsewhere:
            self.mapping.add(line, key, "ignored", "ANTIPHON_STORAGE_URL says where the state is")
            return None
        if kind and not kind.endswith("sqlite"):
            self.mapping.refuse(node["type"], key, f'"{kind}" is not served yet; {_ELSEWHERE}')
            return None
        if not path.value:
            self.mapping.add(line, key, "changed", "the state is in the home folder")
            return None
        folder, slash, _ = path.text().rpartition("/")
        url = f"sqlite:///{folder}{slash}antiphon.db"
        self.mapping.add(line, key, "changed", f"state in {url}{origin(path)}")
        return replace(path, value=url)


def _is_table(key: str, node: Node, _line: int) -> bool:
    """Whether a place holds tables, as responses need, and not keys and values."""
    kind = node["type"].text()
    return kind.startswith("sql_") or key in {"inference_store", "conversations_store"}
