"""The web: admin site and, later, the tenants' pages."""
