"""The settings of every profile: the one place where the environment is read.

local, test and production hold only what differs. docs/settings.md and `.env.example` say what
each name means.
"""

import tomllib
from pathlib import Path
from typing import Any

from corsheaders.defaults import default_methods

from marketplace.settings import addresses, databases, rates
from marketplace.settings.reading import SettingsError, choose_profile, read_environment

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VERSION: str = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]
MINUTE_S = 60
DAY_S = 86_400

read = read_environment(BASE_DIR / ".env")

# --- profile, folders, process -------------------------------------------------------------------

PROFILE = choose_profile(
    read.group(["MARKETPLACE_ENV", "NODE_ENV", "MIX_ENV"]),
)
DEBUG = read.flag("DJANGO_DEBUG", default=False)
PLAIN_HTTP = read.flag("PLAIN_HTTP", default=False)
FAILPOINT = read.text("FAILPOINT")

DATA_DIR = read.path("DATA_DIR", ".data", base=BASE_DIR)
RUN_DIR = read.path("RUN_DIR", ".run", base=BASE_DIR)
LOG_DIR = read.path("LOG_DIR", "", base=BASE_DIR) if read.optional("LOG_DIR") else None
LOG_LEVEL = read.choice("LOG_LEVEL", "info", ("debug", "info", "warn", "error"))
STORAGE_URL = read.optional("STORAGE_URL")

PORT = addresses.read_port(read)
BIND_HOST = read.text("BIND_HOST", "127.0.0.1")
EXTRA_LISTENERS = addresses.read_listeners(read)
ASGI_THREADS = read.optional_whole("ASGI_THREADS", least=1)
REALTIME_THREADS = read.whole("REALTIME_THREADS", 8, least=1)
PRODUCT_TEXTS_MB = read.whole("PRODUCT_TEXTS_MB", 32)
DRAIN_SPREAD = read.seconds("DRAIN_SPREAD", 5)
DRAIN_LIMIT = read.seconds("DRAIN_LIMIT", 10)
TRUSTED_PROXIES = read.whole("TRUSTED_PROXIES", 0)
METRICS_TOKEN = read.optional("METRICS_TOKEN")
SENTRY_DSN = read.optional("SENTRY_DSN")
# Accepted and not called: tokens are verified here, users come by event.
BEAT_IDENTITY_SERVER = read.optional("BEAT_IDENTITY_SERVER")
# Used by the compose files alone.
REDIS_UI_PORT = read.optional_whole("REDIS_UI_PORT", least=1, most=65535)

PUBLIC_URL = addresses.read_public_url(read, port=PORT)
ALLOWED_HOSTS = addresses.read_hosts(read, public_url=PUBLIC_URL)
CORS_ORIGINS = addresses.read_origins(read)

# --- database, Redis, bus ------------------------------------------------------------------------

DATABASE_CHOICE = databases.choose_database(read, data_dir=DATA_DIR)
DATABASE_ENGINE = DATABASE_CHOICE.engine
DATABASES = {"default": databases.database_config(DATABASE_CHOICE, read, base_dir=BASE_DIR)}
ON_MONGODB = DATABASE_ENGINE == "mongodb"
# Connections of a pool are handed back after each piece of work; others stay with their thread.
DATABASE_HAS_POOL = DATABASE_ENGINE == "postgresql"

REDIS_URL, _ignored_redis = addresses.read_redis_url(read)
CHANNEL_LAYERS: dict[str, dict[str, Any]]
CACHES: dict[str, dict[str, Any]]
if REDIS_URL:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "marketplace.realtime.layer.WatchedLayer",
            "CONFIG": {"hosts": [REDIS_URL], "prefix": "marketplace:layer"},
        }
    }
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "marketplace:cache",
            "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 2},
        }
    }
else:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels.layers.InMemoryChannelLayer",
            "CONFIG": {"capacity": 10_000},
        }
    }
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "OPTIONS": {"MAX_ENTRIES": 20_000},
        }
    }

