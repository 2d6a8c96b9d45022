"""What the web server (granian) loads."""

import gc
import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from cloudsite.celery import app as celery_app  # makes common.bus send by our app

application = get_wsgi_application()
# The settings have read them. Granian hands all of the environment to every request, and error pages show requests.
for _name in ("CLOUDSITE_DATABASE_URL", "CLOUDSITE_BROKER_URL"):
    os.environ.pop(_name, None)
# All views now, not with the first request. What is loaded stays: looking through it for garbage again and again would take
# longer than an answer with a thousand things in it.
import_module(settings.ROOT_URLCONF)
gc.collect()
gc.freeze()
__all__ = ["application", "celery_app"]
