"""The settings tree: one frozen object, made once by `antiphon.config.load`. Nothing here reads anything.

The reference page is generated from these types: each `Meta(description=…)` is a row of it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, cast, dataclass_transform

import msgspec
from msgspec import Meta

from antiphon.config.agent_settings import AgentsSettings
from antiphon.config.group_settings import ToolGroupSettings, ToolRuntimeSettings
from antiphon.config.mcp_settings import ConnectorSettings, McpSettings
from antiphon.config.safety_settings import SafetySettings, ShieldSettings
from antiphon.models.breaker import BreakerSettings
from antiphon.models.route import Route

PortNumber = Annotated[
    int, Meta(ge=0, le=65535, description="TCP port to listen on; 0 lets the system choose a free one.")
]
Seconds = Annotated[float, Meta(gt=0, le=3600)]
KeyHash = Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}$")]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
ProviderId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]

HOST_PATTERN = r"^(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"
HostPattern = Annotated[str, Meta(pattern=HOST_PATTERN)]

_SECRET_WORDS = ("key", "token", "secret", "password", "authorization", "credential")
_REDACTED = "***"
_PASSWORD = re.compile(r"(://[^\s/?#@:]*:)[^\s/?#]*@|([?&]password=)[^&\s#]*", re.IGNORECASE)


class ConfigError(Exception):
    """A configuration that cannot be used. `line` counts from 1; None when no line of a file is at fault."""

    def __init__(self, file: str | None, line: int | None, message: str) -> None:
        where = ":".join(str(part) for part in (file, line) if part is not None)
        super().__init__(f"{where}: {message}" if where else message)
        self.file = file
        self.line = line
        self.message = message


Outcome = Literal["taken", "changed", "off", "ignored", "left out", "refused"]
"""What becomes of a line of a file. `off`: switched off by its own variable; `left out`: the operator should know."""


class RefusedParts(ConfigError):
    """A file with parts that mean something which cannot be had here. The message is the first one's."""

    def __init__(self, file: str, lines: Sequence["MappedLine"]) -> None:
        refused = [one for one in lines if one.outcome == "refused"]
        more = len(refused) - 1
        advice = f" ({more} more; `antiphon check --config {file}` lists them)" if more else ""
        super().__init__(file, refused[0].line, f"{refused[0].key}: {refused[0].text}{advice}")
        self.lines = tuple(lines)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping of the file. A key that is not a field is refused."""


class ApiKey(_Section):
    name: Annotated[Name, Meta(description="Shown in logs; never a secret.")]
    hash: Annotated[KeyHash, Meta(description="`sha256:` and the hex digest of the key.")]
    tenant: Annotated[Name, Meta(description="Whose data the key reaches.")] = "default"
    owner: Annotated[
        str, Meta(description="The subject inside the tenant; the key's name where left out.")
    ] = ""

    @property
    def subject(self) -> str:
        return self.owner or self.name


class AuthSettings(_Section):
    keys: Annotated[
        tuple[ApiKey, ...],
        Meta(
            description="API keys, hashed; make one with `antiphon key new`. None: anonymous, loopback only."
        ),
    ] = ()


class LimitSettings(_Section):
    max_body_bytes: Annotated[int, Meta(ge=1024, description="A larger request body answers 413.")] = (
        32 * 1024 * 1024
    )
    max_open_streams: Annotated[
        int, Meta(ge=1, description="Streams open at once; one more answers 503 with Retry-After.")
    ] = 2048
    max_file_bytes: Annotated[
        int, Meta(ge=1024, description="A larger file, or part of an upload, answers 413.")
    ] = 512 * 1024 * 1024
    max_upload_bytes: Annotated[
        int, Meta(ge=1024, description="What the parts of one upload may add up to.")
    ] = 8 * 1024 * 1024 * 1024


class WebSocketSettings(_Section):
    """Connections of `/v1/responses` that stay open."""

    max_age_s: Annotated[
        float,
        Meta(gt=0, le=86_400, description="A connection that is older is told so, and closed."),
    ] = 3600.0
    max_lanes: Annotated[
        int,
        Meta(ge=1, le=256, description="Responses of one connection that run at once, a lane each."),
    ] = 16
    max_waiting: Annotated[
        int, Meta(ge=1, le=4096, description="Frames of one connection that may wait for their turn.")
    ] = 64
    memory_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="How much a connection keeps of responses with `store: false`, so that they can be continued"
            " on it; those not used for longest are forgotten first.",
        ),
    ] = 32 * 1024 * 1024


class SealingSettings(_Section):
    """Keys of the blobs that clients carry for us, such as encrypted reasoning."""

    keys: Annotated[
        tuple[str, ...],
        Meta(
            description="Base64 of 32 random bytes each; the first seals, all open. None: the file `sealing.keys`"
            " beside the database, made when first needed. Replicas need the same keys."
        ),
    ] = ()
    max_age_days: Annotated[
        int, Meta(ge=1, le=3650, description="An older blob is refused with `invalid_encrypted_content`.")
    ] = 90

    def __repr__(self) -> str:
        return f"SealingSettings(keys={len(self.keys)}, max_age_days={self.max_age_days})"


class EgressSettings(_Section):
    """Which addresses that callers name are asked: images, files, documents."""

    allow_private: Annotated[
        tuple[str, ...],
        Meta(
            description="Networks (`10.0.0.0/8`) that URLs of callers may lead to although they are private;"
            " loopback and link-local ones too, where they are named."
        ),
    ] = ()
    allow_hosts: Annotated[
        tuple[HostPattern, ...],
        Meta(
            description="Only these hosts are asked (`example.com`, `*.example.com`). None: every public one."
        ),
    ] = ()
    max_bytes: Annotated[int, Meta(ge=1024, description="Larger answers are refused.")] = 32 * 1024 * 1024
    timeout_s: Annotated[Seconds, Meta(description="For one URL, its redirects included.")] = 30.0


class ServerSettings(_Section):
    host: Annotated[
        Name, Meta(description="Address to listen on. Any but a loopback address needs `auth.keys`.")
    ] = "127.0.0.1"
    port: PortNumber = 8321
    auth: AuthSettings = AuthSettings()
    limits: LimitSettings = LimitSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    sealing: SealingSettings = SealingSettings()
    breaker: BreakerSettings = BreakerSettings()
    egress: EgressSettings = EgressSettings()
    heartbeat_s: Annotated[
        Seconds, Meta(description="A stream that is silent for so long sends an SSE comment.")
    ] = 15.0
    responses_done_marker: Annotated[
        bool,
        Meta(description="End Responses streams with `data: [DONE]`, as strict Open Responses clients want."),
    ] = False
    parameters: Annotated[
        Literal["strict", "lenient"],
        Meta(
            description="`strict` refuses a parameter that the model's server cannot honour, and unknown fields;"
            " `lenient` leaves it out of what that server is sent, and fields that nobody knows out of the request;"
            " a `warning` header names them."
        ),
    ] = "strict"
    shutdown_grace_s: Annotated[
        Seconds, Meta(description="How long running requests may take to end after SIGTERM.")
    ] = 10.0
    tls_certfile: Annotated[
        str | None, Meta(description="PEM file of the certificate chain; with `tls_keyfile`, serves HTTPS.")
    ] = None
    tls_keyfile: Annotated[str | None, Meta(description="PEM file of the certificate's private key.")] = None


class ProviderSettings(_Section):
    """One upstream. Its `config` belongs to the provider type, which checks it when the server is built."""

    provider_id: Annotated[ProviderId, Meta(description="Its name here; models are `provider_id/model`.")]
    provider_type: Annotated[Name, Meta(description="A preset: `remote::openai`, `remote::ollama` …")]
    config: Annotated[
        dict[str, Any], Meta(description="What the type takes: `base_url`, `api_key`, `wire` …")
    ] = {}
    breaker: BreakerSettings | None = None  # `server.breaker` where left out

    def __repr__(self) -> str:
        config = redacted(self.config)
        return f"ProviderSettings({self.provider_id!r}, {self.provider_type!r}, config={config!r})"


class ProviderSections(_Section):
    inference: Annotated[
        tuple[ProviderSettings, ...],
        Meta(description="Model servers. None: `antiphon serve` looks for one."),
    ] = ()
    vector_io: Annotated[
        tuple[ProviderSettings, ...],
        Meta(description="Indexes of vector stores. None: `inline::sqlite-vec` beside the database."),
    ] = ()
    files: Annotated[
        tuple[ProviderSettings, ...],
        Meta(description="Where files are kept, at most one. None: `inline::localfs` beside the database."),
    ] = ()
    safety: Annotated[
        tuple[ProviderSettings, ...],
        Meta(description="What shields are asked by. `rules`, of type `inline::rules`, is always there."),
    ] = ()
    tool_runtime: Annotated[
        tuple[ToolRuntimeSettings, ...],
        Meta(
            description="What tool groups are of. `model-context-protocol` and `rag-runtime` are always there."
        ),
    ] = ()


class EmbeddingChoice(_Section):
    """Llama Stack's form of naming a model."""

    model_id: Annotated[Name, Meta(description="The model, by the provider's own name.")]
    provider_id: Annotated[str, Meta(description="A `provider_id` of `providers.inference`.")] = ""
    embedding_dimensions: Annotated[
        int, Meta(ge=0, le=65_536, description="The size of its vectors; 0: learned from the first one.")
    ] = 0

    @property
    def name(self) -> str:
        """The name to resolve it by."""
        return f"{self.provider_id}/{self.model_id}" if self.provider_id else self.model_id


