"""What the web server (granian) loads."""

import os

from django.core.wsgi import get_wsgi_application

from cloudsite.celery import app as celery_app  # makes common.bus send by our app

application = get_wsgi_application()
# The settings have read them. Granian hands all of the environment to every request, and error pages show requests.
for _name in ("CLOUDSITE_DATABASE_URL", "CLOUDSITE_BROKER_URL"):
    os.environ.pop(_name, None)
__all__ = ["application", "celery_app"]
