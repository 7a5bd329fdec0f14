"""The one form in which phone numbers, e-mail addresses and usernames are kept and compared."""

import re
import unicodedata

PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
USERNAME = re.compile(r"[A-Za-z0-9_.-]{3,32}")
EMAIL = re.compile(r"[^\s@<>(),;:\\\"\[\]]+@[^\s@<>(),;:\\\"\[\]]+\.[^\s@<>(),;:\\\"\[\].]+")
EMAIL_MAX_CHARS = 254
PHONE_MAX_CHARS = 64
PREFIX_CUT = 4


def phone_number(text: str) -> str | None:
    """The number in E.164, None where it is none. Every spelling of one number gives the same.

    Digits of any script count; blanks, dashes, dots and brackets fall away; a leading `00` is `+`.
    """
    if len(text) > PHONE_MAX_CHARS:
        return None
    plain = "".join(_phone_characters(unicodedata.normalize("NFKC", text)))
    if plain.startswith("00"):
        plain = "+" + plain[2:]
    return plain if PHONE.fullmatch(plain) else None


def _phone_characters(text: str) -> list[str]:
    kept = []
    for character in text:
        if (
            character.isspace()
            or character in ".()"
            or unicodedata.category(character) in ("Pd", "Cf")
        ):
            continue
        digit = unicodedata.decimal(character, None)
        kept.append(character if digit is None else str(digit))
    return kept


def phone_prefix(number: str) -> str:
    """The number without its last four digits: the block that a pumped range of numbers shares."""
    return number[:-PREFIX_CUT]


def email(text: str) -> str | None:
    """The address trimmed and in lower case, None where it is none."""
    address = text.strip().lower()
    if len(address) > EMAIL_MAX_CHARS or ".." in address or not EMAIL.fullmatch(address):
        return None
    return address


def username(text: str) -> str | None:
    """The username as typed, None where it has a wrong form."""
    return text if USERNAME.fullmatch(text) else None
