"""One-time codes: ask for one, send it, check it.

A code is not kept anywhere: it follows from `OTP_KEY` and the id of its challenge. Everything that
limits guessing is counted in the database, so that it outlives restarts and fails closed.
"""

import hashlib
import hmac
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import F, QuerySet

from accounts import formats, metrics, selectors, sms
from accounts.enums import CodePurpose
from accounts.errors import OtpInvalid, OtpLocked, OtpSendLimit, OtpTooSoon
from accounts.models import Guard, OtpChallenge, OtpCheck, User
from accounts.services import guards, sessions
from accounts.services.sessions import TokenPair
from marketplace.core.clock import now
from marketplace.core.db import run, transactional
from marketplace.core.errors import AppError, RateLimited
from marketplace.core.jobs import enqueue

CODE_DIGITS = 6
CODE_LIFE_S = 600
CHECKS_PER_CODE = 5
# From here on only another proof opens the phone again.
FAILURES_IN_A_ROW = 100
LOCKED_RETRY_AFTER_S = 86_400
SPRAY_SHARE = 5 / 6
PURGE_CHUNK = 500

PHONE_HOURLY, PHONE_DAILY, BY_ADDRESS, BY_PREFIX, IN_ALL = range(5)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A check that was counted. `challenge` is None when there was nothing to compare with."""

    check_id: UUID | None
    challenge: OtpChallenge | None
    refusal: AppError | None = None


def code_of(challenge: OtpChallenge) -> str:
    """The six digits of this challenge: HOTP truncation of HMAC-SHA-256(OTP_KEY, challenge id)."""
    digest = hmac.new(settings.OTP_KEY.encode(), challenge.id.bytes, hashlib.sha256).digest()
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**CODE_DIGITS).zfill(CODE_DIGITS)


def request_code(*, phone_number: str, address: str) -> None:
    """A sign-in code is on its way to this phone, or nothing is, and nobody can tell which.

    phone_number: E.164. Raises OtpTooSoon, OtpSendLimit, alike for known and unknown phones.
    """
    line_up_for(phone_number=phone_number, address=address)
    try:
        challenge = _request(phone_number=phone_number, address=address)
    except RateLimited:
        metrics.CODES_REQUESTED.labels("refused").inc()
        raise
    metrics.CODES_REQUESTED.labels("withheld" if challenge.withheld else "accepted").inc()


@transactional
def _request(*, phone_number: str, address: str) -> OtpChallenge:
    at = now()
    guards.pass_through(_keys(phone_number, address, formats.phone_prefix(phone_number)), at=at)
    _refuse_phone(phone_number, at=at)
    if wait_s := _wait(OtpChallenge.objects.filter(address=address), BY_ADDRESS, at=at):
        raise OtpSendLimit(retry_after=wait_s)
    user = selectors.find_by_phone(phone_number)
    return _challenge(
        phone_number=phone_number,
        user=user if user and user.is_active else None,
        address=address,
        at=at,
        withheld=_is_withheld(phone_number, at=at),
    )


@transactional
def send_first_code(*, user: User, address: str) -> OtpChallenge:
    """Send the code of a fresh registration, which starts no wait.

    Over a limit the registration stands and the code is left out. The caller has called
    `line_up_for` before its transaction.
    """
    at = now()
    phone_number = user.phone_number or ""
    guards.pass_through(_keys(phone_number, address, formats.phone_prefix(phone_number)), at=at)
    withheld = _is_withheld(phone_number, at=at)
    try:
        _refuse_phone(phone_number, at=at, waits=False)
    except OtpSendLimit:
        withheld = True
    if _wait(OtpChallenge.objects.filter(address=address), BY_ADDRESS, at=at):
        withheld = True
    return _challenge(
        phone_number=phone_number,
        user=user,
        address=address,
        at=at,
        withheld=withheld,
        starts_wait=False,
    )


def _challenge(
    *,
    phone_number: str,
    user: User | None,
    address: str,
    at: datetime,
    withheld: bool,
    starts_wait: bool = True,
) -> OtpChallenge:
    """The new challenge, in place of the older ones; a withheld one replaces nothing."""
    if not withheld:
        OtpChallenge.objects.filter(
            phone_number=phone_number, purpose=CodePurpose.SIGN_IN, replaced_at__isnull=True
        ).update(replaced_at=at, updated_at=at)
    challenge = OtpChallenge.objects.create(
        phone_number=phone_number,
        purpose=CodePurpose.SIGN_IN,
        user=user,
        attempts_left=CHECKS_PER_CODE,
        expires_at=at + timedelta(seconds=CODE_LIFE_S),
        replaced_at=at if withheld else None,
        withheld=withheld,
        starts_wait=starts_wait,
        prefix=formats.phone_prefix(phone_number),
        address=address,
        created_at=at,
    )
    # Also for a phone that belongs to nobody: the job finds that out, so that both take as long.
    enqueue("send_sms", key=f"send_sms:{challenge.id}", challenge_id=str(challenge.id))
    return challenge


def _refuse_phone(phone_number: str, *, at: datetime, waits: bool = True) -> None:
    sends = OtpChallenge.objects.filter(phone_number=phone_number)
    for row in (PHONE_HOURLY, PHONE_DAILY):
        if wait_s := _wait(sends, row, at=at):
            raise OtpSendLimit(retry_after=wait_s)
    if waits and (wait_s := _pause(sends, at=at)):
        raise OtpTooSoon(retry_after=wait_s)


def _wait(sends: QuerySet[OtpChallenge], row: int, *, at: datetime) -> int:
    """Seconds until this rate of bucket `otp_send` allows another one, 0 = now."""
    count, seconds = settings.LIMITS["otp_send"][row]
    if count <= 0:
        return 0
    since = at - timedelta(seconds=seconds)
    newest = sends.filter(created_at__gt=since).order_by("-created_at", "-pk")
    oldest_that_counts = newest.values_list("created_at", flat=True)[count - 1 : count]
    return max((_seconds(at, one, seconds) for one in oldest_that_counts), default=0)


def _pause(sends: QuerySet[OtpChallenge], *, at: datetime) -> int:
    """Seconds until the growing wait between two codes is over; the first send starts at 1."""
    waits: Sequence[int] = settings.OTP_RESEND_WAITS_S
    since = at - timedelta(seconds=settings.LIMITS["otp_send"][PHONE_HOURLY][1])
    newest = sends.filter(created_at__gt=since).order_by("-created_at", "-pk")
    sent = list(newest.values_list("created_at", "starts_wait")[: len(waits)])
    if not sent or not sent[0][1]:
        return 0
    return _seconds(at, sent[0][0], waits[len(sent) - 1])


def _seconds(at: datetime, since: datetime, length_s: int) -> int:
    return max(0, math.ceil((since - at).total_seconds() + length_s))


def _is_withheld(phone_number: str, *, at: datetime) -> bool:
    """Whether a limit that is not told is over, or the country gets no SMS."""
    countries = settings.SMS_COUNTRIES
    if countries and not any(phone_number[1:].startswith(code.lstrip("+")) for code in countries):
        return True
    sends = OtpChallenge.objects.filter(withheld=False)
    prefix = formats.phone_prefix(phone_number)
    return bool(_wait(sends.filter(prefix=prefix), BY_PREFIX, at=at) or _wait(sends, IN_ALL, at=at))


def send_code(*, challenge_id: UUID) -> bool:
    """Hand the code of a living challenge to the SMS provider; False when there is nothing to send.

    Sending twice sends the same code twice. Raises SmsNotSent.
    """
    challenge = OtpChallenge.objects.filter(pk=challenge_id).order_by("pk").first()
    if challenge is None or challenge.user_id is None or not _is_alive(challenge, at=now()):
        return False
    body = f"{code_of(challenge)} is your Marketplace code. It is good for 10 minutes."
    sms.get_provider().send(to=challenge.phone_number, body=body)
    return True


def _is_alive(challenge: OtpChallenge, *, at: datetime) -> bool:
    return (
        challenge.consumed_at is None
        and challenge.replaced_at is None
        and challenge.expires_at > at
    )


def sign_in_with_code(
    *, phone_number: str, code: str, issuer: str, address: str, user_agent: str = ""
) -> TokenPair:
    """Trade the right code for a session. The phone is proven, and the code used, from then on.

    Raises OtpInvalid (wrong, expired, replaced, used, unknown: all alike), OtpLocked after five
    wrong checks, RateLimited for an address that checks too often.
    """
    line_up_for(phone_number=phone_number, address=address)
    attempt = _take_attempt(phone_number=phone_number, address=address)
    if attempt.refusal is not None:
        locked = isinstance(attempt.refusal, OtpLocked)
        metrics.CODES_CHECKED.labels("locked" if locked else "refused").inc()
        raise attempt.refusal
    if not _is_right(attempt.challenge, code):
        metrics.CODES_CHECKED.labels("wrong").inc()
        raise OtpInvalid
    pair = _accept(attempt=attempt, issuer=issuer, address=address, user_agent=user_agent)
    metrics.CODES_CHECKED.labels("right").inc()
    return pair


@transactional
def _take_attempt(*, phone_number: str, address: str) -> Attempt:
    """Count one check, and take one of the code's five before anything is compared.

    A refusal is given back instead of raised: it must not take the count with it.
    """
    at = now()
    guards.pass_through(_keys(phone_number, address), at=at)
    if limited := _refused_address(address, phone_number, at=at):
        return Attempt(None, None, limited)
    check = OtpCheck.objects.create(address=address, phone_number=phone_number, created_at=at)
    if locked := _lock(phone_number, at=at):
        return Attempt(check.pk, None, locked)
    challenge = (
        OtpChallenge.objects.filter(
            phone_number=phone_number, purpose=CodePurpose.SIGN_IN, replaced_at__isnull=True
        )
        .order_by("-created_at", "-pk")
        .first()
    )
    if challenge is None or not _take_one(challenge, at=at):
        return Attempt(check.pk, None)
    Guard.objects.filter(key=_keys(phone_number)[0]).update(failures=F("failures") + 1)
    return Attempt(check.pk, challenge)


def _take_one(challenge: OtpChallenge, *, at: datetime) -> bool:
    taken = OtpChallenge.objects.filter(
        pk=challenge.pk,
        attempts_left__gt=0,
        consumed_at__isnull=True,
        replaced_at__isnull=True,
        expires_at__gt=at,
    ).update(attempts_left=F("attempts_left") - 1, updated_at=at)
    return taken == 1


def _refused_address(address: str, phone_number: str, *, at: datetime) -> RateLimited | None:
    """Too many checks, or wrong ones on too many phones, which is what spraying looks like."""
    count, seconds = settings.LIMITS["otp_check"][0]
    if count <= 0:
        return None
    recent = OtpCheck.objects.filter(
        address=address, created_at__gt=at - timedelta(seconds=seconds)
    )
    checks = list(
        recent.order_by("-created_at", "-pk").values_list("created_at", "phone_number", "failed")[
            :count
        ]
    )
    failed_phones = {phone for _, phone, failed in checks if failed}
    spraying = phone_number not in failed_phones and len(failed_phones) >= count * SPRAY_SHARE
    if len(checks) < count and not spraying:
        return None
    return RateLimited(retry_after=max(1, _seconds(at, checks[-1][0], seconds)))


def _lock(phone_number: str, *, at: datetime) -> OtpLocked | None:
    """Five wrong checks lock the phone until the guessed code would have ended anyway."""
    guessed = (
        OtpChallenge.objects.filter(
            phone_number=phone_number,
            attempts_left__lte=0,
            consumed_at__isnull=True,
            expires_at__gt=at,
        )
        .order_by("-expires_at", "-pk")
        .first()
    )
    if guessed is not None:
        return OtpLocked(retry_after=max(1, _seconds(at, guessed.expires_at, 0)))
    key = _keys(phone_number)[0]
    if Guard.objects.filter(key=key, failures__gte=FAILURES_IN_A_ROW).exists():
        return OtpLocked(retry_after=LOCKED_RETRY_AFTER_S)
    return None


def _is_right(challenge: OtpChallenge | None, code: str) -> bool:
    """Compared in constant time; a phone without a user is compared as well, and never right."""
    known = challenge is not None and challenge.user_id is not None
    right_code = code_of(challenge or OtpChallenge())
    return hmac.compare_digest(right_code.encode(), code.encode()) and known


@transactional
def _accept(*, attempt: Attempt, issuer: str, address: str, user_agent: str) -> TokenPair:
    at, challenge, check_id = now(), attempt.challenge, attempt.check_id
    if challenge is None or challenge.user_id is None or check_id is None:
        raise OtpInvalid
    # The guard first, as everybody takes it: whoever holds the challenge and waits for the guard
    # could wait for somebody who waits for him.
    lift_lock(phone_number=challenge.phone_number)
    if not _consume(challenge, at=at):
        raise OtpInvalid
    user = User.objects.filter(pk=challenge.user_id, is_active=True).order_by("pk").first()
    if user is None or user.phone_number != challenge.phone_number:
        raise OtpInvalid
    OtpCheck.objects.filter(pk=check_id).update(failed=False, updated_at=at)
    if user.phone_verified_at is None:
        user.phone_verified_at = at
        user.save(update_fields=["phone_verified_at"])
    return sessions.start_session(user=user, issuer=issuer, address=address, user_agent=user_agent)


def _consume(challenge: OtpChallenge, *, at: datetime) -> bool:
    used = OtpChallenge.objects.filter(
        pk=challenge.pk,
        consumed_at__isnull=True,
        replaced_at__isnull=True,
        expires_at__gt=at,
    ).update(consumed_at=at, updated_at=at)
    return used == 1


def lift_lock(*, phone_number: str) -> None:
    """Forget the failed checks in a row of this phone: its owner has proven himself."""
    Guard.objects.filter(key=_keys(phone_number)[0]).update(failures=0, updated_at=now())


def _keys(phone_number: str, address: str | None = None, prefix: str | None = None) -> list[str]:
    """Keys of the guards, in the one order in which everybody passes them, so that nobody waits
    for somebody who waits for him.
    """
    keys = [f"phone:{phone_number}"]
    if address is not None:
        keys.append(f"address:{address}")
    if prefix is not None:
        keys.append(f"prefix:{prefix}")
    return keys


def line_up_for(*, phone_number: str, address: str) -> None:
    """Make the guards that are missing; before the transaction, because two may make the same."""
    guards.make_missing(_keys(phone_number, address, formats.phone_prefix(phone_number)))


def purge_expired(*, before: datetime) -> int:
    """Remove challenges, checks and idle guards that no limit looks at any more."""
    removed = 0
    for rows in (
        OtpChallenge.objects.filter(created_at__lt=before, expires_at__lt=now()),
        OtpCheck.objects.filter(created_at__lt=before),
        Guard.objects.filter(updated_at__lt=before, failures=0),
    ):
        while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:PURGE_CHUNK]):
            run(rows.model.objects.filter(pk__in=ids).delete)
            removed += len(ids)
    return removed
