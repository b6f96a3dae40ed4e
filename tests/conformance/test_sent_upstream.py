"""Whatever valid request comes in: what a responses upstream is sent of it is a valid request too."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from antiphon.core import request_rules
from antiphon.core.commands import CallModel
from antiphon.core.errors import InvalidRequest
from antiphon.core.hosted_items import Compaction, CompactionTrigger
from antiphon.core.items import ItemReference
from antiphon.core.request import ResponseRequest
from antiphon.core.seen import as_seen
from antiphon.core.toolbox import Toolbox
from antiphon.core.transcript import Transcript, brought_tools, sendable
from antiphon.providers.presets import PRESETS
from antiphon.providers.responses_render import ResponsesRenderer
from tests.conformance import official
from tests.conformance.schema_instances import Instances

pytestmark = pytest.mark.skipif(not official.available(), reason=official.MISSING)

Json = dict[str, Any]
ITEMS = (
    "InputMessage",
    "EasyInputMessage",
    "OutputMessage",
    "ReasoningItem",
    "FunctionToolCall",
    "FunctionCallOutputItemParam",
    "CustomToolCall",
    "CustomToolCallOutput",
)
REPLACED = (ItemReference, Compaction, CompactionTrigger)
"""What no upstream is sent as it came."""
SAMPLES = 1_500
OWN = {"remote::openai", "remote::azure", "remote::openai-compatible"}
"""Types whose servers take what is in the document and nothing else."""


def instances() -> Instances:
    document = json.loads((official.spec_folder() / "openai.json").read_bytes())
    return Instances(document)


def bodies() -> Iterator[Json]:
    """Bodies of the document: one for each choice in it, random ones, and those around each item that runs here."""
    made = instances()
    random = Random(1)
    yield from (one for one in made.variants("CreateResponse") if isinstance(one, dict))
    yield from (made.sample("CreateResponse", random) for _ in range(SAMPLES))
    for name in ITEMS:
        for item in made.variants(name):
            yield {"model": "m", "input": [item]}
    for _ in range(SAMPLES):
        chosen = random.choices(ITEMS, k=random.randint(1, 4))
        yield {"model": "m", "input": [made.sample(name, random) for name in chosen]}


def parsed() -> list[ResponseRequest]:
    found: list[ResponseRequest] = []
    for body in bodies():
        try:
            found.append(ResponseRequest.parse(json.dumps(body).encode()))
        except InvalidRequest:
            continue
    return found


def test_what_is_sent_keeps_to_the_document() -> None:
    requests = parsed()
    assert len(requests) > 1_000, "most bodies of the document hold what is refused here"
    renderers = {name: ResponsesRenderer("up", PRESETS[name].responses, lenient=True) for name in OWN}
    sent = 0
    for request in requests:
        given = request.input if isinstance(request.input, list) else []
        stored = [item for item in given if not isinstance(item, REPLACED)]
        items = sendable(as_seen(stored))
        brought = brought_tools((), stored)
        try:
            request_rules.check_choice(request, brought)
        except InvalidRequest:  # it names a tool that an earlier response may have brought
            continue
        shown = Toolbox(request, brought).request()
        call = CallModel(
            shown,
            Transcript(request.instructions, (), tuple(items)),
            shown.tool_choice or "auto",
            request.max_output_tokens,
        )
        for renderer in renderers.values():
            try:
                body = json.loads(renderer.render("m", call))
            except InvalidRequest:
                continue
            assert official.openai().errors("CreateResponse", body) == []
            sent += 1
    assert sent > 3_000
