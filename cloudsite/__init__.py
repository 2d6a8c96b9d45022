"""The Django project: settings, URLs, Celery, processes. The only package that knows all the others."""
