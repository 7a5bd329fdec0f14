"""Orders are placed at the server's prices, with their stock and their events, or not at all."""

import random
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import Settings

from accounts.models import User
from accounts.services.addresses import add_address
from marketplace.core.db import transactional
from marketplace.core.errors import AppError, ValidationFailed
from marketplace.core.ids import uuid7
from marketplace.core.models import Counter
from marketplace.core.questions import Question, ask
from marketplace.core.vendor import is_postgresql
from marketplace.events.models import Event
from marketplace.events.record import NewEvent
from marketplace.tests.cast import assert_events, assert_queries, make_user
from marketplace.tests.threads import together
from orders.errors import CartEmpty, CouponInvalid, UnsupportedPaymentFlow
from orders.models import Order, OrderLine, Reservation, ShopOrder
from orders.services.drafting import which_offers_of
from orders.services.placing import (
    NewOrder,
    PlaceCommand,
    Seen,
    ShippingAddress,
    WantedLine,
    place_order,
    place_orders,
    quote,
)
from orders.tests.factories import make_order, stock_of, wish
from shops.errors import OutOfStock, ProductNotFound, SkuNotFound
from shops.models import Product, Shop, Sku
from shops.selectors import list_offers
from shops.services.inventory import StockLine
from shops.services.products import archive_product
from shops.services.shops import close_shop
from shops.tests.factories import SIZES, make_product, make_shop, the_sku

ADDRESS = {
    "line1": "1 Market Street",
    "city": "New York",
    "state": "NY",
    "postal_code": "10001",
    "country": "USA",
}


def nothing_written() -> bool:
    return not (
        Order.objects.exists()
        or OrderLine.objects.exists()
        or ShopOrder.objects.exists()
        or Reservation.objects.exists()
    )


