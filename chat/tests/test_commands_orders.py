"""The dialogues on orders and deliveries, line by line, on their path and off it."""

from decimal import Decimal

import pytest
from pytest_django import Settings

from accounts.models import User
from accounts.services.addresses import add_address
from chat.models import Message, Notification, Room
from chat.services.rooms import open_shop_room
from chat.tests.factories import make_group, make_talk, talk
from delivery.models import Delivery
from delivery.services.couriers import report_position, set_duty
from delivery.services.tracking import find_by_token
from marketplace.events.subscribe import run_subscribers
from marketplace.tests.cast import make_user
from orders.models import Order
from orders.services.moves import accept_order, pay_order
from orders.services.placing import place_order
from orders.wanted import NewOrder, ShippingAddress, WantedLine
from shops.models import Shop, Sku
from shops.services.products import archive_product
from shops.tests.factories import SIZES, make_product, make_shop

pytestmark = pytest.mark.django_db

NOT_UNDERSTOOD = "I didn't understand that. Type @help for available commands."
ASK_PLACE = (
    "Please share your delivery location (address or coordinates).\n"
    "Or type 'use_current' to use your current location."
)
CREATED = [
    "✅ Purchase request created!",
    "Request ID: #10001",
    "Status: pending",
    "Total: 107.78",
    "Delivery will be arranged once the shop confirms your order.",
]
ADDRESS = ShippingAddress(line1="1 Main St", city="Boston", latitude=42.36, longitude=-71.06)
HOME = {"line1": "7 Elm St", "city": "Salem", "postal_code": "01970", "country": "US"}


@pytest.fixture
def shop(seller: User) -> Shop:
    return make_shop(seller, location="12 Lamp Street")


@pytest.fixture
def lamp(shop: Shop) -> Sku:
    return make_product(shop, "Desk lamp", price=Decimal("49.90"), stock_quantity=5).skus.get()


@pytest.fixture
def room(buyer: User) -> Room:
    return make_talk(buyer)


@pytest.fixture
def shops_room(seller: User) -> Room:
    return make_talk(seller)


@pytest.fixture
def dmitri(courier: User) -> User:
    """The courier, on duty."""
    set_duty(actor=courier, duty="on", capacity=5)
    return courier


def order_of(
    buyer: User, sku: Sku, *, flow: str = "on_delivery", fulfilment: str = "delivery"
) -> Order:
    return place_order(
        actor=buyer,
        wanted=NewOrder(
            lines=[WantedLine(sku_id=sku.id, quantity=1)],
            payment_flow=flow,
            fulfilment=fulfilment,
            address=ADDRESS,
        ),
    )


def paid_order_of(buyer: User, sku: Sku) -> Order:
    order = order_of(buyer, sku)
    pay_order(actor=sku.product.shop.owner, order_id=order.id)
    return order


