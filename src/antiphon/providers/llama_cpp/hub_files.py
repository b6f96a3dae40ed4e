"""Which files an `hf:` reference means. Pure: names and sizes in, names out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from antiphon.providers.llama_cpp.gguf import base_name

DEFAULT_QUANT = "Q4_K_M"
SENSIBLE = (
    "Q4_K_M", "Q4_K_S", "Q4_K_XL", "Q4_K_L", "Q4_0", "IQ4_NL", "IQ4_XS", "MXFP4", "Q5_K_M", "Q5_K_S",
    "Q5_0", "Q6_K", "Q8_0", "BF16", "F16", "FP16", "F32",
)  # fmt: skip
"""In the order of preference: four bits first, then up. Below four bits only what was asked for by name."""

_REFERENCE = re.compile(r"(?:hf:)?([A-Za-z0-9][\w.-]*)/([A-Za-z0-9][\w.-]*)(?::(.+))?\Z")
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf\Z", re.IGNORECASE)


class BadReference(ValueError):
    """The text is no reference to a model of the hub."""


class NoSuchFile(ValueError):
    """The repository has no file for the reference; the message names the nearest."""


@dataclass(frozen=True, slots=True)
class HubReference:
    """`hf:OWNER/REPO[:SELECTOR]`; the selector is a quantisation (`Q4_K_M`) or a file of the repository."""

    owner: str
    repo: str
    selector: str | None = None

    @classmethod
    def parse(cls, text: str) -> "HubReference":
        """Raises BadReference."""
        found = _REFERENCE.match(text)
        if found is None or ".." in text:
            raise BadReference(f'"{text}" is no model of the hub; write hf:OWNER/REPO[:QUANT or file.gguf].')
        return cls(found[1], found[2], found[3])

    @property
    def repo_id(self) -> str:
        return f"{self.owner}/{self.repo}"

    @property
    def name(self) -> str:
        """`Qwen3-8B` for `hf:Qwen/Qwen3-8B-GGUF`, with the file's name where one is asked for."""
        if self.selector is not None and self.selector.endswith(".gguf"):
            return base_name(self.selector)
        return re.sub(r"-GGUF\Z", "", self.repo, flags=re.IGNORECASE)

    def __str__(self) -> str:
        return f"hf:{self.repo_id}" + (f":{self.selector}" if self.selector else "")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository. `sha256` is None where the hub does not tell, `size` where it does not either."""

    name: str
    size: int | None = None
    sha256: str | None = None


def choose(reference: HubReference, files: Sequence[HubFile]) -> list[HubFile]:
    """The files to fetch, in order: one, or all parts of a split model. Raises NoSuchFile."""
    selector = reference.selector
    if selector is not None and selector.lower().endswith(".gguf"):
        named = {file.name: file for file in files if file.name.lower().endswith(".gguf")}
        return _parts(reference, _named(reference, selector, named), named)
    models = {file.name: file for file in files if _is_model(file.name)}
    if not models:
        raise NoSuchFile(
            f"{reference.repo_id} has no GGUF file; look for a repository whose name ends in -GGUF."
        )
    first = _default(models) if selector is None else _quantised(reference, selector, models)
    return _parts(reference, first, models)


def quant_of(name: str) -> str:
    """The quantisation in a file's name, in capitals: `Q4_K_M`; "" when there is none."""
    stem = _SPLIT.sub("", name).removesuffix(".gguf").upper()
    found = re.findall(
        r"(?:^|[-._/])((?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|BF16|FP?16|F32|MXFP4(?:_[A-Z]+)?))(?=$|[-./])", stem
    )
    return str(found[-1]) if found else ""


def _is_model(name: str) -> bool:
    """Not the projector of a vision model, nor an importance matrix, which are GGUF files too."""
    base = name.rsplit("/", 1)[-1].lower()
    return base.endswith(".gguf") and not base.startswith("mmproj") and "imatrix" not in base


def _is_first(name: str) -> bool:
    found = _SPLIT.search(name)
    return found is None or int(found[1]) == 1


def _default(models: dict[str, HubFile]) -> str:
    """Q4_K_M, else the first of `SENSIBLE` that is there, else the smallest file."""
    first = sorted(filter(_is_first, models))
    for quant in SENSIBLE:
        for name in first:
            if quant_of(name) == quant:
                return name
    if not first:
        raise NoSuchFile(f"the first part of {next(iter(models))} is missing.")
    return min(first, key=lambda name: (models[name].size or 0, name))


def _quantised(reference: HubReference, quant: str, models: dict[str, HubFile]) -> str:
    first = sorted(filter(_is_first, models))
    for name in first:
        if quant_of(name) == quant.upper():
            return name
    loose = [name for name in first if quant.lower() in name.rsplit("/", 1)[-1].lower()]
    if loose:
        return loose[0]
    have = sorted({found for found in map(quant_of, first) if found})
    near = get_close_matches(quant.upper(), have, n=3, cutoff=0.4) or have[:6]
    raise NoSuchFile(
        f"{reference.repo_id} has no {quant}; {_listed('nearest', near, len(have))}"
        if near
        else f"{reference.repo_id} has no {quant}; its files: {', '.join(first[:6])}."
    )


def _named(reference: HubReference, name: str, models: dict[str, HubFile]) -> str:
    if name in models:
        return _first_of(name)
    by_base = [path for path in models if path.rsplit("/", 1)[-1] == name]
    if len(by_base) == 1:
        return _first_of(by_base[0])
    near = get_close_matches(name, models, n=3, cutoff=0.3) or sorted(models)[:3]
    if not near:
        raise NoSuchFile(f"{reference.repo_id} has no GGUF file.")
    raise NoSuchFile(f"{reference.repo_id} has no file {name}; {_listed('nearest', near, len(models))}")


def _listed(what: str, names: Sequence[str], of: int) -> str:
    return f"{what}: {', '.join(names)}{f' (of {of})' if of > len(names) else ''}."


def _first_of(name: str) -> str:
    found = _SPLIT.search(name)
    if found is None:
        return name
    return f"{name[: found.start()]}-00001-of-{found[2]}.gguf"


def _parts(reference: HubReference, first: str, models: dict[str, HubFile]) -> list[HubFile]:
    found = _SPLIT.search(first)
    if found is None:
        return [models[first]]
    stem, count = first[: found.start()], int(found[2])
    names = [f"{stem}-{part:05d}-of-{count:05d}.gguf" for part in range(1, count + 1)]
    missing = [name for name in names if name not in models]
    if missing:
        raise NoSuchFile(
            f"{reference.repo_id} lacks {len(missing)} of {count} parts: {', '.join(missing[:3])}."
        )
    return [models[name] for name in names]
