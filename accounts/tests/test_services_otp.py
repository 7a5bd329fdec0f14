"""One-time codes: OTP1-OTP5, OTP7, OTP9, OTP11 of the threat model."""

import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.enums import Issuer
from accounts.errors import OtpInvalid, OtpLocked, OtpSendLimit, OtpTooSoon
from accounts.models import AuthSession, Guard, OtpChallenge, OtpCheck, User
from accounts.services import otp
from accounts.services.sessions import TokenPair
from marketplace.core.errors import AppError, RateLimited
from marketplace.core.jobs import run_due_jobs
from marketplace.core.models import Job

ASHA = "+15550100001"
NOBODY = "+15550109999"
ADDRESS = "198.51.100.7"
AT = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)

Messages = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(AT, tick=False) as coordinates:
        yield coordinates


@pytest.fixture
def asha(buyer: User) -> User:
    return buyer


def ask(phone: str = ASHA, address: str = ADDRESS) -> OtpChallenge:
    otp.request_code(phone_number=phone, address=address)
    newest = OtpChallenge.objects.filter(phone_number=phone).order_by("-created_at", "-pk").first()
    assert newest is not None
    return newest


def check(code: str, phone: str = ASHA, address: str = ADDRESS) -> TokenPair:
    return otp.sign_in_with_code(
        phone_number=phone, code=code, issuer=Issuer.MARKETPLACE, address=address
    )


def refusal(code: str, phone: str = ASHA, address: str = ADDRESS) -> AppError | None:
    try:
        check(code, phone, address)
    except AppError as error:
        return error
    return None


def wrong(challenge: OtpChallenge) -> str:
    return str((int(otp.code_of(challenge)) + 1) % 1_000_000).zfill(6)


def guess_wrong(challenge: OtpChallenge, times: int = 5) -> None:
    for _ in range(times):
        with pytest.raises(OtpInvalid):
            check(wrong(challenge), challenge.phone_number)


@pytest.mark.django_db
class TestCode:
    def test_is_the_hotp_truncation_of_the_challenge_id(
        self, settings: Settings, asha: User
    ) -> None:
        settings.OTP_KEY = "a key for codes alone"
        challenge = ask()

        digest = hmac.new(b"a key for codes alone", challenge.id.bytes, hashlib.sha256).digest()
        offset = digest[31] & 15
        number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
        assert otp.code_of(challenge) == f"{number % 1_000_000:06d}"

    def test_changes_with_the_key(self, settings: Settings, asha: User) -> None:
        challenge = ask()
        settings.OTP_KEY = "one"
        first = [otp.code_of(OtpChallenge(id=challenge.id)), otp.code_of(OtpChallenge())]
        settings.OTP_KEY = "two"

        assert otp.code_of(OtpChallenge(id=challenge.id)) != first[0]

    def test_opens_a_session_once(self, asha: User, clock: time_machine.Traveller) -> None:
        code = otp.code_of(ask())

        pair = check(code)

        assert pair.user == asha
        asha.refresh_from_db()
        assert (asha.phone_verified_at, asha.last_login) == (AT, AT)
        assert isinstance(refusal(code), OtpInvalid)
        assert AuthSession.objects.count() == 1

    def test_counts_no_check_of_a_used_code(self, asha: User) -> None:
        code = otp.code_of(ask())
        check(code)

        for _ in range(6):
            assert isinstance(refusal(code), OtpInvalid)

    def test_ends_after_ten_minutes(self, asha: User, clock: time_machine.Traveller) -> None:
        code = otp.code_of(ask())
        clock.shift(600)

        assert isinstance(refusal(code), OtpInvalid)

    def test_lives_until_then(self, asha: User, clock: time_machine.Traveller) -> None:
        code = otp.code_of(ask())
        clock.shift(599)

        assert check(code).user == asha

    def test_dies_with_the_next_one(self, asha: User, clock: time_machine.Traveller) -> None:
        old = otp.code_of(ask())
        clock.shift(30)
        new = otp.code_of(ask())

        assert isinstance(refusal(old), OtpInvalid)
        assert check(new).user == asha

    def test_opens_no_other_phone(self, asha: User, seller: User) -> None:
        assert seller.phone_number
        ask(seller.phone_number)
        code = otp.code_of(ask())

        assert isinstance(refusal(code, seller.phone_number), OtpInvalid)

    def test_fails_for_a_user_who_was_deactivated_since(self, asha: User) -> None:
        code = otp.code_of(ask())
        User.objects.filter(pk=asha.pk).update(is_active=False)

        assert isinstance(refusal(code), OtpInvalid)

    def test_of_a_phone_that_belongs_to_nobody_is_never_right(self, db: None) -> None:
        assert isinstance(refusal(otp.code_of(ask(NOBODY)), NOBODY), OtpInvalid)


