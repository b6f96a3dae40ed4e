"""`docs/howto/vector-databases.md`: its configurations and its program, as a reader would use them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from antiphon.config.load import load
from antiphon.knowledge import make_indexes
from bench.program import start_antiphon
from tests.support.postgres import Postgres

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "vector-databases.md").read_text()
ADDRESS = "http://127.0.0.1:8321"


def blocks(language: str) -> list[str]:
    return [str(one) for one in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)]


async def test_each_configuration_of_the_page_makes_its_index(tmp_path: Path) -> None:
    made: list[str] = []
    for number, config in enumerate(blocks("yaml")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(config)
        indexes = make_indexes(load(path, environ={}), None)
        made += indexes
        for index in indexes.values():
            await index.aclose()
    assert made == ["pg", "chroma", "qdrant"]


def test_the_program_of_the_page_runs_as_a_user_who_makes_nothing(
    postgres: Postgres, postgres_database: str, tmp_path: Path
) -> None:
    role = postgres_database.replace("test_", "role_")
    postgres.execute(f"CREATE ROLE {role} LOGIN")
    for statement in blocks("sql")[0].splitlines():
        postgres.execute(
            statement.replace("AUTHORIZATION antiphon", f"AUTHORIZATION {role}"), postgres_database
        )
    config = re.sub(r"\$\{env\.PGVECTOR_HOST[^}]*\}", str(postgres.folder), blocks("yaml")[0])
    config = re.sub(r"\$\{env\.PGVECTOR_DB[^}]*\}", postgres_database, config)
    config = re.sub(r"\$\{env\.PGVECTOR_USER[^}]*\}", role, config)
    config += f'storage: {{url: "sqlite:///{tmp_path}/antiphon.db"}}\n'
    (program,) = blocks("python")
    with start_antiphon(tmp_path, config) as server:
        server.wait_ready()
        run = [sys.executable, "-c", program.replace(ADDRESS, server.url)]
        done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout == "travel.md\n"
    postgres.execute(f"DROP OWNED BY {role}", postgres_database)
    postgres.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize("extra", ["postgres", "qdrant"])
def test_the_extras_that_the_page_names_exist(extra: str) -> None:
    assert f"pip install 'antiphon[{extra}]'" in PAGE
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert re.search(rf"^{extra} = \[", project, re.MULTILINE)
