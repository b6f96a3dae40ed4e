"""What an embeddings request may hold, what upstreams are sent of it, and how their answers are put right."""

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.errors import (
    InvalidRequest,
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    UnsupportedParameter,
)
from antiphon.core.vectors import from_base64, shortened, to_base64
from antiphon.embeddings.answer import corrected
from antiphon.embeddings.request import MAX_TOKENS, EmbeddingRequest
from antiphon.providers.capabilities import Capabilities
from antiphon.providers.embedding_wire import cut, embedding_call, no_such_route, rerank_path
from antiphon.testing import scripted_model
from tests.unit.faulty import faulty_fields

OK: dict[str, Any] = {"model": "m", "input": "hi"}


def parsed(**fields: Any) -> EmbeddingRequest:
    return EmbeddingRequest.parse(json.dumps({**OK, **fields}).encode())


# --- the request -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given", "count"),
    [("a", 1), (["a"], 1), (["a", "b"], 2), ([1, 2, 3], 1), ([[1], [2, 3]], 2), (["x"] * 2048, 2048)],
)
def test_each_kind_of_input_is_taken(given: Any, count: int) -> None:
    assert parsed(input=given).count == count


def test_nulls_say_nothing_and_are_not_sent_on() -> None:
    asked = parsed(dimensions=None, user=None, encoding_format=None)
    assert json.loads(asked.sent_as("theirs")) == {"model": "theirs", "input": "hi"}


def test_what_was_said_is_sent_on() -> None:
    said = {"encoding_format": "base64", "dimensions": 5, "user": "u", "input_type": "query", "task": "t"}
    more = {"truncate": "END", "truncate_prompt_tokens": 7, "add_special_tokens": False}
    assert json.loads(parsed(**said, **more).sent_as("m")) == {**OK, **said, **more}


@pytest.mark.parametrize(("name", "value"), [*faulty_fields(EmbeddingRequest)], ids=lambda one: str(one)[:30])
def test_a_faulty_field_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(**{name: value})
    assert (caught.value.param or "").partition("[")[0] == name