@pytest.mark.django_db
class TestFiveChecks:
    def test_lock_the_phone_also_for_the_right_code(self, asha: User) -> None:
        challenge = ask()
        guess_wrong(challenge)

        assert isinstance(refusal(otp.code_of(challenge)), OtpLocked)
        assert AuthSession.objects.count() == 0

    def test_let_the_fifth_be_right(self, asha: User) -> None:
        challenge = ask()
        guess_wrong(challenge, 4)

        assert check(otp.code_of(challenge)).user == asha

    def test_keep_the_lock_until_the_guessed_code_would_have_ended(
        self, asha: User, clock: time_machine.Traveller
    ) -> None:
        guess_wrong(ask())
        clock.shift(590)
        newer = otp.code_of(ask())

        locked = refusal(newer)
        assert isinstance(locked, OtpLocked)
        assert locked.details == {"retry_after": 10}
        clock.shift(10)
        assert check(newer).user == asha

    def test_are_five_again_for_a_newer_code(
        self, asha: User, clock: time_machine.Traveller
    ) -> None:
        guess_wrong(ask(), 4)
        clock.shift(30)
        newer = ask()
        guess_wrong(newer, 4)

        assert check(otp.code_of(newer)).user == asha

    def test_a_hundred_failures_in_a_row_lock_until_another_proof(
        self, asha: User, clock: time_machine.Traveller
    ) -> None:
        challenge = ask()
        Guard.objects.filter(key=f"phone:{ASHA}").update(failures=99)
        guess_wrong(challenge, 1)
        clock.shift(3600)
        later = otp.code_of(ask())

        assert isinstance(refusal(later), OtpLocked)
        otp.lift_lock(phone_number=ASHA)
        assert check(later).user == asha

    def test_a_right_code_ends_the_row(self, asha: User) -> None:
        challenge = ask()
        guess_wrong(challenge, 3)

        check(otp.code_of(challenge))

        assert Guard.objects.get(key=f"phone:{ASHA}").failures == 0


@pytest.mark.django_db
class TestBetweenCheckAndUse:
    """Each step holds alone, whatever another request did since the one before it."""

    def test_an_exhausted_code_gives_no_attempt(self, asha: User) -> None:
        challenge = ask()
        OtpChallenge.objects.filter(pk=challenge.pk).update(attempts_left=0)

        assert otp._take_one(challenge, at=challenge.created_at) is False

    @pytest.mark.parametrize("column", ["consumed_at", "replaced_at"])
    def test_a_code_that_is_gone_by_now_opens_nothing(self, asha: User, column: str) -> None:
        challenge = ask()
        attempt = otp._take_attempt(phone_number=ASHA, address=ADDRESS)
        OtpChallenge.objects.filter(pk=challenge.pk).update(**{column: challenge.created_at})

        with pytest.raises(OtpInvalid):
            otp._accept(attempt=attempt, issuer=Issuer.MARKETPLACE, address=ADDRESS, user_agent="")
        assert AuthSession.objects.count() == 0

    def test_a_phone_of_nobody_opens_nothing_even_with_its_code(self, db: None) -> None:
        challenge = ask(NOBODY)

        assert otp._is_right(challenge, otp.code_of(challenge)) is False


