-- Fewer pages are written for each event: a transaction is found by the ids of its events, which begin with its own, and
-- nothing is looked up among targets by the number of an event.

DROP INDEX system_log_by_transaction;

CREATE TABLE "system_log_targets_new" (
    target_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (target_id, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO "system_log_targets_new" SELECT target_id, seq FROM "system_log_targets";
DROP TABLE "system_log_targets";
ALTER TABLE "system_log_targets_new" RENAME TO "system_log_targets";
