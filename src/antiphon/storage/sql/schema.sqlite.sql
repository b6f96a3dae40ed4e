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
  served_by TEXT DEFAULT '' NOT NULL,
  session_id TEXT
)

-- name: responses_id
CREATE UNIQUE INDEX responses_id ON responses (id, tenant, subject)

-- name: responses_parent
CREATE INDEX responses_parent ON responses (parent_id) WHERE parent_id IS NOT NULL

-- name: responses_listed
-- Holds what a page of the list is found by, so that the long rows of others are not read.
CREATE INDEX responses_listed ON responses (tenant, subject, created_at, number, model) WHERE hidden = 0

-- name: responses_session
-- All that were made in a session of an agent, those that its chain went past too.
CREATE INDEX responses_session ON responses (session_id) WHERE session_id IS NOT NULL

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

-- name: files
-- The bytes of a file are in the blob store, under `blob`.
CREATE TABLE files (
  number INTEGER NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  purpose TEXT NOT NULL,
  filename TEXT NOT NULL,
  media_type TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  blob TEXT NOT NULL,
  sha256 TEXT NOT NULL
)

-- name: files_id
CREATE UNIQUE INDEX files_id ON files (id, tenant, subject)

-- name: files_listed
CREATE INDEX files_listed ON files (tenant, subject, created_at, number, purpose)

-- name: files_expiring
CREATE INDEX files_expiring ON files (expires_at) WHERE expires_at IS NOT NULL

-- name: left_over_blobs
-- Blobs that no file or part has: `due_at` is when they may be removed, `removing` that somebody began to.
CREATE TABLE left_over_blobs (
  key TEXT NOT NULL,
  due_at INTEGER NOT NULL,
  removing INTEGER DEFAULT 0 NOT NULL,
  PRIMARY KEY (key)
)

-- name: left_over_blobs_due
CREATE INDEX left_over_blobs_due ON left_over_blobs (due_at)

-- name: uploads
CREATE TABLE uploads (
  number INTEGER NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  purpose TEXT NOT NULL,
  filename TEXT NOT NULL,
  media_type TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  status TEXT NOT NULL,
  file_id TEXT,
  file_expires_after_s INTEGER
)

-- name: uploads_id
CREATE UNIQUE INDEX uploads_id ON uploads (id, tenant, subject)

-- name: uploads_expiring
CREATE INDEX uploads_expiring ON uploads (status, expires_at)

-- name: upload_parts
CREATE TABLE upload_parts (
  number INTEGER NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  upload_id TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  blob TEXT NOT NULL
)

-- name: upload_parts_upload
CREATE INDEX upload_parts_upload ON upload_parts (upload_id, tenant, subject, number)

-- name: vector_stores
-- `state`: live; expiring or deleted, when its chunks are still to be dropped; expired. `generation` counts how often
-- its chunks were moved to a new collection.
CREATE TABLE vector_stores (
  number INTEGER NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  last_active_at INTEGER NOT NULL,
  metadata BLOB NOT NULL,
  provider_id TEXT NOT NULL,
  embedding_model TEXT NOT NULL,
  dimension INTEGER NOT NULL,
  expires_after_days INTEGER,
  generation INTEGER NOT NULL,
  expires_at INTEGER,
  state TEXT NOT NULL
)

-- name: vector_stores_id
CREATE UNIQUE INDEX vector_stores_id ON vector_stores (id, tenant, subject)

-- name: vector_stores_listed
CREATE INDEX vector_stores_listed ON vector_stores (tenant, subject, created_at, number)

-- name: vector_stores_ending
CREATE INDEX vector_stores_ending ON vector_stores (number) WHERE state IN ('expiring', 'deleted')

-- name: vector_stores_expiring
CREATE INDEX vector_stores_expiring ON vector_stores (expires_at) WHERE expires_at IS NOT NULL AND state = 'live'

-- name: vector_store_files
-- `id` is that of the file; `status` also removed, which hides the row. One with a `task` is a job: `claim` is the token
-- of whose it is, which begins with a "-" when it was lost; nobody gets it before `claimed_until`.
CREATE TABLE vector_store_files (
  number INTEGER NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  store_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  status TEXT NOT NULL,
  attributes BLOB NOT NULL,
  chunking BLOB NOT NULL,
  usage_bytes INTEGER NOT NULL,
  error_code TEXT,
  error_message TEXT,
  batch_id TEXT,
  task TEXT,
  claim TEXT,
  claimed_until INTEGER,
  attempts INTEGER NOT NULL
)

-- name: vector_store_files_id
CREATE UNIQUE INDEX vector_store_files_id ON vector_store_files (store_id, id, tenant, subject)

-- name: vector_store_files_file
CREATE INDEX vector_store_files_file ON vector_store_files (id, tenant, subject)

-- name: vector_store_files_listed
CREATE INDEX vector_store_files_listed ON vector_store_files (store_id, created_at, number, status)

-- name: vector_store_files_counted
CREATE INDEX vector_store_files_counted ON vector_store_files (store_id, tenant, subject, status, usage_bytes)

-- name: vector_store_files_batch
CREATE INDEX vector_store_files_batch ON vector_store_files (batch_id, status) WHERE batch_id IS NOT NULL

-- name: vector_store_files_jobs
CREATE INDEX vector_store_files_jobs ON vector_store_files (number) WHERE task IS NOT NULL

-- name: vector_store_files_claimed
CREATE INDEX vector_store_files_claimed ON vector_store_files (store_id) WHERE claim IS NOT NULL

-- name: file_batches
CREATE TABLE file_batches (
  number INTEGER NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  store_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  cancelled INTEGER NOT NULL
)

