"""Where things are: the public address, allowed origins, Redis, the bus, e-mail."""

from typing import Any
from urllib.parse import quote, urlsplit

import environ

from marketplace.settings.reading import Reader, SettingsError

REDIS_NAMES = ("REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD")
ORIGIN_NAMES = ("CORS_ORIGINS", "FRONTEND_URL", "CLIENT_URL")
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")


def read_port(read: Reader) -> int:
    """PORT, else a bare number in BEAT_MESSASSING_SERVER (so spelled by its system), else 8000."""
    server = read.text("BEAT_MESSASSING_SERVER")
    default = int(server) if server.isdecimal() and 0 < int(server) < 65536 else 8000
    return read.whole("PORT", default, least=1, most=65535)


def read_public_url(read: Reader, *, port: int) -> str:
    """Scheme, host and port that clients see, without a slash at the end."""
    given = read.group(["PUBLIC_URL", "SERVER_URL"])
    host = read.text("PHX_HOST")
    server = read.text("BEAT_MESSASSING_SERVER")
    for name, value in given.items():
        return _origin(name, value)
    if host:
        return f"http://{host}:{port}" if ":" not in host else f"http://{host}"
    if server and not server.isdecimal():
        return _origin("BEAT_MESSASSING_SERVER", server)
    return f"http://localhost:{port}"


def read_hosts(read: Reader, *, public_url: str) -> list[str]:
    """Every host name of the settings, and this machine's own names."""
    hosts = [urlsplit(public_url).hostname, read.text("PHX_HOST").split(":")[0]]
    for name in ("PUBLIC_URL", "SERVER_URL", "BEAT_MESSASSING_SERVER"):
        value = read.text(name)
        if value and not value.isdecimal():
            hosts.append(urlsplit(_origin(name, value)).hostname)
    return list(dict.fromkeys([*(host for host in hosts if host), *LOCAL_HOSTS]))


def read_origins(read: Reader) -> list[str]:
    """The allowed origins of all three names, joined, each as a browser sends it."""
    origins = [_origin(name, value) for name in ORIGIN_NAMES for value in read.items(name)]
    return list(dict.fromkeys(origins))


def _origin(name: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1)
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(f"{name} must be an address such as https://shop.example, not {url!r}")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"


def read_redis_url(read: Reader) -> tuple[str, tuple[str, ...]]:
    """The address of Redis, or nothing; and the names that are set without effect."""
    url = read.optional("REDIS_URL")
    parts = read.group(REDIS_NAMES)
    if url is not None:
        if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
            raise SettingsError("REDIS_URL must begin with redis://, rediss:// or unix://")
        return url, tuple(parts)
    if "REDIS_HOST" not in parts and "REDIS_PORT" not in parts:
        return "", tuple(parts)
    port = read.whole("REDIS_PORT", 6379, least=1, most=65535)
    number = read.whole("REDIS_DB", 0)
    password = quote(parts.get("REDIS_PASSWORD", ""), safe="")
    host = parts.get("REDIS_HOST", "localhost")
    return f"redis://{':' + password + '@' if password else ''}{host}:{port}/{number}", ()


def read_brokers(read: Reader) -> list[str]:
    """The brokers of the bus as `host:port`."""
    brokers = read.items("KAFKA_BROKERS")
    host = read.optional("KAFKA_HOST")
    port = read.whole("KAFKA_PORT", 9092, least=1, most=65535)
    if brokers or host is None:
        return brokers
    return [host if ":" in host else f"{host}:{port}"]


def read_listeners(read: Reader) -> list[dict[str, Any]]:
    """`3000:os,5000:gb:deny` → port, tag of the listener, and what it does with guests."""
    listeners: list[dict[str, Any]] = []
    for text in read.items("EXTRA_LISTENERS"):
        parts = text.split(":")
        if (
            len(parts) not in {2, 3}
            or not parts[0].isdecimal()
            or not 0 < int(parts[0]) < 65536
            or not parts[1]
            or parts[2:] not in ([], ["guest"], ["deny"])
        ):
            raise SettingsError(
                f"EXTRA_LISTENERS takes <port>:<tag>[:guest|:deny], comma between, not {text!r}"
            )
        listeners.append(
            {"port": int(parts[0]), "tag": parts[1], "guests": parts[2] if parts[2:] else None}
        )
    return listeners


def read_email(read: Reader) -> dict[str, Any]:
    """Django's EMAIL settings from EMAIL_URL, else from the SMTP names; {} = to the sink file."""
    url = read.optional("EMAIL_URL")
    service = read.text("SMTP_SERVICE")
    host = read.optional("SMTP_HOST")
    port = read.whole("SMTP_PORT", 587, least=1, most=65535)
    user = read.text("SMTP_MAIL")
    password = read.text("SMTP_PASSWORD")
    if url is not None:
        try:
            return dict(environ.Env.email_url_config(url))
        except (ValueError, LookupError) as error:
            raise SettingsError(f"EMAIL_URL: {error}") from None
    if host is None and service.lower() == "gmail":
        host = "smtp.gmail.com"
    if host is None:
        return {}
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": host,
        "EMAIL_PORT": port,
        "EMAIL_HOST_USER": user,
        "EMAIL_HOST_PASSWORD": password,
        "EMAIL_USE_SSL": port == 465,
        "EMAIL_USE_TLS": port == 587,
    }