@pytest.mark.django_db
class TestPlaceOrder:
    def test_holds_the_stock_and_charges_by_the_settings(
        self, buyer: User, lamp: Product, sku: Sku
    ) -> None:
        order = place_order(actor=buyer, wanted=wish((lamp, 2)))

        stored = Order.objects.get()
        assert (stored.id, stored.number, stored.handle) == (order.id, 10_001, "ORD-00010001")
        assert (stored.status, stored.payment_status, stored.payment_flow) == (
            "pending", "unpaid", "regular",
        )  # fmt: skip
        assert (stored.subtotal, stored.tax, stored.shipping, stored.total) == (
            Decimal("40.00"), Decimal("3.20"), Decimal("5.99"), Decimal("49.19"),
        )  # fmt: skip
        [line] = stored.all_lines
        assert (line.title, line.quantity, line.unit_price, line.line_total, line.tax) == (
            "Desk lamp", 2, Decimal(20), Decimal(40), Decimal("3.20"),
        )  # fmt: skip
        [part] = stored.all_shop_orders
        assert (part.shop_id, part.total) == (lamp.shop_id, Decimal("43.20"))
        assert Reservation.objects.get().status == "held"
        assert stock_of(sku.id) == [(8, 2)]

    def test_tells_it_on_its_own_topic_and_to_the_buyer(self, buyer: User, lamp: Product) -> None:
        order = place_order(actor=buyer, wanted=wish((lamp, 1)))

        own, copy = [
            Event.objects.filter(topic=topic).order_by("-seq")[0]
            for topic in (order.topic, buyer.topic)
        ]
        assert (own.seq, own.name, own.actor_id) == (1, "order.created", buyer.public_id)
        assert own.event_id == copy.event_id
        assert own.payload == copy.payload
        assert set(own.payload) == {
            "order_id", "user_id", "status", "total", "currency", "created_at",
        }  # fmt: skip
        assert (own.payload["total"], own.payload["status"]) == ("27.59", "pending")
        stock = Event.objects.filter(topic=lamp.topic).order_by("-seq")[0]
        assert (stock.name, stock.payload["available"]) == ("stock.changed", 9)

    def test_makes_one_line_of_two_of_the_same_sku(
        self, buyer: User, lamp: Product, sku: Sku
    ) -> None:
        lines = [
            WantedLine(product_id=lamp.id, quantity=2),
            WantedLine(sku_id=sku.id, product_id=lamp.id, quantity=3),
        ]

        order = place_order(actor=buyer, wanted=NewOrder(lines=lines))

        assert [line.quantity for line in order.all_lines] == [5]
        assert stock_of(sku.id) == [(5, 5)]

    def test_merges_lines_before_it_looks_at_the_stock(self, buyer: User, shop: Shop) -> None:
        lamp = make_product(shop, stock_quantity=5)
        lines = [WantedLine(product_id=lamp.id, quantity=3)] * 2

        with assert_events(), pytest.raises(OutOfStock) as refused:
            place_order(actor=buyer, wanted=NewOrder(lines=lines))

        assert refused.value.details["items"] == [
            {
                "sku_id": str(the_sku(lamp).id),
                "product_id": str(lamp.id),
                "requested": 6,
                "available": 5,
            }
        ]
        assert nothing_written()
        assert stock_of(the_sku(lamp).id) == [(5, 0)]

    def test_names_every_sku_that_is_short_and_takes_nothing(
        self, buyer: User, shop: Shop, lamp: Product, sku: Sku
    ) -> None:
        rare = [make_product(shop, stock_quantity=pieces) for pieces in (1, 0)]

        with assert_events(), pytest.raises(OutOfStock) as refused:
            place_order(actor=buyer, wanted=wish((lamp, 1), (rare[0], 2), (rare[1], 1)))

        missing = {one["product_id"]: one["available"] for one in refused.value.details["items"]}
        assert missing == {str(rare[0].id): 1, str(rare[1].id): 0}
        assert nothing_written()
        assert stock_of(sku.id) == [(10, 0)]

    def test_splits_by_shop(self, buyer: User, lamp: Product, stranger: User) -> None:
        rug = make_product(make_shop(stranger, "Rugs"), "Rug", price=Decimal("30.00"))

        order = place_order(actor=buyer, wanted=wish((lamp, 1), (rug, 1)))

        totals = {part.shop_id: part.total for part in order.all_shop_orders}
        assert totals == {lamp.shop_id: Decimal("21.60"), rug.shop_id: Decimal("32.40")}
        assert (order.shipping, order.total) == (Decimal("5.99"), Decimal("59.99"))

    def test_keeps_what_it_was_charged(
        self, buyer: User, lamp: Product, settings: Settings
    ) -> None:
        order = place_order(actor=buyer, wanted=wish((lamp, 1)))

        settings.TAX_RATE = Decimal("0.5")
        Product.objects.update(price=Decimal(99), name="Dearer")

        stored = Order.objects.get(id=order.id)
        assert (stored.tax, stored.total) == (Decimal("1.60"), Decimal("27.59"))
        assert stored.all_lines[0].title == "Desk lamp"
        assert stored.all_lines[0].tax_rate == Decimal("0.08")

    def test_copies_the_address_that_is_named_or_the_default_one(
        self, buyer: User, lamp: Product
    ) -> None:
        home = add_address(actor=buyer, fields=ADDRESS)
        work = add_address(actor=buyer, fields={**ADDRESS, "line1": "2 Wall Street"})
        given = ShippingAddress(line1="3 Main", city="Boston", postal_code="02101", country="US")

        orders = [
            make_order(buyer, (lamp, 1), **more)
            for more in (
                {},
                {"address_id": str(work.id)},
                {"address": given},
                {"fulfilment": "pickup"},
            )
        ]

        streets = [(order.shipping_address or {}).get("line1") for order in orders]
        assert streets == [home.line1, "2 Wall Street", "3 Main", None]
        assert orders[0].shipping_address is not None
        assert orders[0].shipping_address["country_code"] == "US"
        assert [order.shipping for order in orders] == [Decimal("5.99")] * 3 + [0]

    def test_counts_orders_of_everybody(self, buyer: User, stranger: User, lamp: Product) -> None:
        numbers = [make_order(person, (lamp, 1)).number for person in (buyer, stranger, buyer)]

        assert numbers == [10_001, 10_002, 10_003]

    def test_counts_yen_without_a_fraction(self, buyer: User, seller: User) -> None:
        rug = make_product(make_shop(seller, "Tatami", currency="JPY"), price=Decimal(1990))

        order = make_order(buyer, (rug, 1))

        assert (order.currency, order.tax, order.shipping, order.total) == (
            "JPY", Decimal(159), 0, Decimal(2149),
        )  # fmt: skip

    def test_costs_a_fixed_number_of_statements(self, buyer: User, shop: Shop) -> None:
        products = [make_product(shop) for _ in range(3)]
        make_order(buyer, (products[0], 1))

        # Offers; stock, number and heads, changed and read; new heads; four tables; the log.
        with assert_queries(13):
            make_order(buyer, *[(product, 1) for product in products])


