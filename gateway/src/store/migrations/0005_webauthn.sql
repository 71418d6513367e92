-- A user has one password and one TOTP secret, and several security keys and passkeys; of those no two are the same.
DROP INDEX authenticators_of_each_kind;
CREATE UNIQUE INDEX authenticators_of_each_kind ON "authenticators" (user, kind) WHERE kind IN ('password', 'totp');
ALTER TABLE "authenticators" ADD COLUMN credential TEXT AS (body ->> '$.kind.credential') VIRTUAL;
CREATE UNIQUE INDEX authenticators_by_credential ON "authenticators" (credential) WHERE credential IS NOT NULL;
