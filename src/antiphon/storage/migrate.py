"""Which schema a SQLite file has, and how it gets the newest one.

A new database gets the head schema from one script and a database at the head needs one SELECT; alembic,
slower to import than a server to start, is loaded only for one that is behind.
"""

from pathlib import Path

import apsw

from antiphon.core.errors import StoreUnavailable
from antiphon.storage import queries

HEAD = "0007"
"""The newest revision in `migrations/versions`."""
BUSY_MS = 5_000
"""How long another process that migrates, or writes, is waited for."""

_MIGRATIONS = Path(__file__).parent / "migrations"


def head() -> str:
    return HEAD


def path_of(url_or_path: str | Path) -> Path:
    """The file of `sqlite:///relative`, `sqlite:////absolute`, `sqlite:///~/in/home`, or of a plain path.

    Raises StoreUnavailable for a URL of another kind, or one that names no file.
    """
    text = str(url_or_path)
    if "://" in text:
        scheme, _, rest = text.partition("://")
        if scheme != "sqlite" or not rest.startswith("/") or rest in {"/", "/:memory:"}:
            raise StoreUnavailable(
                f'storage URL "{scheme}://…" cannot be used; expected sqlite:///PATH,'
                " for example sqlite:///~/.antiphon/antiphon.db."
            )
        text = rest[1:]
    return Path(text).expanduser()


def current(path: Path) -> str | None:
    """The revision of a database; None when there is no file, or no schema in it yet.

    Raises StoreUnavailable when the file is not a database of this program.
    """
    if not path.exists():
        return None
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(BUSY_MS)
    try:
        return _revision(connection, path)
    except apsw.NotADBError as error:
        raise _foreign(path) from error
    finally:
        connection.close()


def bring_to_head(path: Path) -> None:
    """Give an empty database the schema, migrate an older one. The file exists.

    Raises StoreUnavailable when the schema is newer than this program, or the file is some other program's.
    """
    if current(path) == HEAD:
        return
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(BUSY_MS)
    try:
        queries.execute(connection, "PRAGMA journal_mode = WAL")
        _create_if_empty(connection)
    finally:
        connection.close()
    if current(path) != HEAD:
        upgrade(str(path))


def upgrade(url: str) -> tuple[str | None, str]:
    """Run the migrations that a database lacks, making it if need be: the revision before and after.

    Raises StoreUnavailable when the schema is newer than this program, or the file is some other program's.
    """
    path = path_of(url)
    before = current(path)
    if before == HEAD:
        return before, HEAD
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _run_migrations(path, before)
    return before, HEAD


def _revision(connection: apsw.Connection, path: Path) -> str | None:
    names = {name for (name,) in queries.execute(connection, "SELECT name FROM sqlite_master")}
    if "alembic_version" not in names:
        if names:
            raise _foreign(path)
        return None
    row = queries.execute(connection, "SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _create_if_empty(connection: apsw.Connection) -> None:
    queries.execute(connection, "BEGIN IMMEDIATE")
    try:
        # Looked at again under the lock: another process may have been first.
        if queries.execute(connection, "SELECT count(*) FROM sqlite_master").get == 0:
            for statement in queries.load("schema.sqlite").values():
                queries.execute(connection, statement)
            queries.execute(connection, "INSERT INTO alembic_version VALUES (?)", (HEAD,))
    except apsw.Error:
        queries.execute(connection, "ROLLBACK")
        raise
    queries.execute(connection, "COMMIT")


def _run_migrations(path: Path, before: str | None) -> None:
    # 0.4 s and 25 MB that only a database that is behind needs.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from sqlalchemy.exc import SQLAlchemyError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["path"] = path
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if before is not None and before not in known:
        raise StoreUnavailable(
            f"the database {path} has schema {before}, newer than this version of Antiphon knows ({HEAD})."
            " Start the version that wrote it, or a later one."
        )
    try:
        command.upgrade(config, HEAD)
    except SQLAlchemyError as error:
        raise StoreUnavailable(
            f"the database {path} could not be migrated to schema {HEAD}: {error}"
        ) from error


def _foreign(path: Path) -> StoreUnavailable:
    return StoreUnavailable(f"{path} is not a database of Antiphon's; name another file in `storage.url`.")
