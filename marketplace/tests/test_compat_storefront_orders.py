"""Storefront's order routes (SF16, SF17, SF18), as its clients know them."""

from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from accounts.services.addresses import add_address
from delivery.services.creating import Destination, NewDelivery, create_delivery
from marketplace.core.ids import uuid7
from marketplace.tests.cast import assert_events, assert_queries, signed_in
from marketplace.web.tests.test_documented_answers import hold
from orders.models import Order
from orders.services.moves import accept_order, cancel_order, move_order
from orders.tests.factories import make_order
from shops.models import Product, Sku
from shops.services.media import add_link
from shops.tests.factories import COLORS, SIZES, make_product, make_shop

ORDERS = "/api/orders"
FIELDS = {
    "id", "number", "order_number", "user_id", "custom", "status", "payment_status",
    "payment_method", "payment_flow", "fulfilment", "lines", "items", "shop_orders", "totals",
    "subtotal", "discount", "loyalty_discount", "tax", "shipping", "total", "currency",
    "coupon_code", "shipping_address", "delivery_id", "tracking_number", "created_at",
    "updated_at",
}  # fmt: skip


@pytest.fixture
def client(buyer: User) -> APIClient:
    return signed_in(buyer)


@pytest.fixture
def lamp(seller: User) -> Product:
    return make_product(make_shop(seller), price=Decimal("20.00"), stock_quantity=100)


def post(client: APIClient, body: Any, **headers: Any) -> Any:
    return client.post(ORDERS, body, format="json", **headers)


def items(product: Product, quantity: int = 2, **more: Any) -> dict[str, Any]:
    return {"items": [{"product_id": str(product.id), "quantity": quantity}], **more}


@pytest.mark.django_db
class TestCreate:
    def test_has_the_fields_of_its_clients(
        self, client: APIClient, seller: User, buyer: User
    ) -> None:
        shirt = make_product(
            make_shop(seller), "Shirt", price=Decimal("20.00"), variances=[SIZES, COLORS],
            stock_quantity=60,
        )  # fmt: skip
        add_link(actor=seller, key=str(shirt.id), link={"url": "https://example.com/a.jpg"})
        home = add_address(
            actor=buyer,
            fields={"line1": "1 Main", "city": "NY", "state": "NY", "postal_code": "10001",
                    "country": "USA"},
        )  # fmt: skip
        sku = Sku.objects.get(product=shirt, number=2)

        answer = post(
            client,
            {
                "items": [{"product_id": str(shirt.id), "sku_id": str(sku.id), "quantity": 2}],
                "delivery_address_id": str(home.id),
            },
        )

        assert answer.status_code == 201
        body = answer.json()
        assert set(body) == FIELDS
        assert (body["order_number"], body["status"], body["tracking_number"]) == (
            "ORD-00010001", "pending", None,
        )  # fmt: skip
        assert (body["subtotal"], body["tax"], body["shipping"], body["total"]) == (
            40, 3.2, 5.99, 49.19,
        )  # fmt: skip
        [item] = body["items"]
        assert (item["product_name"], item["product_image"], item["price"], item["subtotal"]) == (
            "Shirt", "https://example.com/a.jpg", 20, 40,
        )  # fmt: skip
        assert (item["color"], item["size"], item["quantity"]) == ("blue", "S", 2)
        assert body["shipping_address"] == {
            "street": "1 Main", "city": "NY", "state": "NY", "zip_code": "10001", "country": "USA",
        }  # fmt: skip

    def test_happens_once_under_a_key(self, client: APIClient, lamp: Product) -> None:
        first, again = [post(client, items(lamp), HTTP_IDEMPOTENCY_KEY="k") for _ in range(2)]

        assert first.json() == again.json()
        assert Order.objects.count() == 1

    @pytest.mark.parametrize(
        ("more", "status", "code", "text"),
        [
            ({"cart_id": "c"}, 400, "cart_empty", "Cart is empty or not found"),
            ({"coupon_code": "X"}, 404, "coupon_invalid", "Coupon not found or expired"),
            ({"delivery_address_id": str(uuid7())}, 404, "address_not_found",
             "Delivery address not found"),
            ({"payment_method_id": "x"}, 400, "unsupported_payment_flow", None),
        ],
    )  # fmt: skip
    def test_refuses_in_its_words(
        self,
        client: APIClient,
        lamp: Product,
        more: dict[str, Any],
        status: int,
        code: str,
        text: str | None,
    ) -> None:
        with assert_events():
            answer = post(client, items(lamp, **more))

        body = answer.json()
        assert (answer.status_code, body["code"], body["status_code"]) == (status, code, status)
        assert body["error"] == body["detail"] == (text or body["message"])
        assert Order.objects.count() == 0

    def test_tells_what_is_short_with_400(self, client: APIClient, lamp: Product) -> None:
        answer = post(client, items(lamp, 101))

        assert (answer.status_code, answer.json()["error"]) == (400, "Insufficient stock")
        assert answer.json()["details"]["items"][0]["available"] == 100

    def test_answers_a_line_of_nothing_with_422(self, client: APIClient) -> None:
        answer = post(client, {"items": [{"quantity": 1, "title": "Gift", "price": 1}]})

        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
        assert answer.json()["detail"][0]["loc"] == ["body", "items", "0", "product_id"]

    def test_is_for_people_who_signed_in(self, guest: APIClient, lamp: Product) -> None:
        answer = post(guest, items(lamp))

        assert (answer.status_code, answer.json()["error"]) == (401, "Not authenticated")


