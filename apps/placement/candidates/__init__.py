"""Allocation candidates: which providers could give what is wanted, and in which combinations."""
