"""The topics `order:` and `admins` on sockets, and orders on `user:` and `shop:`."""

import pytest

from accounts.models import User
from marketplace.core.ids import uuid7
from marketplace.events.subscribe import run_subscribers
from marketplace.tests.cast import signed_in
from marketplace.tests.sockets import PlainSocket, Sockets, in_thread
from orders.services.moves import accept_order, cancel_order, pay_order
from orders.tests.factories import make_order
from shops.models import Product
from shops.services.members import remove_member
from shops.tests.factories import make_product, make_shop, make_staff

pytestmark = pytest.mark.django_db(transaction=True)


async def refused(socket: PlainSocket, topic: str) -> str:
    answer = await socket.ask(type="join", topic=topic)
    return str(answer["response"]["code"])


class TestOrderTopic:
    async def test_tells_its_buyer_and_its_shop(
        self, sockets: Sockets, buyer: User, seller: User, lamp: Product
    ) -> None:
        order = await in_thread(make_order, buyer, (lamp, 2))
        plain, phoenix = await sockets.plain(buyer), await sockets.phoenix(seller)
        joined = await plain.join(f"order:{order.id}")
        await phoenix.join(f"order:{order.id}")

        await in_thread(pay_order, actor=seller, order_id=order.id)
        paid = await plain.event("payment_succeeded")
        moved = await plain.event("order_updated")
        heard = (await phoenix.event("order_updated")).payload

        assert joined["order"]["_id"] == str(order.id)
        assert joined["order"]["totals"]["total"] == "49.19"
        assert (paid["event_seq"], paid["amount"]) == (2, "49.19")
        assert (moved["event_seq"], moved["status"], moved["previous_status"]) == (
            3, "processing", "pending",
        )  # fmt: skip
        assert (moved["user_id"], heard) == (buyer.public_id, moved)

    async def test_replays_what_was_missed(
        self, sockets: Sockets, buyer: User, lamp: Product
    ) -> None:
        order = await in_thread(make_order, buyer, (lamp, 1))
        await in_thread(cancel_order, actor=buyer, order_id=order.id)
        socket = await sockets.plain(buyer, f"/ws/orders/{order.id}/?since=0")

        reply = await socket.hear()

        assert [one["event"] for one in reply["response"]["missed"]] == [
            "order_created", "order_updated",
        ]  # fmt: skip
        assert reply["response"]["order"]["status"] == "cancelled"

    async def test_is_not_there_for_strangers(
        self, sockets: Sockets, buyer: User, stranger: User, lamp: Product
    ) -> None:
        order = await in_thread(make_order, buyer, (lamp, 1))
        socket = await sockets.plain(stranger)

        codes = [await refused(socket, f"order:{key}") for key in (order.id, uuid7(), "x")]

        assert codes == ["order_not_found"] * 3

    async def test_is_not_there_without_a_sign_in(
        self, sockets: Sockets, buyer: User, lamp: Product
    ) -> None:
        order = await in_thread(make_order, buyer, (lamp, 1))
        socket = await sockets.plain(None)

        codes = [await refused(socket, topic) for topic in (f"order:{order.id}", "admins")]

        assert codes == ["unauthorized"] * 2

    async def test_shows_staff_their_own_part(
        self, sockets: Sockets, buyer: User, seller: User, stranger: User, lamp: Product
    ) -> None:
        def order_of_both() -> str:
            rug = make_product(make_shop(stranger, "Rugs"), "Rug")
            return str(make_order(buyer, (lamp, 1), (rug, 1)).id)

        order_id = await in_thread(order_of_both)
        socket = await sockets.plain(seller)

        joined = await socket.join(f"order:{order_id}")

        assert [line["title"] for line in joined["order"]["lines"]] == ["Desk lamp"]
        assert len(joined["order"]["shop_orders"]) == 1

    async def test_lets_go_of_who_works_for_its_shop_no_more(
        self, sockets: Sockets, buyer: User, seller: User, stranger: User, lamp: Product
    ) -> None:
        order = await in_thread(make_order, buyer, (lamp, 1))
        own = await in_thread(make_order, stranger, (lamp, 1))
        await in_thread(make_staff, lamp.shop, stranger)
        topic = f"order:{order.id}"
        former, colleague = await sockets.plain(stranger), await sockets.plain(seller)
        await former.join(f"order:{own.id}")
        await former.join(topic)
        await colleague.join(topic)

        await in_thread(
            remove_member,
            actor=seller, key=str(lamp.shop_id), user_id=stranger.public_id,
        )  # fmt: skip
        left = await former.event("removed")
        for one in (order, own):
            await in_thread(accept_order, actor=seller, order_id=one.id)

        assert (left["topic"], left["reason"]) == (topic, "removed")
        assert await refused(former, topic) == "order_not_found"
        # What he ordered himself is his still; so is his colleague's place.
        assert (await former.event("order_updated"))["order_id"] == str(own.id)
        assert (await colleague.event("order_updated"))["order_id"] == str(order.id)


def page_of(user: User, topic: str) -> tuple[int, str]:
    """Status and code of the topic's events over HTTP."""
    answer = signed_in(user).get(f"/api/v1/topics/{topic}/events")
    return answer.status_code, answer.json().get("code", "")


def test_pages_of_events_are_for_who_may_join(
    buyer: User, seller: User, admin: User, stranger: User, lamp: Product
) -> None:
    order = make_order(buyer, (lamp, 1))
    topic = f"order:{order.id}"

    assert [page_of(one, topic) for one in (buyer, seller, admin)] == [(200, "")] * 3
    assert [page_of(stranger, one) for one in (topic, f"order:{uuid7()}", "order:x")] == [
        (404, "order_not_found")
    ] * 3
    assert (page_of(admin, "admins"), page_of(seller, "admins")) == ((200, ""), (403, "forbidden"))


class TestOtherTopics:
    async def test_hear_of_orders_too(
        self, sockets: Sockets, buyer: User, seller: User, admin: User, lamp: Product
    ) -> None:
        own, of_shop, of_all = [await sockets.plain(one) for one in (buyer, seller, admin)]
        await own.join("user:me")
        await of_shop.join(f"shop:{lamp.shop_id}")
        await of_all.join("admins")

        order = await in_thread(make_order, buyer, (lamp, 1))
        await in_thread(accept_order, actor=seller, order_id=order.id)
        await in_thread(run_subscribers)

        heard = [
            (await socket.event("order_created"), await socket.event("order_updated"))
            for socket in (own, of_shop, of_all)
        ]
        assert {created["event_id"] for created, _ in heard} == {heard[0][0]["event_id"]}
        assert {moved["status"] for _, moved in heard} == {"processing"}

    async def test_of_administrators_is_theirs(
        self, sockets: Sockets, seller: User, admin: User
    ) -> None:
        stranger, chief = await sockets.plain(seller), await sockets.phoenix(admin)

        assert await refused(stranger, "admins") == "forbidden"
        assert (await chief.join("admins"))["recovered"] is False
