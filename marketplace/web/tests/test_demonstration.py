"""`manage.py demo`."""

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts.models import User
from chat.models import Member, Message, Room
from marketplace.events.models import Event, TopicHead
from marketplace.management.commands import demo as command
from marketplace.web import demonstration
from marketplace.web.demonstration import Step, steps

pytestmark = pytest.mark.django_db


def run(**options: Any) -> str:
    out = io.StringIO()
    call_command("demo", stdout=out, **options)
    return out.getvalue()


def everything() -> dict[str, int]:
    return {
        model.__name__: model.objects.count()
        for model in (User, Room, Member, Message, Event, TopicHead)
    }


class TestDemo:
    def test_makes_the_five_people(self) -> None:
        run()

        people = User.objects.order_by("phone_number").values_list(
            "username", "email", "phone_number", "role", "side"
        )
        assert list(people) == [
            ("asha", "asha@example.com", "+15550100001", "user", "buyer"),
            ("bruno", "bruno@example.com", "+15550100002", "user", "seller"),
            ("chiara", "chiara@example.com", "+15550100003", "employee", ""),
            ("dmitri", "dmitri@example.com", "+15550100004", "courier", ""),
            ("edith", "edith@example.com", "+15550100005", "admin", ""),
        ]
        assert all(user.check_password("Password123!") for user in User.objects.order_by("pk"))

    def test_lets_only_the_admin_do_everything(self) -> None:
        run()

        assert [
            (user.username, user.is_staff, user.is_superuser)
            for user in User.objects.filter(is_staff=True).order_by("username")
        ] == [("chiara", True, False), ("edith", True, True)]

    def test_makes_their_rooms_with_messages(self) -> None:
        run()

        kinds = list(Room.objects.order_by("kind").values_list("kind", flat=True))
        assert kinds == ["assistant"] * 5 + ["direct", "group"]
        direct = Room.objects.get(kind="direct")
        assert [m.number for m in Message.objects.filter(room=direct).order_by("number")] == [
            1,
            2,
            3,
            4,
        ]
        team = Room.objects.get(kind="group")
        assert team.title == "Corner Lamp team"
        members = Member.objects.filter(room=team).order_by("user__username")
        assert [m.user.username for m in members.select_related("user")] == [
            "bruno",
            "chiara",
            "dmitri",
        ]

    def test_gives_everybody_a_topic(self) -> None:
        run()

        for user in User.objects.order_by("pk"):
            assert TopicHead.objects.filter(topic=f"user:{user.public_id}").exists()

    def test_changes_nothing_the_second_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        run()
        before = everything()
        monkeypatch.setattr(demonstration, "make_password", None)  # no hash is made again

        run()

        assert everything() == before

    def test_completes_what_was_stopped_half_way(self) -> None:
        for step in list(steps())[:3]:
            step.work()

        run()

        assert User.objects.count() == 5
        assert Room.objects.count() == 7

    def test_keeps_somebody_who_took_a_phone_before(self) -> None:
        taken = User.objects.create(phone_number="+15550100001", name="Early")
        TopicHead.objects.create(topic=taken.topic, epoch="1")

        run()

        assert User.objects.get(phone_number="+15550100001").pk == taken.pk

    def test_prints_accounts_and_addresses(self, settings: Settings) -> None:
        settings.PUBLIC_URL = "http://localhost:8000"

        told = run()

        assert "asha     buyer      +15550100001   asha@example.com" in told
        assert "password of all: Password123!" in told
        assert "http://localhost:8000/demo/inbox" in told

    def test_can_be_silent(self) -> None:
        assert run(silent=True) == ""

    def test_is_refused_in_production(self, settings: Settings) -> None:
        settings.PROFILE = "production"

        with pytest.raises(CommandError, match="not made in production"):
            run()

        assert User.objects.count() == 0

    def test_stops_cleanly_on_ctrl_c(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt() -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(command, "steps", lambda: [Step("Interrupted", interrupt)])
        err = io.StringIO()

        with pytest.raises(SystemExit) as stopped:
            call_command("demo", stderr=err)

        assert stopped.value.code == 130
        assert "Stopped." in err.getvalue()
