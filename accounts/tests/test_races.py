"""What many requests at once may not break: checks of a code, sends, refreshes, names."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import connection
from pytest_django import Settings

from accounts.enums import Issuer
from accounts.errors import (
    OtpInvalid,
    OtpLocked,
    OtpSendLimit,
    OtpTooSoon,
    PhoneNumberTaken,
    UsernameTaken,
)
from accounts.models import AuthSession, OtpChallenge, RefreshToken, User
from accounts.services import otp, registration, sessions
from accounts.services.registration import Applicant
from marketplace.core.errors import AppError, Unavailable

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.transactions]

PHONE = "+15550100001"


def at_once(*calls: Callable[[], object]) -> list[object]:
    """The results, or the refusals, of calls that start together, each in a thread of its own."""
    barrier = threading.Barrier(len(calls))

    def one(call: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return call()
        except AppError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))


def check(code: str, address: str) -> object:
    return otp.sign_in_with_code(
        phone_number=PHONE, code=code, issuer=Issuer.MARKETPLACE, address=address
    )


class TestParallelChecks:
    def test_give_one_session_for_the_right_code(self, buyer: User) -> None:
        otp.request_code(phone_number=PHONE, address="a")
        code = otp.code_of(OtpChallenge.objects.get())

        results = at_once(*(partial(check, code, f"a{n}") for n in range(8)))

        pairs = [one for one in results if isinstance(one, sessions.TokenPair)]
        refused = [one for one in results if not isinstance(one, sessions.TokenPair)]
        assert len(pairs) == 1
        assert {type(one) for one in refused} <= {OtpInvalid, OtpLocked, Unavailable}
        assert AuthSession.objects.count() == 1

    def test_evaluate_five_at_most(self, buyer: User, monkeypatch: pytest.MonkeyPatch) -> None:
        otp.request_code(phone_number=PHONE, address="a")
        challenge = OtpChallenge.objects.get()
        code = otp.code_of(challenge)
        wrong = str((int(code) + 1) % 1_000_000).zfill(6)
        evaluated = []
        compare = otp._is_right

        def counted(challenge: OtpChallenge | None, guess: str) -> bool:
            if challenge is not None:
                evaluated.append(guess)
            return compare(challenge, guess)

        monkeypatch.setattr(otp, "_is_right", counted)
        guesses = [wrong] * 11 + [code]

        results = at_once(*(partial(check, guess, f"a{n}") for n, guess in enumerate(guesses)))

        assert len(evaluated) <= 5
        assert sum(isinstance(one, sessions.TokenPair) for one in results) <= 1
        challenge.refresh_from_db()
        assert challenge.attempts_left == 5 - len(evaluated)


class TestParallelSends:
    def test_send_one_code(self, buyer: User) -> None:
        def ask() -> object:
            otp.request_code(phone_number=PHONE, address="a")
            return "sent"

        results = at_once(*[ask] * 6)

        assert results.count("sent") == 1
        assert {type(one) for one in results} <= {str, OtpTooSoon, Unavailable}
        assert OtpChallenge.objects.count() == 1

    def test_stay_under_the_limit_of_the_address(self, db: None, settings: Settings) -> None:
        settings.LIMITS = {
            **settings.LIMITS,
            "otp_send": [(5, 3600), (10, 86400), (3, 3600), (100, 3600), (5000, 86400)],
        }

        def ask(number: int) -> object:
            otp.request_code(phone_number=f"+1555010000{number}", address="a")
            return "sent"

        results = at_once(*(partial(ask, number) for number in range(7)))

        assert OtpChallenge.objects.count() == 3
        assert results.count("sent") == 3
        assert {type(one) for one in results} == {str, OtpSendLimit}


class TestParallelRefreshes:
    def test_give_one_living_successor(self, buyer: User) -> None:
        first = sessions.start_session(user=buyer, issuer=Issuer.MARKETPLACE)
        token = first.refresh_token
        assert token is not None

        results = at_once(*[lambda: sessions.refresh(token=token)] * 8)

        given = {
            (one.access_token, one.refresh_token)
            for one in results
            if isinstance(one, sessions.TokenPair)
        }
        assert len(given) == 1
        assert {type(one) for one in results} <= {sessions.TokenPair, Unavailable}
        assert RefreshToken.objects.filter(used_at__isnull=True).count() == 1

    def test_lose_against_a_logout(self, buyer: User) -> None:
        first = sessions.start_session(user=buyer, issuer=Issuer.MARKETPLACE)
        token = first.refresh_token
        assert token is not None

        at_once(
            lambda: sessions.refresh(token=token),
            lambda: sessions.end_session(session_id=first.session.pk),
        )

        assert AuthSession.objects.get().ended_at is not None


class TestParallelRegistrations:
    def test_make_one_user(self, db: None) -> None:
        applicant = Applicant(username="Asha", phone_number=PHONE)

        results = at_once(*[lambda: registration.register(applicant=applicant)] * 6)

        assert sum(isinstance(one, User) for one in results) == 1
        assert {type(one) for one in results} <= {
            User,
            UsernameTaken,
            PhoneNumberTaken,
            Unavailable,
        }
        assert User.objects.count() == 1
        assert OtpChallenge.objects.count() == 1
