"""Stand-in until the full settings are in place."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent.parent
SECRET_KEY = "local-only-secret-key-that-is-long-enough-for-everyone-0123456789"
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "channels",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "marketplace.apps.MarketplaceConfig",
    "marketplace.core.apps.KernelConfig",
    "marketplace.events.apps.EventsConfig",
    "accounts.apps.AccountsConfig",
    "marketplace.realtime.apps.RealtimeConfig",
    "shops.apps.ShopsConfig",
    "orders.apps.OrdersConfig",
    "delivery.apps.DeliveryConfig",
    "chat.apps.ChatConfig",
    "support.apps.SupportConfig",
]
AUTH_USER_MODEL = "accounts.User"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(BASE_DIR / ".data" / "marketplace.sqlite3")}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
ROOT_URLCONF = "marketplace.urls"
ASGI_APPLICATION = "marketplace.asgi.application"
STATIC_URL = "/static/"
