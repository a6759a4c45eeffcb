"""Settings of every process. Each value that differs between deployments comes from the environment.

A wrong value stops the process at once with the variable's name; a missing one has a default
that works on one machine (embedded PostgreSQL, local image store). `.env.example` lists them all.
"""

import json
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import environ
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from sai_dashboard import embedded, logs
from sai_dashboard.admin_theme import UNFOLD as UNFOLD

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
env.read_env(BASE_DIR / ".env")

YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def positive_int(name: str, default: int) -> int:
    """An environment variable that counts something, at least 1."""
    try:
        value: int = env.int(name, default=default)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {env.str(name)!r}.") from error
    if value < 1:
        raise ImproperlyConfigured(f"{name} must be at least 1, not {value}.")
    return value


def optional_folder(name: str) -> Path | None:
    """A folder that an environment variable may name; empty means unset."""
    value = env.str(name, default="")
    return Path(value) if value else None


def boolean(name: str, default: bool) -> bool:
    """A switch. Spelled wrong it stops the process, because HTTPS=ture would otherwise quietly mean no."""
    text = env.str(name, default="").lower()
    if text not in (*YES, *NO, ""):
        raise ImproperlyConfigured(f"{name} must be 1 or 0, true or false, not {text!r}.")
    return text in YES or (default and text not in NO)


def json_object(name: str) -> dict[str, Any]:
    """A variable that holds a JSON object; unset, empty and null are an empty one."""
    try:
        value = json.loads(env.str(name, default="") or "null")
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be JSON: {error}.") from error
    if not isinstance(value, dict | None):
        raise ImproperlyConfigured(f"{name} must be a JSON object, such as {{}}, not {value!r}.")
    return value or {}


def database(name: str, embedded_name: str) -> dict[str, object]:
    """The database an URL in the environment points at, else one of the embedded PostgreSQL."""
    url = env.str(name, default="") or embedded.database_url(DATA_DIR / "postgres", embedded_name)
    config: dict[str, Any] = environ.Env.db_url_config(url)
    if config.get("ENGINE") != "django.db.backends.postgresql":
        raise ImproperlyConfigured(f"{name} must be a postgresql:// address.")
    # Persistent and checked: connecting costs more than most of our statements, and a server may restart.
    config |= {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}
    # A dead peer is noticed within half a minute, not after TCP's own two hours.
    timeouts = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
    config["OPTIONS"] = timeouts | {"tcp_user_timeout": 20_000} | config.get("OPTIONS", {})
    return config


DATA_DIR = optional_folder("SAI_DATA_DIR") or BASE_DIR / ".data"
DEBUG = boolean("DEBUG", False)
SECRET_KEY = env.str("SECRET_KEY", default="") or embedded.secret_key(DATA_DIR)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# --- What we read: n8n ---------------------------------------------------------------------------

N8N_WORKFLOW_IDS: list[str] = env.list("N8N_WORKFLOW_IDS", default=["yDbfhooKemfhMIkC"])
N8N_BINARY_DATA_PATH = optional_folder("N8N_BINARY_DATA_PATH")
N8N_STORAGE_PATH = optional_folder("N8N_STORAGE_PATH")
# Which workflow nodes play which role, by name; the first that ran wins. See docs/n8n-contract.md.
N8N_NODE_NAMES: dict[str, list[str]] = {
    "webhook": ["Webhook"],
    "metadata": ["Metadata"],
    "detector": ["YOLO Inference", "YOLO"],
    "vision": ["Ollama"],
    "telegram": ["Telegram"],
    "output": ["Format SAI Output"],
    **json_object("N8N_NODE_NAMES"),
}

# --- What we keep: images, extraction ------------------------------------------------------------

IMAGE_ROOT = optional_folder("IMAGE_ROOT") or DATA_DIR / "images"
IMAGE_MAX_BYTES = positive_int("IMAGE_MAX_BYTES", 52_428_800)
IMAGE_MAX_PIXELS = positive_int("IMAGE_MAX_PIXELS", 40_000_000)

ETL_MAX_CONCURRENT = positive_int("ETL_MAX_CONCURRENT", 2)
ETL_BATCH_SIZE = positive_int("ETL_BATCH_SIZE", 10)
ETL_RETRY_ATTEMPTS = positive_int("ETL_RETRY_ATTEMPTS", 3)
ETL_TIMEOUT_MS = positive_int("ETL_TIMEOUT_MS", 30_000)
ETL_SWEEP_SECONDS = positive_int("ETL_SWEEP_SECONDS", 30)
# How far back a starting listener looks for what it missed: n8n's own default retention.
ETL_CATCH_UP_HOURS = positive_int("ETL_CATCH_UP_HOURS", 336)
# An execution that has not ended after this long is shown as stuck.
ETL_STUCK_MINUTES = positive_int("ETL_STUCK_MINUTES", 30)

SSE_MAX_CLIENTS = positive_int("SSE_MAX_CLIENTS", 500)

SAI_TIME_ZONE = env.str("SAI_TIME_ZONE", default="America/Argentina/Cordoba")
if SAI_TIME_ZONE not in available_timezones():
    raise ImproperlyConfigured(f"SAI_TIME_ZONE {SAI_TIME_ZONE!r} is not the name of a time zone.")

# --- Django --------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_eventstream",
    "executions",
    "sai_dashboard",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "sai_dashboard.urls"
WSGI_APPLICATION = "sai_dashboard.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
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

DATABASES = {"default": database("DATABASE_URL", "sai"), "n8n": database("N8N_DATABASE_URL", "n8n")}
DATABASE_ROUTERS = ["executions.n8n.db_router.N8nRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("es", _("Spanish"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = SAI_TIME_ZONE
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = BASE_DIR / "staticfiles"
# Served from the sources without a collect step unless one was made; see docs/operations.md.
WHITENOISE_USE_FINDERS = True

STORAGES: dict[str, dict[str, object]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "images": json_object("IMAGE_STORAGE")
    or {
        "BACKEND": "executions.storage.AtomicFileSystemStorage",
        "OPTIONS": {"location": str(IMAGE_ROOT)},
    },
}

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
HTTPS = boolean("HTTPS", False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
if LOG_LEVEL not in LOG_LEVELS:
    raise ImproperlyConfigured(f"LOG_LEVEL must be one of {', '.join(LOG_LEVELS)}, not {LOG_LEVEL!r}.")
LOGGING = logs.configuration(level=LOG_LEVEL, json=boolean("LOG_JSON", False))
