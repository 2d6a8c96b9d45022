"""HTTP parts that all native views share: errors as problem+json, JSON in and out, keyset pages, request ids."""
