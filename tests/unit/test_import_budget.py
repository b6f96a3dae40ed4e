"""What is not loaded: names, not seconds, so that the answer is the same on every machine."""

import json
import subprocess
import sys

import pytest

LOADED = "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
NEVER = {"pydantic", "httpx", "openai", "numpy", "hypothesis", "pytest"}


def loaded_after(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after it ran `code`."""
    command = [sys.executable, "-c", f"{code}\n{LOADED}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import antiphon",
        "import sys; sys.argv = ['antiphon', '--version']; from antiphon.__main__ import main; main()",
        "import sys; sys.argv = ['antiphon', 'version']; from antiphon.__main__ import main; main()",
    ],
)
def test_the_version_costs_nothing(code: str) -> None:
    heavy = {
        "aiohttp",
        "starlette",
        "uvicorn",
        "alembic",
        "sqlalchemy",
        "apsw",
        "msgspec",
        "yaml",
        "argparse",
    }
    loaded = loaded_after(code)
    assert "antiphon" in loaded
    assert not loaded & (heavy | NEVER | {"asyncio"})


def test_help_and_settings_load_no_server() -> None:
    code = "from antiphon.config.load import load; from antiphon.cli.commands import build_parser; load(environ={})"
    assert not loaded_after(code) & ({"aiohttp", "uvicorn", "alembic", "apsw", "yaml", "asyncio"} | NEVER)


def test_a_server_loads_no_migrations_no_schema_checker_no_mcp_and_no_test_tools() -> None:
    lazy = {
        "alembic",
        "sqlalchemy",
        "mako",
        "mcp",
        "mcp_types",
        "httpx2",
        "jsonschema_rs",
        "yaml",
        "rich",
        "cyclopts",
        "zstandard",
        "websockets",
    }
    loaded = loaded_after("import antiphon.cli.serve")
    assert {"uvicorn", "aiohttp", "apsw"} <= loaded
    assert not loaded & (lazy | NEVER)
