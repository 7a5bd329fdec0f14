"""The door of the admin: right passwords open it, guesses are counted, nobody locks others out."""

import threading
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.errors import LoginLocked
from accounts.models import PasswordTry, User
from accounts.services import password_tries
from accounts.tests.test_races import at_once
from marketplace.core.clock import now
from marketplace.events.models import AuditEntry
from marketplace.tests.cast import PASSWORD

LOGIN = "/admin/login/"
EDITH = "edith@example.com"


def sign_in(
    password: str = "wrong", *, email: str = EDITH, address: str = "198.51.100.1"
) -> tuple[Client, Any]:
    client = Client(REMOTE_ADDR=address)
    return client, client.post(LOGIN, {"username": email, "password": password})


def fail(times: int, *, email: str = EDITH, address: str = "198.51.100.1") -> None:
    """So many wrong passwords, a second ago."""
    for _ in range(times):
        tried = password_tries.begin_try(identity=email, address=address)
        PasswordTry.objects.filter(pk=tried.pk).update(created_at=now() - timedelta(seconds=1))


@pytest.mark.django_db
class TestSignIn:
    def test_opens_with_the_right_password_and_writes_it_down(self, admin: User) -> None:
        client, answer = sign_in(PASSWORD)

        assert (answer.status_code, answer["Location"]) == (302, "/admin/")
        assert client.get("/admin/").status_code == 200
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.actor_id) == ("admin.signed_in", admin.public_id)
        assert entry.address == "198.51.100.1"
        assert PasswordTry.objects.get().failed is False

    def test_answers_429_after_five_wrong_passwords_also_to_the_right_one(
        self, admin: User
    ) -> None:
        statuses = [sign_in()[1].status_code for _ in range(30)]
        client, answer = sign_in(PASSWORD)

        assert statuses == [200] * 5 + [429] * 25
        assert answer.status_code == 429
        assert 1 <= int(answer["Retry-After"]) <= 900
        assert "Too many wrong passwords" in answer.content.decode()
        assert "_auth_user_id" not in client.session
        assert PasswordTry.objects.count() == 5
        assert AuditEntry.objects.count() == 0

    def test_opens_again_when_the_window_is_over(self, admin: User) -> None:
        fail(5)
        PasswordTry.objects.update(created_at=now() - timedelta(seconds=901))

        assert sign_in(PASSWORD)[1].status_code == 302

    def test_counts_a_password_of_somebody_who_may_not_enter(self, buyer: User) -> None:
        statuses = [sign_in(PASSWORD, email="asha@example.com")[1].status_code for _ in range(6)]

        assert statuses == [200] * 5 + [429]

    def test_knows_an_identity_in_any_case(self, admin: User) -> None:
        fail(5, email=" Edith@EXAMPLE.com")

        assert sign_in(PASSWORD)[1].status_code == 429

    def test_keeps_nothing_that_was_typed(self, admin: User) -> None:
        sign_in(email="my-password-in-the-wrong-field@example.com")

        assert "password" not in PasswordTry.objects.get().identity

    def test_stays_open_where_the_limit_is_off(self, admin: User, settings: Settings) -> None:
        settings.LIMITS = settings.LIMITS | {"login": [(0, 900), (0, 900), (0, 3600)]}
        fail(60)

        assert sign_in(PASSWORD)[1].status_code == 302

    def test_counts_no_empty_form(self, admin: User) -> None:
        assert sign_in("")[1].status_code == 200
        assert PasswordTry.objects.count() == 0


