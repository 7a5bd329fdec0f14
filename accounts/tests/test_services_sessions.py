"""Sessions: rotation, reuse, revocation (JWT3, JWT4)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import time_machine

from accounts.enums import EndReason, Issuer, Role
from accounts.errors import RefreshReused
from accounts.models import AuthSession, RefreshToken, User
from accounts.services import profiles, sessions, tokens
from accounts.services.sessions import TokenPair
from marketplace.core.db import atomic
from marketplace.core.errors import InvalidToken, RateLimited, TokenExpired, TokenRevoked
from marketplace.events import live
from marketplace.events.models import AuditEntry
from marketplace.tests.cast import assert_queries

pytestmark = pytest.mark.django_db

AT = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(AT, tick=False) as traveller:
        yield traveller


@pytest.fixture
def pair(buyer: User) -> TokenPair:
    return sessions.start_session(user=buyer, issuer=Issuer.MARKETPLACE, address="198.51.100.7")


@pytest.fixture
def revoked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    closed: list[str] = []

    def close(*, session_ids: list[object]) -> None:
        closed.extend(str(one) for one in session_ids)

    monkeypatch.setattr(live, "publish_revocation", close)
    return closed


def spend(token: str | None) -> TokenPair:
    assert token is not None
    return sessions.refresh(token=token)


class TestStartSession:
    def test_lives_as_its_route_says(self, buyer: User, clock: time_machine.Traveller) -> None:
        canonical = sessions.start_session(user=buyer, issuer=Issuer.MARKETPLACE)
        by_realtime_market = sessions.start_session(user=buyer, issuer=Issuer.REALTIME_MARKET)

        assert (canonical.expires_in, by_realtime_market.expires_in) == (3600, 86_400)
        assert by_realtime_market.refresh_token is None
        assert canonical.refresh_token is not None
        claims = tokens.read_refresh(canonical.refresh_token)
        assert claims.expires_at == AT.timestamp() + 604_800
        assert RefreshToken.objects.count() == 1

    def test_keeps_no_token(self, pair: TokenPair) -> None:
        rows = [
            *AuthSession.objects.order_by("pk").values(),
            *RefreshToken.objects.order_by("pk").values(),
        ]

        assert pair.access_token not in str(rows)
        assert str(pair.refresh_token) not in str(rows)


class TestRefresh:
    def test_gives_a_new_pair(self, pair: TokenPair) -> None:
        successor = spend(pair.refresh_token)

        assert successor.access_token != pair.access_token
        assert successor.refresh_token != pair.refresh_token
        assert tokens.read_access(successor.access_token).session_id == pair.session.pk

    def test_gives_the_same_pair_for_ten_seconds(
        self, buyer: User, clock: time_machine.Traveller
    ) -> None:
        pair = sessions.start_session(user=buyer, issuer=Issuer.MARKETPLACE)
        first = spend(pair.refresh_token)
        clock.shift(10)
        again = spend(pair.refresh_token)

        assert (again.access_token, again.refresh_token) == (
            first.access_token,
            first.refresh_token,
        )
        assert RefreshToken.objects.count() == 2

    def test_ends_the_family_when_a_used_one_comes_later(
        self, buyer: User, clock: time_machine.Traveller
    ) -> None:
        pair = sessions.start_session(user=buyer, issuer=Issuer.MARKETPLACE)
        successor = spend(pair.refresh_token)
        clock.shift(11)

        with pytest.raises(RefreshReused):
            spend(pair.refresh_token)

        with pytest.raises(TokenRevoked):
            spend(successor.refresh_token)
        with pytest.raises(TokenRevoked):
            sessions.authenticate(tokens.read_access(successor.access_token))
        session = AuthSession.objects.get()
        assert (session.ended_at, session.end_reason) == (
            AT + timedelta(seconds=11),
            "refresh_reused",
        )
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.target) == ("session.refresh_reused", f"session:{session.pk}")

    def test_leaves_other_sessions_of_the_user_alone(
        self, buyer: User, clock: time_machine.Traveller
    ) -> None:
        other = sessions.start_session(user=buyer, issuer=Issuer.MARKETPLACE)
        pair = sessions.start_session(user=buyer, issuer=Issuer.MARKETPLACE)
        spend(pair.refresh_token)
        clock.shift(11)
        with pytest.raises(RefreshReused):
            spend(pair.refresh_token)

        assert sessions.authenticate(tokens.read_access(other.access_token)) == buyer

    def test_refuses_after_a_week(self, buyer: User, clock: time_machine.Traveller) -> None:
        pair = sessions.start_session(user=buyer, issuer=Issuer.MARKETPLACE)
        clock.shift(604_800 + 30)

        with pytest.raises(TokenExpired):
            spend(pair.refresh_token)

    def test_refuses_an_access_token(self, pair: TokenPair) -> None:
        with pytest.raises(InvalidToken):
            spend(pair.access_token)

    def test_refuses_a_deleted_user(self, pair: TokenPair, buyer: User) -> None:
        buyer.delete()

        with pytest.raises(InvalidToken):
            spend(pair.refresh_token)

    def test_refuses_an_inactive_user_and_keeps_the_token_unused(
        self, pair: TokenPair, buyer: User
    ) -> None:
        User.objects.filter(pk=buyer.pk).update(is_active=False)

        with pytest.raises(TokenRevoked):
            spend(pair.refresh_token)

    def test_is_limited_per_session(self, pair: TokenPair, one_window: None) -> None:
        for _ in range(30):
            spend(pair.refresh_token)

        with pytest.raises(RateLimited):
            spend(pair.refresh_token)


class TestAuthenticate:
    def test_reads_the_user_in_one_query(self, pair: TokenPair, buyer: User) -> None:
        claims = tokens.read_access(pair.access_token)

        with assert_queries(1):
            assert sessions.authenticate(claims) == buyer

    def test_gives_the_role_of_the_database(self, pair: TokenPair, buyer: User) -> None:
        User.objects.filter(pk=buyer.pk).update(role=Role.COURIER)

        claims = tokens.read_access(pair.access_token)
        assert (claims.role, sessions.authenticate(claims).role) == ("buyer", "courier")

    def test_refuses_a_session_of_somebody_else(self, pair: TokenPair, seller: User) -> None:
        token = tokens.issue(seller, pair.session)

        with pytest.raises(InvalidToken):
            sessions.authenticate(tokens.read_access(token))


class TestEnding:
    def test_a_logout_ends_one_session(self, pair: TokenPair, buyer: User) -> None:
        other = sessions.start_session(user=buyer, issuer=Issuer.MARKETPLACE)

        assert sessions.end_session(session_id=pair.session.pk) is True
        assert sessions.end_session(session_id=pair.session.pk) is False
        with pytest.raises(TokenRevoked):
            sessions.authenticate(tokens.read_access(pair.access_token))
        with pytest.raises(TokenRevoked):
            spend(pair.refresh_token)
        assert sessions.authenticate(tokens.read_access(other.access_token)) == buyer

    @pytest.mark.transactions
    @pytest.mark.django_db(transaction=True)
    def test_tells_realtime_after_the_commit(self, pair: TokenPair, revoked: list[str]) -> None:
        with atomic():
            sessions.end_session(session_id=pair.session.pk)
            assert revoked == []

        assert revoked == [str(pair.session.pk)]

    def test_end_all_may_leave_one(self, pair: TokenPair, buyer: User) -> None:
        other = sessions.start_session(user=buyer, issuer=Issuer.REALTIME_MARKET)

        ended = sessions.end_all(
            user=buyer, reason=EndReason.PASSWORD_CHANGED, except_session=pair.session.pk
        )

        assert ended == 1
        assert sessions.find_ended_sessions([pair.session.pk, other.session.pk]) == {
            other.session.pk
        }

    def test_finds_what_ended_in_whatever_way(
        self, pair: TokenPair, seller: User, courier: User
    ) -> None:
        ended = sessions.start_session(user=seller, issuer=Issuer.MARKETPLACE).session.pk
        of_inactive = sessions.start_session(user=courier, issuer=Issuer.MARKETPLACE).session.pk
        gone = uuid4()
        sessions.end_session(session_id=ended)
        User.objects.filter(pk=courier.pk).update(is_active=False)

        asked = [pair.session.pk, ended, of_inactive, gone]
        assert sessions.find_ended_sessions(asked) == {ended, of_inactive, gone}

    def test_a_deactivated_user_is_out(self, pair: TokenPair, buyer: User, admin: User) -> None:
        profiles.deactivate_user(actor=admin, user=buyer)

        assert sessions.find_ended_sessions([pair.session.pk]) == {pair.session.pk}
        profiles.activate_user(actor=admin, user=buyer)
        with pytest.raises(TokenRevoked):
            sessions.authenticate(tokens.read_access(pair.access_token))

    def test_a_changed_role_is_signed_out(self, pair: TokenPair, buyer: User, admin: User) -> None:
        profiles.change_role(actor=admin, user=buyer, role=Role.EMPLOYEE)

        with pytest.raises(TokenRevoked):
            sessions.authenticate(tokens.read_access(pair.access_token))


class TestPurge:
    def test_removes_what_no_token_can_reach(
        self, buyer: User, clock: time_machine.Traveller
    ) -> None:
        sessions.start_session(user=buyer, issuer=Issuer.MARKETPLACE)
        clock.shift(604_800)
        assert sessions.purge_expired(before=AT + timedelta(seconds=604_800)) == 0

        assert sessions.purge_expired(before=AT + timedelta(seconds=604_801)) == 1
        assert RefreshToken.objects.count() == 0
