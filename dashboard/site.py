"""How the admin site as a whole looks: names and the templates of its own pages."""

from django.contrib import admin


def dress() -> None:
    """Give the one admin site Cloudsite's names and templates."""
    site = admin.site
    site.site_header = "Cloudsite"
    site.site_title = "Cloudsite"
    site.index_title = "Overview"
    site.site_url = None
    site.index_template = "admin/cloudsite/index.html"
    site.app_index_template = "admin/cloudsite/app_index.html"
    site.login_template = "admin/cloudsite/login.html"
    site.password_change_template = "admin/cloudsite/password_change.html"