@pytest.mark.usefixtures("lamp")
class TestRequest:
    def test_becomes_an_order_that_is_paid_on_delivery(
        self, room: Room, buyer: User, lamp: Sku
    ) -> None:
        told = talk(
            room, buyer, "@request Corner Lamp", "desk LAMP", "2", "yes", "1 Main St, Boston"
        )

        assert told == [
            (
                "Available products from Corner Lamp:\n"
                "• Desk lamp - 49.90 (Stock: 5)\n"
                "\n"
                "Reply with the product name you want."
            ),
            "Selected: Desk lamp - 49.90\nHow many would you like?",
            "Total: 99.80\nDo you need delivery? (yes/no)",
            ASK_PLACE,
            "\n".join(CREATED),
        ]
        order = Order.objects.get()
        assert (order.number, order.user_id, order.status) == (10001, buyer.pk, "pending")
        assert (order.payment_flow, order.payment_status) == ("on_delivery", "unpaid")
        assert (order.fulfilment, str(order.total)[:6]) == ("delivery", "107.78")
        assert order.shipping_address is not None
        assert order.shipping_address["line1"] == "1 Main St, Boston"
        lamp.refresh_from_db()
        assert (lamp.available, lamp.reserved) == (3, 2)

    def test_may_be_fetched(self, room: Room, buyer: User) -> None:
        told = talk(room, buyer, "@request shop_10001", "Desk lamp", "#1", "NO")

        assert told[-1].split("\n") == [
            *CREATED[:3],
            "Total: 53.89",
            "You can pick up from: 12 Lamp Street",
        ]
        assert Order.objects.get().fulfilment == "pickup"

    def test_is_of_the_shop_of_the_room(self, shop: Shop, seller: User, buyer: User) -> None:
        make_shop(seller, "Another")
        room, _ = open_shop_room(actor=buyer, shop_id=shop.handle)

        for words in ("@request", "@request Another"):
            [told] = talk(room, buyer, words)
            assert told.startswith("Available products from Corner Lamp:")

    @pytest.mark.parametrize("words", ["@request", "@request Nobody", "@request 7"])
    def test_needs_a_shop(self, room: Room, buyer: User, words: str) -> None:
        assert talk(room, buyer, words, "Desk lamp") == ["Could not find shop information."]

    @pytest.mark.parametrize("words", ["corner lamp", "10001", "#10001", "SHOP_10001"])
    def test_knows_a_shop_by_what_people_call_it(self, room: Room, buyer: User, words: str) -> None:
        assert talk(room, buyer, f"@request {words}")[0].startswith("Available products from ")

    def test_needs_something_to_sell(self, room: Room, seller: User, buyer: User) -> None:
        make_product(make_shop(seller, "Empty"), status="draft")

        assert talk(room, buyer, "@request Empty") == ["This shop has no products yet."]

    def test_asks_again_off_its_path(self, room: Room, seller: User, buyer: User) -> None:
        make_product(make_shop(seller, "Other"), "Chair")

        told = talk(
            room, buyer, "@request Corner Lamp", "Chair", "lamp", "Desk lamp", "some", "0", "6",
            "5", "perhaps", "yes", "x" * 201, "91, 0", "use_current",
        )  # fmt: skip

        unknown = "Product not found. Please type the exact product name."
        how_many = f"{NOT_UNDERSTOOD}\nHow many would you like?"
        where = f"{NOT_UNDERSTOOD}\n{ASK_PLACE}"
        assert told[1:3] == [unknown, unknown]
        assert told[4:7] == [
            how_many,
            how_many,
            "Only 5 available. Please enter a smaller quantity.",
        ]
        assert told[8] == f"{NOT_UNDERSTOOD}\nDo you need delivery? (yes/no)"
        assert told[10:] == [where, where, where]
        assert not Order.objects.exists()

    def test_lets_one_choose_of_options(self, room: Room, shop: Shop, buyer: User) -> None:
        make_product(shop, "Shirt", price=Decimal(10), stock_quantity=3, variances=[SIZES])

        told = talk(room, buyer, "@request Corner Lamp", "Shirt", "XL", "2", "1")

        question = (
            "Which one would you like?\n"
            "1. S - 10.00 (Stock: 1)\n2. M - 10.00 (Stock: 1)\n3. L - 10.00 (Stock: 1)"
        )
        assert told[1:] == [
            question,
            f"{NOT_UNDERSTOOD}\n{question}",
            "Selected: Shirt (M) - 10.00\nHow many would you like?",
            "Total: 10.00\nDo you need delivery? (yes/no)",
        ]

    @pytest.mark.parametrize("place", ["40.7128, -74.0060", "use_current"])
    def test_goes_to_a_point(self, room: Room, buyer: User, place: str) -> None:
        talk(room, buyer, "@request Corner Lamp", "Desk lamp", "1", "yes")

        talk(room, buyer, place, data={"latitude": 40.7128, "longitude": "-74.0060"})

        kept = Order.objects.get().shipping_address
        assert kept is not None
        assert (kept["latitude"], kept["longitude"]) == (40.7128, -74.006)

    def test_goes_to_the_default_address(self, room: Room, buyer: User) -> None:
        add_address(actor=buyer, fields=dict(HOME))
        talk(room, buyer, "@request Corner Lamp", "Desk lamp", "1", "yes", "Use_Current")

        kept = Order.objects.get().shipping_address
        assert kept is not None
        assert (kept["line1"], kept["city"]) == ("7 Elm St", "Salem")

    def test_is_told_that_somebody_was_quicker(
        self, room: Room, seller: User, buyer: User, lamp: Sku
    ) -> None:
        talk(room, buyer, "@request Corner Lamp", "Desk lamp", "5", "yes")
        order_of(seller, lamp)

        assert talk(room, buyer, "1 Main St") == [
            "❌ Failed to create request: There is not enough in stock."
        ]
        assert Order.objects.count() == 1

    def test_asks_for_another_product_where_this_one_is_gone(
        self, room: Room, seller: User, buyer: User, shop: Shop, lamp: Sku
    ) -> None:
        make_product(shop, "Vase", stock_quantity=3)
        talk(room, buyer, "@request Corner Lamp", "Desk lamp")
        archive_product(actor=seller, key=str(lamp.product_id))

        told = talk(room, buyer, "1", "Vase")

        assert told[0] == "Product not found. Please type the exact product name."
        assert told[1].startswith("Selected: Vase - ")
        assert not Order.objects.exists()

    def test_waits_for_its_payment_where_nobody_pays_at_the_door(
        self, room: Room, buyer: User, settings: Settings
    ) -> None:
        settings.ALLOW_PAY_ON_DELIVERY = False

        talk(room, buyer, "@request Corner Lamp", "Desk lamp", "1", "no")

        assert Order.objects.get().payment_flow == "regular"


