"""`Idempotency-Key`: a POST that is sent again is done once and answered with the same words.

The unique scope decides which of two equal requests runs. A run that died holds its key until its
lease ends; then the next request takes it over.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.http import HttpRequest

from marketplace.core.clock import now
from marketplace.core.db import IntegrityError, atomic, run
from marketplace.core.errors import AppError, Conflict, Unprocessable, ValidationFailed
from marketplace.core.ids import first_id, uuid7
from marketplace.core.models import IdempotencyKey
from marketplace.core.questions import Question, which_are_there
from marketplace.core.rows import insert_rows, new_row

KEPT_FOR = timedelta(hours=24)
LEASE = timedelta(seconds=60)
HEADER = "Idempotency-Key"


class IdempotencyKeyReused(Unprocessable):
    """422: the key stands for another request."""

    code = "idempotency_key_reused"
    default_message = "This key was used for another request."


class IdempotencyInProgress(Conflict):
    """409: the first request with this key still runs."""

    code = "idempotency_in_progress"
    default_message = "The first request with this key is still running."
    retry_after = 1


@dataclass(frozen=True, slots=True)
class Replay:
    """The stored answer."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer that is stored with what it tells of, for a request that nobody claimed before."""

    scope: str
    body_hash: str
    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run the request; `run` tells this run from one that takes over later."""

    id: UUID
    run: UUID


def read_key(request: HttpRequest) -> str | None:
    """The key of this request, or None. Raises ValidationFailed for a key of a wrong form."""
    return checked_key(request.headers.get(HEADER))


def checked_key(key: str | None) -> str | None:
    """The same, of the header's text."""
    if key is None:
        return None
    if not 1 <= len(key) <= 128 or not key.isprintable():
        raise ValidationFailed.for_fields({HEADER: ["A key has 1 to 128 printable characters."]})
    return key


def scope_of(*, caller: str, method: str, path: str, key: str) -> str:
    """One digest of who asks what under which key."""
    return hashlib.sha256(f"{caller}\n{method}\n{path}\n{key}".encode()).hexdigest()


def begin(*, scope: str, body_hash: str) -> Claim | Replay:
    """Claim the key, or find the answer that its first request got.

    Raises IdempotencyKeyReused, IdempotencyInProgress.
    """
    token = uuid7()
    try:
        return run(lambda: _insert(scope, body_hash, token))
    except IntegrityError:
        return run(lambda: _follow(scope, body_hash, token))


def which_are_claimed(scopes: Collection[str]) -> Question[set[str]]:
    """Which of these scopes somebody has claimed, whatever became of it."""
    return which_are_there(IdempotencyKey, "scope", scopes)


def keep_all(answers: Sequence[KeptAnswer]) -> None:
    """Store these answers for 24 hours in the caller's transaction, with what they tell of.

    Raises IntegrityError where one of them has been claimed: then the caller's work is undone.
    """
    instant = now()
    insert_rows(
        [
            new_row(
                IdempotencyKey,
                scope=answer.scope,
                body_hash=answer.body_hash,
                lease_until=instant,
                expires_at=instant + KEPT_FOR,
                status=answer.status,
                content_type=answer.content_type,
                body=answer.body.decode("utf-8", "replace"),
                created_at=instant,
                updated_at=instant,
            )
            for answer in answers
        ]
    )


def _insert(scope: str, body_hash: str, token: UUID) -> Claim:
    instant = now()
    with atomic():
        row = IdempotencyKey.objects.create(
            scope=scope,
            body_hash=body_hash,
            run=token,
            lease_until=instant + LEASE,
            expires_at=instant + KEPT_FOR,
        )
    return Claim(row.id, token)


def _follow(scope: str, body_hash: str, token: UUID) -> Claim | Replay:
    instant = now()
    row = IdempotencyKey.objects.filter(scope=scope).order_by("id").first()
    if row is None:
        # Released between our insert and this read: whoever held it did not store an answer.
        raise IdempotencyInProgress
    if row.expires_at <= instant:
        return _take_over(row, body_hash, token, instant)
    if row.body_hash != body_hash:
        raise IdempotencyKeyReused
    if row.status is not None:
        return Replay(row.status, row.content_type, row.body.encode())
    if row.lease_until > instant:
        raise IdempotencyInProgress
    return _take_over(row, body_hash, token, instant)


def _take_over(row: IdempotencyKey, body_hash: str, token: UUID, instant: datetime) -> Claim:
    taken = IdempotencyKey.objects.filter(id=row.id, run=row.run).update(
        body_hash=body_hash,
        run=token,
        lease_until=instant + LEASE,
        expires_at=instant + KEPT_FOR,
        status=None,
        content_type="",
        body="",
    )
    if taken != 1:
        raise IdempotencyInProgress
    return Claim(row.id, token)


def store(claim: Claim, *, status: int, content_type: str, body: bytes) -> None:
    """Keep the answer for 24 hours; without effect when another run has taken the key over."""
    run(
        lambda: IdempotencyKey.objects.filter(id=claim.id, run=claim.run).update(
            status=status, content_type=content_type, body=body.decode("utf-8", "replace")
        )
    )


def release(claim: Claim) -> None:
    """Give the key back: nothing was done under it."""
    run(lambda: IdempotencyKey.objects.filter(id=claim.id, run=claim.run).delete())


def is_kept(status: int, error: AppError | None) -> bool:
    """Whether this answer is final, not a refusal that a better try can change."""
    if status >= 500:
        return False
    if error is None:
        return True
    if error.status in (400, 401, 413, 415, 429):
        return False
    return error.code not in ("validation_failed", "malformed_request")


def delete_expired(instant: datetime) -> int:
    """Forget the keys whose day is over; gives their number.

    They are found by their ids, which rise with time: an index of ends would cost each request. A
    key that was taken over lives longer than its id tells.
    """
    old = IdempotencyKey.objects.filter(id__lt=first_id(instant - KEPT_FOR))
    return old.filter(expires_at__lte=instant).delete()[0]