KAFKA_BROKERS = addresses.read_brokers(read)
KAFKA_SINK = read.optional("KAFKA_SINK")
BUS_ENABLED = bool(KAFKA_BROKERS or KAFKA_SINK)
KAFKA_TOPIC_PREFIX = read.text("KAFKA_TOPIC_PREFIX", "marketplace.")
KAFKA_GROUP = read.text("KAFKA_GROUP", "marketplace")
KAFKA_BEAT_TOPICS = read.flag("KAFKA_BEAT_TOPICS", default=False)
KAFKA_TOPIC_USERS = read.text("KAFKA_TOPIC_USERS", "identity.users")
KAFKA_TOPIC_AUTH = read.text("KAFKA_TOPIC_AUTH", "auth_events")
KAFKA_TOPIC_NOTIFICATIONS = read.text("KAFKA_TOPIC_NOTIFICATIONS", "beat.notifications")
KAFKA_TOPIC_SYSTEM = read.text("KAFKA_TOPIC_SYSTEM", "beat.system")

# Names that are set and have no effect; the start line tells them.
IGNORED_SETTINGS = (*DATABASE_CHOICE.ignored, *_ignored_redis)

# --- tasks ---------------------------------------------------------------------------------------

CELERY_BROKER_URL = REDIS_URL
# One time-out, wherever Celery looks for it: the shortest would win.
CELERY_VISIBILITY_TIMEOUT_S = 120
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": CELERY_VISIBILITY_TIMEOUT_S,
    "global_keyprefix": "marketplace:broker:",
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
}
CELERY_VISIBILITY_TIMEOUT = CELERY_VISIBILITY_TIMEOUT_S
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "marketplace"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = DRAIN_LIMIT
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
ENABLE_BACKGROUND_TASKS = read.flag("ENABLE_BACKGROUND_TASKS", default=True)
SCHEDULE = rates.read_schedule(
    read, broker=bool(CELERY_BROKER_URL), housekeeping=ENABLE_BACKGROUND_TASKS
)

# --- identity ------------------------------------------------------------------------------------

JWT_ALGORITHM = read.text("JWT_ALGORITHM", "HS256")
if JWT_ALGORITHM != "HS256":
    raise SettingsError(f"JWT_ALGORITHM must be HS256, not {JWT_ALGORITHM!r}")
JWT_ALLOW_NO_EXP = read.flag("JWT_ALLOW_NO_EXP", default=False)
JWT_LEEWAY_S = 30
JWKS_URL = read.optional("JWKS_URL")
JWKS_ISSUER = read.optional("JWKS_ISSUER")
JWKS_AUDIENCE = read.optional("JWKS_AUDIENCE")
JWKS_CACHE_S = read.whole("JWKS_CACHE_S", 600, least=1)
FOREIGN_TOKEN_ROLES = read.items("FOREIGN_TOKEN_ROLES", "user,buyer,seller,employee")

_access_minutes = read.whole("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", 60, least=1)
_refresh_days = read.whole("JWT_REFRESH_TOKEN_EXPIRE_DAYS", 7, least=1)
TOKEN_TTL_OTP = read.whole("TOKEN_TTL_OTP", DAY_S, least=1)
TOKEN_TTL_LOGIN = read.whole("TOKEN_TTL_LOGIN", DAY_S, least=1)
TOKEN_TTL_ACCESS = read.whole("TOKEN_TTL_ACCESS", _access_minutes * MINUTE_S, least=1)
TOKEN_TTL_REFRESH = read.whole("TOKEN_TTL_REFRESH", _refresh_days * DAY_S, least=1)
REFRESH_GRACE_S = read.whole("REFRESH_GRACE_S", 10)
OTP_RESEND_WAITS_S = read.wholes("OTP_RESEND_WAITS_S", "30,60,120,240")

SMS_BACKEND = read.choice("SMS_BACKEND", "mock", ("mock", "webhook"))
SMS_SINK = read.path("SMS_SINK", "sms.jsonl", base=DATA_DIR)
SMS_WEBHOOK_URL = read.optional("SMS_WEBHOOK_URL")
SMS_COUNTRIES = [code.lstrip("+") for code in read.items("SMS_COUNTRIES")]
if SMS_BACKEND == "webhook" and not SMS_WEBHOOK_URL:
    raise SettingsError("SMS_BACKEND=webhook needs SMS_WEBHOOK_URL")

EMAIL_SINK = read.path("EMAIL_SINK", "email.jsonl", base=DATA_DIR)
_email = addresses.read_email(read)
EMAIL_TO_SINK = not _email
EMAIL_BACKEND = _email.get("EMAIL_BACKEND", "django.core.mail.backends.locmem.EmailBackend")
EMAIL_HOST = _email.get("EMAIL_HOST", "")
EMAIL_PORT = _email.get("EMAIL_PORT", 25)
EMAIL_HOST_USER = _email.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = _email.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = _email.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = _email.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10

AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = [
    # SHA-256 first: bcrypt itself refuses more than 72 bytes.
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "django.contrib.auth.hashers.BCryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 8},
    },
    {"NAME": "marketplace.core.passwords.MaximumLengthValidator", "OPTIONS": {"max_length": 128}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# --- limits --------------------------------------------------------------------------------------

LIMITS = rates.read_limits(read)
LIMIT_BURSTS = rates.LIMIT_BURSTS
MESSAGE_RATE_LIMIT = read.whole("MESSAGE_RATE_LIMIT", 30)
MESSAGE_MAX_CHARS = read.whole("MESSAGE_MAX_CHARS", 10_000, least=1)
MAX_SOCKETS_PER_USER = read.whole("MAX_SOCKETS_PER_USER", 10, least=1)
MAX_GUESTS_PER_ADDRESS = read.whole("MAX_GUESTS_PER_ADDRESS", 20)
MAX_TOPICS = read.whole("MAX_TOPICS", 100, least=1)
BODY_MAX_BYTES = 1024 * 1024
JSON_MAX_DEPTH = 32
FRAME_MAX_BYTES = 64 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = BODY_MAX_BYTES
PAGE_DEFAULT = 20
PAGE_MAX = 100

# --- rooms, sockets, assistant -------------------------------------------------------------------

TOPIC_CONSUMERS = "marketplace.topics.TOPICS"
EVENT_RETENTION_DAYS = read.whole("EVENT_RETENTION_DAYS", 30, least=1)
_idle_minutes = read.whole("WEBSOCKET_TIMEOUT_MINUTES", 30, least=1)
WS_IDLE_TIMEOUT_S = read.whole("WS_IDLE_TIMEOUT_S", _idle_minutes * MINUTE_S, least=1)
SOCKETIO_ANONYMOUS = read.choice("SOCKETIO_ANONYMOUS", "guest", ("guest", "deny"))
_ping_interval = read.whole("SOCKET_PING_INTERVAL", 25_000, least=1)
_ping_timeout = read.whole("SOCKET_PING_TIMEOUT", 20_000, least=1)
SIO_PING_INTERVAL = read.whole("SIO_PING_INTERVAL", _ping_interval, least=1)
SIO_PING_TIMEOUT = read.whole("SIO_PING_TIMEOUT", _ping_timeout, least=1)
SPAM_FILTER = read.flag("SPAM_FILTER", default=False)
MESSAGE_EDIT_WINDOW_S = read.whole("MESSAGE_EDIT_WINDOW_S", 0)
INVITE_TTL_S = read.whole("INVITE_TTL_S", 7 * DAY_S, least=1)
ATTACHMENT_URL_TTL_S = read.whole("ATTACHMENT_URL_TTL_S", 3600, least=1)
ENABLE_AI_COMMANDS = read.flag("ENABLE_AI_COMMANDS", default=True)
ENABLE_SETUP_DELIVERY = read.flag("ENABLE_SETUP_DELIVERY", default=True)
CHATBOT_GUARD = read.flag("CHATBOT_GUARD", default=True)

_open_router_key = read.optional("OPEN_ROUTER_KEY")
_openai_key = read.optional("OPENAI_API_KEY")
LLM_API_KEY = read.optional("LLM_API_KEY") or _open_router_key or _openai_key
LLM_API_BASE = read.optional("LLM_API_BASE") or (
    "https://openrouter.ai/api/v1" if _open_router_key else "https://api.openai.com/v1"
)
LLM_MODEL = read.optional("LLM_MODEL") or (
    "openai/gpt-3.5-turbo" if _open_router_key else "gpt-3.5-turbo"
)

# --- shops, orders, delivery, support ------------------------------------------------------------

BYTES_CACHE = read.flag("BYTES_CACHE", default=False)
ALLOW_CUSTOM_LINES = read.flag("ALLOW_CUSTOM_LINES", default=True)
CUSTOM_LINE_MIN_PRICE = read.decimal("CUSTOM_LINE_MIN_PRICE", "0.01")
ALLOW_PAY_ON_DELIVERY = read.flag("ALLOW_PAY_ON_DELIVERY", default=True)
REQUEST_TTL_S = read.whole("REQUEST_TTL_S", DAY_S, least=1)
RESERVATION_TTL_S = read.whole("RESERVATION_TTL_S", 1800, least=1)
TAX_RATE = read.decimal("TAX_RATE", "0.08")
TAX_INCLUSIVE = read.flag("TAX_INCLUSIVE", default=False)
TAX_SHIPPING = read.flag("TAX_SHIPPING", default=False)
SHIPPING_FLAT = read.decimal("SHIPPING_FLAT", "5.99")
SHIPPING_FREE_OVER = read.decimal_or_none("SHIPPING_FREE_OVER", "50")
DEFAULT_CURRENCY = read.text("DEFAULT_CURRENCY", "USD").upper()
DEFAULT_COUNTRY = read.text("DEFAULT_COUNTRY", "US").upper()
DELIVERY_ESTIMATE_DAYS = read.whole("DELIVERY_ESTIMATE_DAYS", 5)
LOYALTY_POINTS_PER_UNIT = read.whole("LOYALTY_POINTS_PER_UNIT", 1)
LOYALTY_POINTS_FOR_ONE = read.whole("LOYALTY_POINTS_FOR_ONE", 100, least=1)
LOYALTY_MIN_REDEEM = read.whole("LOYALTY_MIN_REDEEM", 100)
LOYALTY_HOLD_DAYS = read.whole("LOYALTY_HOLD_DAYS", 14)
LOYALTY_EXPIRE_DAYS = read.whole("LOYALTY_EXPIRE_DAYS", 365, least=1)
LOYALTY_TIERS = read.items(
    "LOYALTY_TIERS", "bronze:0:0:1,silver:500:5:1,gold:2000:10:1,platinum:5000:15:1"
)
STRIPE_SECRET_KEY = read.optional("STRIPE_SECRET_KEY")
STRIPE_WEBHOOK_SECRET = read.optional("STRIPE_WEBHOOK_SECRET")
STRIPE_API_BASE = read.optional("STRIPE_API_BASE")
PAYPAL_CLIENT_ID = read.optional("PAYPAL_CLIENT_ID")
PAYPAL_CLIENT_SECRET = read.optional("PAYPAL_CLIENT_SECRET")
PAYPAL_WEBHOOK_ID = read.optional("PAYPAL_WEBHOOK_ID")
PAYPAL_WEBHOOK_VERIFY = read.choice("PAYPAL_WEBHOOK_VERIFY", "api", ("api", "offline"))
PAYPAL_SIMULATOR_SECRET = read.optional("PAYPAL_SIMULATOR_SECRET")
PAYPAL_API_BASE = read.optional("PAYPAL_API_BASE")
GEOFENCE_AUTO_DELIVER = read.flag("GEOFENCE_AUTO_DELIVER", default=False)
MAP_TILES_URL = read.text("MAP_TILES_URL", "")
MAP_TILES_ATTRIBUTION = read.text("MAP_TILES_ATTRIBUTION", "")
TICKET_REQUESTER_MAY_CLOSE = read.flag("TICKET_REQUESTER_MAY_CLOSE", default=True)
SUPPORT_HOURS = read.text("SUPPORT_HOURS", "Mon-Fri 09:00-17:00")

# --- Django --------------------------------------------------------------------------------------

if ON_MONGODB:
    DEFAULT_AUTO_FIELD = "django_mongodb_backend.fields.ObjectIdAutoField"
    CONTRIB_APPS = [
        "marketplace.core.mongo_apps.MongoAdminConfig",
        "marketplace.core.mongo_apps.MongoAuthConfig",
        "marketplace.core.mongo_apps.MongoContentTypesConfig",
    ]
    MIGRATION_MODULES = {
        app: f"marketplace.core.mongo_migrations.{app}" for app in ("admin", "auth", "contenttypes")
    }
else:
    DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
    CONTRIB_APPS = [
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
    ]

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    *CONTRIB_APPS,
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "csp",
    "rest_framework",
    "django_filters",
    "channels",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "marketplace.apps.MarketplaceConfig",
    "marketplace.web.apps.WebConfig",
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

# Outermost first. Each of core's is plain code that runs the same sync and async.
MIDDLEWARE = [
    "marketplace.core.middleware.RequestIdMiddleware",
    "marketplace.core.middleware.ServerTimingMiddleware",
    "marketplace.core.middleware.SecurityHeaders",
    "django.middleware.security.SecurityMiddleware",
    "marketplace.core.static.StaticFilesMiddleware",
    "marketplace.core.middleware.SlashMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "marketplace.core.middleware.BodyLimitMiddleware",
    "csp.middleware.CSPMiddleware",
    "marketplace.web.policy.AdminPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

ROOT_URLCONF = "marketplace.urls"
ASGI_APPLICATION = "marketplace.asgi.application"
# A path means the same with and without the slash, without a redirect (core's SlashMiddleware).
APPEND_SLASH = False
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "marketplace.core.formats"
USE_I18N = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # What the admin's theme shows otherwise than we need it.
        "DIRS": [BASE_DIR / "marketplace" / "web" / "theme"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ]
        },
    }
]

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static"
# Straight from the packages: nothing has to be collected before the first start.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

