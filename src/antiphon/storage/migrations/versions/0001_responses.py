"""Responses, each with its own new items and the id of the one it continues."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "responses",
        sa.Column("number", sa.Integer(), primary_key=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("hidden", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.Column("input", sa.LargeBinary(), nullable=False),
        sa.Column("output", sa.LargeBinary(), nullable=False),
    )
    op.create_index("responses_id", "responses", ["id", "tenant", "subject"], unique=True)
    op.create_index(
        "responses_parent", "responses", ["parent_id"], sqlite_where=sa.text("parent_id IS NOT NULL")
    )
