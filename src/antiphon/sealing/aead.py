"""`AeadSealer`: AES-256-GCM. A blob says which key made it and when; tenant and purpose are authenticated with it.

Layout before base64url: version (1 byte), key id (4), Unix seconds (8, big-endian), nonce (12), ciphertext and tag.
"""

import binascii
import hashlib
import secrets
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from antiphon.core.errors import SealingUnavailable
from antiphon.ports import Clock, SealBroken

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = b"\x01"
KEY_BYTES = 32
_ID, _TIME, _NONCE = 4, 8, 12
_HEAD = len(VERSION) + _ID + _TIME
DAY_S = 86_400
ALLOWED_SKEW_S = 3600
ASK_AGAIN_S = 5
_FOREIGN = "was not made by this server for this tenant, or it was changed on its way"


@dataclass(frozen=True, slots=True)
class _Ciphers:
    newest: bytes
    by_id: "dict[bytes, AESGCM]"

    @classmethod
    def of(cls, keys: Sequence[bytes]) -> "_Ciphers":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        ids = [hashlib.sha256(key).digest()[:_ID] for key in keys]
        return cls(ids[0], {key_id: AESGCM(key) for key_id, key in zip(ids, keys, strict=True)})


class AeadSealer:
    """The first key seals, all open.

    Keys are asked for when the first blob is made or opened, and again when one comes of a key that is not among them.
    """

    def __init__(
        self, keys: Callable[[], Sequence[bytes]], clock: Clock, *, max_age_days: int | None
    ) -> None:
        """Without `max_age_days` a blob can be opened for as long as its key is there: for what is kept in a store."""
        self._keys = keys
        self._clock = clock
        self._max_age_days = max_age_days
        self._ciphers: _Ciphers | None = None
        self._asked_at = 0

    def seal(self, tenant: str, purpose: str, payload: bytes) -> str:
        """See `ports.Sealer.seal`. Raises SealingUnavailable when the keys cannot be read."""
        ciphers = self._ready()
        head = VERSION + ciphers.newest + self._clock.now().to_bytes(_TIME, "big")
        nonce = secrets.token_bytes(_NONCE)
        sealed = ciphers.by_id[ciphers.newest].encrypt(nonce, payload, _bound(head, tenant, purpose))
        return urlsafe_b64encode(head + nonce + sealed).decode()

    def open(self, tenant: str, purpose: str, blob: str) -> bytes:
        """See `ports.Sealer.open`."""
        from cryptography.exceptions import InvalidTag

        try:
            data = b64decode(blob.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise SealBroken(_FOREIGN) from None
        head, nonce, sealed = data[:_HEAD], data[_HEAD : _HEAD + _NONCE], data[_HEAD + _NONCE :]
        cipher = self._cipher(head[1 : 1 + _ID])
        if head[:1] != VERSION or cipher is None:
            raise SealBroken("was not made by this server, or the key that made it has been removed")
        try:
            payload = cipher.decrypt(nonce, sealed, _bound(head, tenant, purpose))
        except (InvalidTag, ValueError):
            raise SealBroken(_FOREIGN) from None
        self._check_age(int.from_bytes(head[1 + _ID :], "big"))
        return payload

    def _check_age(self, made_at: int) -> None:
        if self._max_age_days is None:
            return
        age_s = self._clock.now() - made_at
        if not -ALLOWED_SKEW_S <= age_s <= self._max_age_days * DAY_S:
            raise SealBroken(f"is too old: it could be used for {self._max_age_days} days")

    def _cipher(self, key_id: bytes) -> "AESGCM | None":
        """One that is not known may have been made since, by a rotation that another server has seen already."""
        found = self._ready().by_id.get(key_id)
        now = self._clock.now()
        if found is None and abs(now - self._asked_at) >= ASK_AGAIN_S:
            self._asked_at = now
            with suppress(SealingUnavailable):
                self._ciphers = _Ciphers.of(self._keys())
            found = self._ready().by_id.get(key_id)
        return found

    def _ready(self) -> _Ciphers:
        if self._ciphers is None:
            self._ciphers = _Ciphers.of(self._keys())
        return self._ciphers


def _bound(head: bytes, tenant: str, purpose: str) -> bytes:
    """What is authenticated besides the payload; lengths keep two pairs from spelling the same bytes."""
    return b"%b%d:%b%b" % (head, len(tenant.encode()), tenant.encode(), purpose.encode())