-- name: file_batches_id
CREATE UNIQUE INDEX file_batches_id ON file_batches (id, store_id, tenant, subject)

-- name: mcp_connectors
-- They belong to the tenant; `subject` is who wrote it last. `secret` is sealed.
CREATE TABLE mcp_connectors (
  number INTEGER NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  body BLOB NOT NULL,
  secret TEXT NOT NULL
)

-- name: mcp_connectors_id
CREATE UNIQUE INDEX mcp_connectors_id ON mcp_connectors (tenant, id)

-- name: mcp_connectors_listed
CREATE INDEX mcp_connectors_listed ON mcp_connectors (tenant, created_at, number)

-- name: mcp_grants
-- Questions to users that may be answered once: digests, no content.
CREATE TABLE mcp_grants (
  number INTEGER NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  digest TEXT NOT NULL,
  definition TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used INTEGER DEFAULT 0 NOT NULL
)

-- name: mcp_grants_id
CREATE UNIQUE INDEX mcp_grants_id ON mcp_grants (id, tenant, subject)

-- name: mcp_grants_expiring
CREATE INDEX mcp_grants_expiring ON mcp_grants (expires_at)

-- name: mcp_tokens
-- Of users for servers, sealed. `server` is a digest, here and below.
CREATE TABLE mcp_tokens (
  number INTEGER NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  server TEXT NOT NULL,
  sealed TEXT NOT NULL,
  expires_at INTEGER,
  updated_at INTEGER NOT NULL
)

-- name: mcp_tokens_server
CREATE UNIQUE INDEX mcp_tokens_server ON mcp_tokens (tenant, server, subject)

-- name: mcp_flows
-- Authorisations that were begun; a row goes when it is answered.
CREATE TABLE mcp_flows (
  number INTEGER NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  state TEXT NOT NULL,
  server TEXT NOT NULL,
  sealed TEXT NOT NULL,
  expires_at INTEGER NOT NULL
)

-- name: mcp_flows_state
CREATE UNIQUE INDEX mcp_flows_state ON mcp_flows (state)

-- name: mcp_flows_server
CREATE INDEX mcp_flows_server ON mcp_flows (tenant, server)

-- name: mcp_flows_expiring
CREATE INDEX mcp_flows_expiring ON mcp_flows (expires_at)

-- name: mcp_clients
-- As what an authorisation server registered us for a tenant.
CREATE TABLE mcp_clients (
  number INTEGER NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  server TEXT NOT NULL,
  sealed TEXT NOT NULL
)

-- name: mcp_clients_server
CREATE UNIQUE INDEX mcp_clients_server ON mcp_clients (tenant, server)

-- name: agents
-- They belong to the tenant; `subject` made it. `config` is JSON, `name` the one in it.
CREATE TABLE agents (
  number INTEGER NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  name TEXT,
  config BLOB NOT NULL
)

-- name: agents_id
CREATE UNIQUE INDEX agents_id ON agents (id, tenant)

-- name: agents_listed
CREATE INDEX agents_listed ON agents (tenant, created_at, number)

-- name: agents_named
CREATE INDEX agents_named ON agents (tenant, name, number) WHERE name IS NOT NULL

-- name: agent_sessions
-- `tip` is a row of `responses`, as that of a conversation is; `stores` a JSON array of ids of vector stores.
CREATE TABLE agent_sessions (
  number INTEGER NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  name TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  tip TEXT,
  stores TEXT NOT NULL,
  memory TEXT
)

-- name: agent_sessions_id
CREATE UNIQUE INDEX agent_sessions_id ON agent_sessions (id, tenant, subject)

-- name: agent_sessions_listed
CREATE INDEX agent_sessions_listed ON agent_sessions (agent_id, tenant, subject, started_at, number)

-- name: agent_sessions_tip
CREATE INDEX agent_sessions_tip ON agent_sessions (tip) WHERE tip IS NOT NULL

-- name: agent_turns
-- `body` is the turn as it was streamed. They are in the order of `number`, in which they began.
CREATE TABLE agent_turns (
  number INTEGER NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  session_id TEXT NOT NULL,
  status TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  completed_at INTEGER,
  body BLOB NOT NULL,
  inner_body BLOB NOT NULL
)

-- name: agent_turns_id
CREATE UNIQUE INDEX agent_turns_id ON agent_turns (id, tenant, subject)

-- name: agent_turns_session
CREATE INDEX agent_turns_session ON agent_turns (session_id, tenant, subject, number)

-- name: shields
-- They belong to the tenant, as tool groups do; `subject` registered it. `params` and `args` are JSON.
CREATE TABLE shields (
  number INTEGER NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  id TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  provider_shield_id TEXT NOT NULL,
  params BLOB NOT NULL,
  created_at INTEGER NOT NULL
)

-- name: shields_id
CREATE UNIQUE INDEX shields_id ON shields (tenant, id)

-- name: shields_listed
CREATE INDEX shields_listed ON shields (tenant, created_at, number)

-- name: tool_groups
CREATE TABLE tool_groups (
  number INTEGER NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  subject TEXT NOT NULL,
  id TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  connector_id TEXT NOT NULL,
  args BLOB NOT NULL,
  created_at INTEGER NOT NULL
)

-- name: tool_groups_id
CREATE UNIQUE INDEX tool_groups_id ON tool_groups (tenant, id)

-- name: tool_groups_listed
CREATE INDEX tool_groups_listed ON tool_groups (tenant, created_at, number)

-- name: alembic_version
CREATE TABLE alembic_version (
  version_num VARCHAR(32) NOT NULL,
  CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)
