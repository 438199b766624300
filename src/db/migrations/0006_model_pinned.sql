-- A pinned model is loaded at the start and stays so: it never makes room for another one.
ALTER TABLE model ADD COLUMN pinned BOOLEAN NOT NULL DEFAULT FALSE;
