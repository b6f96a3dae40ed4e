"""Compaction items on their way out and in: what they stand for is sealed for the client, and opened again."""

from dataclasses import dataclass

import msgspec

from antiphon.core.compaction import MAX_BLOB, PURPOSE, read
from antiphon.core.errors import InvalidEncryptedContent, SealingUnavailable
from antiphon.core.hosted_items import Compaction
from antiphon.ports import SealBroken, Sealer


@dataclass(frozen=True, slots=True)
class Compactions:
    """For one tenant."""

    sealer: Sealer
    tenant: str

    def sealed(self, item: Compaction) -> Compaction:
        """The item as clients see it. Raises SealingUnavailable, also for a context that is too large to be sealed."""
        blob = self.sealer.seal(self.tenant, PURPOSE, item.encrypted_content.encode())
        if len(blob) > MAX_BLOB:
            raise SealingUnavailable(
                f"the compacted context takes {len(blob)} characters, and {MAX_BLOB} is the limit."
            )
        return msgspec.structs.replace(item, encrypted_content=blob)

    def opened(self, item: Compaction, param: str) -> Compaction:
        """The inner form of an item that a client sent. Raises InvalidEncryptedContent."""
        field = f"{param}.encrypted_content"
        try:
            payload = self.sealer.open(self.tenant, PURPOSE, item.encrypted_content)
        except SealBroken as error:
            raise InvalidEncryptedContent(str(error), field) from None
        inner = msgspec.structs.replace(item, encrypted_content=payload.decode())
        try:
            read(inner)
        except ValueError:  # sealed by a version that had another form
            raise InvalidEncryptedContent("is of a form that this version does not know", field) from None
        return inner
