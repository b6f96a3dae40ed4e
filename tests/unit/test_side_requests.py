"""The bodies of the routes beside responses on a lenient server: what nobody knows is left out, and named."""

import pytest

from antiphon.core.compact_request import read_compact
from antiphon.core.count_request import read_count
from antiphon.core.errors import InvalidRequest, UnsupportedParameter


def test_unknown_fields_are_named() -> None:
    request, unknown = read_count(b'{"model":"m","input":"x","temperature":1,"stream":true}', lenient=True)
    assert (request.model, request.input, unknown) == ("m", "x", ["temperature", "stream"])
    request, unknown = read_compact(b'{"model":"m","input":"x","store":true}', lenient=True)
    assert (request.model, request.input, unknown) == ("m", "x", ["store"])
    assert read_compact(b'{"model":"m","input":"x"}', lenient=True)[1] == []


def test_what_is_wrong_in_known_fields_is_refused_all_the_same() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_compact(b'{"model":"m","input":"x","service_tier":"gold","foo":1}', lenient=True)
    assert caught.value.param == "service_tier"
    with pytest.raises(UnsupportedParameter) as refused:
        read_count(b'{"model":"m","input":"x","personality":"friendly","foo":1}', lenient=True)
    assert refused.value.param == "personality"
