"""Speaking LDAP: what the settings say, connections, and what entries mean. Knows no tables; `services.directory` writes.

Only `config` and `breaker` can be imported where the extra `ldap` is not installed; all else is imported when it is needed.
"""
