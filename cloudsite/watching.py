"""The Celery app of Flower, which only looks at the broker: without Django and our applications, which would be 45 MB more."""

from logging.config import dictConfig

from celery import Celery

from cloudsite import transport
from cloudsite.routing import TRANSPORT_OPTIONS
from cloudsite.settings import ENV, LOGGING

dictConfig(LOGGING)
transport.install()
# No fix-up: Celery would set Django up, since its settings are named in the environment.
app = Celery("cloudsite", broker=ENV.broker_url, fixups=[], set_as_current=True)
app.conf.update(broker_transport_options=TRANSPORT_OPTIONS, broker_connection_timeout=4)
