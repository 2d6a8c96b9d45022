"""OpenStack's APIs: `common` is what they share, one package beside it per service."""
