"""People are told each thing once, and hear of it on their own topic."""

import pytest

from accounts.models import User
from chat.models import Notification
from chat.services.notifications import NewNotification, notify, notify_all
from marketplace.core.clock import now
from marketplace.core.db import IntegrityError, atomic
from marketplace.events.models import Event
from marketplace.tests.cast import assert_events, assert_queries
from marketplace.tests.sockets import Sockets, in_thread
from marketplace.tests.threads import together


def tell(*users: User, key: str = "k", **more: str) -> list[Notification]:
    return notify(
        user_ids=[user.public_id for user in users],
        type="delivery_updated",
        title="Delivery",
        key=key,
        **more,  # type: ignore[arg-type]  # only a body
    )


@pytest.mark.django_db
class TestNotify:
    def test_stores_and_tells(self, buyer: User) -> None:
        with assert_events((buyer.topic, "notification.created")):
            [told] = notify(
                user_ids=[buyer.public_id],
                type="delivery_updated",
                title="Delivery",
                body="It comes.",
                data={"delivery_id": "d"},
                key="k",
            )

        row = Notification.objects.get()
        assert (row.id, row.user_id, row.read_at) == (told.id, buyer.pk, None)
        event = Event.objects.get(name="notification.created")
        assert event.payload == {
            "id": str(row.id),
            "type": "delivery_updated",
            "title": "Delivery",
            "body": "It comes.",
            "data": {"delivery_id": "d"},
            "read_at": None,
            "created_at": event.payload["created_at"],
            "unread_count": 1,
        }

    def test_tells_each_once(self, buyer: User, seller: User) -> None:
        tell(buyer)

        with assert_events((seller.topic, "notification.created")):
            told = tell(buyer, seller, seller)

        assert [one.user_id for one in told] == [seller.pk]
        assert Notification.objects.count() == 2

    def test_counts_what_is_unread(self, buyer: User, seller: User) -> None:
        tell(buyer, key="1")
        Notification.objects.update(read_at=now())
        tell(seller, key="1")

        notify_all(
            [
                NewNotification(user.public_id, "system", "x", key=key)
                for user, key in ((buyer, "2"), (seller, "2"), (buyer, "3"))
            ]
        )

        events = Event.objects.filter(name="notification.created")
        counts = {
            user.username: [
                one.payload["unread_count"]
                for one in events.filter(topic=user.topic).order_by("seq")
            ]
            for user in (buyer, seller)
        }
        assert counts == {"asha": [1, 1, 2], "bruno": [1, 2]}

    def test_passes_over_nobody_and_those_who_are_inactive(self, buyer: User) -> None:
        User.objects.filter(pk=buyer.pk).update(is_active=False)

        with assert_events():
            assert (
                notify(user_ids=["nobody", buyer.public_id], type="system", title="x", key="k")
                == []
            )
            assert notify_all([]) == []

        assert not Notification.objects.exists()

    def test_tells_many_in_as_many_queries_as_one(self, buyer: User, seller: User) -> None:
        with assert_queries(9):
            notify_all(
                [
                    NewNotification(user.public_id, "system", "x", key=str(key))
                    for user in (buyer, seller)
                    for key in range(50)
                ]
            )
        assert Notification.objects.count() == 100


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_tells_once(self, buyer: User) -> None:
        told = together(*[lambda: tell(buyer)] * 4)

        assert sorted(len(one) for one in told) == [0, 0, 0, 1]
        assert Notification.objects.count() == 1
        assert Event.objects.filter(name="notification.created").count() == 1

    @pytest.mark.transactions
    def test_leaves_it_to_the_caller_where_that_has_a_transaction(
        self, buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from chat.services import notifications

        tell(buyer)
        monkeypatch.setattr(notifications, "_unknown", lambda wanted, people: wanted)

        with pytest.raises(IntegrityError), atomic():
            tell(buyer)

        assert Notification.objects.count() == 1


@pytest.mark.django_db(transaction=True)
class TestPush:
    async def test_speaks_as_each_topic_does(self, sockets: Sockets, buyer: User) -> None:
        plain = await sockets.plain(buyer)
        phoenix = await sockets.phoenix(buyer)
        await plain.join("user:me")
        await phoenix.join(f"notification:{buyer.public_id}")

        [row] = await in_thread(
            notify,
            user_ids=[buyer.public_id],
            type="invite_received",
            title="Group invitation",
            body="Come.",
            data={"group_id": "g", "actor_id": "a"},
            key="k",
        )

        told = await plain.event("notification")
        assert (told["_id"], told["title"], told["unread_count"]) == (
            str(row.id),
            "Group invitation",
            1,
        )
        told = (await phoenix.event("send_notification")).payload
        assert {"id", "type", "title", "body", "metadata", "read", "event_id"} <= set(told)
        assert (told["read"], told["unread_count"]) == (False, 1)
        assert told["metadata"] == {
            "group_id": "g",
            "actor_id": "a",
            "reference_id": "g",
            "reference_type": "group",
            "inserted_at": told["metadata"]["inserted_at"],
        }

    async def test_is_read_again_from_the_log(self, sockets: Sockets, buyer: User) -> None:
        await in_thread(tell, buyer)
        plain = await sockets.plain(buyer)

        answer = await plain.join("user:me", since=0)

        assert [one["event"] for one in answer["missed"]] == ["notification"]
