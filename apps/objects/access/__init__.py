"""Who may do what with buckets and objects: access lists and bucket policies. Pure, no database."""
