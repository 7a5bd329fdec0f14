"""The topic `shop:` on sockets: staff hear what happens, strangers do not know that it exists."""

import pytest
from django.db import OperationalError

from accounts.models import User
from marketplace.core.ids import uuid7
from marketplace.realtime import checks
from marketplace.tests.cast import signed_in
from marketplace.tests.sockets import PlainSocket, Sockets, in_thread, settle
from shops.models import Shop
from shops.services.members import remove_member
from shops.tests.factories import make_product, make_staff

pytestmark = pytest.mark.django_db(transaction=True)


async def refused(socket: PlainSocket, topic: str) -> str:
    answer = await socket.ask(type="join", topic=topic)
    return str(answer["response"]["code"])


def test_pages_of_events_are_for_staff(
    shop: Shop, seller: User, admin: User, stranger: User
) -> None:
    def page(user: User, key: object) -> tuple[int, str]:
        answer = signed_in(user).get(f"/api/v1/topics/shop:{key}/events")
        return answer.status_code, answer.json().get("code", "")

    assert [page(one, shop.id) for one in (seller, admin)] == [(200, "")] * 2
    refused = [page(stranger, key) for key in (shop.id, uuid7(), "x")]
    assert refused == [(404, "shop_not_found")] * 3


class TestShopTopic:
    async def test_tells_staff_of_products(
        self, sockets: Sockets, shop: Shop, seller: User
    ) -> None:
        socket = await sockets.plain(seller)
        joined = await socket.join(f"shop:{shop.id}")

        product = await in_thread(make_product, shop)
        heard = await socket.event("product_created")

        assert joined["shop"]["_id"] == str(shop.id)
        assert heard["_id"] == str(product.id)
        assert heard["event_seq"] == 2

    async def test_is_not_there_without_a_sign_in(self, sockets: Sockets, shop: Shop) -> None:
        socket = await sockets.plain(None)

        assert await refused(socket, f"shop:{shop.id}") == "unauthorized"

    async def test_replays_what_was_missed(
        self, sockets: Sockets, shop: Shop, seller: User
    ) -> None:
        await in_thread(make_product, shop)
        socket = await sockets.plain(seller)

        joined = await socket.join(f"shop:{shop.id}", since=1)

        [missed] = joined["missed"]
        assert (missed["event"], missed["event_seq"]) == ("product_created", 2)

    async def test_speaks_phoenix_too(self, sockets: Sockets, shop: Shop, admin: User) -> None:
        socket = await sockets.phoenix(admin)

        joined = await socket.join(f"shop:{shop.id}")

        assert joined["shop"]["number"] == 10_001

    async def test_is_not_there_for_strangers(
        self, sockets: Sockets, shop: Shop, stranger: User
    ) -> None:
        socket = await sockets.plain(stranger)

        codes = [await refused(socket, f"shop:{key}") for key in (shop.id, uuid7(), "x")]

        assert codes == ["shop_not_found"] * 3

    async def test_lets_go_of_who_works_there_no_more(
        self, sockets: Sockets, shop: Shop, seller: User, buyer: User
    ) -> None:
        await in_thread(make_staff, shop, buyer)
        socket = await sockets.plain(buyer)
        await socket.join(f"shop:{shop.id}")

        await in_thread(remove_member, actor=seller, key=str(shop.id), user_id=buyer.public_id)
        heard = await socket.event("removed")

        assert heard["reason"] == "removed"
        assert await refused(socket, f"shop:{shop.id}") == "shop_not_found"

    async def test_lets_go_of_him_a_little_later_where_the_database_did_not_answer(
        self,
        sockets: Sockets,
        shop: Shop,
        seller: User,
        buyer: User,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        asked: list[int] = []

        def fail(memberships: list[object]) -> None:
            asked.append(len(memberships))
            raise OperationalError

        await in_thread(make_staff, shop, buyer)
        socket = await sockets.plain(buyer)
        await socket.join(f"shop:{shop.id}")
        with monkeypatch.context() as outage:
            outage.setattr(checks, "_find_refused", fail)
            await in_thread(remove_member, actor=seller, key=str(shop.id), user_id=buyer.public_id)
            await settle(lambda: bool(asked and sockets.runtime.checks._to_recheck))

        await sockets.runtime.checks.check()

        assert (await socket.event("removed"))["topic"] == f"shop:{shop.id}"
