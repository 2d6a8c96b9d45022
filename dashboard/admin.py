"""Where the admin pages of all contexts come together; imported by Django's autodiscovery."""

from dashboard.pages import host, image, instance, operation, project

for page in (host, image, instance, operation, project):
    page.register()
