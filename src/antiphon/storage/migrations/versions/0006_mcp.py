"""MCP: connectors, questions to users that may be answered once, tokens and authorisations of users."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    _connectors()
    _grants()
    _authorizations()


def _row(*columns: "sa.Column[object]") -> "list[sa.Column[object]]":
    return [sa.Column("number", sa.Integer(), primary_key=True, nullable=False), *columns]


def _owned(*columns: "sa.Column[object]") -> "list[sa.Column[object]]":
    return _row(_text("tenant"), _text("subject"), *columns)


def _text(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.Text(), nullable=False)


def _integer(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.Integer(), nullable=False)


def _connectors() -> None:
    op.create_table(
        "mcp_connectors",
        *_owned(
            _text("id"),
            _integer("created_at"),
            _integer("updated_at"),
            sa.Column("body", sa.LargeBinary(), nullable=False),
            _text("secret"),
        ),
    )
    op.create_index("mcp_connectors_id", "mcp_connectors", ["tenant", "id"], unique=True)
    op.create_index("mcp_connectors_listed", "mcp_connectors", ["tenant", "created_at", "number"])


def _grants() -> None:
    op.create_table(
        "mcp_grants",
        *_owned(
            _text("id"),
            _text("kind"),
            _text("digest"),
            _text("definition"),
            _integer("created_at"),
            _integer("expires_at"),
            sa.Column("used", sa.Integer(), nullable=False, server_default=sa.text("0")),
        ),
    )
    op.create_index("mcp_grants_id", "mcp_grants", ["id", "tenant", "subject"], unique=True)
    op.create_index("mcp_grants_expiring", "mcp_grants", ["expires_at"])


def _authorizations() -> None:
    op.create_table(
        "mcp_tokens",
        *_owned(
            _text("server"), _text("sealed"), sa.Column("expires_at", sa.Integer()), _integer("updated_at")
        ),
    )
    op.create_index("mcp_tokens_server", "mcp_tokens", ["tenant", "server", "subject"], unique=True)
    op.create_table(
        "mcp_flows", *_owned(_text("state"), _text("server"), _text("sealed"), _integer("expires_at"))
    )
    op.create_index("mcp_flows_state", "mcp_flows", ["state"], unique=True)
    op.create_index("mcp_flows_server", "mcp_flows", ["tenant", "server"])
    op.create_index("mcp_flows_expiring", "mcp_flows", ["expires_at"])
    op.create_table("mcp_clients", *_row(_text("tenant"), _text("server"), _text("sealed")))
    op.create_index("mcp_clients_server", "mcp_clients", ["tenant", "server"], unique=True)
