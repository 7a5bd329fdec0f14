"""Passwords are tried: each try counts before it is compared, so that guesses at once count too.

Counted in the database, so that it outlives restarts and fails closed (contracts 13, `login`).
"""

import hashlib
import math
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import QuerySet

from accounts.errors import LoginLocked
from accounts.models import PasswordTry
from accounts.services import guards
from marketplace.core.clock import now
from marketplace.core.db import run, transactional

BY_PAIR, BY_ADDRESS, BY_IDENTITY = range(3)
# Whoever signed in from an address in this time is at home there: no stranger can lock him out.
AT_HOME = timedelta(days=30)
PURGE_CHUNK = 500


def begin_try(*, identity: str, address: str) -> PasswordTry:
    """Count one try at a password of this identity as failed; the caller compares after it.

    identity: as typed, compared without case. Raises LoginLocked; then nothing was counted.
    """
    digest = _digest(identity)
    guards.make_missing(_keys(digest, address))
    return _count(digest=digest, address=address)


@transactional
def _count(*, digest: str, address: str) -> PasswordTry:
    at = now()
    guards.pass_through(_keys(digest, address), at=at)
    failed = PasswordTry.objects.filter(failed=True)
    wait_s = max(
        _wait(failed.filter(identity=digest, address=address), BY_PAIR, at=at),
        _wait(failed.filter(address=address), BY_ADDRESS, at=at),
        _wait_for_strangers(digest, address, at=at),
    )
    if wait_s:
        raise LoginLocked(retry_after=wait_s)
    return PasswordTry.objects.create(identity=digest, address=address, created_at=at)


def _wait_for_strangers(digest: str, address: str, *, at: datetime) -> int:
    """The third rate: failures from all addresses where the identity is not at home."""
    homes = set(
        PasswordTry.objects.filter(identity=digest, failed=False, created_at__gt=at - AT_HOME)
        .order_by("address")
        .values_list("address", flat=True)
    )
    if address in homes:
        return 0
    tries = PasswordTry.objects.filter(identity=digest, failed=True).exclude(address__in=homes)
    return _wait(tries, BY_IDENTITY, at=at)


def _wait(tries: QuerySet[PasswordTry], row: int, *, at: datetime) -> int:
    """Seconds until this rate of bucket `login` allows another try, 0 = now."""
    count, seconds = settings.LIMITS["login"][row]
    if count <= 0:
        return 0
    window = timedelta(seconds=seconds)
    newest = tries.filter(created_at__gt=at - window).order_by("-created_at", "-pk")
    oldest_that_counts = newest.values_list("created_at", flat=True)[count - 1 : count]
    waits = [(since + window - at).total_seconds() for since in oldest_that_counts]
    return max(1, math.ceil(waits[0])) if waits else 0


def mark_proven(tried: PasswordTry) -> None:
    """The password of this try was right, and opened what it was tried at."""
    run(lambda: PasswordTry.objects.filter(pk=tried.pk).update(failed=False, updated_at=now()))


def _digest(identity: str) -> str:
    return hashlib.blake2b(identity.strip().lower().encode(), digest_size=16).hexdigest()


def _keys(digest: str, address: str) -> list[str]:
    return [f"login:{digest}", f"login-address:{address}"]


def purge_expired(*, before: datetime) -> int:
    """Remove failed tries of before this instant, and sign-ins that make no home any more."""
    removed = 0
    for rows in (
        PasswordTry.objects.filter(failed=True, created_at__lt=before),
        PasswordTry.objects.filter(failed=False, created_at__lt=now() - AT_HOME),
    ):
        while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:PURGE_CHUNK]):
            run(PasswordTry.objects.filter(pk__in=ids).delete)
            removed += len(ids)
    return removed
