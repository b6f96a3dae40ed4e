"""A model in the forms that Llama Stack's clients read, beside the one of OpenAI."""

import re
from typing import Literal

import msgspec

from antiphon.core.wire import Wire
from antiphon.models.catalog import Model, Resolved

ModelType = Literal["llm", "embedding", "rerank"]
_BY_NAME: tuple[tuple[ModelType, re.Pattern[str]], ...] = (
    ("rerank", re.compile(r"rerank", re.IGNORECASE)),
    ("embedding", re.compile(r"embed|minilm|(^|[-_/.])(bge|e5|gte|gtr)[-_]", re.IGNORECASE)),
)


class StackFacts(Wire):
    """`custom_metadata` of clients from 0.4 on."""

    model_type: ModelType
    provider_id: str
    provider_resource_id: str


class StackModel(Model, tag_field="object", tag="model"):
    """`Model` with the fields that clients of 0.3 and older read, and those of 0.4 and newer."""

    identifier: str
    model_type: ModelType
    provider_id: str
    provider_resource_id: str
    custom_metadata: StackFacts
    type: Literal["model"] = "model"
    metadata: dict[str, str] = msgspec.field(default_factory=dict[str, str])


def _kind_of(name: str) -> ModelType:
    for kind, pattern in _BY_NAME:
        if pattern.search(name):
            return kind
    return "llm"


def stack_model(model: Model, resolved: Resolved) -> StackModel:
    """What a model does is told by its name: upstreams do not list it."""
    name = resolved.upstream_model
    kind = _kind_of(name)
    provider_id = resolved.provider.provider_id
    return StackModel(
        id=model.id,
        created=model.created,
        owned_by=model.owned_by,
        identifier=model.id,
        model_type=kind,
        provider_id=provider_id,
        provider_resource_id=name,
        custom_metadata=StackFacts(model_type=kind, provider_id=provider_id, provider_resource_id=name),
    )
