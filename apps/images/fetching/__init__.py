"""Fetching a file that a tenant names by a URL, without being led where tenants have no business.

`addresses` and `locations` decide (pure), `connection` talks to one address that was checked, `download` follows redirects and
goes on where it broke off. No Django, no rows.
"""
