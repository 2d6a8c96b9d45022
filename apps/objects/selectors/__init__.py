"""Reads of buckets and objects; a module per subject. What an actor may not see is refused here."""
