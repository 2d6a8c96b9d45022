"""Buckets and objects: what S3 speaks to, and where images and snapshots can be kept."""
