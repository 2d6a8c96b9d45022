"""What the web server (granian) loads."""

from django.core.wsgi import get_wsgi_application

from cloudsite.celery import app as celery_app  # makes common.bus send by our app

application = get_wsgi_application()
__all__ = ["application", "celery_app"]
