"""Django's admin with our own site in the place of its default one; named in INSTALLED_APPS."""

from django.contrib.admin.apps import AdminConfig


class SiteConfig(AdminConfig):
    default_site = "dashboard.site.Site"
