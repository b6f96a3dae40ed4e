"""What was said in a chat, and how the next request says it: by the last response's id, or by all its items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from antiphon.client import Json

_KEPT_BY_SERVER = ("id", "status")


@dataclass(slots=True)
class Conversation:
    """`items` is everything, in order. `previous` is the response that the server can continue from, and `pending`
    what was said after it. With `chained` false the items are sent each time.
    """

    items: list[Json] = field(default_factory=list[Json])
    previous: str | None = None
    pending: list[Json] = field(default_factory=list[Json])
    chained: bool = True

    def copy(self) -> "Conversation":
        return replace(self, items=list(self.items), pending=list(self.pending))

    def say(self, *items: Json) -> None:
        """Add what the next request brings."""
        self.items += items
        self.pending += items

    def question(self) -> Json:
        """The keys of the next request that carry the conversation."""
        if not self.chained or self.previous is None:
            return {"input": self.items}
        return {"input": self.pending, "previous_response_id": self.previous}

    def answered(self, response: Json) -> None:
        """Take over the response to `question`."""
        self.items += _portable(response.get("output", ()))
        self.pending = []
        kept = response.get("store") is not False
        self.previous = str(response["id"]) if kept and response.get("id") else None
        if self.previous is None:
            self.chained = False

    def unchain(self) -> None:
        """The server keeps no responses: send the items from now on."""
        self.chained = False
        self.previous = None


def _portable(output: Sequence[Mapping[str, object]]) -> list[Json]:
    """Output items as a server takes them that has never seen them: without its ids, and without reasoning that
    only it could read back.
    """
    return [
        {key: value for key, value in item.items() if key not in _KEPT_BY_SERVER}
        for item in output
        if item.get("type") != "reasoning" or item.get("encrypted_content")
    ]
