-- The file of one collection. Keywords are found by `words`, vectors by a scan of `vectors`, in a large collection by a
-- scan of the short `codes` first. Attributes are kept once for all chunks that have the same ones, and filters look
-- at those: `attribute_sets` knows how many chunks each has, so that a filter's share is known before it is used.

-- name: schema
CREATE TABLE facts (
  dimension INTEGER NOT NULL,
  chunks INTEGER NOT NULL,
  version INTEGER NOT NULL, -- goes up with each change
  made INTEGER NOT NULL -- by chance: tells a file from one that had its name before
);
CREATE TABLE attribute_sets (
  n INTEGER PRIMARY KEY,
  attributes TEXT NOT NULL UNIQUE,
  chunks INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE attribute_values (
  name TEXT NOT NULL,
  kind INTEGER NOT NULL,
  value NOT NULL,
  set_n INTEGER NOT NULL,
  PRIMARY KEY (name, kind, value, set_n)
) WITHOUT ROWID;
CREATE INDEX attribute_sets_unused ON attribute_sets (n) WHERE chunks = 0;
CREATE INDEX attribute_values_of_set ON attribute_values (set_n);
CREATE TABLE chunks (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  file_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  set_n INTEGER NOT NULL,
  text TEXT NOT NULL,
  context TEXT NOT NULL,
  metadata BLOB NOT NULL
);
CREATE INDEX chunks_in_order ON chunks (file_id, number, id);
CREATE TABLE codes (n INTEGER PRIMARY KEY, set_n INTEGER NOT NULL, code BLOB);
CREATE INDEX codes_of_set ON codes (set_n);
CREATE TABLE vectors (n INTEGER PRIMARY KEY, version INTEGER NOT NULL, vector BLOB NOT NULL);
CREATE INDEX vectors_by_version ON vectors (version);
CREATE VIRTUAL TABLE words USING fts5 (
  body, content = '', contentless_delete = 1,
  tokenize = "porter unicode61 remove_diacritics 2 categories 'L* N* Co Mn Mc'"
);
CREATE TRIGGER chunk_came AFTER INSERT ON chunks BEGIN
  UPDATE facts SET chunks = chunks + 1;
  UPDATE attribute_sets SET chunks = chunks + 1 WHERE n = new.set_n;
END;
CREATE TRIGGER chunk_went AFTER DELETE ON chunks BEGIN
  UPDATE facts SET chunks = chunks - 1;
  UPDATE attribute_sets SET chunks = chunks - 1 WHERE n = old.set_n;
END;
CREATE TRIGGER chunk_changed AFTER UPDATE OF set_n ON chunks WHEN old.set_n <> new.set_n BEGIN
  UPDATE attribute_sets SET chunks = chunks - 1 WHERE n = old.set_n;
  UPDATE attribute_sets SET chunks = chunks + 1 WHERE n = new.set_n;
END;

-- name: begin_facts
INSERT INTO facts (dimension, chunks, version, made) VALUES (?, 0, 0, random());

-- name: facts
SELECT dimension, chunks, version, made FROM facts;

-- name: changed
UPDATE facts SET version = version + 1;

-- name: find_set
SELECT n FROM attribute_sets WHERE attributes = ?;

-- name: add_set
INSERT INTO attribute_sets (attributes) VALUES (?) RETURNING n;

-- name: add_value
INSERT INTO attribute_values (name, kind, value, set_n) VALUES (?, ?, ?, ?);

-- name: remove_unused_values
DELETE FROM attribute_values WHERE set_n IN (SELECT n FROM attribute_sets WHERE chunks = 0);

-- name: remove_unused_sets
DELETE FROM attribute_sets WHERE chunks = 0;

-- name: put_chunk
INSERT INTO chunks (id, file_id, number, set_n, text, context, metadata) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
  file_id = excluded.file_id, number = excluded.number, set_n = excluded.set_n, text = excluded.text,
  context = excluded.context, metadata = excluded.metadata
RETURNING n;

-- name: put_words
INSERT OR REPLACE INTO words (rowid, body) VALUES (?, ?);

-- name: put_code
INSERT OR REPLACE INTO codes (n, set_n, code) VALUES (?, ?, vec_quantize_binary(vec_sub(?, ?)));

-- name: put_set
INSERT OR REPLACE INTO codes (n, set_n) VALUES (?, ?);

-- name: put_vector
INSERT OR REPLACE INTO vectors (n, version, vector) SELECT ?, version, ? FROM facts;

-- name: numbers_of_file
SELECT n FROM chunks WHERE file_id = ?;

-- name: remove_words
DELETE FROM words WHERE rowid = ?;

-- name: remove_code
DELETE FROM codes WHERE n = ?;

-- name: remove_vector
DELETE FROM vectors WHERE n = ?;

-- name: remove_chunk
DELETE FROM chunks WHERE n = ?;

-- name: set_attributes_of_codes
UPDATE codes SET set_n = ?1 WHERE n IN (SELECT n FROM chunks WHERE file_id = ?2);

-- name: set_attributes_of_chunks
UPDATE chunks SET set_n = ?1 WHERE file_id = ?2;

-- name: place
SELECT file_id, number, id FROM chunks WHERE id = ?;

-- name: page
SELECT c.id, c.file_id, c.number, c.text, c.context, coalesce(v.vector, x''), s.attributes, c.metadata
FROM chunks c JOIN attribute_sets s ON s.n = c.set_n LEFT JOIN vectors v ON v.n = c.n
WHERE (c.file_id, c.number, c.id) > (?1, ?2, ?3)
ORDER BY c.file_id, c.number, c.id LIMIT ?4;

-- name: page_of_file
SELECT c.id, c.file_id, c.number, c.text, c.context, coalesce(v.vector, x''), s.attributes, c.metadata
FROM chunks c JOIN attribute_sets s ON s.n = c.set_n LEFT JOIN vectors v ON v.n = c.n
WHERE c.file_id = ?1 AND (c.number, c.id) > (?2, ?3)
ORDER BY c.number, c.id LIMIT ?4;

-- name: chunk
SELECT c.id, c.file_id, c.number, c.text, c.context, x'', s.attributes, c.metadata
FROM chunks c JOIN attribute_sets s ON s.n = c.set_n WHERE c.n = ?;

-- name: vectors_since
SELECT n, vector FROM vectors WHERE version > ?;

-- name: vector_numbers
SELECT n FROM vectors;

-- name: passing_numbers
SELECT n FROM codes WHERE set_n IN (SELECT s.n FROM attribute_sets s WHERE {where});

-- name: sets
SELECT set_n FROM attribute_values WHERE name = {name} AND kind = {kind} AND value {condition}

-- name: among
IN (SELECT value FROM carray({array}))

-- name: passing
SELECT coalesce(sum(s.chunks), 0) FROM attribute_sets s WHERE {where};

-- name: nearest_of_all
SELECT n, coalesce(vec_distance_cosine(vector, :vector), 1.0) AS distance FROM vectors
ORDER BY distance, n LIMIT :limit;

-- name: nearest_of_passing
SELECT c.n, coalesce(vec_distance_cosine(v.vector, :vector), 1.0) AS distance
FROM codes c CROSS JOIN vectors v ON v.n = c.n
WHERE c.set_n IN (SELECT s.n FROM attribute_sets s WHERE {where})
ORDER BY distance, c.n LIMIT :limit;

-- name: nearest_by_codes
WITH near AS MATERIALIZED (
  SELECT n FROM codes
  ORDER BY vec_distance_hamming(vec_bit(code), vec_bit(:code)) LIMIT :candidates
)
SELECT near.n, coalesce(vec_distance_cosine(v.vector, :vector), 1.0) AS distance
FROM near CROSS JOIN vectors v ON v.n = near.n
ORDER BY distance, near.n LIMIT :limit;

-- name: nearest_by_codes_of_passing
WITH near AS MATERIALIZED (
  SELECT n FROM codes NOT INDEXED
  WHERE set_n IN (SELECT s.n FROM attribute_sets s WHERE {where})
  ORDER BY vec_distance_hamming(vec_bit(code), vec_bit(:code)) LIMIT :candidates
)
SELECT near.n, coalesce(vec_distance_cosine(v.vector, :vector), 1.0) AS distance
FROM near CROSS JOIN vectors v ON v.n = near.n
ORDER BY distance, near.n LIMIT :limit;

-- name: code_of
SELECT vec_quantize_binary(vec_sub(?, ?));

-- name: how_many
SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH :match LIMIT :limit);

-- name: ranked
SELECT rowid, -rank FROM words WHERE words MATCH :match ORDER BY rank LIMIT :limit;

-- name: ranked_of_passing
SELECT words.rowid, -words.rank FROM words CROSS JOIN codes c ON c.n = words.rowid
WHERE words MATCH :match AND c.set_n IN (SELECT s.n FROM attribute_sets s WHERE {where})
ORDER BY words.rank LIMIT :limit;

-- name: holding
SELECT rowid FROM words WHERE words MATCH :match LIMIT :limit;

-- name: holding_of_passing
SELECT words.rowid FROM words CROSS JOIN codes c ON c.n = words.rowid
WHERE words MATCH :match AND c.set_n IN (SELECT s.n FROM attribute_sets s WHERE {where}) LIMIT :limit;

-- name: holding_of_these
SELECT rowid FROM words WHERE words MATCH ? AND rowid IN (SELECT value FROM carray(?));
