"""What is checked of an embeddings request (`CreateEmbeddingRequest` of the official OpenAPI)."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from antiphon.core import parse
from antiphon.core.errors import InvalidRequest
from antiphon.core.wire import Wire, encode

MAX_INPUTS = 2048
MAX_TOKENS = 300_000
"""Of all token arrays together, as the official document has it; texts are bounded by the size of the body."""

InputText = Annotated[str, Meta(min_length=1)]
Token = Annotated[int, Meta(ge=0, le=2**31 - 1)]
TokenArray = Annotated[list[Token], Meta(min_length=1, max_length=MAX_TOKENS)]
Inputs = Annotated[list[InputText | Token | TokenArray], Meta(min_length=1, max_length=MAX_INPUTS)]


class EmbeddingRequest(Wire, omit_defaults=True):
    """The body of `POST /v1/embeddings`. After `user` come what vLLM, NVIDIA and Jina take besides; it is passed on."""

    model: Annotated[str, Meta(min_length=1)]
    input: InputText | Inputs
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=65_536)] | None = None
    user: Annotated[str, Meta(max_length=1024)] | None = None
    input_type: Annotated[str, Meta(max_length=64)] | None = None
    task: Annotated[str, Meta(max_length=64)] | None = None
    truncate: Annotated[str, Meta(max_length=64)] | None = None
    truncate_prompt_tokens: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    add_special_tokens: bool | None = None

    @classmethod
    def parse(cls, body: bytes) -> "EmbeddingRequest":
        """Raises InvalidRequest, with the field in `param`."""
        request, _ = parse.read(body, _DECODER, cls)
        _check(request.input)
        return request

    @property
    def count(self) -> int:
        """How many vectors are asked for."""
        if isinstance(self.input, str) or isinstance(self.input[0], int):
            return 1
        return len(self.input)

    def sent_as(self, upstream_model: str) -> bytes:
        """The body for the upstream: what was said, and nothing else."""
        return encode(msgspec.structs.replace(self, model=upstream_model))


_DECODER: msgspec.json.Decoder[EmbeddingRequest] = msgspec.json.Decoder(EmbeddingRequest)


def _check(given: str | list[str | int | list[int]]) -> None:
    """One kind of input at a time, and not too much of it."""
    if isinstance(given, str):
        return
    kind = type(given[0])
    for at, one in enumerate(given):
        if type(one) is not kind:
            raise InvalidRequest(
                "`input` is a string, an array of strings, an array of token numbers, or an array of such arrays;"
                f" element {at} is of another kind than the first.",
                param=f"input[{at}]",
            )
    tokens = sum(len(one) for one in given if isinstance(one, list))
    if tokens > MAX_TOKENS:
        raise InvalidRequest(
            f"`input` has {tokens} tokens; at most {MAX_TOKENS} are allowed in one request.", param="input"
        )
