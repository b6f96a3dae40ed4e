"""`/v1/prompts`, and `prompt` in responses, against the installed program."""

import json
from typing import Any

import openai
import pytest

from antiphon.conformance.stream import response_events
from bench.program import Program
from tests.conformance.recorder import Recorder
from tests.integration.clients import Json, Raw
from tests.integration.conftest import StartServer
from tests.integration.sockets import RawSocket
from tests.integration.test_keys import KEYS
from tests.integration.upstream import Upstream

PIXEL = "data:image/png;base64,iVBORw0KGgo="
IMAGE: Json = {"type": "input_image", "image_url": PIXEL, "detail": "low"}


@pytest.fixture
def made(raw: Raw) -> Json:
    """A prompt of two variables, fresh for the test."""
    return create(raw, "You serve {{ shop }}. Speak {{ tongue }}.", ["shop", "tongue"])


def create(raw: Raw, template: str, variables: list[str], **more: Any) -> Json:
    answer = raw.post("/v1/prompts", {"prompt": template, "variables": variables, **more})
    assert answer.status == 200, answer.body
    return answer.json


def respond(raw: Raw, prompt: Json, **more: Any) -> Json:
    answer = raw.post("/v1/responses", {"model": "echo", "input": "hi", "prompt": prompt, **more})
    assert answer.status == 200, answer.body
    return answer.json


def refused(raw: Raw, body: Json) -> tuple[int, str | None]:
    answer = raw.post("/v1/responses", {"model": "echo", "input": "hi", **body})
    return answer.status, answer.error["param"]


def system_text(upstream: Upstream) -> str:
    return str(upstream.last_request()["messages"][0]["content"])


# --- the routes ---------------------------------------------------------------------------------------------


def test_a_prompt_is_made_got_and_listed(raw: Raw) -> None:
    made = create(raw, "Hello {{ name }}", ["name"])
    prompt_id = made["prompt_id"]
    assert made == {
        "prompt_id": prompt_id,
        "version": 1,
        "prompt": "Hello {{ name }}",
        "variables": ["name"],
        "is_default": True,
    }
    assert len(prompt_id) == len("pmpt_") + 48
    assert set(prompt_id.removeprefix("pmpt_")) <= set("0123456789abcdef")
    for query in ("", "?version=1", "?version="):
        assert raw.get(f"/v1/prompts/{prompt_id}{query}").json == made
    assert made in raw.get("/v1/prompts").json["data"]
    assert raw.get(f"/v1/prompts/{prompt_id}/versions").json == {"data": [made]}


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_new_version_follows_the_latest(raw: Raw, made: Json, method: str) -> None:
    path = f"/v1/prompts/{made['prompt_id']}"
    second = raw.send(method, path, {"prompt": "Short.", "version": 1}).json
    assert (second["version"], second["is_default"], second["variables"]) == (2, True, [])
    third = raw.send(method, path, {"prompt": "Shorter.", "version": 2, "set_as_default": False}).json
    assert (third["version"], third["is_default"]) == (3, False)
    assert raw.get(path).json == second
    chosen = raw.send(method, f"{path}/set-default-version", {"version": 1})
    assert (chosen.status, chosen.json) == (200, made)
    assert raw.get(path).json == made
    versions = raw.get(f"{path}/versions").json["data"]
    assert [(one["version"], one["is_default"]) for one in versions] == [(1, True), (2, False), (3, False)]


def test_an_update_of_another_than_the_latest_version_is_409(raw: Raw, made: Json) -> None:
    path = f"/v1/prompts/{made['prompt_id']}"
    assert raw.post(path, {"prompt": "Mine.", "version": 1}).status == 200
    for version in (1, 3, 2**31 - 2):
        answer = raw.post(path, {"prompt": "Late.", "version": version})
        assert answer.status == 409, answer.body
        assert (answer.error["param"], answer.error["code"]) == ("version", "prompt_changed")
        assert "is 2" in answer.error["message"]
        assert answer.headers["x-should-retry"] == "false"
    assert [one["prompt"] for one in raw.get(f"{path}/versions").json["data"]] == [made["prompt"], "Mine."]


