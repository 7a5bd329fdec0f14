"""A deployment: secrets are demanded, whatever helps a developer is refused."""

from marketplace.settings.base import *
from marketplace.settings.keys import read_keys
from marketplace.settings.reading import SettingsError

if DEBUG:
    raise SettingsError("DJANGO_DEBUG is refused in production: it shows the code to strangers")
if FAILPOINT:
    raise SettingsError("FAILPOINT is refused in production: it kills the server on purpose")
if JWKS_URL and not JWKS_URL.startswith("https://"):
    raise SettingsError("JWKS_URL must begin with https:// in production")
if PAYPAL_CLIENT_ID and PAYPAL_CLIENT_SECRET and not PAYPAL_WEBHOOK_ID:
    raise SettingsError("PAYPAL_WEBHOOK_ID must be set in production when PayPal's keys are")

KEYS = read_keys(read, generated_in=None, strict=True)
JWT_KEYS = list(KEYS.ring)
SECRET_KEY = KEYS.secret_key
OTP_KEY = KEYS.otp_key

ALLOW_PRIVILEGED_SIGNUP = read.flag("ALLOW_PRIVILEGED_SIGNUP", default=False)
BIND_HOST = read.text("BIND_HOST", "0.0.0.0")  # noqa: S104  # the proxy stands on another host

SECURE_SSL_REDIRECT = not PLAIN_HTTP
# Probes and scrapers come straight to the process, past the proxy that ends TLS.
SECURE_REDIRECT_EXEMPT = [r"^livez/?$", r"^readyz/?$", r"^metrics/?$"]
SECURE_HSTS_SECONDS = 0 if PLAIN_HTTP else 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = not PLAIN_HTTP
SECURE_HSTS_PRELOAD = not PLAIN_HTTP
SESSION_COOKIE_SECURE = not PLAIN_HTTP
CSRF_COOKIE_SECURE = not PLAIN_HTTP
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

if (STATIC_ROOT / "staticfiles.json").is_file():
    # Collected files have their hash in the name, so browsers keep them for ever.
    WHITENOISE_USE_FINDERS = False
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }
