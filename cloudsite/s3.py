"""What the web server of the process `s3` loads: the object store in the language of S3, without Django's requests."""

import os

import django

django.setup()

from django.conf import settings  # noqa: E402

from apis.s3.application import Application  # noqa: E402

# Half of the threads are left to those who sign.
application = Application(
    region=settings.ENV.s3_region, domains=settings.ENV.s3_domains, strangers=max(1, settings.ENV.s3_threads // 2)
)
# The settings have read them. Granian hands all of the environment to every request.
for _name in ("CLOUDSITE_DATABASE_URL", "CLOUDSITE_BROKER_URL", "CLOUDSITE_OBJECT_S3_SECRET"):
    os.environ.pop(_name, None)
__all__ = ["application"]