def test_a_deleted_prompt_is_unknown(raw: Raw, made: Json) -> None:
    path = f"/v1/prompts/{made['prompt_id']}"
    gone = raw.send("DELETE", path)
    assert gone.json == {"id": made["prompt_id"], "object": "prompt.deleted", "deleted": True}
    asked: list[tuple[str, str, Json | None]] = [
        ("GET", path, None),
        ("GET", f"{path}?version=1", None),
        ("GET", f"{path}/versions", None),
        ("POST", path, {"prompt": "x", "version": 1}),
        ("PUT", f"{path}/set-default-version", {"version": 1}),
        ("DELETE", path, None),
    ]
    for method, where, body in asked:
        answer = raw.send(method, where, body)
        assert (answer.status, answer.error["param"]) == (404, "prompt_id"), (method, where)
    assert refused(raw, {"prompt": {"id": made["prompt_id"]}}) == (404, "prompt.id")


def test_an_unknown_version_is_404(raw: Raw, made: Json) -> None:
    path = f"/v1/prompts/{made['prompt_id']}"
    for answer in (
        raw.get(f"{path}?version=2"),
        raw.send("PUT", f"{path}/set-default-version", {"version": 2}),
    ):
        assert (answer.status, answer.error["param"]) == (404, "version")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": "x" * (256 * 1024 + 1)}, "prompt"),
        ({"prompt": "Hi {{ a }}"}, "variables"),
        ({"prompt": "Hi {{ a }}", "variables": "a"}, "variables"),
        ({"prompt": "Hi {{ a }}", "variables": [7]}, "variables[0]"),
        ({"prompt": "Hi {{ a }}", "variables": ["a", "a"]}, "variables[1]"),
        ({"prompt": "Hi {{ a }}", "variables": ["a", "b"]}, "variables[1]"),
        ({"prompt": "Hi", "variables": [""]}, "variables[0]"),
        ({"prompt": "Hi", "variables": ["v"] * 257}, "variables"),
        ({"prompt": "Hi", "name": "greeting"}, "name"),
        ({"prompt": "Hi", "model": ""}, "model"),
        ({"prompt": "Hi", "version": 1}, "version"),
    ],
    ids=str,
)
def test_a_bad_prompt_is_refused_and_not_stored(raw: Raw, body: Any, param: str | None) -> None:
    before = raw.get("/v1/prompts").body
    answer = raw.post("/v1/prompts", body)
    assert (answer.status, answer.error["param"]) == (400, param), answer.body
    assert raw.get("/v1/prompts").body == before


@pytest.mark.parametrize(
    ("where", "body", "param"),
    [
        ("", {"prompt": "x"}, "version"),
        ("", {"prompt": "x", "version": 0}, "version"),
        ("", {"prompt": "x", "version": "1"}, "version"),
        ("", {"prompt": "x", "version": 2**31}, "version"),
        ("", {"prompt": "x", "version": 1, "set_as_default": "yes"}, "set_as_default"),
        ("", {"prompt": "{{ a }}", "version": 1}, "variables"),
        ("", {"prompt": "x", "version": 1, "variables": ["a"]}, "variables[0]"),
        ("/set-default-version", {}, "version"),
        ("/set-default-version", {"version": None}, "version"),
        ("/set-default-version", {"version": 1, "more": 1}, "more"),
    ],
    ids=str,
)
def test_a_bad_change_is_refused_and_changes_nothing(
    raw: Raw, made: Json, where: str, body: Json, param: str
) -> None:
    answer = raw.send("PUT", f"/v1/prompts/{made['prompt_id']}{where}", body)
    assert (answer.status, answer.error["param"]) == (400, param), answer.body
    assert raw.get(f"/v1/prompts/{made['prompt_id']}/versions").json == {"data": [made]}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("version=0", "version"),
        ("version=one", "version"),
        ("version=" + "9" * 5000, "version"),
        ("v=1", "v"),
    ],
)
def test_a_bad_query_is_refused(raw: Raw, made: Json, query: str, param: str) -> None:
    answer = raw.get(f"/v1/prompts/{made['prompt_id']}?{query}")
    assert (answer.status, answer.error["param"]) == (400, param)
    assert raw.get("/v1/prompts?limit=2").error["param"] == "limit"
    assert raw.get(f"/v1/prompts/{made['prompt_id']}/versions?limit=2").error["param"] == "limit"


