"""What staff see of dialogues and notifications, at what cost."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from chat.models import Member
from chat.services.notifications import notify
from chat.services.rooms import open_direct_room
from chat.tests.factories import make_people, make_talk, talk

pytestmark = pytest.mark.django_db

MOST_QUERIES = 15


@pytest.fixture
def staff(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client


def page(client: Client, table: str, key: object = None, **query: str) -> str:
    kind, arguments = ("changelist", []) if key is None else ("change", [key])
    answer = client.get(reverse(f"admin:chat_{table}_{kind}", args=arguments), query)
    assert answer.status_code == 200, answer
    return answer.content.decode()


class TestMembers:
    def test_show_the_dialogue_that_is_open(self, staff: Client, buyer: User) -> None:
        room = make_talk(buyer)
        talk(room, buyer, "@createshop")

        member = Member.objects.get(room=room)
        assert "@createshop: name" in page(staff, "member")
        assert "@createshop: name" in page(staff, "member", member.id)
        assert "@createshop" in page(staff, "member", wizard_open__exact="1")

    def test_do_not_show_what_was_answered(self, staff: Client, buyer: User, seller: User) -> None:
        room, _ = open_direct_room(actor=buyer, other=seller)
        talk(room, buyer, "@createshop", "Secret plan")

        member = Member.objects.get(room=room, user=buyer)
        shown = page(staff, "member", member.id)
        assert "@createshop: location" in shown
        assert "Secret plan" not in shown


class TestNotifications:
    def test_are_listed_and_found(self, staff: Client, buyer: User, seller: User) -> None:
        notify(user_ids=[buyer.public_id], type="system", title="To Asha", key="1")
        notify(user_ids=[seller.public_id], type="order_updated", title="To Bruno", key="1")

        assert "To Asha" in page(staff, "notification", q="asha@example.com")
        assert "To Bruno" not in page(staff, "notification", q=buyer.public_id)
        assert "To Asha" not in page(staff, "notification", type__exact="order_updated")
        [row] = buyer.notifications.all()
        assert "To Asha" in page(staff, "notification", row.id)

    def test_cost_the_same_however_many(self, staff: Client) -> None:
        def count() -> int:
            with CaptureQueriesContext(connection) as captured:
                page(staff, "notification")
            return len(captured.captured_queries)

        people = [user.public_id for user in make_people(13)]
        notify(user_ids=people[:1], type="system", title="x", key="1")
        few = count()
        notify(user_ids=people, type="system", title="x", key="2")

        assert few == count() <= MOST_QUERIES
