-- They belong to their tenant; every statement names it.

-- name: add_tool_group
INSERT INTO tool_groups (tenant, subject, id, provider_id, connector_id, args, created_at)
VALUES (:tenant, :subject, :id, :provider_id, :connector_id, :args, :created_at)
ON CONFLICT (tenant, id) DO NOTHING
RETURNING id

-- name: get_tool_group
SELECT id, provider_id, connector_id, args, created_at FROM tool_groups WHERE tenant = :tenant AND id = :id

-- name: list_tool_groups
SELECT id, provider_id, connector_id, args, created_at FROM tool_groups WHERE tenant = :tenant
ORDER BY created_at, number

-- name: delete_tool_group
DELETE FROM tool_groups WHERE tenant = :tenant AND id = :id RETURNING id