@pytest.mark.django_db
class TestSendLimits:
    def test_growing_waits(self, asha: User, clock: time_machine.Traveller) -> None:
        for wait in (30, 60, 120, 240):
            ask()
            clock.shift(wait - 1)
            with pytest.raises(OtpTooSoon) as refused:
                ask()
            assert refused.value.details == {"retry_after": 1}
            clock.shift(1)
        ask()

        assert OtpChallenge.objects.count() == 5

    def test_five_in_an_hour(self, asha: User, clock: time_machine.Traveller) -> None:
        for _ in range(5):
            ask()
            clock.shift(300)

        with pytest.raises(OtpSendLimit) as refused:
            ask()
        assert refused.value.details == {"retry_after": 3600 - 1500}

    def test_ten_in_a_day(self, asha: User, clock: time_machine.Traveller) -> None:
        for _ in range(10):
            ask()
            clock.shift(3600)

        with pytest.raises(OtpSendLimit) as refused:
            ask()
        assert refused.value.details == {"retry_after": 86_400 - 36_000}

    def test_twenty_from_an_address(self, db: None) -> None:
        for number in range(20):
            ask(f"+1555{number:03d}0000")

        with pytest.raises(OtpSendLimit):
            ask(NOBODY)
        ask(NOBODY, address="198.51.100.8")

    def test_a_pumped_prefix_is_answered_and_not_sent(
        self, settings: Settings, asha: User, seller: User, sms: Messages
    ) -> None:
        settings.LIMITS = {
            **settings.LIMITS,
            "otp_send": [(5, 3600), (10, 86400), (0, 1), (3, 3600), (0, 1)],
        }
        for number in range(3):
            ask(f"+1555010900{number}")

        assert ask().withheld is True
        run_due_jobs()
        assert sms() == []
        assert ask("+15550200001").withheld is False

    def test_a_withheld_code_leaves_the_last_one_good(
        self, settings: Settings, asha: User, clock: time_machine.Traveller
    ) -> None:
        code = otp.code_of(ask())
        clock.shift(30)
        settings.SMS_COUNTRIES = ["44"]

        assert ask().withheld is True
        assert check(code).user == asha

    def test_an_open_country_is_sent_to(
        self, settings: Settings, asha: User, sms: Messages
    ) -> None:
        settings.SMS_COUNTRIES = ["44", "1"]
        ask()
        run_due_jobs()

        assert [message["to"] for message in sms()] == [ASHA]

    def test_no_waits_where_they_are_switched_off(self, settings: Settings, asha: User) -> None:
        settings.OTP_RESEND_WAITS_S = [0]
        ask()

        assert ask().withheld is False


@pytest.mark.django_db
class TestCheckLimits:
    def test_a_spray_over_many_phones_is_cut_at_fifty(self, db: None) -> None:
        outcomes = [type(refusal("000000", f"+1555{number:07d}")) for number in range(60)]

        assert outcomes == [OtpInvalid] * 50 + [RateLimited] * 10

    def test_sixty_in_an_hour(self, db: None, clock: time_machine.Traveller) -> None:
        for number in range(60):
            assert isinstance(refusal("000000", f"+1555{number % 12:07d}"), OtpInvalid)

        refused = refusal("000000")
        assert isinstance(refused, RateLimited)
        assert refused.details == {"retry_after": 3600}
        clock.shift(3600)
        assert isinstance(refusal("000000"), OtpInvalid)

    def test_do_not_reach_another_address(self, asha: User) -> None:
        for number in range(50):
            refusal("000000", f"+1555{number:07d}")

        code = otp.code_of(ask(address="203.0.113.9"))
        assert check(code, address="203.0.113.9").user == asha

    def test_right_codes_are_no_spray(self, asha: User) -> None:
        check(otp.code_of(ask()))

        assert list(OtpCheck.objects.values_list("failed", flat=True)) == [False]


