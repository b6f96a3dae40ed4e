-- The schema of a new database, as the migrations up to the head leave it (a contract test compares the two).

-- name: responses
-- A rowid table: rows are long, and appending them while only a short index is in id order writes half the pages
-- of a table that is itself in id order.
CREATE TABLE responses (
  number INTEGER NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  parent_id TEXT,
  status TEXT NOT NULL,
  model TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  hidden INTEGER DEFAULT 0 NOT NULL,
  head BLOB NOT NULL,
  input BLOB NOT NULL,
  output BLOB NOT NULL,
  served_by TEXT DEFAULT '' NOT NULL
)

-- name: responses_id
CREATE UNIQUE INDEX responses_id ON responses (id, tenant, subject)

-- name: responses_parent
CREATE INDEX responses_parent ON responses (parent_id) WHERE parent_id IS NOT NULL

-- name: responses_listed
-- Holds what a page of the list is found by, so that the long rows of others are not read.
CREATE INDEX responses_listed ON responses (tenant, subject, created_at, number, model) WHERE hidden = 0

-- name: alembic_version
CREATE TABLE alembic_version (
  version_num VARCHAR(32) NOT NULL,
  CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)
