"""Products get the next number of their shop, one sku per choice, and are told twice."""

from decimal import Decimal
from typing import Any

import pytest

from accounts.models import User
from marketplace.core.errors import Forbidden, IllegalTransition, ValidationFailed
from marketplace.events.models import Event
from marketplace.tests.cast import assert_events
from marketplace.tests.threads import together
from shops.errors import ProductNotFound, ShopNotFound
from shops.models import Product, Shop, Sku
from shops.services.products import (
    NewProduct,
    archive_product,
    create_product,
    update_product,
)
from shops.services.shops import close_shop
from shops.tests.factories import COLORS, SIZES, make_product, make_shop, make_staff


def skus_of(product: Product) -> list[tuple[str, dict[str, str], int]]:
    rows = Sku.objects.filter(product=product).order_by("number")
    return [(sku.code, sku.options, sku.available) for sku in rows]


@pytest.mark.django_db
class TestCreateProduct:
    def test_has_one_sku_without_options(self, shop: Shop) -> None:
        product = make_product(shop)

        assert (product.sku, product.status, product.currency) == (1, "published", "USD")
        assert skus_of(product) == [("1", {}, 12)]

    def test_counts_in_its_shop_alone(self, shop: Shop, stranger: User) -> None:
        other = make_shop(stranger, "Other")

        skus = [make_product(shop).sku, make_product(other).sku, make_product(shop).sku]

        assert skus == [1, 1, 2]

    def test_makes_a_sku_of_every_choice_and_shares_the_stock_out(self, shop: Shop) -> None:
        product = make_product(shop, variances=[SIZES, COLORS], stock_quantity=10)

        assert skus_of(product) == [
            ("1-1", {"Size": "S", "Color": "red"}, 2),
            ("1-2", {"Size": "S", "Color": "blue"}, 2),
            ("1-3", {"Size": "M", "Color": "red"}, 2),
            ("1-4", {"Size": "M", "Color": "blue"}, 2),
            ("1-5", {"Size": "L", "Color": "red"}, 1),
            ("1-6", {"Size": "L", "Color": "blue"}, 1),
        ]

    def test_makes_the_skus_that_are_asked_for(self, shop: Shop) -> None:
        product = make_product(
            shop,
            variances=[SIZES],
            skus=[
                {"options": {"size": "m"}, "stock_quantity": 3},
                {"options": {"Size": "S"}, "price": Decimal("5.00")},
            ],
        )

        assert skus_of(product) == [("1-1", {"Size": "M"}, 3), ("1-2", {"Size": "S"}, 0)]
        assert Sku.objects.get(code="1-2").price == Decimal("5.00")

    def test_tells_it_on_its_topic_and_its_shops(self, shop: Shop, seller: User) -> None:
        product = make_product(shop)

        [own] = Event.objects.filter(topic=product.topic)
        copy = Event.objects.filter(topic=shop.topic).order_by("seq").last()
        assert copy is not None
        assert (own.seq, own.name) == (1, "product.created")
        assert (copy.seq, copy.name) == (2, "product.created")
        assert copy.event_id == own.event_id
        assert copy.payload == own.payload
        assert (own.payload["sku"], own.payload["stock_quantity"]) == (1, 12)
        assert own.actor_id == seller.public_id

    @pytest.mark.parametrize(
        ("field", "values"),
        [
            ("price", {"price": Decimal("1.999")}),
            ("status", {"status": "archived"}),
            ("media.0.url", {"media": [{"url": "ftp://example.com/a.jpg"}]}),
            ("media.0.url", {"media": [{"url": "javascript:alert(1)"}]}),
            ("media.0.url", {"media": [{"url": "https://example.com/" + "a" * 481}]}),
            ("media.0.tag", {"media": [{"url": "https://example.com/a.jpg", "tag": "x" * 41}]}),
            ("media", {"media": [{"url": f"https://example.com/{n}.jpg"} for n in range(21)]}),
            ("variances.1.name", {"variances": [SIZES, {"name": "SIZE", "options": ["1"]}]}),
            ("variances.0.options", {"variances": [{"name": "Size", "options": []}]}),
            ("variances.0.options.1", {"variances": [{"name": "A", "options": ["x", "X "]}]}),
            ("variances", {"variances": [{"name": n, "options": list("abcdefgh")} for n in "ab"]
                           + [{"name": "c", "options": list("abcd")}]}),
            ("skus.0.options", {"skus": [{"options": {"Size": "S"}}]}),
            ("skus.0.options", {"variances": [SIZES], "skus": [{"options": {"Size": "XXL"}}]}),
            ("skus.0.options", {"variances": [SIZES], "skus": [{"options": {}}]}),
            ("skus.1.options", {"variances": [SIZES], "skus": [{"options": {"Size": "S"}},
                                                               {"options": {"size": "s"}}]}),
            ("skus.0.price", {"variances": [SIZES], "skus": [{"options": {"Size": "S"},
                                                              "price": Decimal("0.001")}]}),
        ],
    )  # fmt: skip
    def test_names_the_field_and_writes_nothing(
        self, shop: Shop, field: str, values: dict[str, Any]
    ) -> None:
        with assert_events(), pytest.raises(ValidationFailed) as refused:
            make_product(shop, **values)

        assert list(refused.value.details["fields"]) == [field]
        assert (Product.objects.count(), Sku.objects.count()) == (0, 0)
        assert Shop.objects.get().last_sku == 0

    def test_is_for_its_staff(self, shop: Shop, buyer: User, stranger: User, admin: User) -> None:
        make_staff(shop, buyer)
        wanted = NewProduct(name="Lamp", price=Decimal(1))

        skus = [
            create_product(actor=actor, key=shop.handle, wanted=wanted).sku
            for actor in (buyer, admin)
        ]
        with assert_events(), pytest.raises(Forbidden):
            create_product(actor=stranger, key=shop.handle, wanted=wanted)

        assert skus == [1, 2]
        assert Shop.objects.get().last_sku == 2

    def test_finds_no_shop_that_has_closed(self, shop: Shop, seller: User) -> None:
        close_shop(actor=seller, key=shop.handle)

        with assert_events(), pytest.raises(ShopNotFound):
            make_product(shop)

    def test_counts_yen_without_a_fraction(self, seller: User) -> None:
        shop = make_shop(seller, currency="JPY")

        make_product(shop, price=Decimal("100"))
        with pytest.raises(ValidationFailed):
            make_product(shop, price=Decimal("100.5"))