@pytest.mark.django_db
class TestRefusals:
    @pytest.mark.parametrize("quantity", [0, -1, 1_001, 10**18])
    def test_take_whole_numbers_up_to_a_thousand(
        self, buyer: User, lamp: Product, quantity: int
    ) -> None:
        with assert_events(), pytest.raises(ValidationFailed) as refused:
            place_order(actor=buyer, wanted=wish((lamp, quantity)))

        assert list(refused.value.details["fields"]) == ["items.0.quantity"]
        assert nothing_written()

    def test_count_the_pieces_of_all_lines(self, buyer: User, lamp: Product) -> None:
        with assert_events(), pytest.raises(ValidationFailed) as refused:
            place_order(actor=buyer, wanted=wish((lamp, 600), (lamp, 401)))

        assert list(refused.value.details["fields"]) == ["items.1.quantity"]

    def test_know_no_empty_and_no_endless_order(self, buyer: User, lamp: Product) -> None:
        for wanted in (NewOrder(lines=[]), wish(*[(lamp, 1)] * 101)):
            with assert_events(), pytest.raises(ValidationFailed) as refused:
                place_order(actor=buyer, wanted=wanted)
            assert list(refused.value.details["fields"]) == ["items"]

    def test_know_no_line_of_nothing(self, buyer: User) -> None:
        with assert_events(), pytest.raises(ValidationFailed) as refused:
            place_order(actor=buyer, wanted=NewOrder(lines=[WantedLine(quantity=1)]))

        assert list(refused.value.details["fields"]) == ["items.0.product_id"]

    def test_find_only_what_is_sold(self, buyer: User, seller: User, lamp: Product) -> None:
        for line, error in [
            (WantedLine(product_id=uuid7(), quantity=1), ProductNotFound),
            (WantedLine(sku_id=uuid7(), quantity=1), SkuNotFound),
        ]:
            with assert_events(), pytest.raises(error):
                place_order(actor=buyer, wanted=NewOrder(lines=[line]))
        archive_product(actor=seller, key=str(lamp.id))
        with assert_events(), pytest.raises(ProductNotFound):
            place_order(actor=buyer, wanted=wish((lamp, 1)))
        assert nothing_written()

    def test_sell_nothing_of_a_closed_shop(
        self, buyer: User, seller: User, shop: Shop, lamp: Product
    ) -> None:
        close_shop(actor=seller, key=shop.handle)

        with assert_events(), pytest.raises(ProductNotFound):
            place_order(actor=buyer, wanted=wish((lamp, 1)))

    def test_want_the_sku_where_there_are_options(
        self, buyer: User, shop: Shop, lamp: Product
    ) -> None:
        shirt = make_product(shop, "Shirt", variances=[SIZES])
        small = Sku.objects.get(product=shirt, number=1)
        wrong = WantedLine(product_id=lamp.id, sku_id=small.id, quantity=1)

        for wanted in (wish((shirt, 1)), NewOrder(lines=[wrong])):
            with assert_events(), pytest.raises(ValidationFailed) as refused:
                place_order(actor=buyer, wanted=wanted)
            assert list(refused.value.details["fields"]) == ["items.0.sku_id"]
        order = place_order(
            actor=buyer, wanted=NewOrder(lines=[WantedLine(sku_id=small.id, quantity=1)])
        )
        assert order.all_lines[0].options == {"Size": "S"}

    def test_keep_to_one_currency(self, buyer: User, seller: User, lamp: Product) -> None:
        rug = make_product(make_shop(seller, "Tatami", currency="JPY"), price=Decimal(1990))

        with assert_events(), pytest.raises(ValidationFailed):
            place_order(actor=buyer, wanted=wish((lamp, 1), (rug, 1)))

    def test_keep_to_what_can_be_counted_exactly(self, buyer: User, shop: Shop) -> None:
        yacht = make_product(shop, price=Decimal("9999999999.99"), stock_quantity=1000)

        with assert_events(), pytest.raises(ValidationFailed):
            place_order(actor=buyer, wanted=wish((yacht, 1000)))

    @pytest.mark.parametrize(
        ("more", "error"),
        [
            ({"cart_id": "x"}, CartEmpty),
            ({"coupon_code": "TEN"}, CouponInvalid),
            ({"payment_flow": "backend"}, UnsupportedPaymentFlow),
            ({"payment_flow": "credit"}, UnsupportedPaymentFlow),
            ({"payment_method": "card"}, UnsupportedPaymentFlow),
            ({"payment_method": "cash"}, UnsupportedPaymentFlow),
            ({"payment_method": "card", "payment_flow": "on_delivery"}, UnsupportedPaymentFlow),
            ({"fulfilment": "teleport"}, ValidationFailed),
        ],
    )
    def test_pass_nothing_over_that_is_about_money(
        self, buyer: User, lamp: Product, more: dict[str, Any], error: type[AppError]
    ) -> None:
        with assert_events(), pytest.raises(error):
            place_order(actor=buyer, wanted=wish((lamp, 1), **more))
        assert nothing_written()

    def test_end_payment_on_delivery_where_it_is_switched_off(
        self, buyer: User, lamp: Product, settings: Settings
    ) -> None:
        settings.ALLOW_PAY_ON_DELIVERY = False

        with assert_events(), pytest.raises(UnsupportedPaymentFlow):
            make_order(buyer, (lamp, 1))

    def test_take_nobody_elses_address(self, buyer: User, stranger: User, lamp: Product) -> None:
        foreign = add_address(actor=stranger, fields=ADDRESS)

        for key in (str(foreign.id), str(uuid7()), "home"):
            with assert_events(), pytest.raises(AppError) as refused:
                make_order(buyer, (lamp, 1), address_id=key)
            assert refused.value.code == "address_not_found"

    @pytest.mark.transactions
    def test_leave_nothing_where_the_end_fails(
        self, buyer: User, lamp: Product, sku: Sku, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **more: object) -> None:
            raise RuntimeError

        with monkeypatch.context() as broken:
            broken.setattr("orders.services.placing.reach", fail)
            with assert_events(), pytest.raises(RuntimeError):
                make_order(buyer, (lamp, 1))

        assert nothing_written()
        assert stock_of(sku.id) == [(10, 0)]
        # PostgreSQL's numbers are taken ahead: the lost one is not given again.
        assert make_order(buyer, (lamp, 1)).number == (10_002 if is_postgresql() else 10_001)


