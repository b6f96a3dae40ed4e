"""Which class serves which provider type of `providers.files`. Ours are named here; others come by the entry point
`antiphon.files`.

An entry point's name is the provider type (`remote::my-store`) and its object a class with `from_config`, as
`antiphon.blobs.local.LocalBlobs` has it; `antiphon.testing.blob_contract` tells whether it does its work.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

from antiphon.plugin_types import PluginTypes, UnknownType
from antiphon.ports.files import BlobStore

GROUP = "antiphon.files"
BUILT_IN: Mapping[str, str] = {
    "inline::localfs": "antiphon.blobs.local:LocalBlobs",
    "remote::s3": "antiphon.blobs.s3:S3Blobs",
}


class UnknownBlobsType(UnknownType):
    pass


class BlobsClass(Protocol):
    def from_config(self, config: Mapping[str, Any], folder: Path | None) -> BlobStore:
        """The blob store that a configuration describes; nothing is opened or asked yet. `folder` is where the
        server's state is, None where nothing is kept.

        Raises AdapterConfigError, naming the key at fault; for "" the provider itself, as when a package is missing.
        """
        ...


_TYPES = PluginTypes("files provider type", GROUP, BUILT_IN, UnknownBlobsType)


def blobs_class(provider_type: str) -> BlobsClass:
    """Raises UnknownBlobsType, which lists the known ones."""
    return cast("BlobsClass", _TYPES.find(provider_type))
