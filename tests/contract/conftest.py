"""Servers that adapters are tried with."""

from tests.support.chroma import chroma
from tests.support.postgres import postgres, postgres_database, postgres_module_database

__all__ = ["chroma", "postgres", "postgres_database", "postgres_module_database"]
