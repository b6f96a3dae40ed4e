"""Files, uploads, vector stores with their files and batches."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    _files()
    _uploads()
    _vector_stores()
    _vector_files()


def _owned(*columns: "sa.Column[object]") -> "list[sa.Column[object]]":
    """What every row of a tenant's user begins with."""
    return [
        sa.Column("number", sa.Integer(), primary_key=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        *columns,
    ]


def _text(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.Text(), nullable=False)


def _integer(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.Integer(), nullable=False)


def _files() -> None:
    op.create_table(
        "files",
        *_owned(
            _text("purpose"),
            _text("filename"),
            _text("media_type"),
            _integer("bytes"),
            _integer("created_at"),
            sa.Column("expires_at", sa.Integer()),
            _text("blob"),
            _text("sha256"),
        ),
    )
    op.create_index("files_id", "files", ["id", "tenant", "subject"], unique=True)
    op.create_index("files_listed", "files", ["tenant", "subject", "created_at", "number", "purpose"])
    op.create_index("files_expiring", "files", ["expires_at"], sqlite_where=sa.text("expires_at IS NOT NULL"))
    op.create_table(
        "left_over_blobs",
        sa.Column("key", sa.Text(), primary_key=True, nullable=False),
        _integer("due_at"),
        sa.Column("removing", sa.Integer(), nullable=False, server_default=sa.text("0")),
    )
    op.create_index("left_over_blobs_due", "left_over_blobs", ["due_at"])


def _uploads() -> None:
    op.create_table(
        "uploads",
        *_owned(
            _text("purpose"),
            _text("filename"),
            _text("media_type"),
            _integer("bytes"),
            _integer("created_at"),
            _integer("expires_at"),
            _text("status"),
            sa.Column("file_id", sa.Text()),
            sa.Column("file_expires_after_s", sa.Integer()),
        ),
    )
    op.create_index("uploads_id", "uploads", ["id", "tenant", "subject"], unique=True)
    op.create_index("uploads_expiring", "uploads", ["status", "expires_at"])
    op.create_table(
        "upload_parts",
        *_owned(_text("upload_id"), _integer("bytes"), _integer("created_at"), _text("blob")),
    )
    op.create_index("upload_parts_upload", "upload_parts", ["upload_id", "tenant", "subject", "number"])


def _vector_stores() -> None:
    op.create_table(
        "vector_stores",
        *_owned(
            _text("name"),
            _text("description"),
            _integer("created_at"),
            _integer("last_active_at"),
            sa.Column("metadata", sa.LargeBinary(), nullable=False),
            _text("provider_id"),
            _text("embedding_model"),
            _integer("dimension"),
            sa.Column("expires_after_days", sa.Integer()),
            _integer("generation"),
            sa.Column("expires_at", sa.Integer()),
            _text("state"),
        ),
    )
    op.create_index("vector_stores_id", "vector_stores", ["id", "tenant", "subject"], unique=True)
    op.create_index("vector_stores_listed", "vector_stores", ["tenant", "subject", "created_at", "number"])
    op.create_index(
        "vector_stores_ending",
        "vector_stores",
        ["number"],
        sqlite_where=sa.text("state IN ('expiring', 'deleted')"),
    )
    op.create_index(
        "vector_stores_expiring",
        "vector_stores",
        ["expires_at"],
        sqlite_where=sa.text("expires_at IS NOT NULL AND state = 'live'"),
    )


def _vector_files() -> None:
    op.create_table(
        "vector_store_files",
        *_owned(
            _text("store_id"),
            _integer("created_at"),
            _text("status"),
            sa.Column("attributes", sa.LargeBinary(), nullable=False),
            sa.Column("chunking", sa.LargeBinary(), nullable=False),
            _integer("usage_bytes"),
            sa.Column("error_code", sa.Text()),
            sa.Column("error_message", sa.Text()),
            sa.Column("batch_id", sa.Text()),
            sa.Column("task", sa.Text()),
            sa.Column("claim", sa.Text()),
            sa.Column("claimed_until", sa.Integer()),
            _integer("attempts"),
        ),
    )
    op.create_index(
        "vector_store_files_id", "vector_store_files", ["store_id", "id", "tenant", "subject"], unique=True
    )
    op.create_index("vector_store_files_file", "vector_store_files", ["id", "tenant", "subject"])
    op.create_index(
        "vector_store_files_listed", "vector_store_files", ["store_id", "created_at", "number", "status"]
    )
    op.create_index(
        "vector_store_files_counted",
        "vector_store_files",
        ["store_id", "tenant", "subject", "status", "usage_bytes"],
    )
    op.create_index(
        "vector_store_files_batch",
        "vector_store_files",
        ["batch_id", "status"],
        sqlite_where=sa.text("batch_id IS NOT NULL"),
    )
    op.create_index(
        "vector_store_files_jobs",
        "vector_store_files",
        ["number"],
        sqlite_where=sa.text("task IS NOT NULL"),
    )
    op.create_index(
        "vector_store_files_claimed",
        "vector_store_files",
        ["store_id"],
        sqlite_where=sa.text("claim IS NOT NULL"),
    )
    op.create_table(
        "file_batches",
        *_owned(_text("store_id"), _integer("created_at"), _integer("cancelled")),
    )
    op.create_index("file_batches_id", "file_batches", ["id", "store_id", "tenant", "subject"], unique=True)
