"""Sign-ins: start one, rotate its refresh tokens, end it, and say whom a token speaks for."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from accounts.enums import EndReason, Issuer, TokenKind
from accounts.errors import RefreshReused
from accounts.models import AuthSession, RefreshToken, User
from accounts.services import tokens
from accounts.services.tokens import Claims
from marketplace.core import limits
from marketplace.core.clock import now
from marketplace.core.db import on_commit, run, transactional
from marketplace.core.errors import AppError, InvalidToken, TokenRevoked
from marketplace.core.questions import Question, ask
from marketplace.events import live
from marketplace.events.audit import record_audit

LOOKUP_CHUNK = 500
BORROWED_S = 300


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a sign-in gives. `refresh_token` is None for a route whose answer has none."""

    user: User
    session: AuthSession
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_in: int


@transactional
def start_session(*, user: User, issuer: str, address: str = "", user_agent: str = "") -> TokenPair:
    """Open a session for a user who has just proven himself; gives its first tokens.

    issuer: an `Issuer`; it decides the lifetimes and whether there is a refresh token.
    """
    at = now()
    refreshable = issuer == Issuer.MARKETPLACE
    access_ttl_s = settings.TOKEN_TTL_ACCESS if refreshable else settings.TOKEN_TTL_OTP
    lives_s = settings.TOKEN_TTL_REFRESH if refreshable else access_ttl_s
    session = AuthSession.objects.create(
        user=user,
        issuer=issuer,
        access_ttl_s=access_ttl_s,
        address=address,
        user_agent=user_agent[:200],
        last_used_at=at,
        expires_at=at + timedelta(seconds=lives_s),
    )
    user.last_login = at
    user.save(update_fields=["last_login"])
    if refreshable:
        row = _new_row(session=session, at=at)
        row.save(force_insert=True)
        return _pair(user=user, session=session, row=row)
    return TokenPair(
        user=user,
        session=session,
        access_token=tokens.issue(user, session, issued_at=at),
        refresh_token=None,
        expires_in=access_ttl_s,
    )


def refresh(*, token: str) -> TokenPair:
    """Trade a refresh token for a new pair. A used one gives the same pair again for a short while.

    Raises InvalidToken, TokenExpired, TokenRevoked, RateLimited, and RefreshReused for a used one
    that comes too late: somebody else may hold it, so the whole session has ended by then.
    """
    claims = tokens.read_refresh(token)
    limits.check("refresh", str(claims.session_id))
    pair = _rotate(claims=claims)
    if pair is None:
        raise RefreshReused
    return pair


@transactional
def _rotate(*, claims: Claims) -> TokenPair | None:
    """The next pair; None when the token was used too long ago, with its session ended."""
    row = (
        RefreshToken.objects.select_related("session__user")
        .filter(jti=claims.jti, session_id=claims.session_id)
        .first()
    )
    if row is None or row.session.user.public_id != claims.user_id:
        raise InvalidToken
    session, user, at = row.session, row.session.user, now()
    successor = _new_row(session=session, at=at)
    won = RefreshToken.objects.filter(pk=row.pk, used_at__isnull=True).update(
        used_at=at, successor_jti=successor.jti, updated_at=at
    )
    if won and _keep_alive(session=session, user=user, at=at, until=successor.expires_at):
        successor.save(force_insert=True)
        return _pair(user=user, session=session, row=successor)
    if won or session.ended_at is not None or not user.is_active:
        raise TokenRevoked
    return _repeat(user=user, session=session, presented=row, at=at)


def _keep_alive(*, session: AuthSession, user: User, at: datetime, until: datetime) -> bool:
    """Move the session's end, in a way that loses against a logout at the same instant."""
    alive = AuthSession.objects.filter(pk=session.pk, ended_at__isnull=True).update(
        last_used_at=at, expires_at=until, updated_at=at
    )
    return alive == 1 and user.is_active


def _repeat(
    *, user: User, session: AuthSession, presented: RefreshToken, at: datetime
) -> TokenPair | None:
    presented.refresh_from_db()
    if presented.used_at is None:
        raise InvalidToken
    if at - presented.used_at > timedelta(seconds=settings.REFRESH_GRACE_S):
        _end(sessions=[session], reason=EndReason.REFRESH_REUSED, at=at)
        record_audit(
            actor_id=user.public_id,
            action="session.refresh_reused",
            target=f"session:{session.id}",
            details={},
        )
        return None
    row = RefreshToken.objects.get(jti=presented.successor_jti)
    return _pair(user=user, session=session, row=row)


def _new_row(*, session: AuthSession, at: datetime) -> RefreshToken:
    return RefreshToken(
        session=session,
        jti=tokens.new_jti(),
        access_jti=tokens.new_jti(),
        issued_at=at,
        expires_at=at + timedelta(seconds=settings.TOKEN_TTL_REFRESH),
    )


def _pair(*, user: User, session: AuthSession, row: RefreshToken) -> TokenPair:
    return TokenPair(
        user=user,
        session=session,
        access_token=tokens.issue(user, session, jti=row.access_jti, issued_at=row.issued_at),
        refresh_token=tokens.issue(
            user, session, kind=TokenKind.REFRESH, jti=row.jti, issued_at=row.issued_at
        ),
        expires_in=session.access_ttl_s,
    )


