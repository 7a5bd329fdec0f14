"""All processes on one database must have the same keys; a wrong one does not start.

The database keeps a fingerprint of each, from which nobody finds the key.
"""

import hashlib
import hmac

from django.conf import settings

from marketplace.core.clock import now
from marketplace.core.db import IntegrityError, atomic
from marketplace.core.models import KeyFingerprint

_TEXT = b"marketplace: fingerprint of a key"


class KeyMismatch(SystemExit):
    """Ends the process with one line that names the setting."""


def check_keys() -> None:
    """Compare the keys in force with those of this database; the first process leaves its own.

    Called when serve, worker, beat and run_jobs start. Raises KeyMismatch.
    """
    known = dict(KeyFingerprint.objects.order_by("name").values_list("name", "fingerprint"))
    for name, (setting, fingerprint) in fingerprints().items():
        kept = known.get(name) or _keep(name, fingerprint)
        if not hmac.compare_digest(kept, fingerprint):
            raise KeyMismatch(
                f"{setting} differs from the one that this database was used with. Set the same "
                "value in every process; after a planned change run `manage.py accept_keys`."
            )


def accept_keys() -> list[str]:
    """Take the keys of this environment as those of the database; gives the names that changed."""
    changed = []
    with atomic():
        for name, (setting, fingerprint) in fingerprints().items():
            row = KeyFingerprint.objects.filter(name=name).order_by("id").first()
            if row is None:
                KeyFingerprint.objects.create(name=name, fingerprint=fingerprint)
            elif row.fingerprint != fingerprint:
                KeyFingerprint.objects.filter(name=name).update(
                    fingerprint=fingerprint, updated_at=now()
                )
            else:
                continue
            changed.append(setting)
    return changed


def fingerprints() -> dict[str, tuple[str, str]]:
    """Role → (name of the setting, fingerprint) of every key in force, derived ones too."""
    signing, *previous = settings.JWT_KEYS
    signing_name = getattr(getattr(settings, "KEYS", None), "signing_name", "JWT_SECRET")
    if signing_name == "generated":
        signing_name = "JWT_SECRET (unset here: a key was generated in DATA_DIR)"
    return {
        "signing": (signing_name, fingerprint_of(signing)),
        "previous": ("JWT_PREVIOUS_KEYS", fingerprint_of("\n".join(previous))),
        "secret_key": ("SECRET_KEY_BASE", fingerprint_of(settings.SECRET_KEY)),
        "otp": ("OTP_KEY", fingerprint_of(settings.OTP_KEY)),
    }


def fingerprint_of(key: str) -> str:
    """HMAC-SHA-256 of a fixed text under the key."""
    return hmac.new(key.encode(), _TEXT, hashlib.sha256).hexdigest()


def _keep(name: str, fingerprint: str) -> str:
    try:
        with atomic():
            KeyFingerprint.objects.create(name=name, fingerprint=fingerprint)
    except IntegrityError:
        # Two processes start on a new database: the second one compares itself with the first.
        return KeyFingerprint.objects.get(name=name).fingerprint
    return fingerprint