class EmbeddingModelSettings(_Section):
    """How vector stores ask an embedding model, instead of what is known of it by its name."""

    model_id: Annotated[
        Name, Meta(description="A name of the model: as vector stores have it, or its provider's own.")
    ]
    query_prefix: Annotated[str, Meta(description="Put in front of queries.")] = ""
    document_prefix: Annotated[str, Meta(description="Put in front of documents.")] = ""
    query_input_type: Annotated[
        str, Meta(description="Sent with queries as `input_type`; none if empty.")
    ] = ""
    document_input_type: Annotated[
        str, Meta(description="Sent with documents as `input_type`; none if empty.")
    ] = ""
    can_be_cut: Annotated[
        bool, Meta(description="Its vectors may be shortened to the size that a vector store has.")
    ] = False
    batch: Annotated[int, Meta(ge=1, le=2048, description="Texts in one request, at most.")] = 32


class KnowledgeSettings(_Section):
    """How vector stores are made, filled and searched where a request does not say so."""

    default_provider_id: Annotated[
        str,
        Meta(description="Where chunks are kept: a `provider_id` of `providers.vector_io`; else the first."),
    ] = ""
    default_embedding_model: Annotated[
        EmbeddingChoice | None,
        Meta(description="Embeds what goes into new vector stores. None: they are searched by keywords."),
    ] = None
    default_reranker_model: Annotated[
        EmbeddingChoice | None,
        Meta(description="Orders search results anew, by `/rerank` of its server. None: they stay as found."),
    ] = None
    rewrite_query_model: Annotated[
        str, Meta(description="The model that rewrites queries where `rewrite_query` asks for it.")
    ] = ""
    context_model: Annotated[
        str, Meta(description="The model of contextual chunking where a request names none.")
    ] = ""
    embedding_models: Annotated[
        tuple[EmbeddingModelSettings, ...],
        Meta(description="How embedding models are asked that need something else than their names tell."),
    ] = ()
    workers: Annotated[
        int, Meta(ge=1, le=64, description="Files that are taken into vector stores at once.")
    ] = 2


