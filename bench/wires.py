"""The rows of responses through both wires, in one run: what the responses wire costs beside the chat wire."""

import sys
from collections.abc import Sequence
from dataclasses import replace

from bench.rows import Row, Sample, Servers, median

COMPARED = ("response", "response-stored", "response-stream", "function-call", "paced")
FACTOR = 1.2
"""How much more a row may cost through the responses wire."""


async def compare(
    chat: Servers, responses: Servers, rows: Sequence[Row], rounds: int, n: int
) -> list[tuple[Row, Sample]]:
    """Each row with its sample through the responses wire; its budget is `FACTOR` times the chat wire's sample."""
    samples: dict[str, tuple[list[Sample], list[Sample]]] = {row.key: ([], []) for row in rows}
    for row in rows:
        for servers in (chat, responses):
            await row.measure(servers, max(50, n // 5))
    for number in range(rounds):
        for row in rows:
            for servers, found in zip((chat, responses), samples[row.key], strict=True):
                found.append(await row.measure(servers, n))
        print(f"round {number + 1} of {rounds} done", file=sys.stderr, flush=True)
    return [_compared(row, *samples[row.key]) for row in rows]


def _compared(row: Row, by_chat: list[Sample], by_responses: list[Sample]) -> tuple[Row, Sample]:
    usual, sample = median(by_chat), median(by_responses)
    notes = {"by chat": usual.value, "times": sample.value / usual.value}
    return replace(row, budget=round(FACTOR * usual.value, 3)), replace(
        sample, notes={**sample.notes, **notes}
    )
