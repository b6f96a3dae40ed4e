"""Where the response of a run goes that is made in a conversation."""

from dataclasses import dataclass, replace

from antiphon.ports import Owner, Store, StoredResponse


@dataclass(frozen=True, slots=True)
class ConversationKeeper:
    """A `ResponseKeeper` for one run. `continues` is the tip that the run's model was shown."""

    store: Store
    conversation_id: str
    continues: str | None

    async def put_response(self, owner: Owner, response: StoredResponse) -> None:
        """Store the response; when it came to an end the conversation goes on from it.

        A failed or cancelled one is stored beside the conversation, which stays where it was.

        Raises ConversationChanged when somebody else added to the conversation meanwhile: nothing was stored.
        """
        turn = replace(response, parent_id=self.continues)
        if response.status in ("completed", "incomplete"):
            conversations = self.store.conversations
            await conversations.append(owner, self.conversation_id, turn, continues=self.continues)
        else:
            await self.store.put_response(owner, turn)
