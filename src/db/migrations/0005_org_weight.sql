-- The organisation's share of a local model beside others' that wait as well: 100 is usual.
ALTER TABLE organisation ADD COLUMN weight BIGINT NOT NULL DEFAULT 100
    CHECK (weight BETWEEN 1 AND 10000);