@pytest.mark.parametrize(
    ("given", "param"),
    [
        (["a", ""], "input[1]"),
        (["a", 5], "input[1]"),
        ([5, "a"], "input[1]"),
        ([[5], "a"], "input[1]"),
        ([[5], []], "input[1]"),
        ([-1], "input[0]"),
        ([[1, "a"]], "input[0][1]"),
        ([True], "input[0]"),
        ([[0] * (MAX_TOKENS // 2 + 1)] * 2, "input"),
    ],
    ids=range(9),
)
def test_a_mixed_empty_or_endless_input_is_refused_at_its_element(given: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(input=given)
    assert caught.value.param == param


def test_what_is_missing_or_unknown_is_named() -> None:
    for body, param in ((b'{"model":"m"}', "input"), (b'{"input":"a"}', "model")):
        with pytest.raises(InvalidRequest) as caught:
            EmbeddingRequest.parse(body)
        assert caught.value.param == param
    with pytest.raises(InvalidRequest, match="dimensions") as caught:
        parsed(dimension=3)
    assert caught.value.param == "dimension"


# --- what the upstream can do ------------------------------------------------------------------------------------
def sent(capabilities: Capabilities, **fields: Any) -> Any:
    call = embedding_call("up", capabilities, parsed(**fields).sent_as("m"))
    return json.loads(call.body), call.cut_to


@pytest.mark.parametrize(
    ("capabilities", "fields", "param"),
    [
        (Capabilities(embeddings=False), {}, "model"),
        (Capabilities(), {"input": [1, 2]}, "input"),
        (Capabilities(), {"input": [[1, 2]]}, "input"),
        (Capabilities(embedding_dimensions="refuse"), {"dimensions": 4}, "dimensions"),
        (Capabilities(user=False), {"user": "u"}, "user"),
    ],
)
def test_what_an_upstream_cannot_do_is_refused_by_name(
    capabilities: Capabilities, fields: Any, param: str
) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        sent(capabilities, **fields)
    assert caught.value.param == param
    assert '"up"' in caught.value.message


def test_what_it_can_do_is_passed() -> None:
    able = Capabilities(embedding_tokens=True)
    assert sent(able, input=[1, 2], dimensions=3) == ({"model": "m", "input": [1, 2], "dimensions": 3}, None)


def test_base64_is_not_asked_of_an_upstream_without_it() -> None:
    assert sent(Capabilities(embedding_base64=False), encoding_format="base64") == (OK, None)


def test_vectors_are_cut_only_where_the_operator_said_so() -> None:
    body, cut_to = sent(Capabilities(embedding_dimensions="truncate"), dimensions=2)
    assert (body, cut_to) == (OK, 2)
    for vector in ([3.0, 4.0, 12.0], to_base64([3.0, 4.0, 12.0])):
        answer = json.dumps({"data": [{"embedding": vector}], "usage": {"prompt_tokens": 1}}).encode()
        whole = json.loads(cut("up", answer, 2))
        assert whole == {"data": [{"embedding": pytest.approx([0.6, 0.8])}], "usage": {"prompt_tokens": 1}}
        with pytest.raises(UnsupportedParameter, match="3 dimensions") as caught:
            cut("up", answer, 4)
        assert caught.value.param == "dimensions"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b'{"data":[{}]}',
        b'{"data":[{"embedding":[null,1]}]}',
    ],
)
def test_what_cannot_be_cut_is_the_providers_fault(answer: bytes) -> None:
    with pytest.raises(ProviderProtocolError):
        cut("up", answer, 1)


def test_a_server_without_the_route_is_not_a_server_that_fails() -> None:
    for kind, status in ((ProviderProtocolError, 404), (ProviderProtocolError, 405), (ProviderError, 501)):
        error = kind("up", "not here")
        error.upstream_status = status
        found = no_such_route("up", "/rerank", error)
        assert found is not None
        assert found.param == "model"
    failed = ProviderError("up", "overloaded")
    failed.upstream_status = 503
    assert no_such_route("up", "/rerank", failed) is None
    with pytest.raises(UnsupportedParameter):
        rerank_path("up", Capabilities())


# --- the answer --------------------------------------------------------------------------------------------------
def answered(data: Any, *, usage: Any = None, **fields: Any) -> Any:
    body: dict[str, Any] = {"object": "list", "model": "theirs", "data": data}
    if usage is not None:
        body["usage"] = usage
    return json.loads(corrected(json.dumps(body).encode(), parsed(**fields), "up"))


def test_an_answer_has_each_key_that_clients_read() -> None:
    assert answered([{"embedding": [0.5, 1]}], usage={"prompt_tokens": 3}) == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1]}],
        "model": "m",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }


@pytest.mark.parametrize("given", [[0.5, -2.0], to_base64([0.5, -2.0])], ids=["numbers", "base64"])
@pytest.mark.parametrize("wanted", ["float", "base64", None])
def test_the_client_gets_the_form_that_it_asked_for(given: Any, wanted: str | None) -> None:
    found = answered([{"embedding": given, "index": 0}], encoding_format=wanted)["data"][0]["embedding"]
    if wanted == "base64":
        assert found == "AAAAPwAAAMA="
    else:
        assert found == [0.5, -2.0]


def test_vectors_come_in_the_order_of_the_inputs() -> None:
    data = [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1]}]
    found = answered(data, input=["a", "b"])["data"]
    assert [(one["index"], one["embedding"]) for one in found] == [(0, [1]), (1, [2])]
    found = answered([{"embedding": [1]}, {"embedding": [2]}], input=["a", "b"])["data"]
    assert [one["embedding"] for one in found] == [[1], [2]]


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"embedding": [1]}, {"embedding": [1]}],
        [{"embedding": [1], "index": 1}],
        [{"embedding": []}],
        [{"embedding": [[1]]}],
        [{"embedding": [1, None]}],
        [{"embedding": ["1", 2]}],
        [{"embedding": [True]}],
        [{"embedding": [1, [2]]}],
        [{"embedding": [{"a": 1}]}],
        [{"embedding": {"a": 1}}],
        [{"embedding": None}],
        [{"index": 0}],
        "no",
    ],
    ids=range(14),
)
def test_what_is_no_answer_to_the_request_is_the_providers_fault(data: Any) -> None:
    with pytest.raises(ProviderProtocolError, match='"up"'):
        answered(data)


