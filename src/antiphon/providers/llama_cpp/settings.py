"""The `config:` mapping of an `inline::llama-cpp` provider, and of each model in it."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

import msgspec
from msgspec import Meta

from antiphon.providers.llama_cpp import gguf
from antiphon.providers.llama_cpp.hub_files import BadReference, HubReference
from antiphon.providers.presets import (
    PRESETS,
    Preset,
    ProviderConfigError,
    TimeoutConfig,
    UpstreamConfig,
    capabilities_of,
)

PROVIDER_TYPE = "inline::llama-cpp"
PRESET = Preset(PROVIDER_TYPE, None, PRESETS["remote::llama-cpp-server"].capabilities)
DEFAULT_CONTEXT = 8192
DEFAULT_ENDPOINT = "https://huggingface.co"
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*\Z", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}

StructT = TypeVar("StructT", bound=msgspec.Struct)
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model. It has a `path` to a GGUF file, or an `hf` reference, `OWNER/REPO[:QUANT or file.gguf]`."""

    name: str = ""
    path: str | None = None
    hf: str | None = None
    context: Annotated[int, Meta(ge=64, le=16_777_216)] | None = None
    slots: Annotated[int, Meta(ge=1, le=256)] = 1
    gpu_layers: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    threads: Annotated[int, Meta(ge=1, le=1024)] | None = None
    embeddings: bool = False
    reranking: bool = False
    pooling: Literal["none", "mean", "cls", "last"] | None = None
    chat_template: str | None = None
    mmproj: str | None = None
    cache_type: Literal["f32", "f16", "bf16", "q8_0", "q4_0"] = "f16"
    prompt_cache: int | str = 0
    memory: int | str | None = None

    @property
    def prompt_cache_bytes(self) -> int:
        return size_bytes(self.prompt_cache)


class LlamaCppConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole mapping; its models parsed, their names distinct."""

    models: tuple[ModelConfig, ...] = ()
    memory_limit: int | str | None = None
    idle_unload_s: Seconds | None = None
    cache_dir: str = "~/.antiphon/models"
    load_timeout_s: Seconds = 600.0
    wait_s: Seconds = 120.0
    hf_endpoint: str = DEFAULT_ENDPOINT
    hf_token: str = ""
    timeouts: TimeoutConfig = TimeoutConfig()
    capabilities: dict[str, Any] = {}

    @property
    def memory_limit_bytes(self) -> int | None:
        return None if self.memory_limit is None else size_bytes(self.memory_limit)


def size_bytes(value: int | str) -> int:
    """`8GiB`, `8G`, `500 MB`, `1073741824`. G, GB and GiB all mean 2^30. Raises ValueError."""
    if isinstance(value, int):
        if value < 0:
            raise ValueError(f"{value} is below 0")
        return value
    found = _SIZE.match(value)
    if found is None:
        raise ValueError(f'"{value}" is no size; write bytes or "8GiB"')
    return int(float(found[1]) * 1024 ** _POWERS[found[2].upper()])


def shown_bytes(count: int) -> str:
    """`1.5 GiB`, `310 MiB`, `12 KiB`."""
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count >= 1024**power:
            return f"{count / 1024**power:.{1 if power == 3 else 0}f} {unit}"
    return f"{count} B"


def parse_config(mapping: Mapping[str, Any]) -> LlamaCppConfig:
    """The configuration of one provider. Raises ProviderConfigError, naming the key."""
    _refuse_unknown(mapping, LlamaCppConfig, "")
    given = {key: value for key, value in mapping.items() if value is not None}
    models = tuple(_models(given.pop("models", None)))
    config = msgspec.structs.replace(_convert(given, LlamaCppConfig, ""), models=models)
    _check_size(config.memory_limit, "memory_limit")
    if not config.hf_endpoint.startswith(("http://", "https://")):
        raise ProviderConfigError("hf_endpoint", "`hf_endpoint` must begin with http:// or https://.")
    for name, value in msgspec.structs.asdict(config.timeouts).items():
        if value <= 0:
            raise ProviderConfigError("timeouts", f"`timeouts.{name}` must be above 0 seconds.")
    try:
        capabilities_of(PRESET, UpstreamConfig(capabilities=config.capabilities))
    except msgspec.ValidationError as error:
        raise ProviderConfigError("capabilities", f"`capabilities`: {error}.") from None
    return config


def _models(given: Any) -> list[ModelConfig]:
    entries = list(_entries(given))
    if not entries:
        raise ProviderConfigError(
            "models",
            f"{PROVIDER_TYPE} needs `models`: a list of {{name, path}} or {{name, hf}}, or a mapping by name.",
        )
    models = [_model(entry, where) for where, entry in entries]
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise ProviderConfigError(
                "models", f'two models have the name "{name}"; give each its own `name`.'
            )
    return models


def _entries(given: Any) -> list[tuple[str, dict[str, Any]]]:
    """Each model as a mapping, with how to call it in an error. A bare text is a path or `hf:` reference."""
    if given is None:
        return []
    if isinstance(given, Mapping):
        named = cast("Mapping[str, Any]", given).items()
        return [
            (f"models.{name}", {"name": name, **_entry(value, f"models.{name}")}) for name, value in named
        ]
    if isinstance(given, list | tuple):
        listed: Sequence[Any] = cast("Sequence[Any]", given)
        return [(f"models[{at}]", _entry(value, f"models[{at}]")) for at, value in enumerate(listed)]
    raise ProviderConfigError("models", "`models` is a list, or a mapping from names.")


def _entry(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, str):
        return {"hf": value[3:]} if value.startswith("hf:") else {"path": value}
    if isinstance(value, Mapping):
        found = cast("Mapping[str, Any]", value)
        return {key: item for key, item in found.items() if item is not None}
    raise ProviderConfigError("models", f"`{where}` is a mapping with `path` or `hf`.")


def _model(entry: dict[str, Any], where: str) -> ModelConfig:
    _refuse_unknown(entry, ModelConfig, where)
    model = _convert(entry, ModelConfig, where)
    path, hf = _source(model, where)
    for key in ("prompt_cache", "memory"):
        _check_size(getattr(model, key), f"{where}.{key}")
    inferred = gguf.base_name(path) if path is not None else _hub_name(hf or "", where)
    return msgspec.structs.replace(
        model,
        name=model.name or inferred,
        path=path,
        hf=hf,
        mmproj=model.mmproj and _projector(model.mmproj, f"{where}.mmproj"),
        chat_template=model.chat_template and _template(model.chat_template, where),
    )


def _source(model: ModelConfig, where: str) -> tuple[str | None, str | None]:
    """The absolute path or the reference, without `hf:`; one of them is None."""
    given = model.path if model.path is not None else model.hf
    if given is None or (model.path is not None and model.hf is not None):
        raise ProviderConfigError("models", f"`{where}` needs either `path` or `hf`.")
    if model.hf is not None or given.startswith("hf:"):
        return None, given.removeprefix("hf:")
    first = gguf.parts_of(Path(given))[0]  # llama.cpp finds the others by its name
    return str(_readable(str(first), f"{where}.path")), None


def _projector(text: str, where: str) -> str:
    """An absolute path, or an `hf:` reference that names the file."""
    if not text.startswith("hf:"):
        return str(_readable(text, where))
    try:
        selector = HubReference.parse(text).selector or ""
    except BadReference as error:
        raise ProviderConfigError("models", f"`{where}`: {error}") from None
    if not selector.endswith(".gguf"):
        raise ProviderConfigError("models", f"`{where}`: name the file, as in hf:OWNER/REPO:mmproj-F16.gguf.")
    return text


def _hub_name(reference: str, where: str) -> str:
    """What a downloaded model is called unless it has a name. Raises for a reference that cannot be one."""
    try:
        return HubReference.parse(reference).name
    except BadReference as error:
        raise ProviderConfigError("models", f"`{where}.hf`: {error}") from None


def _readable(path: str, where: str) -> Path:
    file = Path(path).expanduser().absolute()
    try:
        gguf.check_magic(file)
    except gguf.NotGguf as error:
        raise ProviderConfigError("models", f"`{where}`: {error}.") from None
    return file


def _template(text: str, where: str) -> str:
    """A Jinja template, a name that llama.cpp knows (`chatml`), or the path of a file that holds one."""
    if "{" in text or "\n" in text or not text.endswith((".jinja", ".jinja2", ".txt")):
        return text
    try:
        return Path(text).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProviderConfigError("models", f"`{where}.chat_template`: {text}: {error}") from None


def _check_size(value: int | str | None, where: str) -> None:
    try:
        size_bytes(value or 0)
    except ValueError as error:
        raise ProviderConfigError(where.partition(".")[0].partition("[")[0], f"`{where}`: {error}.") from None


def _refuse_unknown(mapping: Mapping[str, Any], kind: type[msgspec.Struct], where: str) -> None:
    known = kind.__struct_fields__
    for key in mapping:
        if key not in known:
            close = get_close_matches(str(key), known, n=1)
            advice = f'; did you mean "{close[0]}"?' if close else f"; known: {', '.join(sorted(known))}."
            inside = f" in `{where}`" if where else ""
            raise ProviderConfigError("models" if where else str(key), f'unknown key "{key}"{inside}{advice}')


def _convert(mapping: Mapping[str, Any], kind: type[StructT], where: str) -> StructT:
    try:
        return msgspec.convert(dict(mapping), kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at ")
        inner = path.strip("`").removeprefix("$").removeprefix(".")
        shown = ".".join(part for part in (where, inner) if part)
        key = "models" if where else inner.partition(".")[0]
        raise ProviderConfigError(key, f"{text}{f' (at {shown})' if shown else ''}") from None