class StorageSettings(_Section):
    url: Annotated[str, Meta(description="Where state lives: `sqlite:///PATH`; `~` is the home folder.")] = ""


class RuntimeSettings(_Section):
    url: Annotated[Literal["inline"], Meta(description="Where runs are executed: in this process.")] = (
        "inline"
    )


class RecordingSettings(_Section):
    """What is asked of models and what they answer, written to files. See docs/howto/record-and-replay.md."""

    path: Annotated[
        str, Meta(description="Folder of the recordings; nothing is recorded where it is left out.")
    ] = ""
    redact: Annotated[
        tuple[str, ...],
        Meta(description="Regular expressions; each match in a text is written as `***`. Keys always are."),
    ] = ()
    include_unstored: Annotated[
        bool, Meta(description="Record what was asked for with `store: false` as well.")
    ] = False
    max_file_mb: Annotated[
        int, Meta(ge=1, le=4096, description="A file that is larger is followed by another.")
    ] = 64
    max_files: Annotated[
        int, Meta(ge=1, le=100_000, description="Files kept; with one more, the oldest is removed.")
    ] = 100


class ModelSettings(_Section):
    """A model under a name of its own, besides those that providers list themselves: an alias, or a route."""

    model_id: Annotated[Name, Meta(description="The name that requests use.")]
    provider_id: Annotated[
        ProviderId,
        Meta(description="A `provider_id` of `providers.inference`; required unless there is a `route`."),
    ] = ""
    provider_model_id: Annotated[
        str, Meta(description="The provider's own name for it; `model_id` where left out.")
    ] = ""
    route: Route | None = None

    @property
    def upstream_name(self) -> str:
        return self.provider_model_id or self.model_id


