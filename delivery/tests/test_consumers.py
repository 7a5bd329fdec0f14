"""The topic `delivery:` on sockets: who hears it, by which names, in which words."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from accounts.models import User
from delivery.models import Delivery, Location
from delivery.services.assigning import assign_courier
from delivery.services.moves import move_delivery
from delivery.services.tracking import renew_link
from delivery.tests.factories import away, bring, fix, make_delivery, send, set_off
from delivery.tokens import token_of
from marketplace.core.clock import now
from marketplace.core.ids import uuid7
from marketplace.events.models import Event
from marketplace.tests.cast import signed_in
from marketplace.tests.sockets import Closed, PhoenixSocket, PlainSocket, Sockets, in_thread
from shops.models import Shop
from shops.services.members import remove_member
from shops.tests.factories import make_staff

pytestmark = pytest.mark.django_db(transaction=True)

HERE = {"latitude": away(900)[0], "longitude": away(900)[1]}


@pytest.fixture
def moving(shop: Shop, buyer: User, courier: User) -> Delivery:
    return set_off(make_delivery(shop, buyer, courier), ago_s=600)


def held(delivery: Delivery) -> str:
    return f"delivery:token_{token_of(delivery)}"


async def refused(socket: PhoenixSocket, topic: str) -> tuple[str, str]:
    reply = await socket.ask(topic, "phx_join")
    assert reply.payload["status"] == "error"
    response = reply.payload["response"]
    return response["reason"], response["code"]


async def push(socket: PhoenixSocket, topic: str, event: str, payload: Any = None) -> Any:
    return (await socket.ask(topic, event, payload)).payload


class TestJoining:
    async def test_shows_the_delivery_and_then_its_details(
        self, sockets: Sockets, moving: Delivery, buyer: User
    ) -> None:
        await in_thread(send, moving, fix(away(900), now()))
        socket = await sockets.phoenix(buyer)
        topic = f"delivery:delivery_{moving.id}"

        joined = await socket.join(topic)
        details = (await socket.event("delivery_details")).payload

        assert joined["delivery"]["_id"] == str(moving.id)
        assert joined["location"]["latitude"] == HERE["latitude"]
        assert joined["eta"]["distance_m"] == 900.0
        assert set(details) == {
            "delivery", "latest_location", "location_history", "eta_seconds",
        }  # fmt: skip
        assert {
            "_id", "shop_id", "customer_id", "delivery_person_id", "status", "tracking_token",
            "created_at", "updated_at", "delivered_at",
        } <= set(details["delivery"])  # fmt: skip
        assert details["delivery"]["tracking_token"] == token_of(moving)
        [one] = details["location_history"]
        assert {"_id", "delivery_id", "latitude", "longitude", "recorded_at"} <= set(one)
        assert details["eta_seconds"] == 195

    async def test_replays_instead_of_details(
        self, sockets: Sockets, moving: Delivery, buyer: User
    ) -> None:
        socket = await sockets.phoenix(buyer)

        joined = await socket.join(f"delivery:delivery_{moving.id}", since=1)

        [missed] = joined["missed"]
        assert (missed["event"], missed["status"]) == ("status_changed", "in_transit")
        assert await socket.rest() == []

    async def test_hides_the_token_from_the_courier(
        self, sockets: Sockets, moving: Delivery, courier: User
    ) -> None:
        socket = await sockets.plain(courier)

        joined = await socket.join(f"delivery:{moving.id}")

        assert joined["delivery"]["tracking_token"] is None

    async def test_refuses_in_realtime_markets_words(
        self, sockets: Sockets, moving: Delivery, stranger: User, other_courier: User
    ) -> None:
        for user in (stranger, other_courier):
            socket = await sockets.phoenix(user)
            for name in (f"delivery_{moving.id}", f"delivery_{uuid7()}", "delivery_x", "token_x"):
                assert await refused(socket, f"delivery:{name}") == ("delivery_not_found",) * 2
            for name in (str(moving.id), "", "nonsense"):
                found = await refused(socket, f"delivery:{name}")
                assert found == ("invalid_topic", "delivery_not_found")
        guest = await sockets.phoenix(None)
        found = await refused(guest, f"delivery:delivery_{moving.id}")
        assert found == ("unauthorized", "unauthorized")

    async def test_has_urls_of_its_own(
        self, sockets: Sockets, moving: Delivery, buyer: User
    ) -> None:
        own = await sockets.plain(buyer, f"/ws/deliveries/{moving.id}/")
        by_link = await sockets.plain(None, f"/ws/track/{token_of(moving)}/")

        for socket in (own, by_link):
            frame = await socket.hear()
            assert frame["status"] == "ok"
            assert frame["response"]["delivery"]["status"] == "in_transit"
        wrong = await sockets.plain(None, f"/ws/track/{'A' * 32}/")
        assert (await wrong.hear())["error"]["code"] == "delivery_not_found"
        with pytest.raises(Closed) as end:
            await wrong.hear()
        assert end.value.code == 4403


class TestLinks:
    async def test_end_at_once_where_they_are_renewed(
        self, sockets: Sockets, moving: Delivery, seller: User, buyer: User
    ) -> None:
        old = held(moving)
        watcher, page = await sockets.phoenix(None), await sockets.plain(None)
        customer = await sockets.plain(buyer)
        await watcher.join(old)
        await page.join(old)
        await customer.join(f"delivery:{moving.id}")

        renewed = await in_thread(renew_link, actor=seller, delivery_id=moving.id)

        await watcher.event("phx_close")
        assert (await page.event("removed"))["topic"] == old
        assert await refused(watcher, old) == ("delivery_not_found", "delivery_not_found")
        assert (await page.join(held(renewed)))["delivery"]["status"] == "in_transit"
        # He holds the topic still; without a position nobody knows when it arrives.
        reply = await customer.command(f"delivery:{moving.id}", "get_eta")
        assert reply["response"]["code"] == "eta_unavailable"

    @pytest.mark.parametrize("dialect", ["plain", "phoenix"])
    async def test_show_few_fields_to_who_has_not_signed_in(
        self, sockets: Sockets, moving: Delivery, dialect: str
    ) -> None:
        await in_thread(send, moving, fix(away(900), now()))
        socket: Any = await getattr(sockets, dialect)(None)

        joined = await socket.join(held(moving))

        assert set(joined["delivery"]) == {
            "_id", "id", "status", "courier_name", "delivered_at", "created_at", "updated_at",
        }  # fmt: skip
        assert set(joined["location"]) == {"latitude", "longitude", "recorded_at"}
        assert joined["location"]["latitude"] == round(HERE["latitude"], 4)
        assert joined["delivery"]["courier_name"] == "Dmitri"
        if dialect == "phoenix":
            details = (await socket.event("delivery_details")).payload
            assert details["location_history"] == []
            assert "tracking_token" not in details["delivery"]

    async def test_hear_what_happens_and_no_more(
        self, sockets: Sockets, moving: Delivery, courier: User, seller: User
    ) -> None:
        socket = await sockets.phoenix(None)
        await socket.join(held(moving))
        await socket.event("delivery_details")

        await in_thread(send, moving, fix(away(900), now(), speed_mps=10.0))
        position = (await socket.event("location_updated")).payload
        await in_thread(
            move_delivery,
            actor=seller, delivery_id=moving.id, status="cancelled", reason="Asha has moved.",
        )  # fmt: skip
        changed = (await socket.event("status_changed")).payload

        assert position == {
            "delivery_id": str(moving.id),
            "latitude": round(HERE["latitude"], 4),
            "longitude": round(HERE["longitude"], 4),
            "recorded_at": position["recorded_at"],
            "eta_seconds": 117,
            "distance_m": 900,
        }
        assert set(changed) == {
            "delivery_id", "status", "previous_status", "milestone", "message", "at",
            "updated_at", "delivered_at", "event_id", "event_seq", "topic",
        }  # fmt: skip

    @pytest.mark.parametrize("who", ["guest", "courier"])
    async def test_change_nothing_whoever_holds_them(
        self, sockets: Sockets, moving: Delivery, courier: User, who: str
    ) -> None:
        socket = await sockets.phoenix(courier if who == "courier" else None)
        topic = held(moving)
        await socket.join(topic)

        answers = [
            await push(socket, topic, "location_update", HERE),
            await push(socket, topic, "update_status", {"status": "arrived"}),
        ]

        assert [one["response"]["code"] for one in answers] == ["forbidden"] * 2
        assert [one["response"]["reason"] for one in answers] == ["unauthorized"] * 2
        unknown = await push(socket, topic, "message", {"content": "x"})
        assert unknown["response"]["code"] == "unknown event"
        assert not await in_thread(Location.objects.exists)
        eta = await push(socket, topic, "get_eta", {})
        assert eta["response"]["reason"] == ":insufficient_data"

    async def test_end(self, sockets: Sockets, moving: Delivery, seller: User) -> None:
        token = held(moving)
        await in_thread(bring, moving, "cancelled", actor=seller)
        await in_thread(
            Delivery.objects.filter(id=moving.id).update, ended_at=now() - timedelta(hours=25)
        )
        socket = await sockets.phoenix(None)

        assert await refused(socket, token) == ("delivery_not_found", "delivery_not_found")

    async def test_guesses_are_limited_on_sockets_too(
        self, sockets: Sockets, moving: Delivery, one_window: None
    ) -> None:
        one = await sockets.phoenix(None)
        for number in range(25):
            await refused(one, f"delivery:token_{number:032d}")
        other = await sockets.phoenix(None)
        codes = [(await refused(other, f"delivery:token_{n:032d}"))[1] for n in range(8)]

        assert codes == ["delivery_not_found"] * 5 + ["rate_limited"] * 3
        assert (await refused(other, held(moving)))[1] == "rate_limited"


class TestPositions:
    @pytest.mark.parametrize("version", [1, 2])
    async def test_are_stored_answered_and_heard(
        self, sockets: Sockets, moving: Delivery, courier: User, buyer: User, version: int
    ) -> None:
        sender = await sockets.phoenix(courier, version=version)
        topic = f"delivery:delivery_{moving.id}"
        await sender.join(topic)
        watcher = await sockets.plain(buyer)
        await watcher.join(f"delivery:{moving.id}")

        answer = await push(sender, topic, "location_update", HERE | {"speed": 10})
        heard = await watcher.event("location_updated")
        eta = await watcher.event("eta_updated")

        assert answer == {
            "status": "ok",
            "response": {"accepted": True, "rejected": None, "late": False},
        }
        assert (heard["latitude"], heard["speed"]) == (HERE["latitude"], 36.0)
        assert eta["eta_seconds"] == heard["eta_seconds"] == 117
        assert await in_thread(Location.objects.count) == 1

    async def test_are_heard_once_a_second_the_last_wins(
        self, sockets: Sockets, moving: Delivery, courier: User, buyer: User, no_limit: None
    ) -> None:
        sender, watcher = await sockets.plain(courier), await sockets.plain(buyer)
        for socket in (sender, watcher):
            await socket.join(f"delivery:{moving.id}")
        begin = now() - timedelta(seconds=100)

        for second in range(10):
            latitude, longitude = away(900 - 5 * second)
            at = (begin + timedelta(seconds=second)).isoformat()
            reply = await sender.command(
                f"delivery:{moving.id}", "location_update",
                latitude=latitude, longitude=longitude, recorded_at=at,
            )  # fmt: skip
            assert reply["response"]["accepted"], reply
        await asyncio.sleep(1.2)

        frames = [f for f in await watcher.rest() if f.get("event") == "location_updated"]
        latitudes = [frame["payload"]["latitude"] for frame in frames]
        assert latitudes[0] == away(900)[0]
        assert latitudes[-1] == away(855)[0]
        assert len(latitudes) <= 3

    async def test_are_refused_in_the_words_of_existing_clients(
        self, sockets: Sockets, moving: Delivery, courier: User, buyer: User
    ) -> None:
        topic = f"delivery:delivery_{moving.id}"
        customer, sender = await sockets.phoenix(buyer), await sockets.phoenix(courier)
        for socket in (customer, sender):
            await socket.join(topic)

        answers = [
            (await push(customer, topic, "location_update", HERE))["response"],
            (await push(sender, topic, "location_update", {"latitude": 91, "longitude": 0}))[
                "response"
            ],
            (await push(customer, topic, "update_status", {"status": "arrived"}))["response"],
            (await push(sender, topic, "update_status", {"status": "delivered"}))["response"],
            (await push(sender, topic, "update_status", {"status": "flying"}))["response"],
            (await push(sender, topic, "get_eta"))["response"],
        ]

        assert [(one["reason"], one["code"]) for one in answers] == [
            ("unauthorized", "forbidden"),
            ("location_update_failed", "validation_failed"),
            ("unauthorized", "forbidden"),
            ("status_update_failed", "illegal_transition"),
            ("status_update_failed", "validation_failed"),
            (":insufficient_data", "eta_unavailable"),
        ]
        assert not await in_thread(Location.objects.exists)

    async def test_of_points_are_answered_one_by_one(
        self, sockets: Sockets, moving: Delivery, courier: User
    ) -> None:
        sender = await sockets.plain(courier)
        await sender.join(f"delivery:{moving.id}")
        at = now().isoformat()

        reply = await sender.command(
            f"delivery:{moving.id}",
            "location_update",
            points=[HERE | {"recorded_at": at}, {"latitude": 0, "longitude": 0}],
        )

        assert [one["rejected"] for one in reply["response"]["points"]] == [None, "static"]


class TestStatus:
    async def test_is_moved_and_heard_on_every_protocol(
        self, sockets: Sockets, shop: Shop, buyer: User, courier: User
    ) -> None:
        delivery = await in_thread(make_delivery, shop, buyer, courier)
        topic = f"delivery:delivery_{delivery.id}"
        sender = await sockets.phoenix(courier)
        await sender.join(topic)
        watcher = await sockets.plain(buyer)
        await watcher.join(f"delivery:{delivery.id}")

        answer = await push(sender, topic, "update_status", {"status": "in_transit"})
        heard = await watcher.event("status_changed")

        assert answer["response"]["status"] == "in_transit"
        assert (heard["status"], heard["milestone"]) == ("in_transit", "moving")
        assert (heard["event_seq"], heard["previous_status"]) == (2, "assigned")

    async def test_knows_the_arrival(self, sockets: Sockets, moving: Delivery, buyer: User) -> None:
        await in_thread(send, moving, fix(away(600), now(), speed_mps=10.0))
        socket = await sockets.plain(buyer)
        await socket.join(f"delivery:{moving.id}")

        eta = (await socket.command(f"delivery:{moving.id}", "get_eta"))["response"]

        assert (eta["eta_seconds"], eta["low_seconds"], eta["high_seconds"]) == (78, 58, 97)
        assert (eta["distance_m"], eta["speed_mps"], eta["reason"]) == (600.0, 10.0, None)


class TestLeaving:
    async def test_takes_a_former_courier_out_at_once(
        self, sockets: Sockets, shop: Shop, buyer: User, courier: User, other_courier: User
    ) -> None:
        delivery = await in_thread(make_delivery, shop, buyer, courier)
        socket = await sockets.plain(courier)
        await socket.join(f"delivery:{delivery.id}")

        await in_thread(
            assign_courier,
            actor=shop.owner, delivery_id=delivery.id, courier_id=other_courier.public_id,
        )  # fmt: skip
        heard = await socket.event("removed")

        assert heard["reason"] == "reassigned"
        reply = await socket.command(f"delivery:{delivery.id}", "location_update", **HERE)
        assert reply["response"]["code"] == "unmatched topic"

    async def test_takes_out_who_works_for_the_shop_no_more(
        self, sockets: Sockets, moving: Delivery, shop: Shop, seller: User, stranger: User
    ) -> None:
        await in_thread(make_staff, shop, stranger)
        former, colleague = await sockets.plain(stranger), await sockets.plain(seller)
        topic = f"delivery:{moving.id}"
        await former.join(topic)
        await colleague.join(topic)

        await in_thread(remove_member, actor=seller, key=str(shop.id), user_id=stranger.public_id)
        left = await former.event("removed")
        await in_thread(send, moving, fix(away(900), now()))

        assert (left["topic"], left["reason"]) == (topic, "removed")
        assert (await colleague.event("location_updated"))["delivery_id"] == str(moving.id)
        assert await former.rest() == []


def test_pages_of_events_are_for_whom_it_concerns(
    moving: Delivery, buyer: User, seller: User, courier: User, stranger: User
) -> None:
    def page(user: User, key: object) -> tuple[int, str]:
        answer = signed_in(user).get(f"/api/v1/topics/delivery:{key}/events")
        return answer.status_code, answer.json().get("code", "")

    assert [page(one, moving.id) for one in (buyer, seller, courier)] == [(200, "")] * 3
    refused = [page(stranger, key) for key in (moving.id, uuid7(), "x")]
    assert refused == [(404, "delivery_not_found")] * 3


async def codes_of(socket: PlainSocket, topics: list[str]) -> list[str]:
    answers = [await socket.ask(type="join", topic=topic) for topic in topics]
    return [str(one["response"].get("code", "ok")) for one in answers]


async def test_who_may_join(
    sockets: Sockets,
    *,
    moving: Delivery,
    buyer: User,
    seller: User,
    courier: User,
    admin: User,
    employee: User,
    stranger: User,
    other_courier: User,
) -> None:
    topic = f"delivery:{moving.id}"
    for user, code in [
        (buyer, "ok"),
        (seller, "ok"),
        (courier, "ok"),
        (admin, "ok"),
        (employee, "delivery_not_found"),
        (stranger, "delivery_not_found"),
        (other_courier, "delivery_not_found"),
        (None, "unauthorized"),
    ]:
        socket = await sockets.plain(user)
        assert await codes_of(socket, [topic]) == [code], user


def is_reply_to(ref: str, frame: dict[str, Any]) -> bool:
    return frame.get("ref") == ref


async def test_many_couriers_share_a_commit(
    sockets: Sockets, shop: Shop, buyer: User, courier: User, no_limit: None
) -> None:
    deliveries = [
        await in_thread(set_off, await in_thread(make_delivery, shop, buyer, courier))
        for _ in range(5)
    ]
    sender = await sockets.plain(courier)
    for one in deliveries:
        await sender.join(f"delivery:{one.id}")

    for number, one in enumerate(deliveries):
        await sender.say(
            {
                "type": "event", "topic": f"delivery:{one.id}", "event": "location_update",
                "payload": HERE, "ref": f"p{number}",
            }
        )  # fmt: skip
    replies = [await sender.hear_until(partial(is_reply_to, f"p{number}")) for number in range(5)]

    assert all(reply["response"]["accepted"] for reply in replies)
    assert await in_thread(Location.objects.count) == 5
    events = await in_thread(Event.objects.filter(topic=deliveries[0].topic).count)
    assert events == 2
