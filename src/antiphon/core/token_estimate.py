"""The rule of thumb for input tokens, for whoever has no tokenizer to ask.

4 bytes of text to a token, an image as 1,000 tokens, inline file data as its bytes.
"""

import msgspec

from antiphon.core.json_values import is_array, is_object
from antiphon.core.request import ResponseRequest
from antiphon.core.transcript import Transcript
from antiphon.core.wire import encode

BYTES_PER_TOKEN = 4
IMAGE_TOKENS = 1_000
IMAGE_TYPES = ("input_image", "image_url", "image", "computer_screenshot")
IMAGE_MARKS = tuple(b'"type":"%b"' % one.encode() for one in IMAGE_TYPES)
FILE_MARKS = (b'"type":"input_file"', b'"type":"file"')


def estimate(request: ResponseRequest, transcript: Transcript) -> int:
    """Of all that the model sees: instructions, tools, the chain's history and this response's items."""
    turns = [array for turn in transcript.history for array in (turn.input, turn.output)]
    rest = encode([transcript.instructions, request.tools])
    return sum(estimate_json(array) for array in (*turns, encode(transcript.items), rest))


def estimate_json(array: bytes) -> int:
    """Of compact JSON: text by its bytes; it is looked into only where it holds what is not text."""
    if not holds([array], (*IMAGE_MARKS, *FILE_MARKS)):
        return len(array) // BYTES_PER_TOKEN
    images: list[int] = []
    _find_images(msgspec.json.decode(array), images)
    return (len(array) - sum(images)) // BYTES_PER_TOKEN + IMAGE_TOKENS * len(images)


def holds(arrays: list[bytes], marks: tuple[bytes, ...]) -> bool:
    """Whether a part of that type is in compact JSON. Inside of a text its quotes would be escaped."""
    return any(mark in array for array in arrays for mark in marks)


def _find_images(value: object, found: list[int]) -> None:
    """The length in bytes of each image that stands in the value, as URL or as data."""
    if is_array(value):
        for item in value:
            _find_images(item, found)
    elif is_object(value):
        if value.get("type") in IMAGE_TYPES:
            found.append(len(encode(value)))
            return
        for item in value.values():
            _find_images(item, found)