@pytest.mark.django_db
class TestKeys:
    def test_make_one_order_of_one_wish(self, buyer: User, lamp: Product, sku: Sku) -> None:
        first = place_order(actor=buyer, wanted=wish((lamp, 6)), key="k-1")
        with assert_events():
            again = place_order(actor=buyer, wanted=wish((lamp, 6)), key="k-1")

        assert again.id == first.id
        assert stock_of(sku.id) == [(4, 6)]

    def test_are_of_one_person_and_one_wish(
        self, buyer: User, stranger: User, lamp: Product
    ) -> None:
        orders = {
            place_order(actor=person, wanted=wish((lamp, pieces)), key=key).id
            for person, pieces, key in [
                (buyer, 1, "a"), (buyer, 1, "b"), (buyer, 2, "a"), (stranger, 1, "a"),
            ]
        }  # fmt: skip

        assert len(orders) == 4

    def test_are_free_again_after_a_day(self, buyer: User, lamp: Product) -> None:
        first = place_order(actor=buyer, wanted=wish((lamp, 1)), key="a")
        Order.objects.update(created_at=first.created_at - timedelta(hours=25))

        assert place_order(actor=buyer, wanted=wish((lamp, 1)), key="a").id != first.id
        assert Order.objects.count() == 2


@pytest.mark.django_db
class TestQuote:
    def test_tells_the_totals_and_holds_nothing(self, buyer: User, lamp: Product, sku: Sku) -> None:
        with assert_events():
            totals = quote(actor=buyer, wanted=wish((lamp, 2)))

        assert totals.total == Decimal("49.19")
        assert stock_of(sku.id) == [(10, 0)]
        with pytest.raises(OutOfStock):
            quote(actor=buyer, wanted=wish((lamp, 11)))


