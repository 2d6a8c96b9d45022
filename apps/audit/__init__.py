"""The audit trail: who did what to what, from where, and what was refused. Records are written and never touched again."""
