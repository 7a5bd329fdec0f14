"""What never stands in a log or a stored error: secrets, codes, phones, texts of people."""

import re
from typing import Any

HIDDEN = "[redacted]"

_SECRET_KEYS = frozenset(
    {
        "authorization",
        "token",
        "access_token",
        "refresh_token",
        "password",
        "new_password",
        "current_password",
        "otp",
        "secret",
        "cookie",
        "set-cookie",
        "ticket",
        "api_key",
        "signature",
        "content",
        "message_text",
        "csrfmiddlewaretoken",
    }
)
_PHONE_KEYS = frozenset({"phone", "phone_number", "phonenumber", "to_phone"})

# One alternation per kind; the first character sets are narrow, so that plain text costs little.
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
_BEARER = re.compile(r"(?i)\b(bearer)\s+[\w.~+/=-]+")
_QUERY = re.compile(
    r"(?i)([?&;](?:token|ticket|code|otp|sig|signature|password|access_token)=)[^&;\s\"']*"
)
_TRACK = re.compile(r"(/track/)[^/?\s\"']+")
_PHONE = re.compile(r"(?<![\w+])(?:\+|%2[bB])[1-9]\d{6,14}\b")
_CODE = re.compile(r"^\d{4,10}$")


def redact_text(text: str) -> str:
    """The text without tokens, signed queries and tracking segments; phones keep two digits."""
    if "eyJ" in text:
        text = _JWT.sub(HIDDEN, text)
    if "earer" in text or "EARER" in text:
        text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    if "=" in text:
        text = _QUERY.sub(rf"\1{HIDDEN}", text)
    if "/track/" in text:
        text = _TRACK.sub(rf"\1{HIDDEN}", text)
    if "+" in text or "%2" in text:
        text = _PHONE.sub(lambda match: mask_phone(match.group()), text)
    return text


def mask_phone(phone: str) -> str:
    """`+15550100001` → `+1*********01`."""
    return phone[:2] + "*" * max(0, len(phone) - 4) + phone[-2:] if len(phone) > 6 else HIDDEN


def redact(value: Any, key: str = "") -> Any:
    """The value as it may be logged, looking into dicts and lists."""
    name = key.lower()
    if name in _SECRET_KEYS:
        return HIDDEN
    if isinstance(value, str):
        if name in _PHONE_KEYS:
            return mask_phone(value)
        if name == "code" and _CODE.match(value):
            return HIDDEN
        return redact_text(value)
    if isinstance(value, dict):
        return {inner: redact(item, str(inner)) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item, key) for item in value]
    if name == "code" and isinstance(value, int):
        return value if value < 5000 else HIDDEN
    return value
