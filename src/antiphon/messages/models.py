"""`GET /v1/models` as the Messages API has it: for requests with the header `anthropic-version`."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from antiphon.core.errors import InvalidRequest
from antiphon.core.wire import JsonObject
from antiphon.models.catalog import Model

DEFAULT_LIMIT = 20
MAX_LIMIT = 1000
_LIMIT = re.compile(r"[0-9]{1,6}", re.ASCII)


def model_info(model: Model) -> JsonObject:
    """`ModelInfo` of Anthropic's reference. Where nobody says when a model was made, it is of the epoch."""
    made = datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": made,
        "lifecycle": "active",
    }


def model_page(models: Sequence[Model], query: Mapping[str, Sequence[str]]) -> JsonObject:
    """One page: `limit`, `after_id`, `before_id`. Raises InvalidRequest."""
    for name in query:
        if name not in ("limit", "after_id", "before_id", "beta"):
            raise InvalidRequest(
                f'query parameter "{name[:100]}" is not served here; served: limit, after_id, before_id.',
                param=name[:100],
            )
    ids = [model.id for model in models]
    start = _find(ids, query, "after_id", before=-1) + 1
    end = _find(ids, query, "before_id", before=len(ids))
    between = models[start:end]
    limit = _limit(query)
    backwards = "before_id" in query and "after_id" not in query
    page = between[-limit:] if backwards else between[:limit]
    return {
        "data": [model_info(model) for model in page],
        "has_more": len(between) > len(page),
        "first_id": page[0].id if page else None,
        "last_id": page[-1].id if page else None,
    }


def _find(ids: Sequence[str], query: Mapping[str, Sequence[str]], name: str, *, before: int) -> int:
    given = query.get(name, ("",))[-1]
    if not given:
        return before
    if given not in ids:
        raise InvalidRequest(f'`{name}`: there is no model "{given[:200]}" in this list.', param=name)
    return ids.index(given)


def _limit(query: Mapping[str, Sequence[str]]) -> int:
    given = query.get("limit", ("",))[-1] or str(DEFAULT_LIMIT)
    if not _LIMIT.fullmatch(given) or not 1 <= int(given) <= MAX_LIMIT:
        raise InvalidRequest(
            f"`limit`: a whole number from 1 to {MAX_LIMIT}, not {given[:50]!r}.", param="limit"
        )
    return int(given)
