"""The settings, and `load`, the only reader of configuration files and of the environment."""

import hashlib
import ipaddress
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from antiphon.config.settings import (
    ApiKey,
    AuthSettings,
    ConfigError,
    DiscoverySettings,
    LimitSettings,
    LocalSettings,
    ModelSettings,
    ProviderSections,
    ProviderSettings,
    RuntimeSettings,
    ServerSettings,
    Settings,
    StorageSettings,
)

__all__ = [
    "VARIABLES",
    "ApiKey",
    "AuthSettings",
    "Caller",
    "ConfigError",
    "DiscoverySettings",
    "Flags",
    "LimitSettings",
    "ModelSettings",
    "ProviderSections",
    "ProviderSettings",
    "RuntimeSettings",
    "ServerSettings",
    "Settings",
    "StorageSettings",
    "caller",
    "hash_key",
    "load",
    "load_mapping",
]

DEFAULT_FILE = "antiphon.yaml"
_SHORTEST_KEY = 16  # a shorter key could be guessed from its hash

VARIABLES: Mapping[str, str] = {
    "ANTIPHON_CONFIG": "The configuration file; `antiphon.yaml` of the working folder where unset.",
    "ANTIPHON_HOME": "The folder of the state; `~/.antiphon` where unset.",
    "ANTIPHON_HOST": "Overrides `server.host`.",
    "ANTIPHON_PORT": "Overrides `server.port`.",
    "ANTIPHON_STORAGE_URL": "Overrides `storage.url`.",
    "ANTIPHON_API_KEYS": "API keys in clear, `name=key` or `key`, comma-separated; kept as hashes.",
    "ANTIPHON_DISCOVERY": "`off`: ask no local port for a model server; what the variables below name is still used.",
    "OPENAI_API_KEY": "Found when no provider is configured: OpenAI with this key.",
    "OPENAI_BASE_URL": "The address for `OPENAI_API_KEY`.",
    "ANTHROPIC_API_KEY": "The same: Anthropic with this key.",
    "ANTHROPIC_BASE_URL": "The address for `ANTHROPIC_API_KEY`.",
    "VLLM_URL": "Found when no provider is configured: a vLLM server.",
    "VLLM_API_KEY": "The key of that vLLM server, if it wants one (`VLLM_API_TOKEN` is read too).",
    "OLLAMA_URL": "Found when no provider is configured: an Ollama server.",
    "ANTIPHON_API_KEY": "The key that `antiphon chat` and `antiphon doctor --client` send; `--key` overrides it.",
    "NO_COLOR": "Set to anything: commands print no colours (<https://no-color.org>).",
    "HF_ENDPOINT": "Where `hf:` models are downloaded from; `https://huggingface.co` where unset.",
    "HF_TOKEN": "The token for `hf:` models that need one.",
}
"""The environment variables that are read, and what each does."""


LOCALHOST = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line overrides; None where it says nothing."""

    host: str | None = None
    port: int | None = None
    allow_private: Sequence[str] = ()
    """Networks that are added to `server.egress.allow_private`; `localhost` is this machine."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What the environment says about the person at the terminal. `key` is a secret: it is in no repr."""

    key: str = field(default="", repr=False)
    colours: bool = True


def caller(environ: Mapping[str, str] | None = None) -> Caller:
    """For the commands that talk to a server. Reads no file."""
    variables = os.environ if environ is None else environ
    dumb = variables.get("TERM") == "dumb"
    return Caller(variables.get("ANTIPHON_API_KEY", ""), not (variables.get("NO_COLOR") or dumb))


