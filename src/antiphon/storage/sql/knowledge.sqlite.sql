-- Every statement names tenant and subject, but for those of workers, who serve everybody. A deleted store is none.

-- name: add_store
INSERT INTO vector_stores (id, tenant, subject, name, description, created_at, last_active_at, metadata, provider_id,
  embedding_model, dimension, expires_after_days, generation, expires_at, state)
VALUES (:id, :tenant, :subject, :name, :description, :created_at, :last_active_at, :metadata, :provider_id,
  :embedding_model, :dimension, :expires_after_days, :generation, :expires_at, 'live')

-- name: begin_store
-- A store that is being made is a deleted one that is to be cleared away at `expires_at`, not before.
INSERT INTO vector_stores (id, tenant, subject, name, description, created_at, last_active_at, metadata, provider_id,
  embedding_model, dimension, expires_after_days, generation, expires_at, state)
VALUES (:id, :tenant, :subject, :name, :description, :created_at, :last_active_at, :metadata, :provider_id,
  :embedding_model, :dimension, :expires_after_days, :generation, :due_at, 'deleted')
ON CONFLICT (id, tenant, subject) DO UPDATE SET expires_at = excluded.expires_at, provider_id = excluded.provider_id,
  embedding_model = excluded.embedding_model, dimension = excluded.dimension, generation = excluded.generation
WHERE state = 'deleted' AND expires_at > excluded.created_at
RETURNING number

-- name: find_stores
SELECT id, name, created_at, last_active_at, metadata, provider_id, embedding_model, dimension, description,
  expires_after_days, generation, state
FROM vector_stores
WHERE id IN (SELECT value FROM json_each(:ids)) AND tenant = :tenant AND subject = :subject AND state <> 'deleted'

-- name: get_store
SELECT id, name, created_at, last_active_at, metadata, provider_id, embedding_model, dimension, description,
  expires_after_days, generation, state,
  (SELECT count(*) FROM vector_store_files AS f WHERE f.store_id = s.id AND f.tenant = s.tenant
    AND f.subject = s.subject AND f.status = 'in_progress'),
  (SELECT count(*) FROM vector_store_files AS f WHERE f.store_id = s.id AND f.tenant = s.tenant
    AND f.subject = s.subject AND f.status = 'completed'),
  (SELECT count(*) FROM vector_store_files AS f WHERE f.store_id = s.id AND f.tenant = s.tenant
    AND f.subject = s.subject AND f.status = 'failed'),
  (SELECT count(*) FROM vector_store_files AS f WHERE f.store_id = s.id AND f.tenant = s.tenant
    AND f.subject = s.subject AND f.status = 'cancelled'),
  (SELECT coalesce(sum(f.usage_bytes), 0) FROM vector_store_files AS f WHERE f.store_id = s.id
    AND f.tenant = s.tenant AND f.subject = s.subject AND f.status = 'completed')
FROM vector_stores AS s
WHERE id = :id AND tenant = :tenant AND subject = :subject AND state <> 'deleted'

-- name: store_position
SELECT created_at, number FROM vector_stores
WHERE id = :id AND tenant = :tenant AND subject = :subject AND state <> 'deleted'

-- name: list_stores_oldest_first
SELECT id FROM vector_stores
WHERE tenant = :tenant AND subject = :subject AND state <> 'deleted'
  AND (created_at, number) > (:older_at, :older_number) AND (created_at, number) < (:newer_at, :newer_number)
ORDER BY created_at, number LIMIT :limit

-- name: list_stores_newest_first
SELECT id FROM vector_stores
WHERE tenant = :tenant AND subject = :subject AND state <> 'deleted'
  AND (created_at, number) > (:older_at, :older_number) AND (created_at, number) < (:newer_at, :newer_number)
ORDER BY created_at DESC, number DESC LIMIT :limit

-- name: update_store
UPDATE vector_stores SET name = :name, description = :description, metadata = :metadata,
  last_active_at = :last_active_at, expires_after_days = :expires_after_days, expires_at = :expires_at
WHERE id = :id AND tenant = :tenant AND subject = :subject AND state <> 'deleted'

-- name: move_store
UPDATE vector_stores SET provider_id = :provider_id, embedding_model = :embedding_model, dimension = :dimension,
  generation = :generation
WHERE id = :id AND tenant = :tenant AND subject = :subject AND state = 'live'
RETURNING number

-- name: live_stores
SELECT tenant, subject, id, name, created_at, last_active_at, metadata, provider_id, embedding_model, dimension,
  description, expires_after_days, generation, state
