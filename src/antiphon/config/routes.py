"""Routes in the file: what the types cannot say about them, checked where the lines are known."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import get_args

from antiphon.config.settings import ConfigError, ModelSettings
from antiphon.config.yaml_nodes import Node
from antiphon.models.route import Candidate, Cause, Route, Strategy


def with_live_candidates(model: Node) -> Node:
    """The entry without the candidates whose `model` was given and is empty, as `${env.URL:+local/name}` leaves it.

    Raises ConfigError for a word in `fallback_on` or `strategy` that is none, naming the nearest.
    """
    route = model["route"]
    if not isinstance(route.value, dict):
        return model
    causes = route["fallback_on"]
    for cause in causes.items() if isinstance(causes.value, list) else ():
        _check_word(cause, get_args(Cause), "models.route.fallback_on")
    if route["strategy"].value is not None:
        _check_word(route["strategy"], get_args(Strategy), "models.route.strategy")
    candidates = route["candidates"]
    if not isinstance(candidates.value, list):
        return model
    live = [one for one in candidates.value if not _switched_off(one)]
    kept = replace(route, value={**route.mapping(), "candidates": replace(candidates, value=live)})
    return replace(model, value={**model.mapping(), "route": kept})


def check_routes(models: Sequence[tuple[ModelSettings, Node]], providers: Sequence[str]) -> None:
    """Raises ConfigError for a route that could never answer, or of which it is not clear who should."""
    by_name = {settings.model_id: settings for settings, _ in models}
    for settings, node in models:
        if settings.route is None:
            if not settings.provider_id:
                raise node.error('models: "provider_id" is missing; name a provider, or give a `route`')
            continue
        for key in ("provider_id", "provider_model_id"):
            if key in node.mapping():
                line = node.key_lines.get(key, node.line)
                message = f"models: `{key}` and `route` exclude each other; a route names its candidates"
                raise ConfigError(node.file, line, message)
        _check_route(settings.route, node["route"], by_name, providers)


def _check_route(
    route: Route, node: Node, models: Mapping[str, ModelSettings], providers: Sequence[str]
) -> None:
    seen: list[Candidate] = []
    for candidate, at in zip(route.candidates, node["candidates"].items(), strict=True):
        _check_name(candidate.model, at["model"], models, providers)
        when = candidate.when
        low, high = when.min_input_tokens, when.max_input_tokens
        if low is not None and high is not None and low > high:
            raise at["when"].error(
                f"models.route.candidates.when: no request has {low} input tokens or more and {high} or fewer"
            )
        if any(candidate.model == other.model and when == other.when for other in seen):
            raise at.error(f'models.route.candidates: "{candidate.model}" is given twice by the same rules')
        seen.append(candidate)
    if not any(candidate.weight for candidate in route.candidates):
        raise node["candidates"].error("models.route.candidates: every weight is 0; nobody would be asked")


def _check_name(name: str, node: Node, models: Mapping[str, ModelSettings], providers: Sequence[str]) -> None:
    known = models.get(name)
    if known is not None:
        if known.route is not None:
            raise node.error(
                f'models.route.candidates: "{name}" is a route itself; name the models that it stands for'
            )
        return
    provider_id, slash, model = name.partition("/")
    if slash and model and provider_id in providers:
        return
    aliases = [one.model_id for one in models.values() if one.route is None]
    if slash and model:
        near = get_close_matches(provider_id, providers, n=1)
        advice = (
            f'did you mean "{near[0]}/{model}"?' if near else f"configured: {', '.join(providers) or 'none'}"
        )
        raise node.error(f'models.route.candidates: no inference provider "{provider_id}"; {advice}')
    raise node.error(
        f'models.route.candidates: "{name}" is neither `provider_id/model` nor an alias; {_nearest(name, aliases)}'
    )


def _check_word(word: Node, known: Sequence[str], path: str) -> None:
    if word.value not in known:
        raise word.error(f'{path}: "{word.text()}" is not known; {_nearest(word.text(), known)}')


def _switched_off(candidate: Node) -> bool:
    if not isinstance(candidate.value, dict) or "model" not in candidate.value:
        return False
    model = candidate["model"]
    return model.problem is None and model.value in {None, ""}


def _nearest(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, n=1)
    return f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known) or 'none'}"