def command(buyer: User, *items: tuple[Product, int], digest: str | None = None) -> PlaceCommand:
    return PlaceCommand(actor=buyer, wanted=wish(*items), digest=digest)


@pytest.mark.django_db
class TestBatches:
    def test_take_and_refuse_each_by_itself(
        self, buyer: User, stranger: User, lamp: Product, sku: Sku
    ) -> None:
        outcomes = place_orders(
            [
                command(buyer, (lamp, 6)),
                command(stranger, (lamp, 6)),
                PlaceCommand(actor=buyer, wanted=NewOrder([WantedLine(1, product_id=uuid7())])),
                command(stranger, (lamp, 4)),
            ]
        )

        assert [getattr(one, "code", None) or one.number for one in outcomes] == [  # type: ignore[union-attr]
            10_001, "out_of_stock", "product_not_found", 10_002,
        ]  # fmt: skip
        assert stock_of(sku.id) == [(0, 10)]
        assert Event.objects.filter(topic=lamp.topic, name="stock.changed").count() == 1

    @pytest.mark.transactions
    def test_try_each_alone_where_all_together_fail(
        self, buyer: User, lamp: Product, sku: Sku
    ) -> None:
        # What was read said more than there is: the update of the stock finds out.
        Sku.objects.filter(id=sku.id).update(available=3)
        seen = Seen([one._replace(available=10) for one in list_offers(sku_ids=[sku.id])], set())

        outcomes = place_orders([command(buyer, (lamp, 2)), command(buyer, (lamp, 2))], seen=seen)

        assert [isinstance(one, Order) for one in outcomes] == [True, False]
        assert stock_of(sku.id) == [(1, 2)]
        assert Order.objects.count() == 1

    @pytest.mark.transactions
    def test_find_the_twin_of_the_same_batch(self, buyer: User, lamp: Product, sku: Sku) -> None:
        first, second = place_orders([command(buyer, (lamp, 1), digest="same")] * 2)

        assert isinstance(first, Order)
        assert isinstance(second, Order)
        assert first.id == second.id
        assert stock_of(sku.id) == [(9, 1)]

    def test_cost_little_more_than_one(self, buyer: User, shop: Shop) -> None:
        products = [make_product(shop) for _ in range(3)]
        make_order(buyer, (products[0], 1))

        with assert_queries(13):
            place_orders([command(buyer, *[(one, 1) for one in products])] * 10)


