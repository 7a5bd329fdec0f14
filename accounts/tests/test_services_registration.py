"""Registration and staff: who may become what, under which names."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts.errors import (
    EmailTaken,
    OtpSendLimit,
    PhoneNumberTaken,
    RoleNotAllowed,
    UsernameTaken,
)
from accounts.models import OtpChallenge, User
from accounts.services import otp, registration
from accounts.services.registration import Applicant
from marketplace.core.errors import ValidationFailed
from marketplace.core.jobs import run_due_jobs
from marketplace.events.models import AuditEntry, TopicHead

pytestmark = pytest.mark.django_db

PHONE = "+15550107777"


def register(**fields: Any) -> User:
    return registration.register(applicant=Applicant(**fields), address="198.51.100.7")


class TestRegister:
    def test_makes_a_user_with_a_topic_and_a_code(
        self, sms: Callable[[], list[dict[str, Any]]]
    ) -> None:
        user = register(username="Asha", phone_number=PHONE)
        run_due_jobs()

        assert (user.username, user.username_key, user.wire_role) == ("Asha", "asha", "user")
        assert user.has_usable_password() is False
        assert TopicHead.objects.get().topic == f"user:{user.public_id}"
        assert [message["to"] for message in sms()] == [PHONE]

    def test_lets_the_next_code_be_asked_for_at_once(self) -> None:
        register(phone_number=PHONE)

        otp.request_code(phone_number=PHONE, address="198.51.100.7")

        assert OtpChallenge.objects.count() == 2

    def test_stands_where_the_code_is_over_a_limit(self) -> None:
        otp.request_code(phone_number=PHONE, address="a")
        OtpChallenge.objects.bulk_create(
            OtpChallenge(
                phone_number=PHONE,
                purpose="sign_in",
                attempts_left=5,
                expires_at=OtpChallenge.objects.get().expires_at,
                prefix="x",
            )
            for _ in range(4)
        )

        user = register(phone_number=PHONE)

        assert OtpChallenge.objects.get(user=user).withheld is True
        with pytest.raises(OtpSendLimit):
            otp.request_code(phone_number=PHONE, address="a")

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"username": "ASHA", "phone_number": PHONE}, UsernameTaken),
            ({"phone_number": "+15550100001"}, PhoneNumberTaken),
            ({"email": "asha@example.com", "password": "12"}, EmailTaken),
        ],
    )
    def test_refuses_names_that_are_taken_before_it_looks_at_the_password(
        self, buyer: User, fields: dict[str, str], error: type[Exception]
    ) -> None:
        with pytest.raises(error) as refused:
            register(**fields)

        assert refused.value.details["field"] in fields  # type: ignore[attr-defined]
        assert User.objects.count() == 1
        assert OtpChallenge.objects.count() == 0

    @pytest.mark.parametrize(
        "password", ["short1!", "password", "Password1", "9482736451", "x" * 129, "x" * 1_000_000]
    )
    def test_refuses_weak_passwords(self, password: str) -> None:
        with pytest.raises(ValidationFailed) as refused:
            register(email="new@example.com", password=password)

        assert list(refused.value.details["fields"]) == ["password"]
        assert User.objects.count() == 0

    @pytest.mark.parametrize("password", ["Password123!", "correct horse", "x" * 128])
    def test_takes_good_ones(self, password: str) -> None:
        user = register(email="new@example.com", password=password)

        assert user.check_password(password)
        assert user.password.startswith("bcrypt_sha256$")

    @pytest.mark.parametrize(
        ("fields", "missing"),
        [
            ({}, "phone_number"),
            ({"username": "asha"}, "phone_number"),
            ({"email": "a@b.co"}, "password"),
        ],
    )
    def test_needs_a_phone_or_an_address_with_password(
        self, fields: dict[str, str], missing: str
    ) -> None:
        with pytest.raises(ValidationFailed) as refused:
            register(**fields)

        assert refused.value.details == {"fields": {missing: ["This field is required."]}}

    @pytest.mark.parametrize(
        ("word", "role", "shown"),
        [
            ("buyer", "user", "buyer"),
            ("seller", "user", "seller"),
            ("enterprise", "user", "seller"),
            ("customer", "user", "user"),
            ("client", "user", "user"),
            ("agent", "employee", "employee"),
            ("delivery_person", "courier", "courier"),
            ("admin", "admin", "admin"),
        ],
    )
    def test_reads_every_word_for_a_role(self, word: str, role: str, shown: str) -> None:
        user = register(phone_number=PHONE, role=word)

        assert (user.role, user.wire_role) == (role, shown)
        assert not user.is_staff
        assert not user.is_superuser

    @pytest.mark.parametrize("word", ["employee", "agent", "courier", "driver", "admin"])
    def test_gives_no_privileged_role_where_that_is_closed(
        self, settings: Settings, word: str
    ) -> None:
        settings.ALLOW_PRIVILEGED_SIGNUP = False

        with pytest.raises(RoleNotAllowed):
            register(phone_number=PHONE, role=word)
        assert User.objects.count() == 0


class TestCreateStaff:
    def run(self, **options: str) -> dict[str, Any]:
        out = io.StringIO()
        given = {
            "role": "admin",
            "email": "Edith@Example.com",
            "phone": "+1 555 010 0005",
            "password": "Password123!",
            **options,
        }
        call_command(
            "create_staff", *(f"--{key}={value}" for key, value in given.items()), stdout=out
        )
        (line,) = out.getvalue().splitlines()
        parsed: dict[str, Any] = json.loads(line)
        return parsed

    def test_prints_one_line_with_the_id(self) -> None:
        line = self.run()

        user = User.objects.get()
        assert line == {
            "id": user.public_id,
            "email": "edith@example.com",
            "phone_number": "+15550100005",
            "role": "admin",
        }
        assert (user.is_staff, user.is_superuser) == (True, True)
        assert user.check_password("Password123!")
        assert AuditEntry.objects.get().action == "user.staff_created"

    def test_gives_a_courier_no_way_into_the_admin(self) -> None:
        self.run(role="courier")

        assert User.objects.get().is_staff is False

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"email": "edith"}, "--email"),
            ({"phone": "555"}, "--phone"),
            ({"password": "password"}, "validation_failed"),
            ({"role": "user"}, "invalid choice"),
        ],
    )
    def test_names_what_is_wrong(self, options: dict[str, str], text: str) -> None:
        with pytest.raises(CommandError, match=text):
            self.run(**options)
        assert User.objects.count() == 0

    def test_refuses_a_second_one_of_the_same_address(self) -> None:
        self.run()

        with pytest.raises(CommandError, match="email_taken"):
            self.run(phone="+15550100006")
