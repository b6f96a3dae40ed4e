"""Which class serves which provider type of `providers.files`. Ours are named here; others come by the entry point
`antiphon.files`.

An entry point's name is the provider type (`remote::my-store`) and its object a class with `from_config`, as
`antiphon.blobs.local.LocalBlobs` has it; `antiphon.testing.blob_contract` tells whether it does its work.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from antiphon.ports.files import BlobStore

GROUP = "antiphon.files"
BUILT_IN: Mapping[str, str] = {
    "inline::localfs": "antiphon.blobs.local:LocalBlobs",
    "remote::s3": "antiphon.blobs.s3:S3Blobs",
}


class UnknownBlobsType(Exception):
    def __init__(self, provider_type: str, known: list[str]) -> None:
        near = get_close_matches(provider_type, known, 1)
        hint = f'; did you mean "{near[0]}"?' if near else "."
        super().__init__(
            f'there is no files provider type "{provider_type}"{hint} There are: {", ".join(known)}'
        )


class BlobsClass(Protocol):
    def from_config(self, config: Mapping[str, Any], folder: Path | None) -> BlobStore:
        """The blob store that a configuration describes; nothing is opened or asked yet. `folder` is where the
        server's state is, None where nothing is kept.

        Raises AdapterConfigError, naming the key at fault; for "" the provider itself, as when a package is missing.
        """
        ...


def blobs_class(provider_type: str) -> BlobsClass:
    """Raises UnknownBlobsType, which lists the known ones."""
    target = BUILT_IN.get(provider_type)
    if target is not None:
        module, _, name = target.partition(":")
        return cast("BlobsClass", getattr(import_module(module), name))
    from importlib.metadata import entry_points

    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if provider_type not in found:
        raise UnknownBlobsType(provider_type, sorted([*BUILT_IN, *found]))
    return cast("BlobsClass", found[provider_type].load())
