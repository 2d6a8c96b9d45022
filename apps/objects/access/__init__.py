"""Who may do what with buckets and objects: access lists and bucket policies. Pure, no database.

`acl` and `policy` each say what one of them gives; `decide` puts them together with what a role gives.
"""