@pytest.mark.django_db
class TestDetail:
    def test_is_found_by_id_and_number(self, client: APIClient, buyer: User, lamp: Product) -> None:
        order = make_order(buyer, (lamp, 1))

        for key in (order.id, order.number, order.handle):
            answer = client.get(f"{ORDERS}/{key}")
            assert (answer.status_code, answer.json()["id"]) == (200, str(order.id))
            assert set(answer.json()) == FIELDS

    def test_is_not_there_for_others(self, stranger: User, buyer: User, lamp: Product) -> None:
        order = make_order(buyer, (lamp, 1))

        for key in (order.id, order.number, uuid7(), "x"):
            answer = signed_in(stranger).get(f"{ORDERS}/{key}")
            assert (answer.status_code, answer.json()["error"]) == (404, "Order not found")

    def test_speaks_of_states_as_its_clients_do(
        self, client: APIClient, buyer: User, seller: User, lamp: Product
    ) -> None:
        order = make_order(buyer, (lamp, 1))
        words = [client.get(f"{ORDERS}/{order.id}").json()["status"]]
        accept_order(actor=seller, order_id=order.id)
        for status in ("shipped", "delivered"):
            words.append(client.get(f"{ORDERS}/{order.id}").json()["status"])
            move_order(actor=seller, order_id=order.id, status=status)
        words.append(client.get(f"{ORDERS}/{order.id}").json()["status"])
        Order.objects.update(status="failed")
        words.append(client.get(f"{ORDERS}/{order.id}").json()["status"])

        assert words == ["pending", "confirmed", "shipped", "delivered", "cancelled"]

    def test_says_processing_once_a_courier_has_it(
        self, client: APIClient, buyer: User, seller: User, courier: User, lamp: Product
    ) -> None:
        order = make_order(buyer, (lamp, 1))
        accept_order(actor=seller, order_id=order.id)
        wanted = NewDelivery(
            order_id=str(order.id),
            courier_id=courier.public_id,
            destination=Destination(text="5 Lamp Street"),
        )
        delivery = create_delivery(actor=seller, wanted=wanted)

        body = client.get(f"{ORDERS}/{order.id}").json()

        assert (body["status"], body["delivery_id"]) == ("processing", str(delivery.id))
        assert body["tracking_number"] == f"TRK-{delivery.id.hex[-12:].upper()}"


@pytest.mark.django_db
class TestList:
    def test_is_a_bare_array_of_ones_own(
        self, client: APIClient, buyer: User, stranger: User, lamp: Product
    ) -> None:
        orders = [make_order(buyer, (lamp, 1)) for _ in range(5)]
        make_order(stranger, (lamp, 1))
        cancel_order(actor=buyer, order_id=orders[0].id)

        answer = client.get(f"{ORDERS}?limit=2&page=2")

        assert [one["number"] for one in answer.json()] == [10_003, 10_002]
        assert set(answer.json()[0]) == FIELDS
        assert answer.headers["X-Total-Count"] == "5"
        assert 'rel="next"' in answer.headers["Link"]
        gone = client.get(f"{ORDERS}?status=cancelled").json()
        assert [one["number"] for one in gone] == [10_001]
        assert client.get(f"{ORDERS}?status=confirmed").json() == []
        assert client.get(f"{ORDERS}?status=x").status_code == 422

    def test_costs_the_same_however_long(
        self, client: APIClient, buyer: User, seller: User, lamp: Product
    ) -> None:
        for count in (1, 4):
            for _ in range(count):
                accept_order(actor=seller, order_id=make_order(buyer, (lamp, 1)).id)
            # The session, a count, a page with its lines and parts, who has a courier.
            with assert_queries(6):
                client.get(ORDERS)


@pytest.mark.django_db
class TestDocument:
    def test_names_every_answer(
        self, client: APIClient, guest: APIClient, buyer: User, lamp: Product
    ) -> None:
        order = make_order(buyer, (lamp, 1))
        hold(
            ORDERS,
            post(client, items(lamp)),
            post(client, items(lamp, 500)),
            post(client, {}),
            post(client, items(lamp, coupon_code="X")),
            client.get(ORDERS),
            guest.get(ORDERS),
        )
        hold(ORDERS + "/{order_id}", *[client.get(f"{ORDERS}/{key}") for key in (order.id, "x")])