@pytest.mark.django_db
class TestEnumeration:
    def test_unknown_phones_meet_the_same_limits(
        self, asha: User, clock: time_machine.Traveller
    ) -> None:
        def walk(phone: str) -> list[str]:
            seen = []
            challenge = ask(phone)
            for step in range(8):
                error = refusal(wrong(challenge), phone, "203.0.113.9")
                seen.append(f"{type(error).__name__} {error.details if error else None}")
                try:
                    otp.request_code(phone_number=phone, address=f"198.51.100.{step}")
                    seen.append("sent")
                except AppError as error:
                    seen.append(f"{type(error).__name__} {error.details}")
                clock.shift(20)
            return seen

        start = AT + timedelta(days=1)
        clock.move_to(start)
        known = walk(ASHA)
        clock.move_to(start)
        assert walk(NOBODY) == known

    def test_both_cost_the_same_queries_and_a_job(self, asha: User) -> None:
        ask("+15550109998")  # makes the guards of address and prefix
        counts = []
        for phone in (ASHA, NOBODY):
            with CaptureQueriesContext(connection) as queries:
                ask(phone)
            with CaptureQueriesContext(connection) as more:
                refusal("x", phone)
            counts.append((len(queries), len(more)))

        assert counts[0] == counts[1]
        assert Job.objects.filter(name="send_sms").count() == 3

    def test_nothing_is_sent_to_a_phone_of_nobody(self, sms: Messages) -> None:
        ask(NOBODY)

        assert run_due_jobs() == 1
        assert sms() == []


@pytest.mark.django_db
class TestSendCode:
    def test_hands_the_code_to_the_provider(
        self, asha: User, sms: Messages, clock: time_machine.Traveller
    ) -> None:
        challenge = ask()
        run_due_jobs()

        assert sms() == [
            {
                "at": "2026-01-10T12:00:00.000Z",
                "to": ASHA,
                "body": f"{otp.code_of(challenge)} is your Marketplace code. "
                "It is good for 10 minutes.",
            }
        ]

    def test_sends_the_same_code_when_it_runs_twice(self, asha: User, sms: Messages) -> None:
        challenge = ask()

        assert otp.send_code(challenge_id=challenge.pk) is True
        assert otp.send_code(challenge_id=challenge.pk) is True
        first, second = sms()
        assert first["body"] == second["body"]

    def test_sends_nothing_for_a_used_code(self, asha: User, sms: Messages) -> None:
        challenge = ask()
        check(otp.code_of(challenge))

        assert otp.send_code(challenge_id=challenge.pk) is False
        assert sms() == []

    def test_leaves_the_code_in_no_row_and_no_log(
        self, asha: User, sms: Messages, caplog: pytest.LogCaptureFixture, capsys: Any
    ) -> None:
        caplog.set_level(logging.DEBUG)
        challenge = ask()
        guess_wrong(challenge, 1)
        run_due_jobs()
        code = otp.code_of(challenge)
        assert code in sms()[0]["body"]

        check(code)

        rows = [
            json.dumps(row, default=str)
            for model in apps.get_models()
            if model._meta.managed and model._meta.app_label != "sessions"
            for row in model._default_manager.order_by("pk").values()
        ]
        printed = capsys.readouterr()
        # Digits stand in ids and times as well: a code counts only where it stands alone.
        alone = [
            text for text in [*rows, caplog.text, printed.out, printed.err] if _alone(code, text)
        ]
        assert alone == []
        assert [job.arguments for job in Job.objects.order_by("pk")] == [
            {"challenge_id": str(challenge.pk)}
        ]


def _alone(code: str, text: str) -> bool:
    before, found, after = text.partition(code)
    return bool(found) and not before[-1:].isalnum() and not after[:1].isalnum()


@pytest.mark.django_db
class TestPurge:
    def test_keeps_what_a_limit_may_ask_for(
        self, asha: User, clock: time_machine.Traveller
    ) -> None:
        ask()
        refusal("000000")
        clock.shift(86_400)

        assert otp.purge_expired(before=AT) == 0
        assert otp.purge_expired(before=AT + timedelta(seconds=1)) == 4
        assert Guard.objects.filter(key=f"phone:{ASHA}", failures=1).exists()
