"""What orders, delivery and chat read of shops."""

from decimal import Decimal

import pytest

from accounts.models import User
from marketplace.core.ids import uuid7
from marketplace.tests.cast import assert_queries
from shops import access, selectors
from shops.models import Shop
from shops.search import ProductQuery, shop_number
from shops.services.media import add_link
from shops.tests.factories import SIZES, make_product, make_shop, make_staff, the_sku


class TestShopNumber:
    @pytest.mark.parametrize(
        ("text", "number"),
        [
            ("shop_10001", 10_001),
            ("SHOP_1", 1),
            ("shop_", None),
            ("shop", None),
            ("10001", None),
            ("shop_1x", None),
            ("shop_-1", None),
            ("shop_\u0661", None),
            ("shop_" + "9" * 19, None),
        ],
    )
    def test_reads_one_form(self, text: str, number: int | None) -> None:
        assert shop_number(text) == number


class TestProductQuery:
    @pytest.mark.parametrize(
        ("asked", "order"),
        [
            (ProductQuery(), ("-id",)),
            (ProductQuery(q="lamp"), ("rank", "-id")),
            (ProductQuery(q="  "), ("-id",)),
            (ProductQuery(sort="relevance"), ("-id",)),
            (ProductQuery(q="lamp", sort="price"), ("price", "id")),
        ],
    )
    def test_orders_by_relevance_where_there_are_words(
        self, asked: ProductQuery, order: tuple[str, ...]
    ) -> None:
        assert asked.order == order


@pytest.mark.django_db
class TestOffers:
    def test_tell_what_an_order_line_has_to_remember(self, shop: Shop, seller: User) -> None:
        product = make_product(shop, category="lamps")
        for url in ("https://example.com/a.mp4", "https://example.com/b.jpg"):
            add_link(actor=seller, key=str(product.id), link={"url": url})

        [offer] = selectors.list_offers(product_ids=[product.id])

        sku = the_sku(product)
        assert (offer.sku_id, offer.product_id, offer.shop_id) == (sku.id, product.id, shop.id)
        assert (offer.code, offer.title, offer.options) == ("1", "Desk lamp", {})
        assert (offer.price, offer.currency, offer.category) == (Decimal("49.90"), "USD", "lamps")
        assert (offer.image_url, offer.available) == ("https://example.com/b.jpg", 12)

    def test_take_the_price_of_the_sku_where_it_has_one(self, shop: Shop) -> None:
        product = make_product(
            shop,
            variances=[SIZES],
            skus=[
                {"options": {"Size": "S"}},
                {"options": {"Size": "M"}, "price": Decimal("55")},
            ],
        )

        offers = selectors.list_offers(product_ids=[product.id])

        assert [(offer.code, offer.price) for offer in offers] == [
            ("1-1", Decimal("49.90")),
            ("1-2", Decimal("55")),
        ]

    def test_come_in_one_query(self, shop: Shop) -> None:
        first, second = make_product(shop), make_product(shop)

        sku_id = the_sku(first).id

        with assert_queries(1):
            offers = selectors.list_offers(
                sku_ids=[sku_id, uuid7()], product_ids=[second.id, first.id]
            )

        assert [offer.product_id for offer in offers] == [first.id, second.id]

    def test_are_of_published_products_alone(self, shop: Shop) -> None:
        product = make_product(shop, status="draft")

        assert selectors.list_offers(product_ids=[product.id]) == []


@pytest.mark.django_db
class TestStaff:
    def test_are_told_by_shop(self, shop: Shop, seller: User, buyer: User) -> None:
        other = make_shop(buyer, "Other")
        make_staff(shop, buyer)

        with assert_queries(1):
            found = selectors.staff_ids(shop_ids=[shop.id, other.id])

        assert found == {
            shop.id: [seller.public_id, buyer.public_id],
            other.id: [buyer.public_id],
        }

    def test_are_found_by_pairs_of_shop_and_person(
        self, shop: Shop, seller: User, buyer: User, stranger: User
    ) -> None:
        other, third = make_shop(buyer, "Other"), make_shop(buyer, "Third")
        make_staff(other, seller)

        with assert_queries(1):
            found = selectors.who_works_where(
                shop_ids=[shop.id, other.id], users=[seller, buyer, stranger]
            )

        assert found == {(shop.id, seller.pk), (other.id, seller.pk), (other.id, buyer.pk)}
        assert selectors.who_works_where(shop_ids=[third.id], users=[seller]) == set()

    def test_and_admins_may_serve(
        self, shop: Shop, seller: User, buyer: User, stranger: User, admin: User
    ) -> None:
        make_staff(shop, buyer)

        people = (seller, buyer, admin, stranger, None)
        assert [access.may_serve(actor=one, shop_id=shop.id) for one in people] == [
            True, True, True, False, False,
        ]  # fmt: skip
        assert [access.rank_in(actor=one, shop_id=shop.id) for one in people] == [3, 1, 3, 0, 0]

    def test_find_a_shop_by_its_name(self, shop: Shop) -> None:
        found = selectors.find_shop_by_name(" corner  LAMP ")

        assert found is not None
        assert found.id == shop.id
        assert selectors.find_shop_by_name("corner") is None
