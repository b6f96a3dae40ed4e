-- Every statement names tenant and subject: a foreign row is an unknown one.

-- name: put_response
-- A replaced response stays hidden if it was: a run that ends after DELETE does not bring it back.
INSERT INTO responses (
  id, tenant, subject, parent_id, status, model, created_at, hidden, head, input, output, served_by, session_id
)
VALUES (
  :id, :tenant, :subject, :parent_id, :status, :model, :created_at, :hidden, :head, :input, :output, :served_by,
  :session_id
)
ON CONFLICT (id, tenant, subject) DO UPDATE SET
  parent_id = excluded.parent_id, status = excluded.status, model = excluded.model,
  created_at = excluded.created_at, head = excluded.head, input = excluded.input, output = excluded.output,
  served_by = excluded.served_by

-- name: get_response
SELECT id, parent_id, status, model, created_at, head, input, output, served_by
FROM responses
WHERE id = :id AND tenant = :tenant AND subject = :subject AND hidden = 0

-- name: is_visible
SELECT 1 FROM responses WHERE id = :id AND tenant = :tenant AND subject = :subject AND hidden = 0

-- name: get_chain
-- From the asked-for turn to its root; all of them may be hidden.
WITH RECURSIVE chain (id, parent_id, status, input, output, served_by) AS (
  SELECT id, parent_id, status, input, output, served_by FROM responses
  WHERE id = :id AND tenant = :tenant AND subject = :subject
  UNION ALL
  SELECT r.id, r.parent_id, r.status, r.input, r.output, r.served_by
  FROM chain JOIN responses AS r ON r.id = chain.parent_id AND r.tenant = :tenant AND r.subject = :subject
)
SELECT id, parent_id, status, input, output, served_by FROM chain

-- name: list_position
-- Where a response stands in the list of its owner.
SELECT created_at, number FROM responses
WHERE id = :id AND tenant = :tenant AND subject = :subject AND hidden = 0

-- name: list_oldest_first
SELECT id, head, output FROM responses
WHERE tenant = :tenant AND subject = :subject AND hidden = 0
  AND (created_at, number) > (:older_at, :older_number) AND (created_at, number) < (:newer_at, :newer_number)
  AND (:model IS NULL OR model = :model)
ORDER BY created_at, number LIMIT :limit

-- name: list_newest_first
SELECT id, head, output FROM responses
WHERE tenant = :tenant AND subject = :subject AND hidden = 0
  AND (created_at, number) > (:older_at, :older_number) AND (created_at, number) < (:newer_at, :newer_number)
  AND (:model IS NULL OR model = :model)
ORDER BY created_at DESC, number DESC LIMIT :limit

-- name: hide_response
UPDATE responses SET hidden = 1
WHERE id = :id AND tenant = :tenant AND subject = :subject AND hidden = 0
RETURNING id

-- name: get_unneeded
-- A hidden turn that nothing continues: no turn, no conversation, no session of an agent.
SELECT parent_id, status FROM responses
WHERE id = :id AND tenant = :tenant AND subject = :subject AND hidden = 1
  AND NOT EXISTS (
    SELECT 1 FROM conversations
    WHERE tip = :id AND tenant = :tenant AND subject = :subject AND deleted = 0
  )
  AND NOT EXISTS (
    SELECT 1 FROM agent_sessions WHERE tip = :id AND tenant = :tenant AND subject = :subject
  )
  AND NOT EXISTS (
    SELECT 1 FROM responses AS child
    WHERE child.parent_id = :id AND child.tenant = :tenant AND child.subject = :subject
  )

-- name: remove
DELETE FROM responses
WHERE id = :id AND tenant = :tenant AND subject = :subject

-- name: detach
UPDATE responses SET parent_id = NULL
WHERE id = :id AND tenant = :tenant AND subject = :subject
