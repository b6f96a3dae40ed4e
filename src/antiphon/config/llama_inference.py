"""The inference providers and the models of a Llama Stack file, in our shape."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec

from antiphon.config.llama_tables import (
    CONFIG_IGNORED,
    CONFIG_NAMES,
    CONFIG_REFUSED,
    CREDENTIALS,
    EMBEDDERS,
    NETWORK_REFUSED,
    SERVICES,
    Service,
)
from antiphon.config.mapping import Mapping, line_of, origin, switched_off, written
from antiphon.config.settings import ConfigError, Outcome
from antiphon.config.yaml_nodes import Node
from antiphon.provider_advice import INSTEAD

_BARE = re.compile(r"https?://[^/]+/?")
_BEDROCK = "https://bedrock-mantle.{region}.api.aws/v1"
IN_PROCESS = "inline::sentence-transformers"
_INSTALL = (
    "pip install 'antiphon[sentence-transformers]', or serve the model with Ollama or vLLM and use their type"
)
_MODEL_KEYS = ("model_id", "provider_id", "provider_model_id")
_MODEL_IGNORED = ("metadata", "model_type", "model_validation", "type", "identifier", "provider_resource_id")


@dataclass(slots=True)
class Inference:
    """Translates entry by entry, and remembers which ids it kept and why it left others out."""

    mapping: Mapping
    kept: set[str] = field(default_factory=set[str])
    gone: dict[str, str] = field(default_factory=dict[str, str])
    named: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def name_models(self, entries: Iterable[Node]) -> None:
        """Tell which models the file names, by their providers: some have to be told what to load."""
        for entry in entries:
            with suppress(ConfigError):  # it is told where the entry itself is translated
                self.named.setdefault(entry["provider_id"].text(), []).append(_upstream(entry))

    def providers(self, entries: Node) -> Iterator[Node]:
        for entry in entries.items():
            kind = entry["provider_type"].text()
            if switched_off(entry):
                self._switch_off(entry, kind)
                continue
            owner = entry["provider_id"].text()
            try:
                found = self._provider(entry, owner, kind)
            except ConfigError as error:
                self.mapping.refuse(entry, f"providers.inference.{owner}", error.message, error.line)
                continue
            if found is not None:
                self.kept.add(owner)
                yield found

    def _switch_off(self, entry: Node, kind: str) -> None:
        owner = entry["provider_id"]
        why = f"switched off{origin(owner)}"
        if owner.when_set:
            self.gone[owner.when_set] = why
        self.mapping.add(entry.line, f"providers.inference.{owner.when_set or kind}", "off", why)

    def _provider(self, entry: Node, owner: str, kind: str) -> Node | None:
        key = f"providers.inference.{owner}"
        if kind == IN_PROCESS and find_spec("sentence_transformers") is not None:
            return self._in_process(entry, owner, key)
        if kind in EMBEDDERS:
            instead = _INSTALL if kind == IN_PROCESS else INSTEAD[kind]
            self._leave_out(entry, key, kind, f"{kind} is not served here; {instead}", instead)
            return None
        if kind == "remote::bedrock" and entry["config"]["api_key"].value:
            return self._bedrock(entry, key)
        service = SERVICES.get(kind.removesuffix("-openai-compat")) or SERVICES.get(kind)
        if service is None and kind in CREDENTIALS:
            return self._unused(entry, key, kind)
        if service is None:
            return self._unknown(entry, key, kind)
        if service.key and self._without_key(entry["config"], service):
            why = f"{kind} needs `api_key`{origin(_key_node(entry['config']))}"
            self._leave_out(entry, key, owner, why, "no `api_key` is set")
            return None
        same = service.here == kind
        self.mapping.add(entry.line, key, "taken" if same else "changed", _became(service, kind))
        return self._entry(entry, service.here, self._config(entry["config"], key, service))

    def _in_process(self, entry: Node, owner: str, key: str) -> Node | None:
        """Sentence transformers: it loads the models that the file names, and no others."""
        names = [name for name in dict.fromkeys(self.named.get(owner, ())) if name]
        if not names:
            self._leave_out(entry, key, IN_PROCESS, "the file names no model of it")
            return None
        config = entry["config"]
        trusted = config["trust_remote_code"]
        own = {"trust_remote_code": trusted} if trusted.value else {}
        models = {name: replace(config, value=own) for name in names}
        for name in config.mapping():
            if name == "trust_remote_code":
                self.mapping.add(line_of(config, name), f"{key}.config.{name}", "taken", written(trusted))
            else:
                why = "this key is not known here; remove it"
                self.mapping.refuse(config[name], f"{key}.config.{name}", why, line_of(config, name))
        self.mapping.add(entry.line, key, "changed", f"its models are {', '.join(names)}")
        return self._entry(entry, IN_PROCESS, {"models": replace(config, value=models)})

    def _leave_out(self, entry: Node, key: str, subject: str, why: str, note: str = "") -> None:
        self.gone[entry["provider_id"].text()] = why
        self.mapping.leave_out(entry.line, key, "inference", subject, why, note)

    def _unknown(self, entry: Node, key: str, kind: str) -> Node | None:
        """A type that is none of ours; a plugin may bring it."""
        from antiphon.plugins import known_types

        if kind in known_types():
            self.mapping.add(entry.line, key, "taken", f"provider of type {kind}")
            return self._entry(entry, kind, dict(entry["config"].mapping()))
        if not kind:
            self.mapping.refuse(entry, key, '"provider_type" is missing')
            return None
        advice = INSTEAD.get(kind) or "write a provider plugin for it, or use remote::openai-compatible"
        why = f'provider type "{kind}" is not served here; {advice}'
        self.mapping.refuse(entry["provider_type"], key, why)
        return None

    def _unused(self, entry: Node, key: str, kind: str) -> Node | None:
        """Distribution files list such a type in any case: it is refused only where it was given credentials."""
        config = entry["config"]
        used = [name for name in CREDENTIALS[kind] if config[name].value]
        why = f'provider type "{kind}" is not served here; {INSTEAD[kind]}'
        if used:
            self.mapping.refuse(entry["provider_type"], key, why)
            return None
        self._leave_out(entry, key, kind, why)
        return None

    def _bedrock(self, entry: Node, key: str) -> Node:
        config = entry["config"]
        region = config["region_name"].text() or "us-east-2"
        url = _BEDROCK.format(region=region)
        self.mapping.add(entry.line, key, "changed", f"provider remote::openai-compatible at {url}")
        self.mapping.add(line_of(config, "api_key"), f"{key}.config.api_key", "taken", "a secret")
        own = {"base_url": Node(entry.file, entry.line, url), "api_key": config["api_key"]}
        return self._entry(entry, "remote::openai-compatible", own)

    @staticmethod
    def _without_key(config: Node, service: Service) -> bool:
        """Whether a key is needed and missing: one's own server at another address may need none."""
        if _key_node(config).value:
            return False
        url = _url(config)
        address = "" if url is None or url.problem else url.text().rstrip("/")
        usual = service.url.rstrip("/")
        return not address or not usual or usual == address or bool(usual.startswith(address + "/"))

    def _entry(self, entry: Node, kind: str, config: dict[str, Node]) -> Node:
        known = {"provider_id", "provider_type", "config"}
        for key in entry.mapping():
            if key not in known:
                owner = entry["provider_id"].text()
                why = (
                    f"{key} says how Llama Stack loads a provider of others; install a plugin of this server"
                )
                self.mapping.add(line_of(entry, key), f"providers.inference.{owner}.{key}", "ignored", why)
        value = {
            "provider_id": entry["provider_id"],
            "provider_type": replace(entry["provider_type"], value=kind),
            "config": replace(entry["config"], value=config),
        }
        return replace(entry, value=value)

    # --- config ---------------------------------------------------------------------------------------------
    def _config(self, config: Node, key: str, service: Service) -> dict[str, Node]:
        kept: dict[str, Node] = {}
        for name, node in config.mapping().items():
            line, path = line_of(config, name), f"{key}.config.{name}"
            here = CONFIG_NAMES.get(name, name)
            if name in CONFIG_REFUSED and node.value:
                self.mapping.refuse(node, path, CONFIG_REFUSED[name], line)
            elif name in CONFIG_IGNORED or name in CONFIG_REFUSED:
                self.mapping.add(line, path, "ignored", CONFIG_IGNORED.get(name, "empty"))
            elif name == "network":
                kept.update(self._network(node, path))
            elif name == "timeout":
                kept["timeouts"] = self._timeouts(node, path)
            elif here == "base_url":
                kept[here] = self._base_url(node, name, path, service, line)
            elif here not in kept:
                kept[here] = node
                shown = written(node, here)
                text = shown if here == name else f"{here} {shown}"
                self.mapping.add(line, path, "taken" if here == name else "changed", text)
        if service.here == "remote::openai-compatible" and "base_url" not in kept and service.url:
            kept["base_url"] = Node(config.file, config.line, service.url)
        return kept

    def _base_url(self, node: Node, name: str, path: str, service: Service, line: int) -> Node:
        """The address; a bare host takes its usual path, and none at all is the service's own."""
        given = node.text()
        url = given or service.url
        if _BARE.fullmatch(given):
            tail = _BARE.sub("", service.url) or "v1"
            url = f"{given.rstrip('/')}/{tail}"
        same = name == "base_url" and url == given
        if url:
            text = f"{'' if name == 'base_url' else 'base_url '}{url}{origin(node)}"
            self.mapping.add(line, path, "taken" if same else "changed", text)
        return replace(node, value=url) if url else node

    def _network(self, network: Node, path: str) -> dict[str, Node]:
        """`network` of 0.5 and later: TLS, times and headers; proxies and client certificates are refused."""
        kept: dict[str, Node] = {}
        for name, node in network.mapping().items():
            line, at = line_of(network, name), f"{path}.{name}"
            if name == "tls":
                kept.update(self._tls(node, at))
            elif name == "timeout" and node.value is not None:
                kept["timeouts"] = self._timeouts(node, at)
            elif name == "headers" and node.value:
                kept["headers"] = node
                self.mapping.add(line, at, "changed", f"headers {', '.join(node.mapping())}")
            elif name in NETWORK_REFUSED and node.value:
                self.mapping.refuse(node, at, NETWORK_REFUSED[name], line)
            elif node.value:
                self.mapping.refuse(node, at, "this key of `network` is not known here; remove it", line)
        return kept

    def _tls(self, tls: Node, path: str) -> dict[str, Node]:
        kept: dict[str, Node] = {}
        for name, node in tls.mapping().items():
            line, at = line_of(tls, name), f"{path}.{name}"
            if name == "verify":
                kept["tls_verify"] = node
                self.mapping.add(line, at, "changed", f"tls_verify {written(node)}")
            elif node.value:
                why = NETWORK_REFUSED.get(
                    f"tls.{name}", "this key of `network.tls` is not known here; remove it"
                )
                self.mapping.refuse(node, at, why, line)
        return kept

    def _timeouts(self, node: Node, path: str) -> Node:
        """One number is for connecting and for reading; `connect` and `read` are for one of them."""
        parts = node.mapping() if isinstance(node.value, dict) else {"connect": node, "read": node}
        names = {"connect": ("connect_s",), "read": ("first_byte_s", "idle_s")}
        value: dict[str, Node] = {}
        for name, part in parts.items():
            for here in names.get(name, ()):
                if part.value is not None:
                    value[here] = part
            if name not in names:
                self.mapping.refuse(part, f"{path}.{name}", "expected `connect` and `read`, in seconds")
        shown = ", ".join(f"{here} {part.text()}" for here, part in value.items())
        self.mapping.add(node.line, path, "changed", f"timeouts: {shown}")
        return replace(node, value=value)

    # --- models ---------------------------------------------------------------------------------------------
    def models(self, entries: list[Node]) -> Iterator[Node]:
        lines: dict[str, int] = {}
        for entry in entries:
            try:
                found = self._model(entry, lines)
            except ConfigError as error:
                self.mapping.refuse(entry, "models", error.message, error.line)
                continue
            if found is not None:
                yield found

    def _model(self, entry: Node, lines: dict[str, int]) -> Node | None:
        if "route" in entry.mapping():  # ours, in a file of theirs
            name = entry["model_id"].text()
            self.mapping.add(entry.line, f"models.{name}", "taken", f"model {name}, a route")
            return entry
        if "provider_id" not in entry.mapping() and len(self.kept) > 1:
            several = ", ".join(sorted(self.kept))
            key = f"models.{entry['model_id'].text()}"
            self.mapping.refuse(entry, key, f"give its `provider_id`, one of {several}")
            return None
        owner, named = self._owner(entry), entry["model_id"]
        name = named.when_set if named.value is None else named.text()
        passed_over = self._passed_over(entry, owner, named, lines)
        if passed_over is not None:
            self.mapping.add(entry.line, f"models.{name or 'model'}", *passed_over)
            return None
        lines[name] = entry.line
        for key in entry.mapping():
            if key not in (*_MODEL_KEYS, *_MODEL_IGNORED):
                why = "this key of a model is not known here; remove it"
                self.mapping.refuse(entry, f"models.{name}.{key}", why, line_of(entry, key))
        self.mapping.add(
            entry.line, f"models.{name}", "taken", f"model {name} = {owner.text()}/{_upstream(entry)}"
        )
        kept = {key: node for key, node in entry.mapping().items() if key in _MODEL_KEYS}
        return replace(entry, value={**kept, "provider_id": owner})

    def _passed_over(
        self, entry: Node, owner: Node, named: Node, lines: dict[str, int]
    ) -> tuple[Outcome, str] | None:
        """Why a model is none here, though nothing is wrong with it."""
        if _off(owner) or _off(named):
            return "off", f"switched off{origin(owner) or origin(named)}"
        model, provider = named.text(), owner.text()
        if provider in self.gone and provider not in self.kept:
            return "off", f"its provider {provider} is not there: {self.gone[provider]}"
        if model in lines:
            where = f"{provider}/{_upstream(entry)}"
            return "ignored", f"the name is taken by line {lines[model]}; it is served as {where}"
        return None

    def _owner(self, entry: Node) -> Node:
        """The provider's id; where an entry names none, the only provider there is."""
        if "provider_id" not in entry.mapping() and len(self.kept) == 1:
            return Node(entry.file, entry.line, next(iter(self.kept)))
        return entry["provider_id"]


def _became(service: Service, kind: str) -> str:
    return f"provider of type {kind}" if service.here == kind else f"provider of type {service.here}"


def _upstream(entry: Node) -> str:
    return entry["provider_model_id"].text() or entry["model_id"].text()


def _off(node: Node) -> bool:
    """Whether the value came out empty, or as what Llama Stack writes for that."""
    return node.problem is None and (node.value in {None, ""} or "__disabled__" in str(node.value))


def _url(config: Node) -> Node | None:
    names = ("base_url", *(name for name, here in CONFIG_NAMES.items() if here == "base_url"))
    return next((config[name] for name in names if name in config.mapping()), None)


def _key_node(config: Node) -> Node:
    names = [name for name in config.mapping() if CONFIG_NAMES.get(name, name) == "api_key"]
    return config[names[0]] if names else Node(config.file, config.line, None)
