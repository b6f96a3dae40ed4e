"""The page of parameters says what the code does: every parameter is on it, and every row was seen."""

import ast
import asyncio
import json
import re
from collections.abc import AsyncIterable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from antiphon.core import support
from antiphon.core.body import CreateResponse
from antiphon.core.commands import CallModel
from antiphon.core.documents import Document
from antiphon.core.errors import UnsupportedParameter
from antiphon.core.hosted_items import CompactionTrigger
from antiphon.core.items import ItemReference
from antiphon.core.request import ResponseRequest
from antiphon.core.seen import as_seen
from antiphon.core.transcript import Transcript
from antiphon.ports import Intake, Owner
from antiphon.providers.chat_render import ChatRenderer
from antiphon.providers.messages_config import MessagesConfig
from antiphon.providers.messages_render import MessagesRenderer
from antiphon.providers.presets import PRESETS
from antiphon.providers.responses_render import ResponsesRenderer
from antiphon.responses.attachments import Attachments, Given
from tests.wire import chat_probes, messages_probes, responses_probes
from tests.wire.chat_probes import FILE, READ, Json, Probe
from tests.wire.parameters_page import PAGE, page
from tests.wire.server_parameters import SERVED, Served
from tests.wire.wires import WIRES, AnyRule, WireTable

ROOT = Path(__file__).parents[2]
HEAD = re.compile(r"\W")


class _Reader:
    """Reads every document as one sentence."""

    async def extract(self, content: AsyncIterable[bytes], filename: str, media_type: str) -> Document:
        return Document(READ)

    async def aclose(self) -> None: ...


def call_of(probe: Json, intake: Intake) -> CallModel:
    """One model call for a request with the parameter, as a model of this intake is to see it."""
    request = ResponseRequest.parse(json.dumps({"model": "m", "input": "hi", **probe}).encode())
    given = request.input if isinstance(request.input, list) else []
    items = [item for item in given if not isinstance(item, ItemReference | CompactionTrigger)]
    transcript = Transcript(request.instructions, (), tuple(as_seen(items)))
    call = CallModel(request, transcript, request.tool_choice or "auto", request.max_output_tokens)
    nobody: Any = None  # no part of a probe names a file that is kept, or a URL that is fetched
    shown = Given(Attachments(nobody, nobody, _Reader()), Owner("t", "o"), {})
    return asyncio.run(shown.shown(call, intake)) if FILE["file_data"] in json.dumps(probe) else call


def on_chat(probe: Json, provider_type: str) -> Json:
    """What an upstream of this type is sent."""
    can = PRESETS[provider_type].capabilities
    call = call_of(probe, Intake(can.image_urls, "pdf" if can.file_parts else "none"))
    body: Json = json.loads(ChatRenderer("up", can).render("m", call))
    return body


def on_responses(probe: Json, provider_type: str) -> Json:
    """The same for its route `/responses`."""
    can = PRESETS[provider_type].responses
    call = call_of(probe, Intake(can.image_urls, "all" if can.file_parts else "none"))
    body: Json = json.loads(ResponsesRenderer("up", can).render("m", call))
    return body


def on_messages(probe: Json, column: str) -> Json:
    """The same for the Messages API."""
    config = MessagesConfig(api_key="key", capabilities=WIRES[2].columns[column])
    renderer = MessagesRenderer("up", config)
    body: Json = json.loads(renderer.render("m", call_of(probe, Intake(files="pdf"))))
    return body


@dataclass(frozen=True, slots=True)
class Proof:
    """How one wire is looked at."""

    wire: WireTable
    probes: Mapping[str, Probe]
    body: Callable[[Json, str], Json]
    fullest: str
    """The type with the most on this wire."""


PROOFS = (
    Proof(WIRES[0], chat_probes.PROBES, on_chat, "remote::vllm"),
    Proof(WIRES[1], responses_probes.PROBES, on_responses, "remote::openai"),
    Proof(WIRES[2], messages_probes.PROBES, on_messages, "remote::anthropic"),
)
CASES = [
    (proof, rule, column) for proof in PROOFS for rule in proof.wire.rules for column in proof.wire.columns
]
SILENT = [(proof, probe) for proof in PROOFS for probe in proof.probes.values()]


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.wire.parameters_page`"


def test_no_row_says_ignored() -> None:
    cells = [
        cell.strip() for line in page().splitlines() if line.startswith("| `") for cell in line.split("|")
    ]
    assert "ignored" not in cells
    assert {
        rule.kind(column) for wire in WIRES for rule in wire.rules for column in wire.columns.values()
    } <= {
        "passed",
        "emulated",
        "refused",
    }


def test_every_field_of_a_request_has_its_row() -> None:
    on_wires = {HEAD.split(rule.param)[0] for wire in WIRES for rule in wire.rules}
    here = {HEAD.split(one.param)[0] for one in SERVED}
    refused = {row.name for row in support.rows() if row.place == "parameter"}
    fields = {item.name for item in msgspec.structs.fields(CreateResponse)}
    assert fields - on_wires - here - refused == set()
    assert (on_wires | here) - fields == set(), "a row for no parameter"


@pytest.mark.parametrize("served", SERVED, ids=lambda one: one.param)
def test_what_is_served_here_has_the_test_that_it_names(served: Served) -> None:
    path, _, name = served.test.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in functions


def test_each_wire_has_a_row_for_every_parameter_that_another_has() -> None:
    beside = "text.format beside tools"  # a row of its own where tools make a difference
    names = [{rule.param for rule in wire.rules} - {beside} for wire in WIRES]
    assert all(one == names[0] for one in names), (
        "a parameter that a wire says nothing about is one that it forgets"
    )


@pytest.mark.parametrize("proof", PROOFS, ids=lambda one: one.wire.title)
def test_every_row_of_a_wire_has_a_probe(proof: Proof) -> None:
    assert {rule.param for rule in proof.wire.rules} <= set(proof.probes)


def test_every_wire_is_proved() -> None:
    assert [proof.wire for proof in PROOFS] == list(WIRES)


@pytest.mark.parametrize(
    ("proof", "rule", "provider_type"),
    CASES,
    ids=[f"{proof.wire.title}-{rule.param}-{column}" for proof, rule, column in CASES],
)
def test_a_row_of_a_wire_is_what_the_upstream_sees(proof: Proof, rule: AnyRule, provider_type: str) -> None:
    probe = proof.probes[rule.param]
    match rule.kind(proof.wire.columns[provider_type]):
        case "passed":
            assert probe.passed(proof.body(probe.request, provider_type))
        case "emulated":
            assert probe.emulated is not None
            assert probe.emulated(proof.body(probe.request, provider_type))
        case _:
            with pytest.raises(UnsupportedParameter) as caught:
                proof.body(probe.request, provider_type)
            assert (caught.value.param or "").startswith(probe.param or rule.param)


@pytest.mark.parametrize(("proof", "probe"), SILENT, ids=[str(one.request)[:60] for _, one in SILENT])
def test_a_probe_sees_nothing_where_the_parameter_was_not_sent(proof: Proof, probe: Probe) -> None:
    plain = proof.body({"input": [{"role": "user", "content": "hi"}]}, proof.fullest)
    assert not probe.passed(plain)
