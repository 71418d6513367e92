-- One table per kind of record. `body` is the record as JSON; the columns made from it are for asking and for keeping
-- unique what must be; `version` is the revision in which the record last changed. Times are milliseconds since
-- 1970-01-01T00:00:00Z.

CREATE TABLE "users" (
    id TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    login TEXT AS (body ->> '$.login') VIRTUAL,
    email TEXT AS (body ->> '$.email') VIRTUAL,
    status TEXT AS (body ->> '$.status.status') VIRTUAL,
    user_type TEXT AS (body ->> '$.user_type') VIRTUAL,
    updated INTEGER AS (body ->> '$.updated') VIRTUAL
) STRICT;
CREATE UNIQUE INDEX users_by_login ON "users" (login COLLATE NOCASE);

CREATE TABLE "groups" (
    id TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    name TEXT AS (body ->> '$.name') VIRTUAL
) STRICT;
CREATE UNIQUE INDEX groups_by_name ON "groups" (name);

CREATE TABLE "devices" (
    id TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    name TEXT AS (body ->> '$.name') VIRTUAL,
    platform TEXT AS (body ->> '$.platform') VIRTUAL,
    state TEXT AS (body ->> '$.state.state') VIRTUAL,
    ownership TEXT AS (body ->> '$.ownership') VIRTUAL,
    updated INTEGER AS (body ->> '$.updated') VIRTUAL
) STRICT;
CREATE INDEX devices_by_name ON "devices" (name);
CREATE INDEX devices_by_state ON "devices" (state);

CREATE TABLE "enrollments" (
    id TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    device TEXT AS (body ->> '$.device') VIRTUAL,
    user TEXT AS (body ->> '$.user') VIRTUAL,
    state TEXT AS (body ->> '$.state.state') VIRTUAL,
    key TEXT AS (body ->> '$.key') VIRTUAL,
    key_store TEXT AS (body ->> '$.key_store') VIRTUAL
) STRICT;
CREATE INDEX enrollments_by_device ON "enrollments" (device);
CREATE INDEX enrollments_by_user ON "enrollments" (user);
CREATE UNIQUE INDEX enrollments_by_key ON "enrollments" (key);

CREATE TABLE "certificates" (
    id TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    der BLOB,
    serial TEXT AS (body ->> '$.serial') VIRTUAL,
    issuer TEXT AS (body ->> '$.issuer') VIRTUAL,
    enrollment TEXT AS (body ->> '$.enrollment') VIRTUAL,
    device TEXT AS (body ->> '$.device') VIRTUAL,
    state TEXT AS (body ->> '$.state.state') VIRTUAL,
    not_after INTEGER AS (body ->> '$.not_after') VIRTUAL
) STRICT;
CREATE INDEX certificates_by_device ON "certificates" (device);
CREATE INDEX certificates_by_not_after ON "certificates" (not_after);
CREATE UNIQUE INDEX certificates_by_serial ON "certificates" (issuer, serial);

CREATE TABLE "reports" (
    id TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    device TEXT AS (body ->> '$.device') VIRTUAL,
    source TEXT AS (body ->> '$.source') VIRTUAL,
    managed INTEGER AS (body ->> '$.managed') VIRTUAL,
    ends INTEGER AS (body ->> '$.ends') VIRTUAL
) STRICT;
CREATE INDEX reports_by_device ON "reports" (device);

CREATE TABLE "enrollment_tokens" (
    id TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    secret TEXT AS (body ->> '$.secret') VIRTUAL,
    user TEXT AS (body ->> '$.user') VIRTUAL,
    device TEXT AS (body ->> '$.device') VIRTUAL,
    ends INTEGER AS (body ->> '$.ends') VIRTUAL,
    used INTEGER AS (body ->> '$.used') VIRTUAL
) STRICT;
CREATE INDEX enrollment_tokens_by_user ON "enrollment_tokens" (user);
CREATE UNIQUE INDEX enrollment_tokens_by_secret ON "enrollment_tokens" (secret);

CREATE TABLE "api_tokens" (
    id TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    name TEXT AS (body ->> '$.name') VIRTUAL,
    secret TEXT AS (body ->> '$.secret') VIRTUAL,
    ends INTEGER AS (body ->> '$.ends') VIRTUAL,
    revoked INTEGER AS (body ->> '$.revoked') VIRTUAL
) STRICT;
CREATE UNIQUE INDEX api_tokens_by_secret ON "api_tokens" (secret);

-- What every accepted command changed, in order; the highest revision is the directory's.
CREATE TABLE "changes" (
    revision INTEGER PRIMARY KEY NOT NULL,
    transaction_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    changes TEXT NOT NULL
) STRICT;

-- What every command, accepted or refused, left in the System Log.
CREATE TABLE "system_log" (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    published INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    outcome TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    words TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX system_log_by_published ON "system_log" (published);
CREATE INDEX system_log_by_event_type ON "system_log" (event_type, seq);
CREATE INDEX system_log_by_actor ON "system_log" (actor_id, seq);
CREATE INDEX system_log_by_transaction ON "system_log" (transaction_id, seq);

CREATE TABLE "system_log_targets" (
    target_id TEXT NOT NULL,
    seq INTEGER NOT NULL REFERENCES "system_log" (seq) ON DELETE CASCADE,
    PRIMARY KEY (target_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX system_log_targets_by_seq ON "system_log_targets" (seq);
