"""An index by which an owner's responses are listed, by age."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index(
        "responses_listed",
        "responses",
        ["tenant", "subject", "created_at", "number", "model"],
        sqlite_where=sa.text("hidden = 0"),
    )
