"""What the operator says about agents: section `agents`."""

from typing import Annotated

from msgspec import Meta

from antiphon.models.breaker import Closed


class AgentsSettings(Closed):
    """How agents, sessions and their documents are kept."""

    volatile_session_ttl_s: Annotated[
        float,
        Meta(
            gt=0,
            le=604_800,
            description="How long a session that is not stored (`enable_session_persistence: false`) is kept in"
            " memory after its last turn.",
        ),
    ] = 3600.0
    max_volatile_mb: Annotated[
        int,
        Meta(ge=1, le=65_536, description="What such sessions may hold together; the least used go first."),
    ] = 64
    inline_document_tokens: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Documents of a turn up to this size are shown to the model whole; larger ones are indexed,"
            " and what fits the question is retrieved.",
        ),
    ] = 2000
    retrieved_chunks: Annotated[
        int, Meta(ge=1, le=50, description="Chunks that are retrieved for a turn, at most.")
    ] = 5
