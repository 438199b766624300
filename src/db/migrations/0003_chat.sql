-- Conversations. Texts and titles are sealed with the key of their person (src/vault); the place of
-- each is its table, column, organisation and row.

CREATE TABLE thread (
    org_id        TEXT NOT NULL,
    id            TEXT NOT NULL,
    user_id       TEXT NOT NULL,
    title         BYTEA,              -- sealed; null: not named yet
    model         TEXT,
    system_prompt BYTEA,              -- sealed; null: none
    parameters    TEXT NOT NULL,      -- a JSON object of what was set
    leaf_id       TEXT,               -- the last message of the branch that is shown
    active_run_id TEXT,               -- the run that is queued or running: one at a time
    created_us    BIGINT NOT NULL,
    updated_us    BIGINT NOT NULL,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, user_id) REFERENCES membership (org_id, user_id)
);
CREATE INDEX thread_latest ON thread (org_id, user_id, updated_us, id);

-- A tree by parent_id; siblings are ordered by created_us, then id.
CREATE TABLE message (
    org_id        TEXT NOT NULL,
    thread_id     TEXT NOT NULL,
    id            TEXT NOT NULL,
    parent_id     TEXT,
    role          TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    content       BYTEA,              -- sealed; null: empty
    status        TEXT NOT NULL
                  CHECK (status IN ('queued', 'running', 'complete', 'stopped', 'failed')),
    run_id        TEXT,
    model         TEXT,
    usage         TEXT,               -- JSON
    finish_reason TEXT CHECK (finish_reason IN ('stop', 'length', 'stopped')),
    error         TEXT,               -- JSON, a problem
    created_us    BIGINT NOT NULL,
    PRIMARY KEY (org_id, thread_id, id),
    FOREIGN KEY (org_id, thread_id) REFERENCES thread (org_id, id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, thread_id, parent_id) REFERENCES message (org_id, thread_id, id)
);

CREATE TABLE run (
    org_id       TEXT NOT NULL,
    id           TEXT NOT NULL,
    user_id      TEXT NOT NULL,
    thread_id    TEXT NOT NULL,
    message_id   TEXT NOT NULL,       -- the answer that it writes
    replica_id   TEXT NOT NULL,       -- who runs it
    state        TEXT NOT NULL CHECK (state IN ('active', 'ended')),
    stop         BOOLEAN NOT NULL,    -- somebody wants it to stop
    last_seq     BIGINT NOT NULL,     -- the number of its last stored event
    heartbeat_us BIGINT NOT NULL,     -- its owner moves this on every second or so
    created_us   BIGINT NOT NULL,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, thread_id) REFERENCES thread (org_id, id) ON DELETE CASCADE
);
CREATE INDEX run_thread ON run (org_id, thread_id);
CREATE INDEX run_active ON run (heartbeat_us) WHERE state = 'active';

-- What happened, numbered from 1. A row of deltas holds several: seq_first to seq_last.
CREATE TABLE run_event (
    org_id    TEXT NOT NULL,
    run_id    TEXT NOT NULL,
    seq_last  BIGINT NOT NULL,
    seq_first BIGINT NOT NULL,
    kind      TEXT NOT NULL CHECK (kind IN ('status', 'delta', 'usage', 'done', 'error')),
    data      BYTEA NOT NULL,         -- sealed
    PRIMARY KEY (org_id, run_id, seq_last),
    FOREIGN KEY (org_id, run_id) REFERENCES run (org_id, id) ON DELETE CASCADE
);
