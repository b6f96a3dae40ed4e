"""Run by alembic: migrates the SQLite file that `storage.migrate` names, each migration in a transaction.

Rules for a migration: expand (add what the new version needs, with defaults, so that the old version still
works meanwhile), backfill, and only in a later release contract. The standard library's sqlite3 is used
here, and only here, because that is the dialect that SQLAlchemy has.
"""

from pathlib import Path
from typing import Any

from alembic import context
from sqlalchemy import URL, Connection, NullPool, create_engine, event


def _run(path: Path) -> None:
    engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool)
    # Python's sqlite3 commits before DDL unless told to leave transactions to us.
    event.listen(engine, "connect", _leave_transactions_to_us)
    event.listen(engine, "begin", _begin)
    with engine.connect() as connection:
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()


def _leave_transactions_to_us(driver_connection: Any, _record: object) -> None:
    driver_connection.isolation_level = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


_run(context.config.attributes["path"])
