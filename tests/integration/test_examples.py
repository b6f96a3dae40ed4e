"""The use cases of the Responses API in `examples/`, each with two providers: no request shows in another."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.program import Program
from tests.integration.examples_world import RESPONSES, ROOT, run, started
from tests.integration.upstream import Upstream


@pytest.fixture(scope="module")
def desk(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with started(tmp_path_factory.mktemp("examples"), upstream) as program:
        yield program


@pytest.mark.parametrize("example", RESPONSES)
def test_a_use_case_is_short_and_runs_with_nothing_configured(desk: Program, example: str) -> None:
    text = (ROOT / "examples" / f"{example}.py").read_text()
    assert len(text.splitlines()) <= 50
    assert text.count("# another provider is") + text.count("# other providers are") == 1
    assert run(desk, example).strip()


@pytest.mark.parametrize("model", ["scripted/weather", "up/attentive"])
def test_the_weather_app_asks_its_function_for_each_city(desk: Program, model: str) -> None:
    oslo, rome = run(desk, "weather_tool", MODEL=model).splitlines()
    assert "rain, 7 degrees" in oslo
    assert "sun, 24 degrees" in rome
    assert "rain" not in rome, "each question stands alone"


@pytest.mark.parametrize(
    ("small", "large"), [("scripted/desk", "scripted/seller"), ("up/attentive", "scripted/seller")]
)
def test_the_gateway_gives_each_question_to_whom_it_is_for(desk: Program, small: str, large: str) -> None:
    password, hours, product = run(desk, "gateway", MODEL=small, LARGE_MODEL=large).splitlines()
    assert f"password_reset ({small})" in password
    assert "open /reset" in password
    assert f"office_hours ({small})" in hours
    assert "9 to 17" in hours
    assert product.endswith(f"product ({large}): Aurora is brighter.")


@pytest.mark.parametrize("model", ["scripted/writer", "up/in-fours"])
def test_each_product_gets_its_own_tagline(desk: Program, tmp_path: Path, model: str) -> None:
    """`in-fours` answers nobody before four have asked: the requests are made at once."""
    source = tmp_path / "many.csv"
    rows = [f"N{at:02},thing {at:02} of forty" for at in range(40)]
    source.write_text("\n".join(["name,description", *rows]))
    made = list(csv.DictReader(io.StringIO(run(desk, "taglines", str(source), MODEL=model))))
    assert [one["name"] for one in made] == [f"N{at:02}" for at in range(40)]
    failed = [one["name"] for one in made if one["error"]]
    assert failed == (["N13"] if model == "scripted/writer" else [])
    for one in made:
        assert one["name"] in failed or f"{one['name']}: {one['description']}" in one["tagline"]
        assert (int(one["tokens"]) > 0) is (one["name"] not in failed)


def test_every_model_is_compared_with_every_prompt(desk: Program) -> None:
    models = "scripted/terse,up/attentive"
    lines = run(desk, "compare_prompts", MODELS=models).splitlines()
    rows = [line.split("\t") for line in lines if "\t" in line][1:]
    assert len(rows) == 2 * 2 * 3
    assert len({tuple(row[:3]) for row in rows}) == 12
    about = {"invoice": "4711", "visit": "visitors", "broken": "printer"}
    for _, _, email, _, text in rows:
        assert [name for name, word in about.items() if word in text] == [email]
    started_with = {(row[1], row[4].split(":")[0]) for row in rows if row[0] == "scripted/terse"}
    assert started_with == {("sentence", "In short"), ("request", "Wanted")}
    assert sum("tokens on average" in line for line in lines) == 4
