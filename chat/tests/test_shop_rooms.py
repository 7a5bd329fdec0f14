"""A person and the people of a shop have one room; who works there now is in it."""

import pytest

from accounts.models import User
from chat.errors import RoomNotFound
from chat.models import Member, Room
from chat.services.rooms import create_room, open_shop_room
from chat.tests.factories import say
from marketplace.core.errors import ValidationFailed
from marketplace.events.models import Event
from marketplace.events.subscribe import run_subscribers
from marketplace.tests.cast import assert_events, signed_in
from shops.errors import ShopNotFound
from shops.models import Shop
from shops.services.members import remove_member
from shops.tests.factories import make_shop, make_staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(seller: User) -> Shop:
    return make_shop(seller)


def people_of(room: Room) -> set[str | None]:
    return set(Member.objects.filter(room=room).values_list("user__username", flat=True))


class TestOpenShopRoom:
    def test_holds_the_person_and_the_people_of_the_shop(
        self, shop: Shop, buyer: User, courier: User
    ) -> None:
        make_staff(shop, courier)

        room, created = open_shop_room(actor=buyer, shop_id=shop.handle)

        assert (created, room.kind, room.title) == (True, "shop", "Corner Lamp")
        assert (room.subject_type, room.subject_id) == ("shop", str(shop.id))
        assert people_of(room) == {"asha", "bruno", "dmitri"}

    def test_is_there_once_per_person_and_shop(
        self, shop: Shop, seller: User, buyer: User, stranger: User
    ) -> None:
        other = make_shop(seller, "Other")
        room, _ = open_shop_room(actor=buyer, shop_id=str(shop.id))

        with assert_events():
            again, created = open_shop_room(actor=buyer, shop_id=shop.handle)

        assert (again.id, created) == (room.id, False)
        assert open_shop_room(actor=stranger, shop_id=str(shop.id))[1]
        assert open_shop_room(actor=buyer, shop_id=str(other.id))[1]

    def test_refuses_the_shops_own_people(self, shop: Shop, seller: User) -> None:
        with assert_events(), pytest.raises(ValidationFailed) as refused:
            open_shop_room(actor=seller, shop_id=str(shop.id))

        assert list(refused.value.details["fields"]) == ["shop_id"]

    def test_finds_no_unknown_shop(self, buyer: User) -> None:
        with assert_events(), pytest.raises(ShopNotFound):
            create_room(actor=buyer, kind="shop", shop_id="shop_1")

    def test_opens_over_rest(self, shop: Shop, buyer: User) -> None:
        client = signed_in(buyer)
        body = {"kind": "shop", "shopId": shop.handle}

        first = client.post("/api/v1/chat/rooms", body, format="json")
        again = client.post("/api/v1/chat/rooms", body, format="json")

        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["id"] == again.json()["id"]
        assert (first.json()["kind"], first.json()["member_count"]) == ("shop", 2)


@pytest.mark.django_db(transaction=True)
class TestStaff:
    @pytest.fixture(autouse=True)
    def _known_subscriber(self, db: None) -> None:
        run_subscribers()

    def test_come_into_the_rooms_and_go(self, shop: Shop, buyer: User, courier: User) -> None:
        room, _ = open_shop_room(actor=buyer, shop_id=str(shop.id))

        make_staff(shop, courier)
        run_subscribers()
        said = say(room, courier, "How can I help?")
        assert people_of(room) == {"asha", "bruno", "dmitri"}
        assert said.payload["content"] == "How can I help?"

        remove_member(actor=shop.owner, key=str(shop.id), user_id=courier.public_id)
        run_subscribers()
        assert people_of(room) == {"asha", "bruno"}
        with pytest.raises(RoomNotFound):
            say(room, courier)
        names = (
            Event.objects.filter(topic=room.topic).order_by("seq").values_list("name", flat=True)
        )
        assert list(names) == [
            "room.created",
            "member.joined",
            "message.sent",
            "member.removed",
        ]

    def test_keep_the_room_that_they_opened_before(self, shop: Shop, buyer: User) -> None:
        room, _ = open_shop_room(actor=buyer, shop_id=str(shop.id))

        make_staff(shop, buyer)
        remove_member(actor=shop.owner, key=str(shop.id), user_id=buyer.public_id)
        run_subscribers()

        assert people_of(room) == {"asha", "bruno"}
