-- Every statement names tenant and subject: a foreign row is an unknown one. A deleted conversation is kept, since its
-- id must not be given again.

-- name: create
INSERT INTO conversations (id, tenant, subject, created_at, metadata, tip)
VALUES (:id, :tenant, :subject, :created_at, :metadata, :tip)

-- name: get
SELECT id, created_at, metadata, tip FROM conversations
WHERE id = :id AND tenant = :tenant AND subject = :subject AND deleted = 0

-- name: update
UPDATE conversations SET metadata = :metadata
WHERE id = :id AND tenant = :tenant AND subject = :subject AND deleted = 0
RETURNING id, created_at, metadata, tip

-- name: delete
UPDATE conversations SET deleted = 1
WHERE id = :id AND tenant = :tenant AND subject = :subject AND deleted = 0
RETURNING tip

-- name: move_tip
-- Compare and set: nothing is moved when somebody else has moved it, or deleted the conversation.
UPDATE conversations SET tip = :tip
WHERE id = :id AND tenant = :tenant AND subject = :subject AND deleted = 0 AND tip IS :continues
RETURNING number

-- name: get_items
SELECT input FROM responses
WHERE id = :id AND tenant = :tenant AND subject = :subject AND status = 'items'
