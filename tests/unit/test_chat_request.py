"""What is refused of a chat or text completion before it is passed on."""

import pytest

from antiphon.chat.request import parse_chat, parse_completion
from antiphon.core.errors import InvalidRequest


@pytest.mark.parametrize(
    "unknown", [b'"\xeb": 1', b'"other": "\xff"', b'"other": {"a": ["\x9f"]}', b'"\\ud800": 1']
)
def test_bytes_that_are_no_text_are_refused_in_fields_that_are_passed_on_too(unknown: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_chat(b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], ' + unknown + b"}")
    with pytest.raises(InvalidRequest):
        parse_completion(b'{"model": "m", "prompt": "hi", ' + unknown + b"}")
