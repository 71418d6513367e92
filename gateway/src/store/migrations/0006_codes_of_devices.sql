-- A user has one password, one authenticator app and one set of recovery codes; codes of a device's own are beside these, one of each device.
DROP INDEX authenticators_of_each_kind;
CREATE UNIQUE INDEX authenticators_of_each_kind ON "authenticators" (user, kind)
    WHERE kind IN ('password', 'totp', 'recovery_codes') AND body ->> '$.kind.held_by' IS NULL;
