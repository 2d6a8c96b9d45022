"""What makes the table append-only: triggers of the database, which bind whatever code comes along.

The first migration installs them. A later one that alters the table installs them again: on SQLite Django makes an altered
table anew, and triggers are lost with the old one. On SQLite an `INSERT OR REPLACE` deletes without a word to the trigger of
DELETE, hence the third.
"""

PLEA = "The audit trail is append-only: records are neither changed nor deleted."

INSTALL = {
    "postgresql": (
        f"""CREATE FUNCTION audit_record_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '{PLEA}' USING ERRCODE = 'restrict_violation',
        HINT = 'To move old ones into an archive, see "Audit trail" in docs/operations.md.';
END $$""",
        """CREATE TRIGGER audit_record_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_record
FOR EACH STATEMENT EXECUTE FUNCTION audit_record_append_only()""",
    ),
    "sqlite": (
        f"CREATE TRIGGER audit_record_no_update BEFORE UPDATE ON audit_record BEGIN SELECT RAISE(ABORT, '{PLEA}'); END",
        f"CREATE TRIGGER audit_record_no_delete BEFORE DELETE ON audit_record BEGIN SELECT RAISE(ABORT, '{PLEA}'); END",
        f"""CREATE TRIGGER audit_record_no_replace BEFORE INSERT ON audit_record
WHEN EXISTS (SELECT 1 FROM audit_record WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, '{PLEA}'); END""",
    ),
}
REMOVE = {
    "postgresql": (
        "DROP TRIGGER audit_record_append_only ON audit_record",
        "DROP FUNCTION audit_record_append_only()",
    ),
    "sqlite": (
        "DROP TRIGGER audit_record_no_update", "DROP TRIGGER audit_record_no_delete", "DROP TRIGGER audit_record_no_replace",
    ),
}
