"""Shapes of ids.

An item's id is built from the response's: `msg_` + the 32 random hex digits of `resp_…` + a 4-digit counter. So an
`item_reference` names the response that holds the item, and no index of items is kept.
"""

import re

RESPONSE_PREFIX = "resp_"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
"""How ids of agents, sessions and turns look."""
_RANDOM = 32

STOPPED_INPUT = "stopped_input"
STOPPED_OUTPUT = "stopped_output"
"""What a message is that a shield answers with: the id says which side of its response later turns are not told of."""

PREFIX_BY_TYPE = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "custom_tool_call": "ctc_",
    "custom_tool_call_output": "ctco_",
    "computer_call": "cu_",
    "computer_call_output": "cuo_",
    "local_shell_call": "lsh_",
    "local_shell_call_output": "lsho_",
    "shell_call": "sh_",
    "shell_call_output": "sho_",
    "apply_patch_call": "apc_",
    "apply_patch_call_output": "apco_",
    "file_search_call": "fs_",
    "mcp_list_tools": "mcpl_",
    "mcp_call": "mcp_",
    "mcp_approval_request": "mcpr_",
    "mcp_approval_response": "mcpa_",
    "antiphon:mcp_elicitation_request": "mcpe_",
    "antiphon:mcp_elicitation_response": "mcpea_",
    "antiphon:mcp_authorization_request": "mcpo_",
    "antiphon:mcp_sampling_call": "mcps_",
    "tool_search_call": "tsc_",
    "tool_search_output": "tso_",
    "additional_tools": "at_",
    "compaction": "cmp_",
    STOPPED_INPUT: "msgi_",
    STOPPED_OUTPUT: "msgo_",
}


class ItemIds:
    """Gives the items of one response their ids, in order."""

    __slots__ = ("_next", "_root")

    def __init__(self, response_id: str) -> None:
        self._root = response_id.removeprefix(RESPONSE_PREFIX)
        self._next = 0

    def new(self, item_type: str) -> str:
        number = self._next
        self._next = number + 1
        return f"{PREFIX_BY_TYPE[item_type]}{self._root}{number:04x}"


def response_of(item_id: str) -> str | None:
    """The id of the response that an item id of ours belongs to; None when the id is not of our shape."""
    _, _, tail = item_id.partition("_")
    if len(tail) < _RANDOM + 4 or not all(digit in "0123456789abcdef" for digit in tail):
        return None
    return RESPONSE_PREFIX + tail[:_RANDOM]
