-- What users and devices prove who they are with, and what the organisation asks of it. As in 0001: `body` is the record,
-- the other columns are made from it for asking; none of them shows a hash or a secret.

CREATE TABLE "instances" (
    id TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    device TEXT AS (body ->> '$.device') VIRTUAL
) STRICT;
CREATE INDEX instances_by_device ON "instances" (device);

CREATE TABLE "authenticators" (
    id TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    user TEXT AS (body ->> '$.user') VIRTUAL,
    kind TEXT AS (body ->> '$.kind.kind') VIRTUAL
) STRICT;
CREATE INDEX authenticators_by_user ON "authenticators" (user);
CREATE UNIQUE INDEX authenticators_of_each_kind ON "authenticators" (user, kind);

CREATE TABLE "management_certificates" (
    id TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    device TEXT AS (body ->> '$.device') VIRTUAL,
    issuer TEXT AS (body ->> '$.issuer') VIRTUAL,
    serial TEXT AS (body ->> '$.serial') VIRTUAL,
    state TEXT AS (body ->> '$.state.state') VIRTUAL,
    not_after INTEGER AS (body ->> '$.not_after') VIRTUAL
) STRICT;
CREATE INDEX management_certificates_by_device ON "management_certificates" (device);

CREATE TABLE "settings" (
    id TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- The machine that a device was proved to be: no two devices are the same.
ALTER TABLE "devices" ADD COLUMN hardware TEXT AS (body ->> '$.hardware.id') VIRTUAL;
CREATE UNIQUE INDEX devices_by_hardware ON "devices" (hardware) WHERE hardware IS NOT NULL;
