"""`python -m bench.soak`: does memory stay flat over many requests of every kind?

Prints the resident memory every 10,000 requests and the slope over the second half, in bytes per request.
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvloop

from bench import load
from bench.__main__ import configuration
from bench.program import Program, start_antiphon, start_upstream
from bench.rows import AT_ONCE, chat, response

STEP = 10_000
MIX = 20
"""Requests of a kind in a row, so that kinds overlap at the borders and each kind is steady in between."""


def kinds() -> list[tuple[bytes, int]]:
    """Requests and the status that each must get."""
    return [
        (chat("fake"), 200),
        (chat("fake", stream=True), 200),
        (response("fake", store=False), 200),
        (response("fake"), 200),
        (response("fake", stream=True), 200),
        (response("no-such-model"), 404),
        (load.post("/v1/responses", {"model": "fake", "input": 7}), 400),
    ]


async def send(port: int, requests: Iterator[tuple[bytes, int]], count: int) -> None:
    batch = list(itertools.islice(requests, count))
    await load.run(
        port, [request for request, _ in batch], at_once=AT_ONCE, statuses=[status for _, status in batch]
    )


def slope(points: Sequence[tuple[int, float]]) -> float:
    """Least squares over (requests, MB) points, in bytes per request."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread * 1e6 if spread else 0.0


async def soak(server: Program, total: int, step: int) -> list[tuple[int, float]]:
    mixed = itertools.cycle([kind for kind in kinds() for _ in range(MIX)])
    points: list[tuple[int, float]] = []
    for done in range(step, total + 1, step):
        await send(server.port, mixed, step)
        points.append((done, server.rss_mb()))
        print(f"{done:>9} requests  {points[-1][1]:7.1f} MB", flush=True)
    return points


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--step", type=int, default=STEP)
    parser.add_argument(
        "--limit", type=float, default=50.0, help="bytes per request above which the exit code is 1"
    )
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        start_upstream() as upstream,
        start_antiphon(Path(name), configuration(upstream, Path(name))) as server,
    ):
        server.wait_ready()
        print(f"{0:>9} requests  {server.rss_mb():7.1f} MB")
        points = uvloop.run(soak(server, options.requests, options.step))
    grown = slope(points[len(points) // 2 :])
    print(f"slope over the second half: {grown:.1f} bytes per request (limit {options.limit:g})")
    return 1 if grown > options.limit else 0


if __name__ == "__main__":
    sys.exit(main())
