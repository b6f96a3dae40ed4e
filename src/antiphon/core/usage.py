"""Token counts of a response, summed over its model calls (`ResponseUsage` of the official OpenAPI)."""

from antiphon.core.wire import Wire


class InputDetails(Wire):
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputDetails(Wire):
    reasoning_tokens: int = 0


class Usage(Wire):
    input_tokens: int = 0
    input_tokens_details: InputDetails = InputDetails()
    output_tokens: int = 0
    output_tokens_details: OutputDetails = OutputDetails()
    total_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        mine, theirs = self.input_tokens_details, other.input_tokens_details
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            input_tokens_details=InputDetails(
                cached_tokens=mine.cached_tokens + theirs.cached_tokens,
                cache_write_tokens=mine.cache_write_tokens + theirs.cache_write_tokens,
            ),
            output_tokens=self.output_tokens + other.output_tokens,
            output_tokens_details=OutputDetails(
                reasoning_tokens=self.output_tokens_details.reasoning_tokens
                + other.output_tokens_details.reasoning_tokens
            ),
            total_tokens=self.total_tokens + other.total_tokens,
        )
