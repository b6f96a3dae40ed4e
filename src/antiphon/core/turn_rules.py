"""`TurnRules`: what a run keeps to besides its request. Agents have such rules; a plain response has none."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TurnRules:
    """`max_steps`: after so many model calls the run ends with what the last one made, whose calls are not run.
    `max_step_tokens`: what one model call may generate.
    """

    input_shields: tuple[str, ...] = ()
    """Asked about the items of this run before its first model call."""
    output_shields: tuple[str, ...] = ()
    """Asked about them and what the model made, when the run is about to end, or to wait for its client."""
    max_steps: int | None = None
    max_step_tokens: int | None = None
    marks: bool = False
    """Whether the writer is told where steps begin and end (`core.marks`)."""


PLAIN = TurnRules()
