"""Django settings, derived from the typed environment; nothing is set here that an operator should set."""

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from apps.common import keyfiles
from apps.identity import permissions
from cloudsite.settings import databases
from cloudsite.settings.environment import BASE_DIR, SettingError, load

try:
    ENV = load()
    POLICY = permissions.load(ENV.policy_file if ENV.policy_file != Path() else None)
except (SettingError, permissions.PolicyError) as error:
    sys.exit(f"cloudsite: {error}")

SECRET_KEY, *SECRET_KEY_FALLBACKS = keyfiles.read(ENV.secrets / "django.key")
CONTROL_KEY = keyfiles.read(ENV.secrets / "control.key")[0]
DEBUG = ENV.debug
ALLOWED_HOSTS = [*ENV.allowed_hosts, urlsplit(ENV.public_url).hostname or "localhost"]
CSRF_TRUSTED_ORIGINS = [ENV.public_url]

INSTALLED_APPS = [
    "cloudsite",  # first, so that its templates come before those of others
    "dashboard.config.SiteConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
    "apps.common",
    "apps.audit",
    "apps.identity",
    "apps.quotas",
    "apps.hosts",
    "apps.operations",
    "apps.placement",
    "apps.objects",
    "apps.images",
    "apps.network",
    "apps.scheduler",
    "apps.compute",
    "dashboard",
]
MIDDLEWARE = [
    "apps.common.api.edge.Peer",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "apps.common.api.edge.Headers",
    "apis.openstack.edge.Edge",
    "apps.common.api.middleware.RequestContext",
    "apps.audit.middleware.AuditTrail",
    "apps.common.api.edge.Rates",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
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
AUTHENTICATION_BACKENDS = ["apps.identity.backends.Lockout", "apps.identity.backends.Database"]
if ENV.ldap_url:
    AUTHENTICATION_BACKENDS.append("apps.identity.ldap_backend.Ldap")
# A name is unique in its domain; our backend asks for the domain. Who is locked is told by our pages, not by axes' middleware.
SILENCED_SYSTEM_CHECKS = ["auth.W004", "axes.W002"]
_VALIDATION = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": f"{_VALIDATION}.MinimumLengthValidator", "OPTIONS": {"min_length": ENV.password_length}},
    {"NAME": f"{_VALIDATION}.UserAttributeSimilarityValidator", "OPTIONS": {"user_attributes": ("username", "email")}},
    {"NAME": f"{_VALIDATION}.CommonPasswordValidator"},
    {"NAME": f"{_VALIDATION}.NumericPasswordValidator"},
]
LOGIN_URL = "/account/login/"
SESSION_COOKIE_AGE = ENV.session_hours * 3600
# The handler does the counting (see there); of axes' tables only the failures are written.
AXES_HANDLER = "apps.identity.lockout.Handler"
AXES_USERNAME_CALLABLE = "apps.identity.lockout.name_in"
AXES_CLIENT_IP_CALLABLE = "apps.identity.lockout.address_of"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"], "username"]
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = ENV.var / "static"
MEDIA_ROOT = ENV.var / "images"
OBJECTS_ROOT = ENV.object_folder if ENV.object_folder != Path() else ENV.var / "objects"
DATA_UPLOAD_MAX_MEMORY_SIZE = ENV.max_body_mb * 1024 * 1024
APPEND_SLASH = False

_PUBLIC = urlsplit(ENV.public_url)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _PUBLIC.scheme == "https"
# Load balancers ask for these by plain HTTP.
SECURE_REDIRECT_EXEMPT = ["^healthz$", "^readyz$"]
SECURE_HSTS_SECONDS = ENV.hsts_days * 86400 if SECURE_SSL_REDIRECT else 0
if SECURE_SSL_REDIRECT:
    # Browsers take such a cookie from this very host by HTTPS only: no neighbour in the domain can slip in another one.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-session", "__Host-csrf"
# Whether other names below ours speak HTTPS is not for us to decide, nor whether browsers should be told beforehand.
SILENCED_SYSTEM_CHECKS += ["security.W005", "security.W021"]
if not SECURE_SSL_REDIRECT and _PUBLIC.hostname in ("localhost", "127.0.0.1", "::1"):
    # Plain HTTP that never leaves this machine: no HSTS, no redirect, no secure cookies.
    SILENCED_SYSTEM_CHECKS += ["security.W004", "security.W008", "security.W012", "security.W016"]

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
    # No badge of a validator elsewhere, which would be told our address.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
    # Several things have a `state`; without names of their own the schema would number them.
    "ENUM_NAME_OVERRIDES": {
        "InstanceState": "apps.compute.api.serializers.STATES",
        "OperationState": "apps.operations.api.serializers.STATES",
        "ImageState": "apps.images.api.serializers.STATES",
        "ImageFormat": "apps.images.api.serializers.FORMATS",
        "HostState": "apps.hosts.api.serializers.STATES",
        "NetworkKind": "apps.network.api.network_shapes.KINDS",
        "SegmentKind": "apps.network.api.provider_shapes.KINDS",
    },
}

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "apps.common.logs.JSONFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": ENV.log_level},
    "loggers": {
        # Every scanner calls us by a wrong name; a story of forty lines for each helps nobody.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "django.server": {"level": "WARNING"}, "celery": {"level": "WARNING"}, "kombu": {"level": "WARNING"},
    },
}

__all__ = ["BASE_DIR", "ENV"]
