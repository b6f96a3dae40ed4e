"""Who is calling: API keys from the configuration, kept as SHA-256 digests only."""

import hashlib
from collections.abc import Iterable, Mapping

from antiphon.config.settings import ApiKey
from antiphon.core.errors import Unauthenticated
from antiphon.ports import Owner

ANONYMOUS = Owner("default", "anonymous")


class Authenticator:
    """Knows each key by its digest. Without keys everybody is `ANONYMOUS`, which start-up allows on loopback only."""

    __slots__ = ("_by_digest",)

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._by_digest = {
            bytes.fromhex(key.hash.removeprefix("sha256:")): Owner(key.tenant, key.subject) for key in keys
        }

    @property
    def has_keys(self) -> bool:
        return bool(self._by_digest)

    def owner(self, headers: Mapping[bytes, bytes]) -> Owner:
        """The caller of a request. Raises Unauthenticated; the message never repeats the key."""
        if not self._by_digest:
            return ANONYMOUS
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not key:
            key = headers.get(b"x-api-key", b"") or headers.get(b"api-key", b"")
        if not key:
            raise Unauthenticated("no API key; send it as `Authorization: Bearer KEY`.")
        found = self._by_digest.get(hashlib.sha256(key.strip()).digest())
        if found is None:
            raise Unauthenticated("this API key is not known here; ask the server's operator for one.")
        return found