class TestDeliverTo:
    def test_gives_a_request_to_a_courier(
        self, shops_room: Room, seller: User, buyer: User, lamp: Sku, dmitri: User
    ) -> None:
        order = order_of(buyer, lamp)

        told = talk(shops_room, seller, "@deliveryto", "#10001", "dmitri")

        assert told[:2] == [
            (
                "Pending delivery requests:\n"
                "• Request #10001 from Shop: Corner Lamp - Total: 59.88\n"
                "\n"
                "Reply with the request number to assign delivery."
            ),
            (
                "Available delivery persons:\n"
                "• Dmitri\n"
                "\n"
                "Reply with the delivery person's name to assign."
            ),
        ]
        delivery = Delivery.objects.get()
        assert (delivery.order_id, delivery.status) == (order.id, "assigned")
        assert (delivery.courier_id, delivery.customer_id) == (dmitri.pk, buyer.pk)
        order.refresh_from_db()
        assert (order.status, order.delivery_id) == ("processing", delivery.id)
        lines = told[2].split("\n")
        assert lines[:2] == ["✅ Delivery assigned!", "Delivery Person: Dmitri"]
        token = lines[2].removeprefix("Tracking Token: ")
        assert find_by_token(token, "192.0.2.1").id == delivery.id
        assert lines[3:] == ["Notifications sent to both parties."]

    def test_notifies_both_parties(
        self, shops_room: Room, seller: User, buyer: User, lamp: Sku, dmitri: User
    ) -> None:
        run_subscribers()
        order_of(buyer, lamp)
        talk(shops_room, seller, "@deliveryto", "10001", "Dmitri")

        run_subscribers()

        told = {
            (row.user.username, row.type, row.body)
            for row in Notification.objects.select_related("user")
        }
        assert {
            ("asha", "delivery_updated", "A courier has been assigned to your delivery."),
            ("dmitri", "delivery_updated", "You have a new delivery."),
            ("asha", "order_updated", "Your order #10001 is being prepared."),
            ("bruno", "order_updated", "Order #10001 waits for your shop."),
        } == told

    def test_keeps_the_token_to_itself_where_others_read(
        self, seller: User, buyer: User, lamp: Sku, dmitri: User
    ) -> None:
        group = make_group(seller, buyer)
        order_of(buyer, lamp)

        told = talk(group, seller, "@deliveryto", "10001", "Dmitri")

        assert told[2].split("\n") == [
            "✅ Delivery assigned!",
            "Delivery Person: Dmitri",
            "Notifications sent to both parties.",
        ]

    def test_needs_a_shop_and_something_to_deliver(
        self, room: Room, shops_room: Room, seller: User, buyer: User, lamp: Sku
    ) -> None:
        order_of(buyer, lamp, fulfilment="pickup")
        order_of(buyer, lamp, flow="regular")

        assert talk(room, buyer, "@deliveryto") == ["You don't own any shops."]
        assert talk(shops_room, seller, "@deliveryto") == ["No pending delivery requests."]

    def test_asks_again_off_its_path(
        self, shops_room: Room, seller: User, buyer: User, lamp: Sku, dmitri: User
    ) -> None:
        order_of(buyer, lamp)

        told = talk(shops_room, seller, "@deliveryto", "7", "what", "10001", "Nobody")

        assert told[1:3] == ["Invalid request number. Please try again."] * 2
        assert told[4] == "Delivery person not found. Please try again."
        assert not Delivery.objects.exists()

    def test_ends_where_nobody_is_on_duty(
        self, shops_room: Room, seller: User, buyer: User, lamp: Sku, courier: User
    ) -> None:
        order_of(buyer, lamp)

        told = talk(shops_room, seller, "@deliveryto", "10001", courier.name)

        assert told[1:] == ["No delivery persons available nearby."]

    def test_names_the_nearest_first_and_no_phone_number(
        self, shops_room: Room, seller: User, buyer: User, lamp: Sku, dmitri: User
    ) -> None:
        near = make_user("Nora", number=70, role="courier")
        set_duty(actor=near, duty="on", capacity=1)
        report_position(actor=dmitri, latitude=42.0, longitude=-71.0)
        report_position(actor=near, latitude=42.36, longitude=-71.05)
        order_of(buyer, lamp)

        told = talk(shops_room, seller, "@deliveryto", "10001")

        assert told[1].split("\n")[1:3] == ["• Nora", "• Dmitri"]
        assert "+1555" not in told[1]

    def test_is_told_that_the_order_is_gone(
        self, shops_room: Room, seller: User, buyer: User, lamp: Sku, dmitri: User
    ) -> None:
        order = order_of(buyer, lamp)
        talk(shops_room, seller, "@deliveryto", "10001")
        Order.objects.filter(id=order.id).update(status="cancelled")

        [told] = talk(shops_room, seller, "Dmitri")

        assert told.startswith("❌ Failed to assign the delivery: ")
        assert not Delivery.objects.exists()

    def test_takes_an_order_that_was_accepted_before(
        self, shops_room: Room, seller: User, buyer: User, lamp: Sku, dmitri: User
    ) -> None:
        order = order_of(buyer, lamp)
        accept_order(actor=seller, order_id=order.id)

        told = talk(shops_room, seller, "@deliveryto", "10001", "Dmitri")

        assert told[-1].startswith("✅ Delivery assigned!")


