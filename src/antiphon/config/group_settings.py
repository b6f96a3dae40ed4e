"""What the operator says about tool groups: the list `tool_groups`."""

import re
from hashlib import sha256
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from antiphon.models.breaker import Closed

Kind = Literal["mcp", "rag"]
KINDS: Final[dict[str, Kind]] = {
    "remote::model-context-protocol": "mcp",
    "inline::rag-runtime": "rag",
    "inline::file-search": "rag",
}
"""What the provider types are that tool groups are of."""
PROVIDERS: Final[dict[str, Kind]] = {
    "model-context-protocol": "mcp",
    "rag-runtime": "rag",
    "file-search": "rag",
}
"""The providers that are there without being configured, by id."""
BUILTIN_RAG: Final = "builtin::rag"
MCP_PREFIX: Final = "mcp::"
REFUSED: Final[dict[str, str]] = {
    "builtin::websearch": "the web is not searched here; name an MCP server that does it as a group of its own",
    "builtin::wolfram_alpha": "Wolfram Alpha is not asked here; name an MCP server that does it as a group of its own",
    "builtin::code_interpreter": "no code is run here; give the agent a client tool that runs it",
}
"""Groups of Llama Stack's that are not served, and what to do instead."""
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_ID = 128


class ToolRuntimeSettings(Closed):
    """A name for what tool groups are of."""

    provider_id: Annotated[str, Meta(min_length=1, max_length=256, description="The name that groups say.")]
    provider_type: Annotated[
        str,
        Meta(description="`remote::model-context-protocol`, `inline::rag-runtime` or `inline::file-search`."),
    ]
    config: Annotated[dict[str, Any], Meta(description="Takes nothing.")] = {}


class Endpoint(Closed):
    uri: Annotated[str, Meta(min_length=1, description="The URL of the MCP server.")]


class ToolGroupSettings(Closed):
    """Tools under a name by which agents use them: those of an MCP server, or a search of vector stores."""

    toolgroup_id: Annotated[str, Meta(min_length=1, max_length=256, description="Its id.")]
    provider_id: Annotated[
        str,
        Meta(
            min_length=1,
            description="`model-context-protocol`, `rag-runtime`, or a provider of `providers.tool_runtime`.",
        ),
    ]
    mcp_endpoint: Annotated[
        Endpoint | None,
        Meta(
            description="An MCP server, which becomes a connector; of a connector that is there, leave it out."
        ),
    ] = None
    args: Annotated[
        dict[str, Any],
        Meta(
            description="Arguments for each call, which win over the model's; of a search its vector stores."
        ),
    ] = {}

    def __repr__(self) -> str:
        return f"ToolGroupSettings({self.toolgroup_id!r})"  # what else there is may be a secret


def connector_id_of(group_id: str) -> str:
    """The id of the connector that an MCP group leads to, made from the group's."""
    name = _UNFIT.sub("-", group_id.removeprefix(MCP_PREFIX)).strip("-._")[:_MAX_ID]
    return name or f"group-{sha256(group_id.encode()).hexdigest()[:12]}"
