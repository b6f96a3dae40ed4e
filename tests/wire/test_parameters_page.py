"""The page of parameters says what the code does: every parameter is on it, and every row was seen."""

import ast
import json
import re
from pathlib import Path

import msgspec
import pytest

from antiphon.core import support
from antiphon.core.body import CreateResponse
from antiphon.core.commands import CallModel
from antiphon.core.errors import UnsupportedParameter
from antiphon.core.items import ItemReference
from antiphon.core.request import ResponseRequest
from antiphon.core.transcript import Transcript
from antiphon.providers.chat_parameters import Rule, rules
from antiphon.providers.chat_render import ChatRenderer
from antiphon.providers.presets import PRESETS
from tests.wire.chat_probes import PROBES, Json, Probe
from tests.wire.parameters_page import PAGE, page
from tests.wire.server_parameters import SERVED, Served
from tests.wire.wires import WIRES

ROOT = Path(__file__).parents[2]
HEAD = re.compile(r"\W")


def body_of(probe: Json, provider_type: str) -> Json:
    """What an upstream of this type is sent for a request with the parameter."""
    request = ResponseRequest.parse(json.dumps({"model": "m", "input": "hi", **probe}).encode())
    given = request.input if isinstance(request.input, list) else []
    items = [item for item in given if not isinstance(item, ItemReference)]
    call = CallModel(
        request,
        Transcript(request.instructions, (), tuple(items)),
        request.tool_choice or "auto",
        request.max_output_tokens,
    )
    renderer = ChatRenderer("up", PRESETS[provider_type].capabilities)
    body: Json = json.loads(renderer.render("m", call))
    return body


def cases() -> list[tuple[Rule, str]]:
    return [(rule, provider_type) for rule in rules() for provider_type in PRESETS]


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
    names = [{rule.param for rule in wire.rules} for wire in WIRES]
    assert all(one == names[0] for one in names), (
        "a parameter that a wire says nothing about is one that it forgets"
    )


def test_every_row_of_the_chat_wire_has_a_probe() -> None:
    assert {rule.param for rule in rules()} == set(PROBES)


@pytest.mark.parametrize(("rule", "provider_type"), cases(), ids=lambda one: getattr(one, "param", one))
def test_a_row_of_the_chat_wire_is_what_the_upstream_sees(rule: Rule, provider_type: str) -> None:
    probe = PROBES[rule.param]
    match rule.kind(PRESETS[provider_type].capabilities):
        case "passed":
            assert probe.passed(body_of(probe.request, provider_type))
        case "emulated":
            assert probe.emulated is not None
            assert probe.emulated(body_of(probe.request, provider_type))
        case "refused":
            with pytest.raises(UnsupportedParameter) as caught:
                body_of(probe.request, provider_type)
            assert (caught.value.param or "").startswith(probe.param or rule.param)


@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
def test_a_probe_sees_nothing_where_the_parameter_was_not_sent(probe: Probe) -> None:
    plain = body_of({"input": [{"role": "user", "content": "hi"}]}, "remote::vllm")
    assert not probe.passed(plain)
