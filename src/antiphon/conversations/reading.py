"""A conversation and what is in it, as far as its owner may see it."""

from collections.abc import Sequence

from antiphon.core.errors import NotFound
from antiphon.core.removals import as_left
from antiphon.core.transcript import PastTurn
from antiphon.ports import Owner, Store, StoredConversation


async def get_conversation(
    store: Store, owner: Owner, conversation_id: str, param: str = "conversation_id"
) -> StoredConversation:
    """Raises NotFound: unknown, deleted and foreign ids answer alike."""
    found = await store.conversations.get(owner, conversation_id)
    if found is None:
        raise NotFound(
            f'there is no conversation "{conversation_id[:200]}"; it may have been deleted. Make one with'
            " POST /v1/conversations.",
            param=param,
        )
    return found


async def turns_of(store: Store, owner: Owner, conversation: StoredConversation) -> Sequence[PastTurn]:
    """Its turns, oldest first, without the items that were taken out."""
    return as_left(await store.conversations.get_turns(owner, conversation.tip))
