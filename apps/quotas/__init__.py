"""Quotas: how much of what a project may have, and how much it has; part of the transactions of upper contexts."""