class DiscoverySettings(_Section):
    """What the environment says about model servers. Used only when no inference provider is configured."""

    probe: bool = True
    openai_api_key: str = ""
    openai_base_url: str = ""
    vllm_url: str = ""
    vllm_api_key: str = ""
    ollama_url: str = ""
    anthropic_api_key: str = ""
    anthropic_base_url: str = ""

    def __repr__(self) -> str:
        return f"DiscoverySettings({redacted(msgspec.structs.asdict(self))!r})"


class LocalSettings(_Section):
    """What the environment says about models that run here. A provider's `config` wins over it."""

    hf_endpoint: str = ""
    hf_token: str = ""

    def __repr__(self) -> str:
        return f"LocalSettings({redacted(msgspec.structs.asdict(self))!r})"


class MappedLine(_Section):
    """What one line of the file became: `key` is its path there, `text` what it is here, or why it is not."""

    line: int
    key: str
    outcome: Outcome
    text: str


class Settings(_Section):
    """Everything the server is told, after file, environment and flags were put together."""

    server: ServerSettings = ServerSettings()
    providers: ProviderSections = ProviderSections()
    models: tuple[ModelSettings, ...] = ()
    storage: StorageSettings = StorageSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    recording: RecordingSettings = RecordingSettings()
    vector_stores: KnowledgeSettings = KnowledgeSettings()
    mcp: McpSettings = McpSettings()
    agents: AgentsSettings = AgentsSettings()
    safety: SafetySettings = SafetySettings()
    shields: tuple[ShieldSettings, ...] = ()
    connectors: tuple[ConnectorSettings, ...] = ()
    tool_groups: tuple[ToolGroupSettings, ...] = ()
    discovery: DiscoverySettings = DiscoverySettings()
    local: LocalSettings = LocalSettings()
    source: str | None = None  # the file it came from, as the user would write it
    home: str = ""  # absolute path of the state folder; not created here
    lines: dict[str, int] = {}  # the file's line of `provider_id` and of `provider_id.config.key`
    mapping: tuple[MappedLine, ...] = ()  # what each line of the file became, in their order
    notes: tuple[str, ...] = ()  # what the operator should know: parts of the file that have no effect

    def with_inference(self, found: Sequence[ProviderSettings]) -> "Settings":
        """The same settings with these providers instead of the configured ones."""
        sections = msgspec.structs.replace(self.providers, inference=tuple(found))
        return msgspec.structs.replace(self, providers=sections)

    def config_of(self, provider: ProviderSettings) -> Mapping[str, Any]:
        """The provider's `config`, with what the environment says where it says nothing itself."""
        if provider.provider_type != "inline::llama-cpp":
            return provider.config
        given = {"hf_endpoint": self.local.hf_endpoint, "hf_token": self.local.hf_token}
        known = {key: value for key, value in given.items() if value}
        return {"cache_dir": f"{self.home or '~/.antiphon'}/models", **known, **provider.config}

    def provider_error(self, provider_id: str, key: str, message: str) -> ConfigError:
        """An error in one provider's `config`, at the line of `key` ("" for the provider itself)."""
        line = self.lines.get(f"{provider_id}.config.{key}") or self.lines.get(provider_id)
        return ConfigError(self.source, line, f"provider {provider_id}: {message}")

    def safety_error(self, provider_id: str, key: str, message: str) -> ConfigError:
        """An error in a provider of `providers.safety`, at the line of `key` of its `config`."""
        name = f"safety:{provider_id}"
        line = self.lines.get(f"{name}.config.{key}") or self.lines.get(name)
        return ConfigError(self.source, line, f"provider {provider_id}: {message}")

    def shield_error(self, shield_id: str, key: str, message: str) -> ConfigError:
        """An error in a shield, at the line of its `key` (`provider_id`, `params`)."""
        name = f"shield:{shield_id}"
        line = self.lines.get(f"{name}.{key.partition('.')[0]}") or self.lines.get(name)
        return ConfigError(self.source, line, f"shield {shield_id}: {message}")

    def connector_error(self, connector_id: str, key: str, message: str) -> ConfigError:
        """An error in a connector, at the line of its `key` (`url`, `oauth.issuer`)."""
        name = f"connector:{connector_id}"
        line = self.lines.get(f"{name}.{key.partition('.')[0]}") or self.lines.get(name)
        return ConfigError(self.source, line, f"connector {connector_id}: {key} {message}")

    def group_error(self, group_id: str, key: str, message: str) -> ConfigError:
        """An error in a tool group, at the line of its `key` (`args`)."""
        name = f"group:{group_id}"
        line = self.lines.get(f"{name}.{key}") or self.lines.get(name)
        return ConfigError(self.source, line, f"tool group {group_id}: {message}")


def secrets_in(value: Mapping[str, Any]) -> Iterator[str]:
    """The texts that a mapping holds under keys that name secrets, at any depth."""
    for key, item in value.items():
        if isinstance(item, dict):
            yield from secrets_in(cast("dict[str, Any]", item))
        elif isinstance(item, str) and names_a_secret(key):
            yield item


def redacted(value: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which each value whose key names a secret is `***`, at any depth."""
    return {key: _shown(key, item) for key, item in value.items()}


def _shown(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return redacted(value)  # pyright: ignore[reportUnknownArgumentType] keys of YAML mappings are checked text
    if names_a_secret(key) and value:
        return _REDACTED
    return without_password(value) if isinstance(value, str) else value


def names_a_secret(key: str) -> bool:
    """Whether a value under this key must not be shown: `api_key`, `aws_secret`, `Authorization` …"""
    return any(word in key.lower() for word in _SECRET_WORDS)


def without_password(text: str) -> str:
    """A text whose URLs show no password, before the host or in the query."""
    return _PASSWORD.sub(lambda found: (found[1] or found[2]) + _REDACTED + ("@" if found[1] else ""), text)