def test_a_model_stays_with_a_prompt_until_it_is_taken_away(raw: Raw) -> None:
    made = create(raw, "Hi", [], model="echo")
    path = f"/v1/prompts/{made['prompt_id']}"
    assert made["model"] == "echo"
    kept = raw.send("PUT", path, {"prompt": "Hello", "version": 1}).json
    other = raw.send("PUT", path, {"prompt": "Hello", "version": 2, "model": "demo"}).json
    taken = raw.send("PUT", path, {"prompt": "Hello", "version": 3, "model": None}).json
    assert [one.get("model") for one in (kept, other, taken)] == ["echo", "demo", None]


# --- in a response ------------------------------------------------------------------------------------------


def test_the_filled_prompt_stands_before_the_instructions(raw: Raw, made: Json, upstream: Upstream) -> None:
    variables = {"shop": "a {{ tongue }} bakery", "tongue": {"type": "input_text", "text": "Basque"}}
    prompt = {"id": made["prompt_id"], "variables": variables}
    response = respond(raw, prompt, instructions="Be brief.")
    text = "You serve a {{ tongue }} bakery. Speak Basque."
    assert system_text(upstream) == f"{text}\n\nBe brief."
    assert response["prompt"] == {**prompt, "version": "1"}
    shown = [(item["role"], item["content"]) for item in response["instructions"]]
    assert shown == [
        ("system", [{"type": "input_text", "text": text}]),
        ("system", [{"type": "input_text", "text": "Be brief."}]),
    ]
    assert raw.get(f"/v1/responses/{response['id']}").json == response


def test_a_child_inherits_nothing_of_a_prompt(raw: Raw, made: Json, upstream: Upstream) -> None:
    prompt = {"id": made["prompt_id"], "variables": {"shop": IMAGE, "tongue": "Welsh"}}
    parent = respond(raw, prompt)
    assert len(upstream.last_request()["messages"]) == 3
    child = raw.post(
        "/v1/responses", {"model": "echo", "input": "again", "previous_response_id": parent["id"]}
    ).json
    sent = [(one["role"], one["content"]) for one in upstream.last_request()["messages"]]
    said = parent["output"][0]["content"][0]["text"]
    assert sent == [("user", "hi"), ("assistant", said), ("user", "again")]
    assert (child["instructions"], child.get("prompt")) == (None, None)
    for one in (parent, child):
        items = raw.get(f"/v1/responses/{one['id']}/input_items?order=asc").json["data"]
        assert items[0]["content"] == [{"type": "input_text", "text": "hi"}]


def test_images_are_shown_in_front_with_markers_in_the_text(raw: Raw, made: Json, upstream: Upstream) -> None:
    other = {**IMAGE, "detail": "high"}
    respond(raw, {"id": made["prompt_id"], "variables": {"tongue": other, "shop": IMAGE}})
    system, media, asked = upstream.last_request()["messages"]
    assert system["content"] == "You serve [image: shop]. Speak [image: tongue]."
    assert media["role"] == "user"
    assert media["content"] == [
        {"type": "text", "text": "[image: shop]"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        {"type": "text", "text": "[image: tongue]"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "high"}},
    ]
    assert asked["content"] == "hi"


def test_another_image_under_the_same_name_is_another_image(raw: Raw, upstream: Upstream) -> None:
    made = create(raw, "Look: {{ it }}", ["it"])
    for end in ("b25l", "dHdv", "b25l"):
        url = f"data:image/png;base64,{end}"
        value = {"type": "input_image", "image_url": url, "detail": "auto"}
        respond(raw, {"id": made["prompt_id"], "variables": {"it": value}})
        assert upstream.last_request()["messages"][1]["content"][1]["image_url"]["url"] == url


