"""Conversations, prompts and stored chat completions."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    _conversations()
    _prompts()
    _chat_completions()


def _owned(*columns: "sa.Column[object]") -> "list[sa.Column[object]]":
    """What every row of a tenant's user begins with."""
    return [
        sa.Column("number", sa.Integer(), primary_key=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        *columns,
    ]


def _conversations() -> None:
    op.create_table(
        "conversations",
        *_owned(
            sa.Column("created_at", sa.Integer(), nullable=False),
            sa.Column("metadata", sa.LargeBinary(), nullable=False),
            sa.Column("tip", sa.Text()),
            sa.Column("deleted", sa.Integer(), nullable=False, server_default=sa.text("0")),
        ),
    )
    op.create_index("conversations_id", "conversations", ["id", "tenant", "subject"], unique=True)
    op.create_index("conversations_tip", "conversations", ["tip"], sqlite_where=sa.text("tip IS NOT NULL"))


def _prompts() -> None:
    op.create_table(
        "prompts",
        *_owned(
            sa.Column("version", sa.Integer(), nullable=False),
            sa.Column("created_at", sa.Integer(), nullable=False),
            sa.Column("is_default", sa.Integer(), nullable=False, server_default=sa.text("0")),
            sa.Column("body", sa.LargeBinary(), nullable=False),
        ),
    )
    op.create_index("prompts_id", "prompts", ["tenant", "id", "version"], unique=True)
    op.create_index(
        "prompts_default", "prompts", ["tenant", "id"], unique=True, sqlite_where=sa.text("is_default = 1")
    )


def _chat_completions() -> None:
    op.create_table(
        "chat_completions",
        *_owned(
            sa.Column("model", sa.Text(), nullable=False),
            sa.Column("created_at", sa.Integer(), nullable=False),
            sa.Column("metadata", sa.Text(), nullable=False),
            sa.Column("body", sa.LargeBinary(), nullable=False),
            sa.Column("messages", sa.LargeBinary(), nullable=False),
        ),
    )
    op.create_index("chat_completions_id", "chat_completions", ["id", "tenant", "subject"], unique=True)
    op.create_index(
        "chat_completions_listed",
        "chat_completions",
        ["tenant", "subject", "created_at", "number", "model"],
    )
