-- Prompts belong to a tenant; the subject of a row is who wrote that version.

-- name: add
INSERT INTO prompts (id, tenant, subject, version, created_at, is_default, body)
VALUES (:id, :tenant, :subject, :version, :created_at, :is_default, :body)

-- name: latest
SELECT coalesce(max(version), 0) FROM prompts WHERE tenant = :tenant AND id = :id

-- name: has_version
SELECT 1 FROM prompts WHERE tenant = :tenant AND id = :id AND version = :version

-- name: clear_default
UPDATE prompts SET is_default = 0 WHERE tenant = :tenant AND id = :id AND is_default = 1

-- name: set_default
UPDATE prompts SET is_default = 1 WHERE tenant = :tenant AND id = :id AND version = :version

-- name: get_default
SELECT id, version, created_at, is_default, body FROM prompts
WHERE tenant = :tenant AND id = :id AND is_default = 1

-- name: get_version
SELECT id, version, created_at, is_default, body FROM prompts
WHERE tenant = :tenant AND id = :id AND version = :version

-- name: list
SELECT p.id, p.version, p.created_at, p.is_default, p.body
FROM prompts AS p JOIN prompts AS first ON first.tenant = p.tenant AND first.id = p.id AND first.version = 1
WHERE p.tenant = :tenant AND p.is_default = 1
ORDER BY first.number DESC

-- name: list_versions
SELECT id, version, created_at, is_default, body FROM prompts
WHERE tenant = :tenant AND id = :id
ORDER BY version

-- name: delete
DELETE FROM prompts WHERE tenant = :tenant AND id = :id RETURNING version