def test_a_version_may_be_named_and_else_is_the_default(raw: Raw, upstream: Upstream) -> None:
    made = create(raw, "First.", [])
    raw.send("PUT", f"/v1/prompts/{made['prompt_id']}", {"prompt": "Second.", "version": 1})
    for version, text in (("1", "First."), ("2", "Second."), (None, "Second.")):
        response = respond(raw, {"id": made["prompt_id"], "version": version})
        assert system_text(upstream) == text
        assert response["prompt"]["version"] == (version or "2")


def test_the_prompt_may_bring_the_model_and_stand_alone(raw: Raw, upstream: Upstream) -> None:
    made = create(raw, "Say something.", [], model="echo")
    answer = raw.post("/v1/responses", {"prompt": {"id": made["prompt_id"]}})
    assert answer.status == 200, answer.body
    assert answer.json["model"] == "echo"
    assert [one["role"] for one in upstream.last_request()["messages"]] == ["system"]
    assert raw.get(f"/v1/responses/{answer.json['id']}").json["model"] == "echo"
    other = raw.post("/v1/responses", {"model": "demo", "prompt": {"id": made["prompt_id"]}})
    assert (other.status, other.json["model"]) == (200, "demo")


def test_a_streamed_response_shows_the_prompt_in_each_event(raw: Raw, made: Json) -> None:
    prompt = {"id": made["prompt_id"], "variables": {"shop": "bread", "tongue": "Welsh"}}
    answer = raw.post("/v1/responses", {"model": "echo", "input": "hi", "prompt": prompt, "stream": True})
    errors: list[str] = []
    shown = [one["response"] for one in response_events(answer.body, errors) if "response" in one]
    assert len(shown) == 3
    assert not errors
    for response in shown:
        assert response["prompt"] == {**prompt, "version": "1"}
        assert response["instructions"][0]["content"][0]["text"] == "You serve bread. Speak Welsh."


def test_a_prompt_comes_over_a_websocket_too(
    server: Program, recorder: Recorder, raw: Raw, made: Json, upstream: Upstream
) -> None:
    prompt = {"id": made["prompt_id"], "variables": {"shop": "bread", "tongue": "Welsh"}}
    with RawSocket(server.port, recorder) as line:
        response = line.turn("echo", prompt=prompt)[-1]["response"]
        assert response["prompt"] == {**prompt, "version": "1"}
        assert system_text(upstream) == "You serve bread. Speak Welsh."
        refusal = line.turn("echo", prompt={"id": made["prompt_id"]})[-1]
        assert (refusal["status"], refusal["error"]["param"]) == (400, "prompt.variables.shop")


BOTH = {"shop": "bread", "tongue": "Welsh"}


@pytest.mark.parametrize(
    ("prompt", "status", "param"),
    [
        ({"variables": {**BOTH, "town": "x"}}, 400, "prompt.variables.town"),
        ({"variables": {"shop": "x"}}, 400, "prompt.variables.tongue"),
        ({}, 400, "prompt.variables.shop"),
        ({"variables": None}, 400, "prompt.variables.shop"),
        ({"variables": {**BOTH, "shop": 7}}, 400, "prompt.variables.shop"),
        ({"variables": {**BOTH, "shop": None}}, 400, "prompt.variables.shop"),
        ({"variables": {**BOTH, "shop": {"type": "input_audio"}}}, 400, "prompt.variables.shop.type"),
        ({"variables": {**BOTH, "shop": {"type": "input_image"}}}, 400, "prompt.variables.shop"),
        (
            {"variables": {**BOTH, "shop": {"type": "input_file", "filename": "x"}}},
            400,
            "prompt.variables.shop",
        ),
        (
            {"variables": {**BOTH, "shop": {"type": "input_image", "file_id": "file_1"}}},
            404,
            "prompt.variables.shop.file_id",
        ),
        (
            {"variables": {**BOTH, "shop": {"type": "input_file", "file_url": "http://127.0.0.1/x"}}},
            400,
            "prompt.variables.shop.file_url",
        ),
        (
            {
                "variables": {
                    **BOTH,
                    "shop": {
                        "type": "input_text",
                        "text": "x",
                        "prompt_cache_breakpoint": {"mode": "explicit"},
                    },
                }
            },
            400,
            "prompt.variables.shop.prompt_cache_breakpoint",
        ),
        ({"variables": "bread"}, 400, "prompt.variables"),
        ({"version": "2", "variables": BOTH}, 404, "prompt.version"),
        ({"version": "latest", "variables": BOTH}, 404, "prompt.version"),
        ({"version": "01", "variables": BOTH}, 404, "prompt.version"),
        ({"version": 1, "variables": BOTH}, 400, "prompt.version"),
        ({"id": "pmpt_nobody"}, 404, "prompt.id"),
        ({"id": "pmpt_nobody", "version": "1"}, 404, "prompt.id"),
        ({"name": "x"}, 400, "prompt.name"),
    ],
    ids=str,
)
def test_a_bad_reference_is_refused_by_name_before_a_model_is_asked(
    raw: Raw, made: Json, upstream: Upstream, prompt: Json, status: int, param: str
) -> None:
    asked = len(upstream.seen.requests)
    assert refused(raw, {"prompt": {"id": made["prompt_id"], **prompt}}) == (status, param)
    assert len(upstream.seen.requests) == asked


