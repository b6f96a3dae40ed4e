"""What may stand between a request that is passed on and the provider that takes it."""

from typing import Protocol

from antiphon.models.catalog import Resolved
from antiphon.ports import Owner


class Tap(Protocol):
    """Gives the model to use instead, as recording does. Without one nothing stands between."""

    def __call__(
        self,
        resolved: Resolved,
        owner: Owner,
        request_id: str,
        asked_model: str,
        *,
        store: bool | None = None,
    ) -> Resolved:
        """`asked_model` is the caller's name of it; `store` what the caller said of keeping the request."""
        ...
