"""Reasoning on its way out and in: what it hides is sealed for the client, and opened when it comes back."""

from dataclasses import dataclass

import msgspec

from antiphon.core.errors import InvalidEncryptedContent
from antiphon.core.items import Reasoning
from antiphon.core.thoughts import PURPOSE, hidden, restored
from antiphon.ports import SealBroken, Sealer


@dataclass(frozen=True, slots=True)
class Thoughts:
    """For one tenant."""

    sealer: Sealer
    tenant: str

    def sealed(self, item: Reasoning) -> Reasoning:
        """The item as clients see it. Raises SealingUnavailable."""
        blob = self.sealer.seal(self.tenant, PURPOSE, hidden(item))
        return msgspec.structs.replace(item, encrypted_content=blob)

    def opened(self, item: Reasoning, param: str) -> Reasoning:
        """The inner form of an item that a client sent. Raises InvalidEncryptedContent."""
        if not item.encrypted_content:
            return item
        try:
            return restored(item, self.sealer.open(self.tenant, PURPOSE, item.encrypted_content))
        except SealBroken as error:
            raise InvalidEncryptedContent(str(error), f"{param}.encrypted_content") from None
