-- They belong to their tenant; every statement names it.

-- name: add_shield
INSERT INTO shields (tenant, subject, id, provider_id, provider_shield_id, params, created_at)
VALUES (:tenant, :subject, :id, :provider_id, :provider_shield_id, :params, :created_at)
ON CONFLICT (tenant, id) DO NOTHING
RETURNING id

-- name: get_shields
SELECT id, provider_id, provider_shield_id, params, created_at FROM shields
WHERE tenant = :tenant AND id IN (SELECT value FROM json_each(:ids))

-- name: list_shields
SELECT id, provider_id, provider_shield_id, params, created_at FROM shields WHERE tenant = :tenant
ORDER BY created_at, number

-- name: delete_shield
DELETE FROM shields WHERE tenant = :tenant AND id = :id RETURNING id
