-- Sessions, each with its cookies' hashes and what was proved: `body` is the record, `seen` when it was last used
-- (milliseconds since 1970, written once a minute).

CREATE TABLE "sessions" (
    id TEXT PRIMARY KEY NOT NULL,
    seen INTEGER NOT NULL,
    body TEXT NOT NULL,
    user TEXT AS (body ->> '$.user') VIRTUAL,
    state TEXT AS (body ->> '$.state.state') VIRTUAL,
    ended INTEGER AS (body ->> '$.state.at') VIRTUAL
) STRICT;
CREATE INDEX sessions_by_user ON "sessions" (user);
CREATE INDEX sessions_by_end ON "sessions" (ended);

-- From which browsers and networks users signed in, when last, and from when on they are known there: what a sign-in from
-- elsewhere is judged by.
CREATE TABLE "places" (
    user TEXT NOT NULL,
    place TEXT NOT NULL,
    at INTEGER NOT NULL,
    known_from INTEGER NOT NULL,
    PRIMARY KEY (user, place)
) STRICT;
