"""Every route answers with and without a trailing slash, and below the prefix of older Llama Stack clients."""

import json

from tests.integration.clients import Raw

OLD = "/v1/openai/v1"


def test_every_route_is_also_below_the_old_prefix_and_with_a_slash(raw: Raw) -> None:
    """A route that is there is refused for what was sent, or answers; it is not unknown, nor the method wrong."""
    paths = json.loads(raw.get("/openapi.json").body)["paths"]
    tried = 0
    for template, methods in paths.items():
        path = template.replace("{response_id}", "resp_1").replace("{model_id}", "demo")
        spellings = [path, f"{path}/"]
        if path.startswith("/v1/"):
            old = OLD + path.removeprefix("/v1")
            spellings += [old, f"{old}/"]
        for method in methods:
            answers = [raw.send(method.upper(), one, b"" if method == "post" else None) for one in spellings]
            assert len({one.status for one in answers}) == 1, (method, spellings)
            assert answers[0].status != 405
            assert not any(b"there is no route" in one.body for one in answers), path
            tried += len(answers)
    assert tried > 50


def test_a_route_that_is_not_there_is_unknown_below_the_old_prefix_too(raw: Raw) -> None:
    for path in ("/v1/nothing", f"{OLD}/nothing", OLD, f"{OLD}/"):
        assert raw.get(path).status == 404