@pytest.mark.django_db
class TestWhoIsLockedOut:
    def test_not_another_address_of_the_same_person(self, admin: User) -> None:
        fail(5)

        assert sign_in(PASSWORD, address="198.51.100.2")[1].status_code == 302

    def test_an_address_that_tries_many_people(self, admin: User) -> None:
        for number in range(50):
            fail(1, email=f"person{number}@example.com")

        assert sign_in(PASSWORD)[1].status_code == 429
        assert sign_in(PASSWORD, address="198.51.100.2")[1].status_code == 302

    def test_an_identity_that_is_tried_from_many_addresses(self, admin: User) -> None:
        for number in range(100):
            fail(1, address=f"203.0.113.{number}")

        with pytest.raises(LoginLocked) as refusal:
            password_tries.begin_try(identity=EDITH, address="203.0.113.200")
        assert 3500 <= refusal.value.retry_after <= 3600

    def test_not_the_person_at_home(self, admin: User) -> None:
        home = "198.51.100.7"
        assert sign_in(PASSWORD, address=home)[1].status_code == 302
        for number in range(100):
            fail(1, address=f"203.0.113.{number}")

        assert sign_in(PASSWORD, address=home)[1].status_code == 302

    def test_not_by_the_failures_at_home(self, admin: User, settings: Settings) -> None:
        settings.LIMITS = settings.LIMITS | {"login": [(5, 900), (50, 900), (3, 3600)]}
        home = "198.51.100.7"
        assert sign_in(PASSWORD, address=home)[1].status_code == 302
        fail(4, address=home)

        assert sign_in(PASSWORD, address="198.51.100.8")[1].status_code == 302

    def test_who_was_at_home_a_month_ago(self, admin: User) -> None:
        home = "198.51.100.7"
        sign_in(PASSWORD, address=home)
        PasswordTry.objects.update(created_at=now() - timedelta(days=31))
        for number in range(100):
            fail(1, address=f"203.0.113.{number}")

        assert sign_in(PASSWORD, address=home)[1].status_code == 429


@pytest.mark.django_db(transaction=True)
@pytest.mark.transactions
class TestGuessesAtOnce:
    def test_are_counted_before_any_is_compared(self, admin: User) -> None:
        tries = [
            partial(password_tries.begin_try, identity=EDITH, address="198.51.100.1")
            for _ in range(10)
        ]

        outcomes = at_once(*tries)

        assert sum(isinstance(one, PasswordTry) for one in outcomes) == 5
        assert sum(isinstance(one, LoginLocked) for one in outcomes) == 5
        assert PasswordTry.objects.count() == 5
        assert threading.active_count() < 20


@pytest.mark.django_db
class TestPurge:
    def test_keeps_homes_for_a_month_and_failures_for_two_days(self) -> None:
        at = now()
        for failed, age in [(True, 3), (True, 1), (False, 3), (False, 31)]:
            PasswordTry.objects.create(
                identity="i", failed=failed, created_at=at - timedelta(days=age)
            )

        removed = password_tries.purge_expired(before=at - timedelta(days=2))

        assert removed == 2
        left = PasswordTry.objects.order_by("created_at").values_list("failed", flat=True)
        assert list(left) == [False, True]


@pytest.mark.django_db
class TestAddress:
    @pytest.mark.parametrize("path", ["/admin", "/admin/login", "/admin/chat/room"])
    def test_leads_to_the_page_with_the_slash(self, client: Client, path: str) -> None:
        answer = client.get(path, {"next": "/admin/"})

        assert (answer.status_code, answer["Location"]) == (302, f"{path}/?next=%2Fadmin%2F")

    def test_leads_nowhere_else(self, client: Client) -> None:
        assert client.get("/admin//evil.example")["Location"] == "/admin//evil.example/"
        assert client.get("/administrator").status_code == 404

    def test_serves_the_admin(self, client: Client, admin: User) -> None:
        client.force_login(admin)

        assert client.get("/admin", follow=True).status_code == 200
        assert reverse("admin:login") == LOGIN


@pytest.mark.django_db
class TestAuditOfActions:
    def test_tells_where_the_administrator_sat(self, admin: User, buyer: User) -> None:
        client = Client(REMOTE_ADDR="198.51.100.9")
        client.force_login(admin)
        fields = {"name": "Asha", "username": "asha", "email": "asha@example.com", "side": ""}

        for action in ("deactivate", "reactivate"):
            client.post("/admin/accounts/user/", {"action": action, "_selected_action": [buyer.pk]})
        client.post(f"/admin/accounts/user/{buyer.pk}/change/", fields | {"role": "employee"})

        entries = AuditEntry.objects.order_by("created_at", "id")
        told = {entry.action: entry.address for entry in entries}
        assert set(told) >= {"user.deactivated", "user.activated", "user.role_changed"}
        assert set(told.values()) == {"198.51.100.9"}
