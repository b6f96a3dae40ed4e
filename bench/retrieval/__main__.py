"""`python -m bench.retrieval`: how well and how fast each index that can run here is searched, in tables."""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.retrieval import corpus, places
from bench.retrieval.measure import Measured, Prepared, measured

PARTS = ("keyword", "vector")
MODES = (*PARTS, "hybrid")
DEFAULT = "sqlite-vec"
P95_MS, PREFILTER, TEXT_RATE = 30.0, 0.98, 2_000.0
NO_WORSE = 0.005
"""What hybrid may lose to the better of its parts, as chance."""


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.retrieval", description=__doc__)
    parser.add_argument("--chunks", type=int, default=20_000, help="how many chunks (default 20,000)")
    parser.add_argument("--questions", type=int, default=150, help="questions of each kind (default 150)")
    parser.add_argument("--indexes", nargs="+", choices=list(places.PLACES), help="only these; else all")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed")
    return parser.parse_args(given)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown, aligned so that it reads as plain text too."""
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (head, *rows)
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def quality_rows(results: Sequence[Measured]) -> list[list[str]]:
    kinds = sorted({kind for one in results for _, kind in one.quality})
    rows: list[list[str]] = []
    for one in results:
        for kind in [*kinds[1:], kinds[0]]:
            cells = [one.index, kind or "all"]
            for mode in MODES:
                quality = one.quality[mode, kind]
                cells += [f"{_mean(quality.recall):.3f}", f"{_mean(quality.gain):.3f}"]
            rows.append(cells)
    return rows


def cost_rows(results: Sequence[Measured]) -> list[list[str]]:
    return [
        [
            one.index,
            *(f"{one.quality[mode, ''].ms(share):.1f}" for mode in MODES for share in (0.5, 0.95)),
            f"{one.quality['hybrid', ''].cpu_ms(0.5):.1f}",
            f"{one.prefilter:.3f}",
            f"{one.text_rate:.0f}",
            f"{one.vector_rate:.0f}",
            f"{one.disk_mb:.0f}",
            f"{one.memory_mb:.0f}",
        ]
        for one in results
    ]


def verdicts(one: Measured) -> list[tuple[str, bool]]:
    """The targets, and whether this index meets them. Those of speed are for the index that needs nothing else."""
    recall = {mode: _mean(one.quality[mode, ""].recall) for mode in MODES}
    gain = {mode: _mean(one.quality[mode, ""].gain) for mode in MODES}
    quality = [
        (f"recall of the nearest ten at least {PREFILTER}", one.prefilter >= PREFILTER),
        (
            "hybrid recall not worse than a part",
            recall["hybrid"] >= max(recall[part] for part in PARTS) - NO_WORSE,
        ),
        ("hybrid nDCG not worse than a part", gain["hybrid"] >= max(gain[part] for part in PARTS) - NO_WORSE),
    ]
    if one.index != DEFAULT:
        return quality
    return [
        (f"keyword p95 under {P95_MS:.0f} ms", one.quality["keyword", ""].ms(0.95) < P95_MS),
        (f"hybrid p95 under {P95_MS:.0f} ms", one.quality["hybrid", ""].ms(0.95) < P95_MS),
        (f"over {TEXT_RATE:.0f} chunks/s of plain text", one.text_rate > TEXT_RATE),
        *quality,
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def main(given: Sequence[str] | None = None) -> int:
    options = arguments(given)
    made = corpus.make(options.chunks, options.questions)
    prepared = Prepared.of(made)
    print(f"{len(made.pieces)} chunks of {len(made.texts)} documents, {len(made.questions)} questions,")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors\n")
    results: list[Measured] = []
    for name in options.indexes or places.PLACES:
        try:
            results.append(_measure(name, prepared))
        except places.LeftOut as reason:
            print(f"{name}: left out: {reason}")
        print(f"{name}: done", file=sys.stderr, flush=True)
    print(table(["index", "questions", *(f"{mode} {what}" for mode in MODES for what in ("R@10", "nDCG"))],
                quality_rows(results)), "\n")  # fmt: skip
    heads = [f"{mode} {what}" for mode in MODES for what in ("p50 ms", "p95 ms")]
    heads += ["hybrid CPU ms", "of exact", "text/s", "vectors/s", "disk MB", "memory MB"]
    print(table(["index", *heads], cost_rows(results)), "\n")
    missed = 0
    for one in results:
        for target, met in verdicts(one):
            missed += not met
            print(f"{one.index}: {target}: {'ok' if met else 'miss'}")
    return 1 if missed and options.strict else 0


def _measure(name: str, prepared: Prepared) -> Measured:
    place = places.PLACES[name]
    with tempfile.TemporaryDirectory() as folder, place.needs(Path(folder)) as config:

        async def run() -> Measured:
            index = place.open(config, Path(folder))
            try:
                return await measured(name, index, prepared, Path(folder))
            finally:
                await index.aclose()

        return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
