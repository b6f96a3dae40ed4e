"""Routes and breakers in the file: what is read, and where an error points."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from antiphon.app import make_catalog, make_providers
from antiphon.cli.check import explain
from antiphon.config.load import ConfigError, Settings, load
from antiphon.models.breaker import BreakerSettings
from antiphon.models.route import Candidate, Route, When
from antiphon.providers.upstream import UpstreamClient
from antiphon.testing import FakeClock, FakeIds

Load = Callable[..., Settings]

BASE = """\
version: 2
server:
  breaker: {failures: 7}
providers:
  inference:
  - provider_id: local
    provider_type: remote::vllm
    breaker: {enabled: false}
  - provider_id: cloud
    provider_type: remote::openai
    config: {api_key: sk-x}
models:
- {model_id: quick, provider_id: local, provider_model_id: llama-1b}
- model_id: smart
  route:
    candidates:
    - model: quick
      when: {images: false, max_input_tokens: 6000}
    - {model: cloud/gpt-5-mini, weight: 2}
    strategy: weighted
    fallback_on: [unavailable, context_length]
    sticky: false
"""


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    def read(text: str, environ: Mapping[str, str] | None = None) -> Settings:
        (tmp_path / "antiphon.yaml").write_text(text)
        return load(cwd=tmp_path, environ=environ or {})

    return read


def test_a_route_is_read_whole(load_text: Load) -> None:
    settings = load_text(BASE)
    assert settings.models[1].route == Route(
        candidates=(
            Candidate(model="quick", when=When(images=False, max_input_tokens=6000)),
            Candidate(model="cloud/gpt-5-mini", weight=2),
        ),
        strategy="weighted",
        fallback_on=("unavailable", "context_length"),
        sticky=False,
    )
    assert settings.server.breaker == BreakerSettings(failures=7)
    assert settings.providers.inference[0].breaker == BreakerSettings(enabled=False)


async def test_its_candidates_are_the_configured_providers_models(load_text: Load) -> None:
    settings, clock = load_text(BASE), FakeClock()
    client = UpstreamClient(clock)
    catalog = make_catalog(settings, make_providers(settings, client, FakeIds()), clock)
    assert [one.name for one in catalog.routed["smart"].options] == ["local/llama-1b", "cloud/gpt-5-mini"]
    assert (await catalog.resolve("smart")).provider.provider_id == "antiphon"
    await client.aclose()


def test_check_explains_it(load_text: Load) -> None:
    lines = explain(load_text(BASE))
    at = lines.index("model      smart = weighted route")
    assert lines[at + 1].strip() == "quick when images: false, max_input_tokens: 6000"
    assert lines[at + 2].strip() == "cloud/gpt-5-mini"


def test_a_candidate_without_a_name_is_switched_off(load_text: Load) -> None:
    text = BASE.replace("model: cloud/gpt-5-mini", 'model: "${env.CLOUD:+cloud/gpt-5-mini}"')
    off, on = load_text(text), load_text(text, {"CLOUD": "yes"})
    assert off.models[1].route is not None
    assert on.models[1].route is not None
    assert [one.model for one in off.models[1].route.candidates] == ["quick"]
    assert [one.model for one in on.models[1].route.candidates] == ["quick", "cloud/gpt-5-mini"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("cloud/gpt", "clod/gpt", ':19: models.route.candidates: no inference provider "clod"; did you mean "cloud/'),
        ("cloud/gpt-5-mini", "quik", ':19: models.route.candidates: "quik" is neither `provider_id/model` nor an al'),
        ("cloud/gpt-5-mini", "quik", 'did you mean "quick"?'),
        ("cloud/gpt-5-mini", "smart", ':19: models.route.candidates: "smart" is a route itself'),
        ("model: quick", "modell: quick", ':17: unknown key "modell" in models.route.candidates; did you mean "mod'),
        ("images:", "imges:", ':18: unknown key "imges" in models.route.candidates.when; did you mean "images"?'),
        ("images: false", "images: 3", ":18: models.route.candidates[0].when.images: expected"),
        ("context_length", "context_lenght", ':21: models.route.fallback_on: "context_lenght" is not known; did'),
        ("strategy: weighted", "strategy: wieghted", ':20: models.route.strategy: "wieghted" is not known; did'),
        ("weight: 2", "weight: -2", ":19: models.route.candidates[1].weight: expected"),
        ("images: false", "min_input_tokens: 9000", ":18: models.route.candidates.when: no request has 9000 input"),
        ("cloud/gpt-5-mini, weight: 2", "quick, when: {max_input_tokens: 6000, images: false}", ":19: models.route."),
        ("  route:\n", "  provider_id: local\n  route:\n", ":15: models: `provider_id` and `route` exclude each"),
        ("provider_id: local, prov", "prov", ':13: models: "provider_id" is missing; name a provider, or give a'),
        ("failures: 7", "failures: 0", ":3: server.breaker.failures: expected"),
        ("enabled: false", "enbled: false", ':8: unknown key "enbled" in providers.inference.breaker; did you mean'),
    ],
)  # fmt: skip
def test_an_error_points_at_its_line_and_says_what_to_do(
    load_text: Load, old: str, new: str, expected: str
) -> None:
    assert old in BASE
    with pytest.raises(ConfigError) as caught:
        load_text(BASE.replace(old, new, 1))
    assert expected in str(caught.value)


def test_nobody_to_ask_is_refused(load_text: Load) -> None:
    none = BASE[: BASE.index("    candidates:")] + "    candidates: []\n"
    with pytest.raises(ConfigError, match=r":16: models\.route\.candidates: expected"):
        load_text(none)
    weightless = BASE.replace("weight: 2", "weight: 0").replace(
        "- model: quick", "- model: quick\n      weight: 0"
    )
    with pytest.raises(ConfigError, match="every weight is 0; nobody would be asked"):
        load_text(weightless)
