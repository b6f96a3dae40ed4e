"""`python -m bench`: measure the server against its budgets, direct and through us, and print one table."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from bench.agent_rows import AGENT_MCP_ROWS, AGENT_ROWS
from bench.mcp_rows import MCP_ROWS, started
from bench.program import Program, start_antiphon, start_upstream
from bench.rows import ROWS, Row, Sample, Servers, median
from bench.wires import COMPARED, compare

PLAIN_ROWS = (*ROWS, *AGENT_ROWS)
TOOL_ROWS = (*MCP_ROWS, *AGENT_MCP_ROWS)
"""For these a server of tools is started, and one of ours that is profiled."""
RESULTS = Path(__file__).parent / "results" / "latest.json"
IDLE_BUDGET_MB = 80.0
START_BUDGET_S = 0.6
STARTS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """A measured row, as printed and written."""

    key: str
    title: str
    unit: str
    budget: float | None
    sample: Sample

    @property
    def verdict(self) -> str:
        if self.budget is None:
            return ""
        return "ok" if self.sample.value <= self.budget else "miss"


def configuration(upstream: Program, folder: Path, wire: str = "chat") -> str:
    return f"""\
version: 2
providers:
  inference:
  - provider_id: up
    provider_type: remote::openai-compatible
    config: {{base_url: "{upstream.url}/v1", api_key: none, wire: {wire}}}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""


def measure_starts(upstream: Program, folder: Path, times: int) -> tuple[Sample, Sample]:
    """Idle memory in MB and seconds to the first 200, medians of starts on an existing database."""
    config = configuration(upstream, folder)
    memory: list[float] = []
    seconds: list[float] = []
    for _ in range(times + 1):
        with start_antiphon(folder, config) as server:
            seconds.append(server.wait_ready())
            memory.append(server.rss_mb())
    start = Sample(value=statistics.median(seconds[1:]), notes={"first_start_s": seconds[0]})
    return Sample(value=statistics.median(memory)), start


async def measure_rows(servers: Servers, rows: Sequence[Row], rounds: int, n: int) -> list[Line]:
    """Every row once per round, so that noise that lasts a while is spread over all of them."""
    samples: dict[str, list[Sample]] = {row.key: [] for row in rows}
    for row in rows:
        if row.rounds:
            await row.measure(
                servers, max(50, n // 5)
            )  # warm up: caches, adaptive interpreter, open connections
    for number in range(rounds):
        for row in rows:
            if row.rounds or number == 0:
                samples[row.key].append(await row.measure(servers, n))
        print(f"round {number + 1} of {rounds} done", file=sys.stderr, flush=True)
    return [Line(row.key, row.title, row.unit, row.budget, median(samples[row.key])) for row in rows]


def table(lines: Sequence[Line]) -> str:
    """Markdown, aligned so that it reads as plain text too."""
    head = ["row", "unit", "budget", "measured", "", "direct p50 ms", "ours p50 ms", "ours p99 ms", "per s"]
    body = [head, *([_cells(line) for line in lines])]
    widths = [max(len(row[column]) for row in body) for column in range(len(head))]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in body
    ]
    texts.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(texts)


def _cells(line: Line) -> list[str]:
    sample = line.sample
    cells = [line.title, line.unit, "" if line.budget is None else f"{line.budget:g}", f"{sample.value:.3g}"]
    cells.append(line.verdict)
    cells += [
        f"{value:.2f}" if value else "" for value in (sample.direct_p50_ms, sample.p50_ms, sample.p99_ms)
    ]
    return [*cells, f"{sample.per_second:.0f}" if sample.per_second else ""]


def machine() -> dict[str, object]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg(),
        "commit": commit.stdout.strip(),
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def write(lines: Sequence[Line], facts: dict[str, object]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    rows = [{**asdict(line), "verdict": line.verdict} for line in lines]
    RESULTS.write_text(json.dumps({"machine": facts, "rows": rows}, indent=2) + "\n")


def arguments() -> argparse.Namespace:
    keys = [row.key for row in (*PLAIN_ROWS, *TOOL_ROWS)] + ["start"]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two short rounds, without the 512 open streams")
    parser.add_argument(
        "--rows", nargs="+", choices=keys, metavar="ROW", help=f"only these: {', '.join(keys)}"
    )
    parser.add_argument("--rounds", type=int, help="how many rounds the medians are over (default 5)")
    parser.add_argument("--requests", type=int, help="requests per row and round (default 1500)")
    parser.add_argument(
        "--wire",
        choices=["chat", "responses"],
        default="chat",
        help="responses: the rows of responses through that wire, their budgets 1.2 times what chat takes now",
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a row misses its budget")
    return parser.parse_args()


def measure_wires(upstream: Program, folder: Path, rows: Sequence[Row], rounds: int, n: int) -> list[Line]:
    """The rows that compare, through the responses wire."""
    for wire in ("chat", "responses"):
        (folder / wire).mkdir()
    configs = {wire: configuration(upstream, folder / wire, wire) for wire in ("chat", "responses")}
    with (
        start_antiphon(folder / "chat", configs["chat"]) as chat,
        start_antiphon(folder / "responses", configs["responses"]) as responses,
    ):
        chat.wait_ready()
        responses.wait_ready()
        compared = [row for row in rows if row.key in COMPARED]
        work = compare(Servers(chat, upstream), Servers(responses, upstream), compared, rounds, n)
        return [Line(row.key, row.title, row.unit, row.budget, sample) for row, sample in uvloop.run(work)]


def measure_mcp(upstream: Program, folder: Path, rows: Sequence[Row], rounds: int, n: int) -> list[Line]:
    """The rows of MCP, for which a server of tools is started, and one of ours that is profiled."""
    folder.mkdir()
    with started(upstream, folder, configuration(upstream, folder)) as servers:
        return uvloop.run(measure_rows(servers, rows, rounds, n))


def chosen_rows(options: argparse.Namespace) -> list[str]:
    if options.rows:
        return list(options.rows)
    slow = {"open-streams"} if options.quick else set[str]()
    return [*(row.key for row in (*PLAIN_ROWS, *TOOL_ROWS) if row.key not in slow), "start"]


def main() -> int:
    options = arguments()
    quick, both = options.quick, options.wire == "responses"
    chosen = chosen_rows(options)
    rows = [row for row in PLAIN_ROWS if row.key in chosen]
    mcp_rows = [row for row in TOOL_ROWS if row.key in chosen]
    rounds, n = options.rounds or (2 if quick else 5), options.requests or (300 if quick else 1500)
    facts = machine()
    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as name, start_upstream() as upstream:
        folder = Path(name)
        if both:
            lines += measure_wires(upstream, folder, rows, rounds, n)
        elif rows:
            with start_antiphon(folder, configuration(upstream, folder)) as ours:
                ours.wait_ready()
                lines += uvloop.run(measure_rows(Servers(ours, upstream), rows, rounds, n))
        if mcp_rows and not both:
            lines += measure_mcp(upstream, folder / "mcp", mcp_rows, rounds, n)
        if "start" in chosen and not both:
            (folder / "starts").mkdir()
            memory, start = measure_starts(upstream, folder / "starts", 2 if quick else STARTS)
            lines.append(Line("idle", "idle memory after the first 200", "MB", IDLE_BUDGET_MB, memory))
            lines.append(Line("start", "start to first 200", "s", START_BUDGET_S, start))
    facts["load_average_after"] = os.getloadavg()
    print(table(lines))
    for line in lines:
        if line.sample.notes:
            print(
                f"{line.title}: "
                + ", ".join(f"{name} {value:.3g}" for name, value in line.sample.notes.items())
            )
    write(lines, facts)
    print(f"written to {os.path.relpath(RESULTS)}; load average {facts['load_average']} before the run")
    missed = [line.key for line in lines if line.verdict == "miss"]
    return 1 if missed and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
