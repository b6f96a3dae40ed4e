"""What alembic runs; found by path, never imported."""
