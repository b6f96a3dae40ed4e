"""Every route of the Agents API answers below both prefixes, and every field of its types is exercised."""

from collections.abc import Iterator

import pytest

from bench.program import Program, start_antiphon
from tests.agents.fields import all_fields
from tests.agents.tour import CONFIG, PAGE, PREFIXES, ROUTES, Tour, page, toured
from tests.support.mcp_servers import McpServers


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, mcp_servers: McpServers) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("tour")
    config = CONFIG % {"folder": folder, "mcp": mcp_servers.case().url()}
    with start_antiphon(folder, config) as program:
        program.wait_ready()
        yield program


@pytest.fixture(scope="module")
def tours(office: Program) -> list[Tour]:
    return [toured(office.port, prefix) for prefix in PREFIXES]


def test_every_route_answers_below_both_prefixes(tours: list[Tour]) -> None:
    for tour in tours:
        assert tour.statuses == {route: {200} for route in ROUTES}


def test_every_field_of_every_type_is_exercised(tours: list[Tour]) -> None:
    exercised = {place for tour in tours for place in tour.sent | tour.seen}
    assert [place for place in all_fields() if place not in exercised] == []


def test_the_page_says_what_the_tour_saw(tours: list[Tour]) -> None:
    assert PAGE.read_text() == page(tours, all_fields()), "run `make conformance`"
