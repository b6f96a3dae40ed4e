"""The events of a response as Llama Stack's clients want them: four kinds name the response that they are of.

Clients from 0.4 on take an event without that for another kind, and their `Agent` then sees no tool calls.
"""

from antiphon.core.writer import Event
from antiphon.web.sse import Framing, frame

_NAMING = frozenset(
    {
        "response.output_item.added",
        "response.output_item.done",
        "response.content_part.added",
        "response.content_part.done",
    }
)


def stack_framing(response_id: str) -> Framing:
    """Plain framing with `response_id` put into those events. There is never an end marker: they decode it."""
    first = b'{"response_id":"%b",' % response_id.encode()

    def named(event: Event) -> Event:
        if event.type not in _NAMING:
            return event
        return Event(event.number, event.type, first + event.data[1:])

    return Framing(frame=lambda events: frame([named(event) for event in events]))