@pytest.mark.transactions
@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_forty_orders_of_ten_pieces_sell_ten(
        self, lamp: Product, sku: Sku, stranger: User
    ) -> None:
        other = the_sku(make_product(make_shop(stranger, "Rugs"), stock_quantity=10))
        buyers = [make_user(f"Buyer{number}", number=100 + number) for number in range(10)]

        def buy(person: User) -> int:
            bought = 0
            for _ in range(4):
                try:
                    place_order(actor=person, wanted=wish((lamp, 1)))
                    bought += 1
                except OutOfStock:
                    pass
            return bought

        sold = together(*[lambda person=person: buy(person) for person in buyers])

        assert sum(sold) == 10
        assert stock_of(sku.id, other.id) == [(0, 10), (10, 0)]
        numbers = sorted(Order.objects.values_list("number", flat=True))
        assert numbers == list(range(10_001, 10_011))
        assert Counter.objects.get(name="order").value == 10_010

    @pytest.mark.parametrize(("is_conditional", "sold"), [(True, 3), (False, 5)])
    def test_only_the_condition_of_the_update_keeps_five_who_saw_three_from_buying_five(
        self, lamp: Product, sku: Sku, monkeypatch: pytest.MonkeyPatch, *,
        is_conditional: bool, sold: int,
    ) -> None:  # fmt: skip
        Sku.objects.filter(id=sku.id).update(available=3)
        buyers = [make_user(f"Buyer{number}", number=100 + number) for number in range(5)]
        all_have_seen = threading.Barrier(len(buyers))
        seen = threading.local()

        def writing_what_was_read(*, lines: Sequence[StockLine]) -> Question[list[NewEvent]]:
            [line] = lines

            def write() -> list[NewEvent]:
                left = seen.available - line.quantity
                Sku.objects.filter(id=line.sku_id).update(available=left)
                return []

            return Question("SELECT 1", [], read=lambda _: write(), elsewhere=write)

        if not is_conditional:
            monkeypatch.setattr("orders.services.placing.is_postgresql", lambda: False)
            monkeypatch.setattr("orders.services.placing.holding", writing_what_was_read)

        def buy(person: User) -> bool:
            seen.available = Sku.objects.get(id=sku.id).available
            all_have_seen.wait(timeout=10)
            # Not gathered: each has a transaction of his own.
            [outcome] = place_orders([command(person, (lamp, 1))])
            return isinstance(outcome, Order)

        bought = together(*[lambda person=person: buy(person) for person in buyers])

        assert sum(bought) == sold
        assert Order.objects.count() == sold

    def test_who_finds_less_than_he_saw_hears_what_is_left(
        self, buyer: User, lamp: Product, sku: Sku
    ) -> None:
        asked = command(buyer, (lamp, 3))
        offers = ask(which_offers_of(asked.wanted.lines))
        seen = Seen(offers, used=[])
        Sku.objects.filter(id=sku.id).update(available=2)

        with assert_events():
            [refusal] = place_orders([asked], seen=seen)

        assert isinstance(refusal, OutOfStock)
        [item] = refusal.details["items"]
        assert (item["sku_id"], item["requested"], item["available"]) == (str(sku.id), 3, 2)
        assert nothing_written()
        assert stock_of(sku.id) == [(2, 0)]

    def test_crossed_orders_harm_nobody(self, buyer: User, shop: Shop, stranger: User) -> None:
        products = [make_product(shop, f"Lamp {n}", stock_quantity=60) for n in range(3)]
        skus = [the_sku(product).id for product in products]

        def buy(place: int) -> None:
            chance = random.Random(place)
            for _ in range(5):
                chosen = chance.sample(products, k=len(products))
                make_order((buyer, stranger)[place % 2], *[(one, 1) for one in chosen])

        together(*[lambda place=place: buy(place) for place in range(8)])

        assert stock_of(*skus) == [(20, 40)] * 3
        assert Order.objects.count() == 40

    def test_one_wish_at_once_is_one_order(self, buyer: User, lamp: Product, sku: Sku) -> None:
        def buy() -> object:
            return place_order(actor=buyer, wanted=wish((lamp, 1)), key="same").id

        wishes: list[Callable[[], object]] = [buy] * 8

        assert len(set(together(*wishes))) == 1
        assert stock_of(sku.id) == [(9, 1)]

    def test_an_order_inside_a_transaction_belongs_to_it(
        self, buyer: User, lamp: Product, sku: Sku
    ) -> None:
        @transactional
        def order_and_fail() -> None:
            place_order(actor=buyer, wanted=wish((lamp, 1)))
            raise RuntimeError

        with pytest.raises(RuntimeError):
            order_and_fail()

        assert nothing_written()
        assert stock_of(sku.id) == [(10, 0)]
