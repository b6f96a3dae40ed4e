"""Servers that adapters are tried with."""

from tests.support.postgres import postgres, postgres_database, postgres_module_database

__all__ = ["postgres", "postgres_database", "postgres_module_database"]