def test_without_a_model_in_request_or_prompt_it_is_refused(raw: Raw, made: Json) -> None:
    answer = raw.post("/v1/responses", {"prompt": {"id": made["prompt_id"], "variables": BOTH}})
    assert (answer.status, answer.error["param"]) == (400, "model")


def test_a_prompt_that_grows_too_large_is_refused(raw: Raw) -> None:
    made = create(raw, "{{ a }}" * 30_000, ["a"])
    prompt = {"id": made["prompt_id"], "variables": {"a": "x" * 100_000}}
    assert refused(raw, {"prompt": prompt}) == (400, "prompt.variables")


def test_the_official_client_sends_prompts(client: openai.OpenAI, raw: Raw, upstream: Upstream) -> None:
    made = client.post(
        "/prompts",
        body={"prompt": "You are {{ who }}.", "variables": ["who"], "model": "echo"},
        cast_to=object,
    )
    prompt_id: str = json.loads(json.dumps(made))["prompt_id"]
    response = client.responses.create(prompt={"id": prompt_id, "variables": {"who": "a clerk"}}, input="hi")
    assert response.output_text == "You said: hi"
    assert response.prompt is not None
    assert (response.prompt.id, response.prompt.version) == (prompt_id, "1")
    assert isinstance(response.instructions, list)
    with client.responses.stream(
        model="echo", prompt={"id": prompt_id, "variables": {"who": "a clerk"}}, input="hi"
    ) as stream:
        assert stream.get_final_response().output_text == "You said: hi"


# --- sharing ------------------------------------------------------------------------------------------------


def test_a_tenant_shares_its_prompts_and_others_see_nothing(
    start_server: StartServer, recorder: Recorder
) -> None:
    server = start_server(KEYS)

    def of(name: str) -> Raw:
        return Raw(server.port, recorder, {"authorization": f"Bearer key-of-{name}"})

    with of("ann") as ann, of("bob") as bob, of("cyd") as cyd:
        made = create(ann, "Be {{ mood }}.", ["mood"])
        path = f"/v1/prompts/{made['prompt_id']}"
        assert bob.get(path).json == made
        prompt = {"id": made["prompt_id"], "variables": {"mood": "kind"}}
        assert respond(bob, prompt)["prompt"] == {**prompt, "version": "1"}
        assert bob.send("PUT", path, {"prompt": "Be.", "version": 1}).status == 200
        assert cyd.get("/v1/prompts").json == {"data": []}
        unknown = cyd.get("/v1/prompts/pmpt_nobody").error
        for answer in (
            cyd.get(path),
            cyd.get(f"{path}/versions"),
            cyd.send("PUT", path, {"prompt": "Be.", "version": 2}),
            cyd.send("PUT", f"{path}/set-default-version", {"version": 1}),
            cyd.send("DELETE", path),
        ):
            assert answer.status == 404
            assert answer.error["message"] == unknown["message"].replace("pmpt_nobody", made["prompt_id"])
        assert refused(cyd, {"prompt": prompt}) == (404, "prompt.id")
        assert ann.get(path).json["version"] == 2