# core.observe configures the logs of each part.
LOGGING_CONFIG = None

# --- security headers ----------------------------------------------------------------------------

CORS_ALLOWED_ORIGINS = CORS_ORIGINS
CORS_ALLOWED_ORIGIN_REGEXES: list[str] = []
CORS_ALLOW_CREDENTIALS = False
CORS_ALLOW_METHODS = list(default_methods)
CORS_ALLOW_HEADERS = [
    "authorization",
    "content-type",
    "idempotency-key",
    "x-request-id",
    "x-cart-token",
]
CORS_EXPOSE_HEADERS = [
    "X-Request-ID",
    "X-Cart-Token",
    "X-Total-Count",
    "X-Page",
    "X-Limit",
    "Link",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "Idempotent-Replayed",
]
CORS_PREFLIGHT_MAX_AGE = 3600

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        # marketplace.web widens it where a theme or ReDoc needs more.
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:", "blob:"],
        "font-src": ["'self'", "data:"],
        "worker-src": ["'self'"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'self'"],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "no-referrer"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "SAMEORIGIN"
SILENCED_SYSTEM_CHECKS = [
    "security.W002",  # core's SecurityHeaders sets X-Frame-Options
]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"

# --- REST, documentation, admin ------------------------------------------------------------------

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_SCHEMA_CLASS": "marketplace.core.schema.ApiSchema",
    "EXCEPTION_HANDLER": "marketplace.core.http.exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    # Limits are core.limits, not DRF's throttles, which are no security measure.
    "DEFAULT_THROTTLE_CLASSES": [],
    "NUM_PROXIES": TRUSTED_PROXIES,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Marketplace",
    "DESCRIPTION": "People, rooms, shops, orders and deliveries, over REST, Phoenix Channels "
    "and plain WebSocket.",
    "VERSION": VERSION,
    "OAS_VERSION": "3.0.3",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": r"/api(/v1)?",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "marketplace.core.schema.tell_null_references",
        "marketplace.core.schema.fill_examples",
    ],
    # Every script and style comes from the server itself: the pages work without a network.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            "bearerAuth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        }
    },
    "SECURITY": [{"bearerAuth": []}],
    # One name per set of words, whatever the fields that hold them are called.
    "ENUM_NAME_OVERRIDES": {
        "RoomKind": "chat.enums.RoomKind",
        "RoomRole": "chat.enums.RoomRole",
        "MessageKind": "chat.enums.MessageKind",
        "ShopRole": "shops.enums.ShopRole",
        "GivenShopRole": ["manager", "staff"],
        "ProductStatus": "shops.enums.ProductStatus",
        "OrderStatus": "orders.enums.OrderStatus",
        "StorefrontOrderStatus": "marketplace.compat.storefront_orders.STATUSES",
        "OrderPaymentStatus": "orders.enums.PaymentStatus",
        "PaymentFlow": "orders.enums.PaymentFlow",
        "PaymentState": "orders.enums.PaymentState",
        "DeliveryStatus": "delivery.enums.DeliveryStatus",
        "ProofKind": "delivery.enums.ProofKind",
        "Rejection": "delivery.enums.Rejection",
        "Duty": "delivery.enums.Duty",
    },
}

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Marketplace",
    "SITE_HEADER": "Marketplace",
    "SITE_URL": "/",
    "SITE_SYMBOL": "storefront",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {"show_search": True, "show_all_applications": True},
}
