"""`python -m tests.agents`: take the tour, and write `docs/reference/agents-coverage.md`."""

import sys
import tempfile
from pathlib import Path

from bench.program import start_antiphon
from tests.agents.fields import all_fields
from tests.agents.tour import CONFIG, PAGE, PREFIXES, page, toured
from tests.support.mcp_servers import McpServers


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, McpServers() as servers:
        config = CONFIG % {"folder": folder, "mcp": servers.case().url()}
        with start_antiphon(Path(folder), config) as program:
            program.wait_ready()
            tours = [toured(program.port, prefix) for prefix in PREFIXES]
    PAGE.write_text(page(tours, all_fields()))
    sys.stdout.write(f"wrote {PAGE.name}\n")


if __name__ == "__main__":
    main()
