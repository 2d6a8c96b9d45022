"""Django settings, derived from the typed environment; nothing is set here that an operator should set."""

import sys
from typing import Any
from urllib.parse import urlsplit

from cloudsite.settings import databases, secrets
from cloudsite.settings.environment import BASE_DIR, SettingError, load

try:
    ENV = load()
except SettingError as error:
    sys.exit(f"cloudsite: {error}")

SECRET_KEY = secrets.text(ENV.secrets / "django.key")
CONTROL_KEY = secrets.text(ENV.secrets / "control.key")
DEBUG = ENV.debug
ALLOWED_HOSTS = [*ENV.allowed_hosts, urlsplit(ENV.public_url).hostname or "localhost"]
CSRF_TRUSTED_ORIGINS = [ENV.public_url]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "apps.common",
    "apps.identity",
    "apps.hosts",
    "apps.operations",
    "apps.placement",
    "apps.images",
    "apps.network",
    "apps.scheduler",
    "apps.compute",
    "dashboard",
    "cloudsite",
]
MIDDLEWARE = [
    "apps.common.api.middleware.RequestContext",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "cloudsite.urls"
CELERY_APP = "cloudsite.celery.app"
WSGI_APPLICATION = "cloudsite.wsgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {"default": databases.parse(ENV.database_url)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "identity.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/admin/login/"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = ENV.var / "static"
MEDIA_ROOT = ENV.var / "images"
DATA_UPLOAD_MAX_MEMORY_SIZE = ENV.max_body_mb * 1024 * 1024
APPEND_SLASH = False

SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ENV.public_url.startswith("https://")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.identity.api.authentication.BearerToken",
        "apps.identity.api.authentication.Session",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["apps.common.api.renderers.JSON", "apps.common.api.renderers.Browsable"],
    "DEFAULT_PARSER_CLASSES": ["apps.common.api.parsers.JSON"],
    "DEFAULT_SCHEMA_CLASS": "apps.common.api.schema.AutoSchema",
    "EXCEPTION_HANDLER": "apps.common.api.problems.handle",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Cloudsite",
    "VERSION": "1",
    "DESCRIPTION": "The native API. Errors are application/problem+json with stable codes.",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # Several things have a `state`; without names of their own the schema would number them.
    "ENUM_NAME_OVERRIDES": {
        "InstanceState": "apps.compute.api.serializers.STATES",
        "OperationState": "apps.operations.api.serializers.STATES",
        "ImageState": "apps.images.api.serializers.STATES",
        "HostState": "apps.hosts.api.serializers.STATES",
    },
}

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "apps.common.logs.JSONFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": ENV.log_level},
    "loggers": {"django.server": {"level": "WARNING"}, "celery": {"level": "WARNING"}, "kombu": {"level": "WARNING"}},
}

__all__ = ["BASE_DIR", "ENV"]
