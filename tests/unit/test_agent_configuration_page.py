"""The page of the agents' configuration speaks of every field, and of what the code refuses."""

from pathlib import Path

import pytest

from antiphon.agents import client_tools, schemas, shapes
from antiphon.agents.definition import DEFAULT_MAX_ITERS
from antiphon.core.tool_rules import MAX_NESTING

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "agent-configuration.md").read_text()


@pytest.mark.parametrize(
    "shape",
    [
        shapes.AgentConfig,
        shapes.ToolConfig,
        shapes.SamplingParams,
        shapes.TopP,
        shapes.TopK,
        shapes.ToolDef,
        shapes.ToolParameter,
    ],
)
def test_every_field_is_on_the_page(shape: type[shapes.AgentConfig]) -> None:
    missing = [
        name
        for name in shape.__struct_fields__
        if not any(f"{mark}{name}{end}" in PAGE for mark in '`."' for end in '`."')
    ]
    assert not missing


def test_the_numbers_on_the_page_are_those_of_the_code() -> None:
    assert f"| `max_infer_iters` | {DEFAULT_MAX_ITERS} |" in PAGE
    assert f"deeper than {MAX_NESTING} levels" in PAGE
    assert f"above {schemas.MAX_SCHEMA_BYTES // 1024} KiB" in PAGE
    assert f"above {client_tools.MAX_TOOLS_BYTES // 1024**2} MiB" in PAGE
    for limit in (shapes.MAX_SHIELDS, shapes.MAX_GROUPS, shapes.MAX_CLIENT_TOOLS):
        assert f"at most {limit}" in PAGE


def test_every_name_that_client_tools_may_not_have_is_on_the_page() -> None:
    assert all(f"`{name}`" in PAGE for name in client_tools.BUILT_IN)