@pytest.mark.parametrize("text", ["AAAA", "AAAAPw=", "!!!!", "AADAfw==", ""])
def test_base64_that_is_no_vector_is_not_turned_into_numbers(text: str) -> None:
    with pytest.raises(ProviderProtocolError):
        answered([{"embedding": text}])


def test_a_number_of_dimensions_that_was_not_heeded_is_refused_by_name() -> None:
    for vector in ([1, 2, 3], to_base64([1, 2, 3])):
        assert answered([{"embedding": vector}], dimensions=3)
        for wanted in (2, 4):
            with pytest.raises(UnsupportedParameter, match="3 dimensions") as caught:
                answered([{"embedding": vector}], dimensions=wanted)
            assert caught.value.param == "dimensions"


def test_tokens_that_nobody_counted_are_those_that_were_sent() -> None:
    assert answered([{"embedding": [1]}], input=[1, 2, 3])["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    two = [{"embedding": [1]}] * 2
    assert answered(two, input=[[1], [2, 3]])["usage"]["total_tokens"] == 3
    assert answered(two, input=["a", "b"])["usage"] == {"prompt_tokens": 0, "total_tokens": 0}


# --- vectors -----------------------------------------------------------------------------------------------------
FLOATS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=50)


@given(FLOATS)
def test_base64_is_little_endian_float32_and_comes_back(vector: list[float]) -> None:
    import base64

    text = to_base64(vector)
    assert base64.b64decode(text) == struct.pack(f"<{len(vector)}f", *vector)
    assert from_base64(text) == vector


@given(FLOATS, st.integers(1, 60))
def test_a_cut_vector_has_unit_length(vector: list[float], dimensions: int) -> None:
    found = shortened(vector, dimensions)
    assert len(found) == min(dimensions, len(vector))
    assert math.hypot(*found) == pytest.approx(1 if any(found) else 0)


def test_what_is_no_finite_float_is_not_packed() -> None:
    for number in (math.nan, math.inf, 1e300):
        with pytest.raises(ValueError, match="finite"):
            to_base64([number])


# --- the scripted model ------------------------------------------------------------------------------------------
async def made(**fields: Any) -> list[list[float]]:
    async with await scripted_model().open(
        "/embeddings", parsed(**fields).sent_as("demo"), model="demo"
    ) as reply:
        answer = json.loads(await reply.read())
    return [one["embedding"] for one in answer["data"]]


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_scripted_vectors_are_of_unit_length_and_near_where_words_are_shared() -> None:
    cat, cats, stock = await made(input=["the black cat sat", "a black cat sat down", "stock markets fell"])
    assert dot(cat, cat) == pytest.approx(1)
    assert dot(cat, cats) > 0.4
    assert abs(dot(cat, stock)) < 0.2
    assert await made(input="The BLACK cat, sat!") == [cat]


async def test_scripted_vectors_have_any_number_of_dimensions_and_are_the_same_everywhere() -> None:
    for dimensions in (1, 4, 700, 4096):
        (vector,) = await made(input="one two two", dimensions=dimensions)
        assert len(vector) == dimensions
    assert await made(input="antiphon", dimensions=4) == [[0.5, 0.5, 0.5, -0.5]]
    assert await made(input=[7, 8], dimensions=4) == await made(input="7 8", dimensions=4)
    assert await made(input=["...", "!"], dimensions=2)
    with pytest.raises(ProviderRejected) as caught:
        await made(dimensions=4097)
    assert caught.value.param == "dimensions"
