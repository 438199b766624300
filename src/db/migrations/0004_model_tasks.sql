-- What a model of an upstream is for: "chat,completions". Empty: guessed by its name. A local model
-- says it itself.
ALTER TABLE model ADD COLUMN tasks TEXT NOT NULL DEFAULT '';
