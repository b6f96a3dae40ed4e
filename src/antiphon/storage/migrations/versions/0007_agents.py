"""Agents, their sessions and turns; shields and tool groups."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    _agents()
    _sessions()
    _turns()
    _shields()
    _tool_groups()


def _row(*columns: "sa.Column[object]") -> "list[sa.Column[object]]":
    return [sa.Column("number", sa.Integer(), primary_key=True, nullable=False), *columns]


def _owned(*columns: "sa.Column[object]") -> "list[sa.Column[object]]":
    return _row(_text("tenant"), _text("subject"), *columns)


def _identified(*columns: "sa.Column[object]") -> "list[sa.Column[object]]":
    return _row(_text("id"), _text("tenant"), _text("subject"), *columns)


def _text(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.Text(), nullable=False)


def _integer(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.Integer(), nullable=False)


def _blob(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def _agents() -> None:
    op.create_table(
        "agents", *_identified(_integer("created_at"), sa.Column("name", sa.Text()), _blob("config"))
    )
    op.create_index("agents_id", "agents", ["id", "tenant"], unique=True)
    op.create_index("agents_listed", "agents", ["tenant", "created_at", "number"])
    op.create_index(
        "agents_named", "agents", ["tenant", "name", "number"], sqlite_where=sa.text("name IS NOT NULL")
    )


def _sessions() -> None:
    op.create_table(
        "agent_sessions",
        *_identified(
            _text("agent_id"),
            _text("name"),
            _integer("started_at"),
            sa.Column("tip", sa.Text()),
            _text("stores"),
            sa.Column("memory", sa.Text()),
        ),
    )
    op.create_index("agent_sessions_id", "agent_sessions", ["id", "tenant", "subject"], unique=True)
    op.create_index(
        "agent_sessions_listed", "agent_sessions", ["agent_id", "tenant", "subject", "started_at", "number"]
    )
    op.create_index("agent_sessions_tip", "agent_sessions", ["tip"], sqlite_where=sa.text("tip IS NOT NULL"))
    op.add_column("responses", sa.Column("session_id", sa.Text()))
    op.create_index(
        "responses_session", "responses", ["session_id"], sqlite_where=sa.text("session_id IS NOT NULL")
    )


def _turns() -> None:
    op.create_table(
        "agent_turns",
        *_identified(
            _text("session_id"),
            _text("status"),
            _integer("started_at"),
            sa.Column("completed_at", sa.Integer()),
            _blob("body"),
            _blob("inner_body"),
        ),
    )
    op.create_index("agent_turns_id", "agent_turns", ["id", "tenant", "subject"], unique=True)
    op.create_index("agent_turns_session", "agent_turns", ["session_id", "tenant", "subject", "number"])


def _shields() -> None:
    op.create_table(
        "shields",
        *_owned(
            _text("id"),
            _text("provider_id"),
            _text("provider_shield_id"),
            _blob("params"),
            _integer("created_at"),
        ),
    )
    op.create_index("shields_id", "shields", ["tenant", "id"], unique=True)
    op.create_index("shields_listed", "shields", ["tenant", "created_at", "number"])


def _tool_groups() -> None:
    op.create_table(
        "tool_groups",
        *_owned(
            _text("id"), _text("provider_id"), _text("connector_id"), _blob("args"), _integer("created_at")
        ),
    )
    op.create_index("tool_groups_id", "tool_groups", ["tenant", "id"], unique=True)
    op.create_index("tool_groups_listed", "tool_groups", ["tenant", "created_at", "number"])
