"""Which model answered a response, so that a route goes on with it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column(
        "responses", sa.Column("served_by", sa.Text(), nullable=False, server_default=sa.text("''"))
    )
