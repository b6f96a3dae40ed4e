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

-- name: conversations
-- The items of a conversation are those of the chain that ends at its tip, a row of `responses`. Items that were put
-- there, or taken out, by a client are rows of that chain too: hidden ones of status 'items' and 'removal'.
CREATE TABLE conversations (
  number INTEGER NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  metadata BLOB NOT NULL,
  tip TEXT,
  deleted INTEGER DEFAULT 0 NOT NULL
)

-- name: conversations_id
CREATE UNIQUE INDEX conversations_id ON conversations (id, tenant, subject)

-- name: conversations_tip
CREATE INDEX conversations_tip ON conversations (tip) WHERE tip IS NOT NULL

-- name: prompts
-- One row per version; `subject` is who wrote it, and everybody of the tenant may read it.
CREATE TABLE prompts (
  number INTEGER NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  is_default INTEGER DEFAULT 0 NOT NULL,
  body BLOB NOT NULL
)

-- name: prompts_id
CREATE UNIQUE INDEX prompts_id ON prompts (tenant, id, version)

-- name: prompts_default
CREATE UNIQUE INDEX prompts_default ON prompts (tenant, id) WHERE is_default = 1

-- name: chat_completions
CREATE TABLE chat_completions (
  number INTEGER NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  model TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  metadata TEXT NOT NULL,
  body BLOB NOT NULL,
  messages BLOB NOT NULL
)

-- name: chat_completions_id
CREATE UNIQUE INDEX chat_completions_id ON chat_completions (id, tenant, subject)

-- name: chat_completions_listed
CREATE INDEX chat_completions_listed ON chat_completions (tenant, subject, created_at, number, model)

-- name: alembic_version
CREATE TABLE alembic_version (
  version_num VARCHAR(32) NOT NULL,
  CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)
