-- Every statement names tenant and subject: a foreign row is an unknown one.

-- name: add
INSERT INTO chat_completions (id, tenant, subject, model, created_at, metadata, body, messages)
VALUES (:id, :tenant, :subject, :model, :created_at, :metadata, :body, :messages)
ON CONFLICT (id, tenant, subject) DO NOTHING
RETURNING number

-- name: get
SELECT id, model, created_at, metadata, body, messages FROM chat_completions
WHERE id = :id AND tenant = :tenant AND subject = :subject

-- name: position
SELECT created_at, number FROM chat_completions
WHERE id = :id AND tenant = :tenant AND subject = :subject

-- name: list_oldest_first
SELECT id, model, created_at, metadata, body FROM chat_completions
WHERE tenant = :tenant AND subject = :subject AND (created_at, number) > (:after_at, :after_number)
  AND (:model IS NULL OR model = :model)
  AND NOT EXISTS (
    SELECT 1 FROM json_each(:wanted) AS wanted WHERE NOT EXISTS (
      SELECT 1 FROM json_each(metadata) AS pair WHERE pair.key = wanted.key AND pair.value = wanted.value
    )
  )
ORDER BY created_at, number LIMIT :limit

-- name: list_newest_first
SELECT id, model, created_at, metadata, body FROM chat_completions
WHERE tenant = :tenant AND subject = :subject AND (created_at, number) < (:after_at, :after_number)
  AND (:model IS NULL OR model = :model)
  AND NOT EXISTS (
    SELECT 1 FROM json_each(:wanted) AS wanted WHERE NOT EXISTS (
      SELECT 1 FROM json_each(metadata) AS pair WHERE pair.key = wanted.key AND pair.value = wanted.value
    )
  )
ORDER BY created_at DESC, number DESC LIMIT :limit

-- name: set_metadata
UPDATE chat_completions SET metadata = :metadata
WHERE id = :id AND tenant = :tenant AND subject = :subject
RETURNING id, model, created_at, metadata, body

-- name: delete
DELETE FROM chat_completions WHERE id = :id AND tenant = :tenant AND subject = :subject RETURNING number