FROM vector_stores WHERE state = 'live' ORDER BY created_at, number

-- name: touch_store
UPDATE vector_stores
SET last_active_at = max(last_active_at, :now), expires_at = max(last_active_at, :now) + expires_after_days * 86400
WHERE id = :id AND tenant = :tenant AND subject = :subject AND state = 'live'
RETURNING number

-- name: delete_store
UPDATE vector_stores SET state = 'deleted', expires_at = NULL
WHERE id = :id AND tenant = :tenant AND subject = :subject AND state <> 'deleted'
RETURNING id, name, created_at, last_active_at, metadata, provider_id, embedding_model, dimension, description,
  expires_after_days, generation, 'live'

-- name: expire_stores
UPDATE vector_stores SET state = 'expiring'
WHERE number IN (
  SELECT number FROM vector_stores WHERE expires_at IS NOT NULL AND state = 'live' AND expires_at <= :now
  ORDER BY expires_at LIMIT :limit
)
RETURNING id, tenant, subject

-- name: cancel_store
UPDATE vector_store_files SET status = CASE status WHEN 'in_progress' THEN 'cancelled' ELSE status END, task = NULL
WHERE store_id = :id AND tenant = :tenant AND subject = :subject AND task IS NOT NULL

-- name: ending_stores
SELECT tenant, subject, id, name, created_at, last_active_at, metadata, provider_id, embedding_model, dimension,
  description, expires_after_days, generation, CASE state WHEN 'deleted' THEN 'live' ELSE state END
FROM vector_stores AS s
WHERE state IN ('expiring', 'deleted') AND (state = 'expiring' OR expires_at IS NULL OR expires_at <= :now) AND NOT EXISTS (
  SELECT 1 FROM vector_store_files AS f INDEXED BY vector_store_files_claimed
  WHERE f.store_id = s.id AND f.tenant = s.tenant AND f.subject = s.subject AND f.claim IS NOT NULL
    AND f.claimed_until > :now
)
ORDER BY number LIMIT :limit

-- name: store_expired
UPDATE vector_stores SET state = 'expired'
WHERE id = :id AND tenant = :tenant AND subject = :subject AND state = 'expiring'
RETURNING number

-- name: forget_removed
DELETE FROM vector_store_files
WHERE store_id = :id AND tenant = :tenant AND subject = :subject AND status = 'removed'

-- name: forget_files
DELETE FROM vector_store_files WHERE number IN (
  SELECT number FROM vector_store_files WHERE store_id = :id AND tenant = :tenant AND subject = :subject LIMIT 2000
)
RETURNING number

-- name: is_deleted
SELECT 1 FROM vector_stores WHERE id = :id AND tenant = :tenant AND subject = :subject AND state = 'deleted'

-- name: forget_batches
DELETE FROM file_batches WHERE store_id = :id AND tenant = :tenant AND subject = :subject

-- name: forget_store
DELETE FROM vector_stores WHERE id = :id AND tenant = :tenant AND subject = :subject AND state = 'deleted'

-- name: put_file
INSERT INTO vector_store_files (id, tenant, subject, store_id, created_at, status, attributes, chunking, usage_bytes,
  error_code, error_message, batch_id, task, claim, claimed_until, attempts)
VALUES (:file_id, :tenant, :subject, :store_id, :created_at, 'in_progress', :attributes, :chunking, 0,
  NULL, NULL, :batch_id, 'read', NULL, NULL, 0)
ON CONFLICT (store_id, id, tenant, subject) DO UPDATE SET
  created_at = excluded.created_at, status = 'in_progress', attributes = excluded.attributes,
  chunking = excluded.chunking, usage_bytes = 0, error_code = NULL, error_message = NULL,
  batch_id = excluded.batch_id, task = 'read', attempts = 0,
  claim = '-' || ltrim(claim, '-'), claimed_until = CASE WHEN claim IS NULL THEN NULL ELSE claimed_until END

-- name: add_batch
INSERT INTO file_batches (id, tenant, subject, store_id, created_at, cancelled)
VALUES (:id, :tenant, :subject, :store_id, :created_at, 0)

-- name: get_files
SELECT f.store_id, f.id, f.created_at, f.status, f.attributes, f.chunking, f.usage_bytes, f.error_code,
  f.error_message, f.batch_id
FROM vector_store_files AS f
JOIN vector_stores AS s ON s.id = f.store_id AND s.tenant = f.tenant AND s.subject = f.subject
WHERE f.store_id = :store_id AND f.id IN (SELECT value FROM json_each(:ids))
  AND f.tenant = :tenant AND f.subject = :subject AND f.status <> 'removed' AND s.state <> 'deleted'

