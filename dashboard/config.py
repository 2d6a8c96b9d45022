"""Django's admin with our own site in the place of its default one; named in INSTALLED_APPS."""

from django.contrib.admin.apps import SimpleAdminConfig


class SiteConfig(SimpleAdminConfig):
    """Leaves it to `cloudsite.urls` to find the pages: workers have none, and their imports are 10 MB in each."""

    default_site = "dashboard.site.Site"
