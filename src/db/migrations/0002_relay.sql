-- Models and the servers that run them. For now the operator owns all of them and shares them with
-- everybody: such a row has the empty org_id (and project_id), which is no organisation's, so these
-- two tables have no foreign key to organisation. An organisation's own rows will have its id.

CREATE TABLE upstream (
    org_id     TEXT NOT NULL,
    id         TEXT NOT NULL,
    name       TEXT NOT NULL,
    base_url   TEXT NOT NULL,
    api_key    BYTEA,                -- sealed; the provider's key, for this base_url alone
    enabled    BOOLEAN NOT NULL,
    managed    BOOLEAN NOT NULL,     -- comes from the configuration
    created_us BIGINT NOT NULL,
    PRIMARY KEY (org_id, id)
);
CREATE UNIQUE INDEX upstream_name ON upstream (org_id, name);

CREATE TABLE model (
    org_id         TEXT NOT NULL,
    project_id     TEXT NOT NULL,
    id             TEXT NOT NULL,    -- the public name, which callers of /v1 write
    name           TEXT NOT NULL,
    kind           TEXT NOT NULL CHECK (kind IN ('local', 'upstream')),
    path           TEXT,             -- of a local model: its file
    upstream_id    TEXT,
    upstream_model TEXT,             -- the name by which the upstream knows it
    context_tokens BIGINT CHECK (context_tokens > 0),
    enabled        BOOLEAN NOT NULL,
    managed        BOOLEAN NOT NULL,
    created_us     BIGINT NOT NULL,
    PRIMARY KEY (org_id, project_id, id),
    FOREIGN KEY (org_id, upstream_id) REFERENCES upstream (org_id, id),
    CHECK ((kind = 'local' AND path IS NOT NULL AND upstream_id IS NULL) OR
           (kind = 'upstream' AND path IS NULL AND upstream_id IS NOT NULL
            AND upstream_model IS NOT NULL))
);
CREATE INDEX model_upstream ON model (org_id, upstream_id);

-- Grows with every change of the two tables: each replica compares it with what it has loaded.
CREATE TABLE relay_version (
    only_one BIGINT PRIMARY KEY NOT NULL CHECK (only_one = 1),
    version  BIGINT NOT NULL
);
INSERT INTO relay_version (only_one, version) VALUES (1, 1);