-- name: file_position
SELECT f.created_at, f.number FROM vector_store_files AS f
JOIN vector_stores AS s ON s.id = f.store_id AND s.tenant = f.tenant AND s.subject = f.subject
WHERE f.store_id = :store_id AND f.id = :id AND f.tenant = :tenant AND f.subject = :subject
  AND f.status <> 'removed' AND s.state <> 'deleted'

-- name: list_files_oldest_first
SELECT f.store_id, f.id, f.created_at, f.status, f.attributes, f.chunking, f.usage_bytes, f.error_code,
  f.error_message, f.batch_id
FROM vector_store_files AS f
WHERE f.store_id = :store_id AND f.tenant = :tenant AND f.subject = :subject AND f.status <> 'removed'
  AND (:status IS NULL OR f.status = :status) AND (:batch_id IS NULL OR f.batch_id = :batch_id)
  AND (f.created_at, f.number) > (:older_at, :older_number) AND (f.created_at, f.number) < (:newer_at, :newer_number)
  AND EXISTS (SELECT 1 FROM vector_stores AS s WHERE s.id = :store_id AND s.tenant = :tenant
    AND s.subject = :subject AND s.state <> 'deleted')
ORDER BY f.created_at, f.number LIMIT :limit

-- name: list_files_newest_first
SELECT f.store_id, f.id, f.created_at, f.status, f.attributes, f.chunking, f.usage_bytes, f.error_code,
  f.error_message, f.batch_id
FROM vector_store_files AS f
WHERE f.store_id = :store_id AND f.tenant = :tenant AND f.subject = :subject AND f.status <> 'removed'
  AND (:status IS NULL OR f.status = :status) AND (:batch_id IS NULL OR f.batch_id = :batch_id)
  AND (f.created_at, f.number) > (:older_at, :older_number) AND (f.created_at, f.number) < (:newer_at, :newer_number)
  AND EXISTS (SELECT 1 FROM vector_stores AS s WHERE s.id = :store_id AND s.tenant = :tenant
    AND s.subject = :subject AND s.state <> 'deleted')
ORDER BY f.created_at DESC, f.number DESC LIMIT :limit

-- name: set_attributes
UPDATE vector_store_files SET attributes = :attributes,
  task = CASE WHEN task IS NOT NULL OR status <> 'completed' THEN task ELSE 'label' END,
  attempts = 0,
  claim = '-' || ltrim(claim, '-'), claimed_until = CASE WHEN claim IS NULL THEN NULL ELSE claimed_until END
WHERE store_id = :store_id AND id = :id AND tenant = :tenant AND subject = :subject AND status <> 'removed'
  AND EXISTS (SELECT 1 FROM vector_stores AS s WHERE s.id = :store_id AND s.tenant = :tenant
    AND s.subject = :subject AND s.state = 'live')
RETURNING store_id, id, created_at, status, attributes, chunking, usage_bytes, error_code, error_message, batch_id

-- name: remove_file
UPDATE vector_store_files SET status = 'removed', task = 'clean', attempts = 0,
  claim = '-' || ltrim(claim, '-'), claimed_until = CASE WHEN claim IS NULL THEN NULL ELSE claimed_until END
WHERE store_id = :store_id AND id = :id AND tenant = :tenant AND subject = :subject AND status <> 'removed'
  AND EXISTS (SELECT 1 FROM vector_stores AS s WHERE s.id = :store_id AND s.tenant = :tenant
    AND s.subject = :subject AND s.state <> 'deleted')
RETURNING number

-- name: remove_from_expired
DELETE FROM vector_store_files
WHERE store_id = :store_id AND id = :id AND tenant = :tenant AND subject = :subject
  AND EXISTS (SELECT 1 FROM vector_stores AS s WHERE s.id = :store_id AND s.tenant = :tenant
    AND s.subject = :subject AND s.state = 'expired')

-- name: stores_of_file
SELECT f.store_id FROM vector_store_files AS f
JOIN vector_stores AS s ON s.id = f.store_id AND s.tenant = f.tenant AND s.subject = f.subject
WHERE f.id = :id AND f.tenant = :tenant AND f.subject = :subject AND f.status <> 'removed' AND s.state <> 'deleted'
ORDER BY f.number

