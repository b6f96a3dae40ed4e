-- Every statement that a caller's id reaches names tenant and subject: a foreign row is an unknown one.

-- name: begin_blob
INSERT INTO left_over_blobs (key, due_at) VALUES (:key, :due_at)

-- name: keep_blob
UPDATE left_over_blobs SET due_at = :due_at WHERE key = :key AND removing = 0 RETURNING key

-- name: take_blob
DELETE FROM left_over_blobs WHERE key = :key AND removing = 0 RETURNING key

-- name: leave_blob
INSERT INTO left_over_blobs (key, due_at, removing) VALUES (:key, 0, 1) ON CONFLICT (key) DO NOTHING

-- name: leave_parts
INSERT INTO left_over_blobs (key, due_at, removing)
SELECT blob, 0, 1 FROM upload_parts WHERE upload_id = :id AND tenant = :tenant AND subject = :subject

-- name: forget_parts
DELETE FROM upload_parts WHERE upload_id = :id AND tenant = :tenant AND subject = :subject

-- name: claim_left_over
UPDATE left_over_blobs SET removing = 1, due_at = 0
WHERE key IN (SELECT key FROM left_over_blobs WHERE due_at <= :now ORDER BY due_at LIMIT :limit)
RETURNING key

-- name: forget_blob
DELETE FROM left_over_blobs WHERE key = :key

-- name: add_file
INSERT INTO files
  (id, tenant, subject, purpose, filename, media_type, bytes, created_at, expires_at, blob, sha256)
VALUES
  (:id, :tenant, :subject, :purpose, :filename, :media_type, :bytes, :created_at, :expires_at, :blob, :sha256)

-- name: get_file
SELECT id, purpose, filename, media_type, bytes, created_at, expires_at, blob, sha256 FROM files
WHERE id = :id AND tenant = :tenant AND subject = :subject

-- name: get_files
SELECT id, purpose, filename, media_type, bytes, created_at, expires_at, blob, sha256 FROM files
WHERE id IN (SELECT value FROM json_each(:ids)) AND tenant = :tenant AND subject = :subject

-- name: file_position
SELECT created_at, number FROM files WHERE id = :id AND tenant = :tenant AND subject = :subject

-- name: list_oldest_first
SELECT id, purpose, filename, media_type, bytes, created_at, expires_at, blob, sha256 FROM files
WHERE tenant = :tenant AND subject = :subject AND (created_at, number) > (:after_at, :after_number)
  AND (:purpose IS NULL OR purpose = :purpose) AND (expires_at IS NULL OR expires_at > :now)
ORDER BY created_at, number LIMIT :limit

-- name: list_newest_first
SELECT id, purpose, filename, media_type, bytes, created_at, expires_at, blob, sha256 FROM files
WHERE tenant = :tenant AND subject = :subject AND (created_at, number) < (:after_at, :after_number)
  AND (:purpose IS NULL OR purpose = :purpose) AND (expires_at IS NULL OR expires_at > :now)
ORDER BY created_at DESC, number DESC LIMIT :limit

-- name: delete_file
DELETE FROM files WHERE id = :id AND tenant = :tenant AND subject = :subject
RETURNING id, purpose, filename, media_type, bytes, created_at, expires_at, blob, sha256

-- name: expired_files
SELECT tenant, subject, id, purpose, filename, media_type, bytes, created_at, expires_at, blob, sha256
FROM files WHERE expires_at IS NOT NULL AND expires_at <= :now ORDER BY expires_at LIMIT :limit

-- name: add_upload
INSERT INTO uploads
  (id, tenant, subject, purpose, filename, media_type, bytes, created_at, expires_at, status, file_id,
   file_expires_after_s)
VALUES
  (:id, :tenant, :subject, :purpose, :filename, :media_type, :bytes, :created_at, :expires_at, :status, :file_id,
   :file_expires_after_s)

-- name: get_upload
SELECT id, purpose, filename, media_type, bytes, created_at, expires_at, status, file_id, file_expires_after_s
FROM uploads WHERE id = :id AND tenant = :tenant AND subject = :subject

-- name: move_upload
UPDATE uploads SET status = :status, file_id = :file_id
WHERE id = :id AND tenant = :tenant AND subject = :subject AND status = 'pending'
RETURNING number

-- name: expired_uploads
SELECT tenant, subject, id, purpose, filename, media_type, bytes, created_at, expires_at, status, file_id,
  file_expires_after_s
FROM uploads WHERE status = 'pending' AND expires_at <= :now ORDER BY expires_at LIMIT :limit

-- name: forget_uploads
DELETE FROM uploads WHERE status IN ('completed', 'cancelled', 'expired') AND expires_at <= :before

-- name: room_for_part
SELECT 1 FROM uploads AS u
WHERE u.id = :upload_id AND u.tenant = :tenant AND u.subject = :subject AND u.status = 'pending'
  AND (
    SELECT count(*) < :most_parts AND coalesce(sum(p.bytes), 0) + :bytes <= :limit FROM upload_parts AS p
    WHERE p.upload_id = u.id AND p.tenant = u.tenant AND p.subject = u.subject
  )

-- name: add_part
INSERT INTO upload_parts (id, tenant, subject, upload_id, bytes, created_at, blob)
VALUES (:id, :tenant, :subject, :upload_id, :bytes, :created_at, :blob)

-- name: get_parts
SELECT id, upload_id, bytes, created_at, blob FROM upload_parts
WHERE upload_id = :id AND tenant = :tenant AND subject = :subject
ORDER BY number
