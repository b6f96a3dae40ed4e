"""`SqlitePrompts`: the prompt store over a database that other stores share."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import apsw

from antiphon.ports import Owner, StoredPrompt
from antiphon.storage import queries
from antiphon.storage.database import Database

_SQL = queries.load("prompts.sqlite")


class SqlitePrompts:
    """A `PromptStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_prompt(self, owner: Owner, prompt: StoredPrompt) -> None:
        await self._database.write(partial(_add, owner, prompt))

    async def add_version(self, owner: Owner, prompt: StoredPrompt) -> int:
        work = partial(_add_behind_latest, owner, prompt)
        return await self._database.write(work, several_statements=True)

    async def set_default_prompt(self, owner: Owner, prompt_id: str, version: int) -> bool:
        work = partial(_set_default, owner, prompt_id, version)
        return await self._database.write(work, several_statements=True)

    async def get_prompt(
        self, owner: Owner, prompt_id: str, version: int | None = None
    ) -> StoredPrompt | None:
        statement = _SQL["get_default" if version is None else "get_version"]
        row = self._database.read_row(statement, {**_of(owner, prompt_id), "version": version})
        return None if row is None else _prompt(row)

    async def list_prompts(self, owner: Owner) -> Sequence[StoredPrompt]:
        return await self._database.read_behind(partial(_rows, "list", _of(owner, "")))

    async def list_prompt_versions(self, owner: Owner, prompt_id: str) -> Sequence[StoredPrompt]:
        return await self._database.read_behind(partial(_rows, "list_versions", _of(owner, prompt_id)))

    async def delete_prompt(self, owner: Owner, prompt_id: str) -> bool:
        return await self._database.write(partial(_delete, owner, prompt_id))


def _of(owner: Owner, prompt_id: str) -> dict[str, Any]:
    return {"id": prompt_id, "tenant": owner.tenant, "subject": owner.subject}


def _prompt(row: Sequence[Any]) -> StoredPrompt:
    id, version, created_at, is_default, body = row
    return StoredPrompt(id, version, created_at, bool(is_default), body)


def _rows(statement: str, bindings: dict[str, Any], connection: apsw.Connection) -> list[StoredPrompt]:
    return [_prompt(row) for row in queries.execute(connection, _SQL[statement], bindings)]


def _add(owner: Owner, prompt: StoredPrompt, connection: apsw.Connection) -> None:
    bindings = {
        **_of(owner, prompt.id),
        "version": prompt.version,
        "created_at": prompt.created_at,
        "is_default": int(prompt.is_default),
        "body": prompt.body,
    }
    queries.execute(connection, _SQL["add"], bindings)


def _add_behind_latest(owner: Owner, prompt: StoredPrompt, connection: apsw.Connection) -> int:
    bindings = _of(owner, prompt.id)
    found = queries.execute(connection, _SQL["latest"], bindings).fetchone()
    latest = 0 if found is None else int(found[0])
    if latest and latest == prompt.version - 1:
        if prompt.is_default:
            queries.execute(connection, _SQL["clear_default"], bindings)
        _add(owner, prompt, connection)
    return latest


def _set_default(owner: Owner, prompt_id: str, version: int, connection: apsw.Connection) -> bool:
    bindings = {**_of(owner, prompt_id), "version": version}
    if queries.execute(connection, _SQL["has_version"], bindings).fetchone() is None:
        return False
    queries.execute(connection, _SQL["clear_default"], bindings)
    queries.execute(connection, _SQL["set_default"], bindings)
    return True


def _delete(owner: Owner, prompt_id: str, connection: apsw.Connection) -> bool:
    return bool(list(queries.execute(connection, _SQL["delete"], _of(owner, prompt_id))))
