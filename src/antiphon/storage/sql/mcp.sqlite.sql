-- Every statement that a caller's id reaches names its tenant, and all but those of connectors and clients its
-- subject: a foreign row is an unknown one.

-- name: add_connector
INSERT INTO mcp_connectors (id, tenant, subject, created_at, updated_at, body, secret)
VALUES (:id, :tenant, :subject, :created_at, :updated_at, :body, :secret)
ON CONFLICT (tenant, id) DO NOTHING
RETURNING id

-- name: replace_connector
UPDATE mcp_connectors SET subject = :subject, updated_at = :updated_at, body = :body, secret = :secret
WHERE tenant = :tenant AND id = :id AND updated_at = :expected
RETURNING id

-- name: get_connector
SELECT id, created_at, updated_at, body, secret FROM mcp_connectors WHERE tenant = :tenant AND id = :id

-- name: list_connectors
SELECT id, created_at, updated_at, body, secret FROM mcp_connectors WHERE tenant = :tenant
ORDER BY created_at DESC, number DESC

-- name: delete_connector
DELETE FROM mcp_connectors WHERE tenant = :tenant AND id = :id RETURNING id

-- name: add_grant
INSERT INTO mcp_grants (id, tenant, subject, kind, digest, definition, created_at, expires_at)
VALUES (:id, :tenant, :subject, :kind, :digest, :definition, :created_at, :expires_at)
ON CONFLICT (id, tenant, subject) DO NOTHING

-- name: prune_grants
DELETE FROM mcp_grants WHERE number IN (
  SELECT number FROM mcp_grants WHERE expires_at <= :before ORDER BY expires_at LIMIT :limit
)

-- name: get_grants
SELECT id, kind, digest, definition, created_at, expires_at, used FROM mcp_grants
WHERE id IN (SELECT value FROM json_each(:ids)) AND tenant = :tenant AND subject = :subject

-- name: use_grants
-- All or none: `count` is how many there have to be.
WITH usable AS MATERIALIZED (
  SELECT number FROM mcp_grants
  WHERE id IN (SELECT value FROM json_each(:ids)) AND tenant = :tenant AND subject = :subject
    AND used = 0 AND expires_at > :now
)
UPDATE mcp_grants SET used = 1
WHERE number IN (SELECT number FROM usable) AND (SELECT count(*) FROM usable) = :count
RETURNING id

-- name: usable_grants
SELECT id FROM mcp_grants
WHERE id IN (SELECT value FROM json_each(:ids)) AND tenant = :tenant AND subject = :subject
  AND used = 0 AND expires_at > :now

-- name: put_token
INSERT INTO mcp_tokens (tenant, subject, server, sealed, expires_at, updated_at)
VALUES (:tenant, :subject, :server, :sealed, :expires_at, :updated_at)
ON CONFLICT (tenant, server, subject) DO UPDATE
SET sealed = excluded.sealed, expires_at = excluded.expires_at, updated_at = excluded.updated_at

-- name: get_token
SELECT server, sealed, expires_at, updated_at FROM mcp_tokens
WHERE tenant = :tenant AND server = :server AND subject = :subject

-- name: delete_token
DELETE FROM mcp_tokens WHERE tenant = :tenant AND server = :server AND subject = :subject RETURNING number

-- name: delete_tokens
DELETE FROM mcp_tokens WHERE tenant = :tenant AND server = :server RETURNING number

-- name: delete_flows
DELETE FROM mcp_flows WHERE tenant = :tenant AND server = :server

-- name: add_flow
INSERT INTO mcp_flows (tenant, subject, state, server, sealed, expires_at)
VALUES (:tenant, :subject, :state, :server, :sealed, :expires_at)
ON CONFLICT (state) DO NOTHING

-- name: prune_flows
DELETE FROM mcp_flows WHERE number IN (
  SELECT number FROM mcp_flows WHERE expires_at <= :before ORDER BY expires_at LIMIT :limit
)

-- name: take_flow
DELETE FROM mcp_flows WHERE state = :state RETURNING tenant, subject, state, server, sealed, expires_at

-- name: put_client
INSERT INTO mcp_clients (tenant, server, sealed) VALUES (:tenant, :server, :sealed)
ON CONFLICT (tenant, server) DO UPDATE SET sealed = excluded.sealed

-- name: get_client
SELECT sealed FROM mcp_clients WHERE tenant = :tenant AND server = :server

-- name: delete_client
DELETE FROM mcp_clients WHERE tenant = :tenant AND server = :server RETURNING number
