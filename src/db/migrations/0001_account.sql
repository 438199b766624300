-- Organisations, projects, people, sessions, API keys, and the keys that seal their data.
-- Times are microseconds since 1970 UTC. A table with org_id belongs to tenants: org_id stands in
-- its primary key, in every foreign key and in every unique rule but those over random digests.

CREATE TABLE organisation (
    id         TEXT PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL,
    created_us BIGINT NOT NULL
);

CREATE TABLE project (
    org_id     TEXT NOT NULL REFERENCES organisation (id),
    id         TEXT NOT NULL,
    name       TEXT NOT NULL,
    is_default BOOLEAN NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (org_id, id)
);
CREATE UNIQUE INDEX project_default ON project (org_id) WHERE is_default;

-- A person; may be a member of several organisations, so it belongs to none.
CREATE TABLE app_user (
    id          TEXT PRIMARY KEY NOT NULL,
    email       TEXT NOT NULL,          -- as it was typed
    email_key   TEXT NOT NULL UNIQUE,   -- lower case, by which it is compared
    name        TEXT NOT NULL,
    password    TEXT,                   -- argon2id, PHC form; null: cannot sign in with one
    password_us BIGINT,                 -- when it was set
    disabled_us BIGINT,
    created_us  BIGINT NOT NULL
);

CREATE TABLE membership (
    org_id     TEXT NOT NULL REFERENCES organisation (id),
    user_id    TEXT NOT NULL REFERENCES app_user (id),
    role       TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'billing', 'member', 'auditor')),
    created_us BIGINT NOT NULL,
    PRIMARY KEY (org_id, user_id)
);
CREATE INDEX membership_user ON membership (user_id);

-- The key of an organisation, sealed by a master key; that of a person in it, sealed by the former.
-- The highest version seals, the others still open. Deleting a row erases all it has sealed.
CREATE TABLE org_key (
    org_id     TEXT NOT NULL REFERENCES organisation (id),
    version    BIGINT NOT NULL CHECK (version > 0),
    wrapped    BYTEA NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (org_id, version)
);

CREATE TABLE user_key (
    org_id     TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    version    BIGINT NOT NULL CHECK (version > 0),
    wrapped    BYTEA NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (org_id, user_id, version),
    FOREIGN KEY (org_id, user_id) REFERENCES membership (org_id, user_id)
);

CREATE TABLE session (
    org_id       TEXT NOT NULL,
    id           TEXT NOT NULL,
    user_id      TEXT NOT NULL,
    token_sha256 BYTEA NOT NULL UNIQUE, -- the token itself is only in the browser
    created_us   BIGINT NOT NULL,
    seen_us      BIGINT NOT NULL,       -- exact to a minute
    address      TEXT,
    user_agent   TEXT,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, user_id) REFERENCES membership (org_id, user_id) ON DELETE CASCADE
);
CREATE INDEX session_user ON session (org_id, user_id, seen_us);
CREATE INDEX session_seen ON session (seen_us);

CREATE TABLE api_key (
    org_id     TEXT NOT NULL,
    project_id TEXT NOT NULL,
    id         TEXT NOT NULL,
    user_id    TEXT NOT NULL,           -- who made it
    name       TEXT NOT NULL,
    hint       TEXT NOT NULL,           -- a few characters of its beginning and end
    pepper_id  TEXT NOT NULL,           -- the ring's key that made the digest
    digest     BYTEA NOT NULL UNIQUE,   -- HMAC-SHA-256 of the whole key
    created_us BIGINT NOT NULL,
    expires_us BIGINT,
    used_us    BIGINT,                  -- exact to a minute
    revoked_us BIGINT,
    PRIMARY KEY (org_id, project_id, id),
    FOREIGN KEY (org_id, project_id) REFERENCES project (org_id, id),
    FOREIGN KEY (org_id, user_id) REFERENCES membership (org_id, user_id)
);
CREATE INDEX api_key_newest ON api_key (org_id, project_id, created_us);

-- The tokens of links that make the first owner; gone when there is one.
CREATE TABLE setup_token (
    token_sha256 BYTEA PRIMARY KEY NOT NULL,
    created_us   BIGINT NOT NULL
);

-- One row once the first owner was made: what two set-ups at the same time fight for.
CREATE TABLE setup_done (
    only_one BIGINT PRIMARY KEY NOT NULL CHECK (only_one = 1),
    at_us    BIGINT NOT NULL
);
