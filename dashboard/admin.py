"""Where the admin pages of all contexts come together; imported by Django's autodiscovery."""

from dashboard.pages import decision, host, instance, operation, project

for page in (decision, host, instance, operation, project):
    page.register()