-- name: get_batch
SELECT b.id, b.store_id, b.created_at, b.cancelled FROM file_batches AS b
JOIN vector_stores AS s ON s.id = b.store_id AND s.tenant = b.tenant AND s.subject = b.subject
WHERE b.id = :id AND b.store_id = :store_id AND b.tenant = :tenant AND b.subject = :subject AND s.state <> 'deleted'

-- name: count_batch
SELECT status, count(*) FROM vector_store_files INDEXED BY vector_store_files_batch
WHERE batch_id = :id AND store_id = :store_id AND tenant = :tenant AND subject = :subject
GROUP BY status

-- name: cancel_batch
UPDATE file_batches SET cancelled = 1
WHERE id = :id AND store_id = :store_id AND tenant = :tenant AND subject = :subject
RETURNING number

-- name: cancel_batch_files
UPDATE vector_store_files SET status = 'cancelled', task = 'clean', attempts = 0,
  claim = '-' || ltrim(claim, '-'), claimed_until = CASE WHEN claim IS NULL THEN NULL ELSE claimed_until END
WHERE batch_id = :id AND +store_id = :store_id AND +tenant = :tenant AND +subject = :subject AND status = 'in_progress'

-- name: next_job
SELECT f.number FROM vector_store_files AS f
JOIN vector_stores AS s ON s.id = f.store_id AND s.tenant = f.tenant AND s.subject = f.subject
WHERE f.task IS NOT NULL AND (f.claimed_until IS NULL OR f.claimed_until <= :now) AND s.state = 'live'
ORDER BY f.number LIMIT 1

-- name: job_of_file
SELECT f.number FROM vector_store_files AS f
JOIN vector_stores AS s ON s.id = f.store_id AND s.tenant = f.tenant AND s.subject = f.subject
WHERE f.store_id = :store_id AND f.id = :id AND f.tenant = :tenant AND f.subject = :subject
  AND f.task IS NOT NULL AND (f.claim IS NULL OR f.claimed_until <= :now) AND s.state = 'live'

-- name: claim
UPDATE vector_store_files SET claim = :token, claimed_until = :until, attempts = attempts + 1
WHERE number = :number
RETURNING store_id, id, created_at, status, attributes, chunking, usage_bytes, error_code, error_message, batch_id,
  tenant, subject, attempts, task

-- name: renew
UPDATE vector_store_files SET claimed_until = :until
WHERE store_id = :store_id AND id = :id AND tenant = :tenant AND subject = :subject AND claim = :token
  AND EXISTS (SELECT 1 FROM vector_stores AS s WHERE s.id = :store_id AND s.tenant = :tenant
    AND s.subject = :subject AND s.state = 'live')
RETURNING number

-- name: let_go
UPDATE vector_store_files
SET claimed_until = CASE claim WHEN :token THEN :until END,
  attempts = CASE claim WHEN :token THEN attempts - :uncounted ELSE attempts END,
  claim = NULL
WHERE store_id = :store_id AND id = :id AND tenant = :tenant AND subject = :subject
  AND claim IN (:token, '-' || :token)

-- name: finish
UPDATE vector_store_files SET status = :status, usage_bytes = :usage_bytes, error_code = :error_code,
  error_message = :error_message, task = :task, claim = NULL, claimed_until = NULL, attempts = 0
WHERE store_id = :store_id AND id = :id AND tenant = :tenant AND subject = :subject AND claim = :token
  AND EXISTS (SELECT 1 FROM vector_stores AS s WHERE s.id = :store_id AND s.tenant = :tenant
    AND s.subject = :subject AND s.state = 'live')
RETURNING number

-- name: finish_task
UPDATE vector_store_files SET task = NULL, claim = NULL, claimed_until = NULL, attempts = 0
WHERE store_id = :store_id AND id = :id AND tenant = :tenant AND subject = :subject AND claim = :token
  AND EXISTS (SELECT 1 FROM vector_stores AS s WHERE s.id = :store_id AND s.tenant = :tenant
    AND s.subject = :subject AND s.state = 'live')
RETURNING status

-- name: forget_file
DELETE FROM vector_store_files
WHERE store_id = :store_id AND id = :id AND tenant = :tenant AND subject = :subject AND status = 'removed'

-- name: next_due
SELECT min(coalesce(f.claimed_until, 0)) FROM vector_store_files AS f
JOIN vector_stores AS s ON s.id = f.store_id AND s.tenant = f.tenant AND s.subject = f.subject
WHERE f.task IS NOT NULL AND s.state = 'live'

-- name: take_over
UPDATE vector_store_files SET claim = NULL, claimed_until = NULL WHERE claim IS NOT NULL