@pytest.mark.transactions
@pytest.mark.django_db(transaction=True)
class TestNumbers:
    def test_fifty_at_once_are_numbered_without_a_gap(self, shop: Shop, stranger: User) -> None:
        other = make_shop(stranger, "Other")

        def ten(place: int) -> list[int]:
            return [make_product(shop, f"Lamp {place}-{turn}").sku for turn in range(5)]

        numbers = together(*[lambda place=place: ten(place) for place in range(10)])

        assert sorted(number for some in numbers for number in some) == list(range(1, 51))
        assert sorted(Product.objects.values_list("sku", flat=True)) == list(range(1, 51))
        other.refresh_from_db()
        assert other.last_sku == 0
        assert make_product(other).sku == 1

    def test_a_refused_one_leaves_no_gap(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        make_product(shop)
        with monkeypatch.context() as broken:
            broken.setattr("shops.services.products.open_topic", _fail)
            with assert_events(), pytest.raises(RuntimeError):
                make_product(shop)

        assert make_product(shop).sku == 2
        assert Product.objects.count() == 2


def _fail(topic: str) -> None:
    raise RuntimeError(topic)


@pytest.mark.django_db
class TestUpdateProduct:
    def test_changes_what_is_named(self, shop: Shop, seller: User) -> None:
        product = make_product(shop, brand="Corner", category="Lamps")

        with assert_events((product.topic, "product.updated"), (shop.topic, "product.updated")):
            changed = update_product(
                actor=seller,
                key=str(product.id),
                changes={"price": Decimal("40"), "brand": None, "name": "Floor LAMP"},
            )

        assert (changed.price, changed.brand, changed.category) == (Decimal(40), "", "Lamps")
        stored = Product.objects.get()
        assert (stored.name_key, stored.brand_key) == ("floor lamp", "")
        assert stored.search_text == "floor lamp\n\nlamps\n"

    def test_sets_the_stock_of_a_single_sku(self, shop: Shop, seller: User) -> None:
        product = make_product(shop)

        with assert_events(
            (product.topic, "stock.changed"),
            (product.topic, "product.updated"),
            (shop.topic, "stock.changed"),
            (shop.topic, "product.updated"),
        ):
            update_product(actor=seller, key=str(product.id), changes={"stock_quantity": 3})

        assert skus_of(product) == [("1", {}, 3)]

    def test_refuses_one_stock_for_many_skus(self, shop: Shop, seller: User) -> None:
        product = make_product(shop, variances=[SIZES])

        with assert_events(), pytest.raises(ValidationFailed) as refused:
            update_product(
                actor=seller, key=str(product.id), changes={"stock_quantity": 3, "name": "X"}
            )

        assert list(refused.value.details["fields"]) == ["stock_quantity"]
        assert Product.objects.get().name == "Desk lamp"

    @pytest.mark.parametrize(
        ("field", "value"),
        [("name", None), ("price", None), ("price", Decimal("0.001")), ("status", None)],
    )
    def test_names_the_field_that_is_wrong(
        self, shop: Shop, seller: User, field: str, value: Any
    ) -> None:
        product = make_product(shop)

        with assert_events(), pytest.raises(ValidationFailed) as refused:
            update_product(actor=seller, key=str(product.id), changes={field: value})

        assert list(refused.value.details["fields"]) == [field]

    def test_is_for_its_staff(self, shop: Shop, stranger: User) -> None:
        product = make_product(shop)
        draft = make_product(shop, status="draft")

        with assert_events():
            with pytest.raises(Forbidden):
                update_product(actor=stranger, key=str(product.id), changes={"name": "Mine"})
            with pytest.raises(ProductNotFound):
                update_product(actor=stranger, key=str(draft.id), changes={"name": "Mine"})

    def test_tells_nothing_where_nothing_changes(self, shop: Shop, seller: User) -> None:
        product = make_product(shop)
        archive_product(actor=seller, key=str(product.id))

        with assert_events():
            archive_product(actor=seller, key=str(product.id))
            update_product(
                actor=seller, key=str(product.id), changes={"price": Decimal("49.9"), "brand": None}
            )

    def test_archives_and_publishes_again(self, shop: Shop, seller: User) -> None:
        product = make_product(shop)

        with assert_events((product.topic, "product.archived"), (shop.topic, "product.archived")):
            archive_product(actor=seller, key=str(product.id))
        assert Product.objects.get().status == "archived"

        update_product(actor=seller, key=str(product.id), changes={"status": "published"})
        assert Product.objects.get().status == "published"

    def test_sells_nothing_again_in_a_closed_shop(self, shop: Shop, seller: User) -> None:
        product = make_product(shop)
        close_shop(actor=seller, key=shop.handle)

        with assert_events(), pytest.raises(IllegalTransition):
            update_product(actor=seller, key=str(product.id), changes={"status": "published"})
