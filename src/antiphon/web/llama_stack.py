"""How requests of Llama Stack's own clients are told apart: every version sends its version in a header."""

from collections.abc import Mapping

_HEADER = b"x-llamastack-client-version"


def from_llama_stack(headers: Mapping[bytes, bytes]) -> bool:
    return _HEADER in headers
