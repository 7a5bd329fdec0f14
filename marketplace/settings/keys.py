"""Secrets: the ring of signing keys, what is derived from it, and the key that a laptop makes."""

import contextlib
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from marketplace.settings.reading import Reader, SettingsError

SIGNING_NAMES = ("JWT_SECRET", "JWT_SECRET_KEY", "SECRET_KEY_BASE")
KEY_MIN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Keys:
    """Every secret in force.

    ring: the first signs, all verify. signing_name: the setting that signs, `generated` for the
    key of the data folder.
    """

    signing_name: str
    ring: tuple[str, ...]
    secret_key: str
    otp_key: str


def read_keys(read: Reader, *, generated_in: Path | None, strict: bool) -> Keys:
    """The secrets of this environment.

    generated_in: the folder that keeps a key made here where none is set; None refuses instead.
    strict: keys under 32 bytes stop the start.
    Raises SettingsError naming the setting that is missing, too short or used twice.
    """
    signing = read.group(SIGNING_NAMES)
    previous = read.items("JWT_PREVIOUS_KEYS")
    otp_key = read.optional("OTP_KEY")
    if strict:
        named = [*signing.items(), *(("JWT_PREVIOUS_KEYS", key) for key in previous)]
        _refuse_short([*named, ("OTP_KEY", otp_key or "x" * KEY_MIN_BYTES)])
    if signing:
        name, first = next(iter(signing.items()))
    elif generated_in is None:
        raise SettingsError(
            f"JWT_SECRET must be set in production: {KEY_MIN_BYTES} bytes or more, "
            "for example the output of `openssl rand -base64 48`"
        )
    else:
        name, first = "generated", generated_key(generated_in / "secret.key")
    ring = tuple(dict.fromkeys([first, *signing.values(), *previous]))
    base = signing.get("SECRET_KEY_BASE")
    secret_key = base if base and base != first else derive(first, "django secret key")
    if otp_key is not None and otp_key in ring:
        raise SettingsError("OTP_KEY must not be a key that signs or verifies tokens")
    return Keys(
        signing_name=name,
        ring=ring,
        secret_key=secret_key,
        otp_key=otp_key or derive(secret_key, "one-time codes"),
    )


def _refuse_short(named: list[tuple[str, str]]) -> None:
    for name, key in named:
        if len(key.encode()) < KEY_MIN_BYTES:
            raise SettingsError(
                f"{name} has {len(key.encode())} bytes; production needs {KEY_MIN_BYTES} or more"
            )


def derive(key: str, purpose: str) -> str:
    """Another secret for another purpose; from it nobody finds the first one."""
    return hmac.new(key.encode(), f"marketplace: {purpose}".encode(), hashlib.sha256).hexdigest()


def generated_key(file: Path) -> str:
    """The key of this file, made if it is missing; processes that start together get one key."""
    with contextlib.suppress(FileNotFoundError):
        return _read_key(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(secrets.token_urlsafe(48) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    try:
        # A link appears whole or not at all, and the second one fails: nobody reads half a key.
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink()
    return _read_key(file)


def _read_key(file: Path) -> str:
    key = file.read_text().strip()
    if len(key) < KEY_MIN_BYTES:
        raise SettingsError(f"{file} holds no key: remove it, and a new one is made")
    return key