def load(
    config_path: str | Path | None = None,
    *,
    flags: Flags | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Settings:
    """The settings: flags over environment over file over defaults. Writes nothing and contacts nobody.

    The file is `config_path`, else `$ANTIPHON_CONFIG`, else `antiphon.yaml` in `cwd`, else none. A `.env`
    beside it (in `cwd` without a file) is read first; variables that are really set win over it.

    Raises:
        ConfigError: with file and line where a file is at fault.
    """
    cwd = cwd or Path.cwd()
    process = os.environ if environ is None else environ
    path = _find_file(config_path or process.get("ANTIPHON_CONFIG") or None, cwd)
    variables = {**_read_dotenv((path.parent if path else cwd) / ".env", cwd), **process}
    settings = Settings() if path is None else _read_file(path, _shown(path, cwd), variables)
    settings = _with_environment(settings, variables)
    settings = _with_flags(settings, flags or Flags())
    _refuse_unsafe(settings)
    return settings


def load_mapping(
    mapping: Mapping[str, Any], *, environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Settings:
    """The settings that a mapping of a file's shape states, by the same rules; `Path` values are their text.

    Raises:
        ConfigError: without file and line.
    """
    from yaml import safe_dump

    cwd = cwd or Path.cwd()
    variables = {**_read_dotenv(cwd / ".env", cwd), **(os.environ if environ is None else environ)}
    try:
        text = safe_dump(msgspec.to_builtins(mapping, enc_hook=str), allow_unicode=True)
        settings = msgspec.structs.replace(_parse(text, "config", variables), source=None, lines={})
    except ConfigError as error:
        raise ConfigError(None, None, error.message) from None
    settings = _with_environment(settings, variables)
    _refuse_unsafe(settings)
    return settings


def hash_key(key: str) -> str:
    """The form in which a key is kept. Keys are long and random, so a plain digest cannot be guessed back."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def _find_file(named: str | Path | None, cwd: Path) -> Path | None:
    if named is None:
        path = cwd / DEFAULT_FILE
        return path if path.is_file() else None
    path = cwd / Path(named).expanduser()
    if not path.is_file():
        raise ConfigError(str(named), None, "no such configuration file")
    return path


def _shown(path: Path, cwd: Path) -> str:
    return str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)


def _read_text(path: Path, shown: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(shown, None, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(shown, None, f"is not UTF-8 text (byte {error.start})") from None


def _read_file(path: Path, shown: str, variables: Mapping[str, str]) -> Settings:
    return _parse(_read_text(path, shown), shown, variables)


def _parse(text: str, shown: str, variables: Mapping[str, str]) -> Settings:
    # YAML and what stands on it load only when there is a file: `antiphon serve` alone needs none of it.
    from antiphon.config.bind import bind
    from antiphon.config.lines import lines_of
    from antiphon.config.llama_stack import is_llama_stack, translate
    from antiphon.config.yaml_nodes import parse_yaml

    root = parse_yaml(text, shown, variables)
    if not is_llama_stack(root):
        return msgspec.structs.replace(bind(root), source=shown, mapping=lines_of(root))
    ours = translate(root, state_elsewhere=bool(variables.get("ANTIPHON_STORAGE_URL")))
    return msgspec.structs.replace(bind(ours.root), source=shown, notes=ours.notes, mapping=ours.rows)


def _read_dotenv(path: Path, cwd: Path) -> dict[str, str]:
    """`NAME=value` lines; `export` before and quotes around are taken off, `#` begins a comment."""
    if not path.is_file():
        return {}
    shown = _shown(path, cwd)
    found: dict[str, str] = {}
    for number, raw in enumerate(_read_text(path, shown).splitlines(), start=1):
        line = raw.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip().isidentifier():
            raise ConfigError(shown, number, "expected NAME=value")
        found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] in "'\"" and (end := value.find(value[0], 1)) > 0:
        return value[1:end]
    return value.split(" #", 1)[0].rstrip()


def _with_environment(settings: Settings, variables: Mapping[str, str]) -> Settings:
    server = settings.server
    if host := variables.get("ANTIPHON_HOST"):
        server = msgspec.structs.replace(server, host=host)
    if port := variables.get("ANTIPHON_PORT"):
        server = msgspec.structs.replace(server, port=_port(port, "ANTIPHON_PORT"))
    if keys := variables.get("ANTIPHON_API_KEYS"):
        server = msgspec.structs.replace(server, auth=AuthSettings(keys=server.auth.keys + _keys(keys)))
    home = Path(variables.get("ANTIPHON_HOME") or "~/.antiphon").expanduser().absolute()
    url = variables.get("ANTIPHON_STORAGE_URL") or settings.storage.url or f"sqlite:///{home / 'antiphon.db'}"
    return msgspec.structs.replace(
        settings,
        server=server,
        home=str(home),
        storage=StorageSettings(url=url),
        discovery=_discovery(variables),
        local=LocalSettings(
            hf_endpoint=variables.get("HF_ENDPOINT", ""), hf_token=variables.get("HF_TOKEN", "")
        ),
    )


def _discovery(variables: Mapping[str, str]) -> DiscoverySettings:
    return DiscoverySettings(
        probe=variables.get("ANTIPHON_DISCOVERY", "").lower() not in {"off", "0", "false", "no"},
        openai_api_key=variables.get("OPENAI_API_KEY", ""),
        openai_base_url=variables.get("OPENAI_BASE_URL", ""),
        vllm_url=variables.get("VLLM_URL", ""),
        vllm_api_key=variables.get("VLLM_API_KEY") or variables.get("VLLM_API_TOKEN", ""),
        ollama_url=variables.get("OLLAMA_URL", ""),
        anthropic_api_key=variables.get("ANTHROPIC_API_KEY", ""),
        anthropic_base_url=variables.get("ANTHROPIC_BASE_URL", ""),
    )


def _port(text: str, name: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise ConfigError(None, None, f'{name}: expected a port from 0 to 65535, got "{text}"')
    return int(text)


def _keys(text: str) -> tuple[ApiKey, ...]:
    """Keys from `name=key,key`; a nameless one is called by its place."""
    found: list[ApiKey] = []
    for place, entry in enumerate(filter(None, (part.strip() for part in text.split(","))), start=1):
        name, equals, key = entry.partition("=")
        if not equals:
            name, key = f"key-{place}", entry
        if len(key) < _SHORTEST_KEY:
            message = f"ANTIPHON_API_KEYS: key {place} is shorter than {_SHORTEST_KEY} characters"
            raise ConfigError(None, None, f"{message}; make one with `antiphon key new`")
        found.append(ApiKey(name=name.strip(), hash=hash_key(key.strip())))
    return tuple(found)


def _with_flags(settings: Settings, flags: Flags) -> Settings:
    server = settings.server
    if flags.host is not None:
        server = msgspec.structs.replace(server, host=flags.host)
    if flags.port is not None:
        server = msgspec.structs.replace(server, port=_port(str(flags.port), "--port"))
    if flags.allow_private:
        networks = [one for given in flags.allow_private for one in _networks(given)]
        egress = server.egress
        egress = msgspec.structs.replace(egress, allow_private=(*egress.allow_private, *networks))
        server = msgspec.structs.replace(server, egress=egress)
    return msgspec.structs.replace(settings, server=server)


def _networks(given: str) -> Sequence[str]:
    """Raises ConfigError for what is no network."""
    if given == "localhost":
        return LOCALHOST
    try:
        return (str(ipaddress.ip_network(given, strict=False)),)
    except ValueError:
        message = f'--allow-private: "{given}" is no network; write 10.0.0.0/8, fd00::/8 or localhost'
        raise ConfigError(None, None, message) from None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on `host`. Of names, only `localhost` is sure."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _refuse_unsafe(settings: Settings) -> None:
    server = settings.server
    if (server.tls_certfile is None) != (server.tls_keyfile is None):
        raise ConfigError(settings.source, None, "server: tls_certfile and tls_keyfile go together")
    if not server.auth.keys and not is_loopback(server.host):
        raise ConfigError(
            settings.source,
            None,
            f"server.host: {server.host} can be reached from other machines and no API key is configured."
            " Make one with `antiphon key new` and put its hash under server.auth.keys,"
            " or listen on 127.0.0.1.",
        )
    names = [key.name for key in server.auth.keys]
    if len(set(names)) < len(names):
        raise ConfigError(settings.source, None, "server.auth.keys: each key needs a name of its own")
