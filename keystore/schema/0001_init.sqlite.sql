-- The keystore in SQLite. What the rows mean stands in keystore.h; every row carries its own seal.

-- "kmsd": no other program's database is taken for a keystore.
PRAGMA application_id = 0x6b6d7364;

CREATE TABLE schema_version (
    version INTEGER NOT NULL
);
INSERT INTO schema_version (version) VALUES (0);

CREATE TABLE named_value (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

-- Clustered by table and id, so that loading reads the file from front to back.
CREATE TABLE sealed_row (
    kind     INTEGER NOT NULL,
    id       TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    body     BLOB    NOT NULL,
    seal     BLOB    NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
