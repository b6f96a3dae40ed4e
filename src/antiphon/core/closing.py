"""An item as it is when it is done: with its id, and with the status that says how it ended."""

import msgspec

from antiphon.core.hosted_items import (
    Compaction,
    FileSearchCall,
    McpApprovalRequest,
    McpCall,
    McpListTools,
    McpSamplingCall,
)
from antiphon.core.items import ItemStatus
from antiphon.core.signals import OutputItem

_WITHOUT_STATUS = (Compaction, McpListTools, McpApprovalRequest)
_OWN_STATUS = (FileSearchCall, McpCall, McpSamplingCall)


def closed(item: OutputItem, item_id: str, status: ItemStatus) -> OutputItem:
    """Some have no status: they are there whole. A call of this server's own that ended says itself how."""
    if isinstance(item, _WITHOUT_STATUS):
        return msgspec.structs.replace(item, id=item_id)
    if isinstance(item, _OWN_STATUS) and status == "completed":
        return msgspec.structs.replace(item, id=item_id)
    return msgspec.structs.replace(item, id=item_id, status=status)
