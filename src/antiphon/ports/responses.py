"""`StoredResponse`: the row that responses, conversations and turns of agents are kept in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response as stored: wire JSON, kept once, and the columns that are queried.

    `head` is the response object without `output`; `input` and `output` are JSON arrays of this response's own new
    items (not of its ancestors), every item with an id.
    """

    id: str
    parent_id: str | None
    status: str
    model: str
    created_at: int
    head: bytes
    input: bytes
    output: bytes
    served_by: str = ""
    """The model that answered, `provider_id/model`; "" where it is not known."""