def authenticate(claims: Claims) -> User:
    """The user whom verified claims speak for, as the database knows him now; one query.

    Raises TokenRevoked when the session has ended or the user is inactive, InvalidToken when the
    token names another user than its session.
    """
    found = authenticate_all([claims])[0]
    if isinstance(found, AppError):
        raise found
    return found


def authenticate_all(many: Sequence[Claims]) -> list[User | AppError]:
    """The users whom these claims speak for, or why they do not, in their order; one query."""
    known = ask(who_speak({claims.session_id for claims in many if claims.session_id}))
    return [speaker(claims, known) for claims in many]


def speaker(claims: Claims, known: Mapping[UUID, User]) -> User | AppError:
    """The user whom these claims speak for, or why they do not. known: answers `who_speak`."""
    if claims.session_id is None:
        return InvalidToken()
    user = known.get(claims.session_id)
    if user is None:
        return TokenRevoked()
    return user if user.public_id == claims.user_id else InvalidToken()


def who_speak(session_ids: Collection[UUID]) -> Question[dict[UUID, User]]:
    """The active users behind those of these sessions that have not ended, by session."""
    asked = list(session_ids)

    def elsewhere() -> dict[UUID, User]:
        living = AuthSession.objects.select_related("user").filter(
            pk__in=asked, ended_at__isnull=True, user__is_active=True
        )
        return {session.pk: session.user for session in living.order_by("pk")}

    return Question(
        SPEAKERS,
        [asked],
        read=lambda rows: {row[0]: User.from_db("default", USER_COLUMNS, row[1:]) for row in rows},
        elsewhere=elsewhere,
    )


USER_COLUMNS = [str(field.attname) for field in User._meta.concrete_fields]
SPEAKERS = f"""
    SELECT session.id, {", ".join(f'u."{column}"' for column in USER_COLUMNS)}
    FROM {AuthSession._meta.db_table} session JOIN {User._meta.db_table} u ON u.id = session.user_id
    WHERE session.id = ANY(%s) AND session.ended_at IS NULL AND u.is_active
"""  # noqa: S608  # the names of tables and columns


def find_ended_sessions(session_ids: Collection[UUID]) -> set[UUID]:
    """Those of these sessions that give no right any more: ended, gone, or of an inactive user."""
    asked = list(session_ids)
    ended = set(asked)
    for start in range(0, len(asked), LOOKUP_CHUNK):
        ended -= set(
            AuthSession.objects.filter(
                pk__in=asked[start : start + LOOKUP_CHUNK],
                ended_at__isnull=True,
                user__is_active=True,
            )
            .order_by("pk")
            .values_list("pk", flat=True)
        )
    return ended


@transactional
def end_session(*, session_id: UUID, reason: str = EndReason.LOGOUT) -> bool:
    """End one session; its tokens are refused and its sockets closed from the commit on.

    False when it had ended before.
    """
    session = AuthSession.objects.filter(pk=session_id).order_by("pk").first()
    return session is not None and _end(sessions=[session], reason=reason, at=now()) == 1


@contextmanager
def borrowed_session(*, user: User, user_agent: str) -> Iterator[str]:
    """An access token for a command of the operator, good within the block and 5 minutes at most.

    It is no sign-in of the user: his `last_login` stays.
    """
    at = now()
    session = AuthSession.objects.create(
        user=user,
        issuer=Issuer.MARKETPLACE,
        access_ttl_s=BORROWED_S,
        user_agent=user_agent,
        last_used_at=at,
        expires_at=at + timedelta(seconds=BORROWED_S),
    )
    try:
        yield tokens.issue(user, session)
    finally:
        end_session(session_id=session.pk)


@transactional
def end_all(*, user: User, reason: str, except_session: UUID | None = None) -> int:
    """End every living session of a user, but for one where that is wanted; says how many."""
    living = AuthSession.objects.filter(user=user, ended_at__isnull=True).order_by("pk")
    chosen = [session for session in living if session.pk != except_session]
    return _end(sessions=chosen, reason=reason, at=now())


def _end(*, sessions: list[AuthSession], reason: str, at: datetime) -> int:
    ids = [session.pk for session in sessions]
    ended = AuthSession.objects.filter(pk__in=ids, ended_at__isnull=True).update(
        ended_at=at, end_reason=reason, updated_at=at
    )
    on_commit(lambda: live.publish_revocation(session_ids=ids))
    return ended


def purge_expired(*, before: datetime) -> int:
    """Remove sessions whose last token ended before this instant, with their refresh tokens."""

    def remove() -> int:
        rows = AuthSession.objects.filter(expires_at__lt=before).order_by("expires_at", "pk")
        ids = list(rows.values_list("pk", flat=True)[:LOOKUP_CHUNK])
        RefreshToken.objects.filter(session_id__in=ids).delete()
        AuthSession.objects.filter(pk__in=ids).delete()
        return len(ids)

    removed = 0
    while count := run(remove):
        removed += count
    return removed