class TestSetupDelivery:
    ASK = 'Where should it go? Send an address, or "saved" for your default address.'

    def test_makes_a_delivery_of_a_paid_order(
        self, shops_room: Room, seller: User, buyer: User, lamp: Sku, settings: Settings
    ) -> None:
        settings.PUBLIC_URL = "https://market.example"
        order = paid_order_of(buyer, lamp)

        told = talk(shops_room, seller, "@setupdelivery", "1", "9 Oak St, Lynn")

        assert told[:2] == ["Which order should be delivered?\n1. #10001 - 59.88 USD", self.ASK]
        begin = "✅ Delivery created! Track it here: https://market.example/track/"
        assert told[2].startswith(begin)
        delivery = find_by_token(told[2].removeprefix(begin), "192.0.2.1")
        assert (delivery.order_id, delivery.status) == (order.id, "pending")
        assert delivery.destination_text == "9 Oak St, Lynn"

    def test_lets_the_buyer_do_it_too(self, room: Room, buyer: User, lamp: Sku) -> None:
        paid_order_of(buyer, lamp)
        add_address(actor=buyer, fields=dict(HOME))

        told = talk(room, buyer, "@setupdelivery", "#10001", "Saved")

        assert told[-1].startswith("✅ Delivery created! Track it here: ")
        assert Delivery.objects.get().destination_text.startswith("7 Elm St, 01970 Salem")

    def test_needs_a_paid_order_of_his(
        self, room: Room, buyer: User, stranger: User, lamp: Sku
    ) -> None:
        order_of(buyer, lamp)
        paid_order_of(stranger, lamp)

        assert talk(room, buyer, "@setupdelivery") == [
            "You have no paid order that needs a delivery."
        ]

    def test_ends_where_the_order_has_its_delivery_meanwhile(
        self, room: Room, shops_room: Room, buyer: User, seller: User, lamp: Sku
    ) -> None:
        paid_order_of(buyer, lamp)
        talk(room, buyer, "@setupdelivery")
        talk(shops_room, seller, "@setupdelivery", "1", "9 Oak St")

        assert talk(room, buyer, "1") == ["You have no paid order that needs a delivery."]
        assert Delivery.objects.count() == 1

    def test_asks_again_off_its_path(self, room: Room, buyer: User, lamp: Sku) -> None:
        paid_order_of(buyer, lamp)

        told = talk(room, buyer, "@setupdelivery", "2", "none", "1", "saved", "x" * 201)

        assert told[1:3] == [f"{NOT_UNDERSTOOD}\n{told[0]}"] * 2
        assert told[4:] == [f"{NOT_UNDERSTOOD}\n{self.ASK}"] * 2

    def test_keeps_the_link_to_itself_where_others_read(
        self, buyer: User, seller: User, lamp: Sku
    ) -> None:
        paid_order_of(buyer, lamp)

        told = talk(make_group(buyer, seller), buyer, "@setupdelivery", "1", "9 Oak St")

        assert told[-1].startswith("✅ Delivery created!")
        assert "/track/" not in told[-1]

    def test_comes_soon_where_it_is_off(
        self, room: Room, buyer: User, lamp: Sku, settings: Settings
    ) -> None:
        settings.ENABLE_SETUP_DELIVERY = False
        paid_order_of(buyer, lamp)

        assert talk(room, buyer, "@setupdelivery") == ["@setupdelivery is coming soon."]
        assert "coming soon" not in talk(room, buyer, "@help")[0]


class TestHelp:
    def test_names_all_that_are_there(self, room: Room, buyer: User) -> None:
        [told] = talk(room, buyer, "@help")

        words = [line.split(" ")[0] for line in told.split("\n")[1:]]
        assert words == [
            "@createshop",
            "@createproduct",
            "@setupdelivery",
            "@help",
            "@status",
            "@listproducts",
            "@request",
            "@deliveryto",
            "@cancel",
        ]


class TestOnce:
    def test_a_request_that_is_answered_twice_is_one_order(
        self, room: Room, buyer: User, lamp: Sku
    ) -> None:
        from chat.services.commands import answer_upto

        talk(room, buyer, "@request Corner Lamp", "Desk lamp", "1", "no")
        last = Message.objects.filter(room=room, sender=buyer).order_by("-number")[0]

        answer_upto(message_id=last.id)

        assert Order.objects.count() == 1
