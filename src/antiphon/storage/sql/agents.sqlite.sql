-- Agents are found by tenant, what is below them by tenant and subject: a foreign row is an unknown one.

-- name: add_agent
INSERT INTO agents (id, tenant, subject, created_at, name, config)
VALUES (:id, :tenant, :subject, :created_at, CAST(:config AS TEXT) ->> '$.name', :config)

-- name: get_agent
SELECT id, created_at, config, subject FROM agents WHERE id = :id AND tenant = :tenant

-- name: list_agents
SELECT id, created_at, config, subject FROM agents WHERE tenant = :tenant
ORDER BY created_at, number LIMIT :limit OFFSET :start

-- name: list_named
SELECT id, created_at, config, subject FROM agents WHERE number IN (
  SELECT max(number) FROM agents WHERE tenant = :tenant AND name IS NOT NULL GROUP BY name ORDER BY name LIMIT :limit
)
ORDER BY name

-- name: delete_agent
DELETE FROM agents WHERE id = :id AND tenant = :tenant RETURNING id

-- name: list_sessions_of_everybody
SELECT id, subject FROM agent_sessions WHERE agent_id = :id AND tenant = :tenant
ORDER BY subject, started_at, number

-- name: add_session
INSERT INTO agent_sessions (id, tenant, subject, agent_id, name, started_at, tip, stores, memory)
SELECT :id, :tenant, :subject, :agent_id, :name, :started_at, :tip, :stores, :memory
WHERE EXISTS (SELECT 1 FROM agents WHERE id = :agent_id AND tenant = :tenant)
RETURNING number

-- name: get_session
SELECT id, agent_id, name, started_at, tip, stores, memory FROM agent_sessions
WHERE id = :id AND tenant = :tenant AND subject = :subject AND agent_id = :agent_id

-- name: list_sessions
SELECT id, agent_id, name, started_at, tip, stores, memory FROM agent_sessions
WHERE agent_id = :agent_id AND tenant = :tenant AND subject = :subject
ORDER BY started_at, number LIMIT :limit OFFSET :start

-- name: set_memory
UPDATE agent_sessions SET memory = :memory
WHERE id = :id AND tenant = :tenant AND subject = :subject AND memory IS NULL
RETURNING number

-- name: delete_session
DELETE FROM agent_sessions WHERE id = :id AND tenant = :tenant AND subject = :subject AND agent_id = :agent_id
RETURNING memory

-- name: delete_turns
DELETE FROM agent_turns WHERE session_id = :id AND tenant = :tenant AND subject = :subject

-- name: hide_responses
-- Those that are hidden already too: all that were made in the session.
UPDATE responses SET hidden = 1
WHERE session_id = :id AND tenant = :tenant AND subject = :subject
RETURNING id

-- name: stands_at
SELECT 1 FROM agent_sessions WHERE id = :id AND tenant = :tenant AND subject = :subject AND tip IS :continues

-- name: move_tip
UPDATE agent_sessions SET tip = :tip WHERE id = :id AND tenant = :tenant AND subject = :subject

-- name: put_turn
-- A turn stays in its session, and where it is among the others.
INSERT INTO agent_turns (id, tenant, subject, session_id, status, started_at, completed_at, body, inner_body)
SELECT :id, :tenant, :subject, :session_id, :status, :started_at, :completed_at, :body, :inner
WHERE EXISTS (
  SELECT 1 FROM agent_sessions WHERE id = :session_id AND tenant = :tenant AND subject = :subject
)
ON CONFLICT (id, tenant, subject) DO UPDATE SET
  status = excluded.status, started_at = excluded.started_at, completed_at = excluded.completed_at,
  body = excluded.body, inner_body = excluded.inner_body
WHERE session_id = excluded.session_id
RETURNING number

-- name: get_turn
SELECT id, session_id, status, started_at, body, inner_body, completed_at FROM agent_turns
WHERE id = :id AND tenant = :tenant AND subject = :subject AND (:session_id IS NULL OR session_id = :session_id)

-- name: list_turns
SELECT id, session_id, status, started_at, body, inner_body, completed_at FROM agent_turns
WHERE session_id = :session_id AND tenant = :tenant AND subject = :subject
ORDER BY number

-- name: find_turns
-- The "+" keeps SQLite from reading the whole session for a few of its turns.
SELECT id, session_id, status, started_at, body, inner_body, completed_at FROM agent_turns
WHERE id IN (SELECT value FROM json_each(:ids)) AND tenant = :tenant AND subject = :subject
  AND +session_id = :session_id
ORDER BY number

-- name: last_turn
SELECT id, session_id, status, started_at, body, inner_body, completed_at FROM agent_turns
WHERE session_id = :session_id AND tenant = :tenant AND subject = :subject
ORDER BY number DESC LIMIT 1
