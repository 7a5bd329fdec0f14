"""Orders over REST: status, shape, error codes, pages; and nothing for a stranger."""

from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from accounts.services.addresses import add_address
from marketplace.tests.cast import assert_events, assert_queries, signed_in
from marketplace.web.tests.test_documented_answers import hold
from orders.models import Order, Payment
from orders.services.moves import cancel_order
from orders.tests.factories import make_order, stock_of
from shops.models import Product, Shop, Sku
from shops.tests.factories import SIZES, make_product, make_shop

UNKNOWN = "019ab0c4-7d10-7cc1-8f6e-0a8d6d3e1b52"
ORDERS = "/api/v1/orders"
ORDER_FIELDS = {
    "id", "number", "user_id", "custom", "status", "payment_status", "payment_method",
    "payment_flow", "fulfilment", "lines", "shop_orders", "totals", "currency", "coupon_code",
    "shipping_address", "delivery_id", "tracking_number", "created_at", "updated_at",
}  # fmt: skip
LINE_FIELDS = {
    "id", "product_id", "sku_id", "shop_id", "title", "quantity", "unit_price", "line_total",
    "discount", "tax", "tax_rate", "custom", "returned_quantity", "created_at", "updated_at",
}  # fmt: skip
TOTAL_FIELDS = {
    "subtotal", "coupon_discount", "points_discount", "discount", "loyalty_discount", "tax",
    "tax_included", "shipping", "total", "currency", "item_count",
}  # fmt: skip


@pytest.fixture
def client(buyer: User) -> APIClient:
    return signed_in(buyer)


@pytest.fixture
def order(buyer: User, lamp: Product) -> Order:
    return make_order(buyer, (lamp, 2))


def post(client: APIClient, path: str, body: Any = None, **headers: Any) -> Any:
    return client.post(path, body, format="json", **headers)


def items(product: Product, quantity: Any = 2, **more: Any) -> dict[str, Any]:
    return {"items": [{"product_id": str(product.id), "quantity": quantity}], **more}


@pytest.mark.django_db
class TestCreate:
    def test_answers_the_order(self, client: APIClient, buyer: User, lamp: Product) -> None:
        answer = post(client, ORDERS, items(lamp, payment_flow="ON_DELIVERY"))

        assert answer.status_code == 201
        body = answer.json()
        assert set(body) == ORDER_FIELDS
        assert set(body["lines"][0]) == LINE_FIELDS
        assert set(body["totals"]) == TOTAL_FIELDS
        assert body["shop_orders"] == [
            {"shop_id": str(lamp.shop_id), "status": "pending", "total": "43.20"}
        ]
        assert (body["number"], body["user_id"], body["status"], body["payment_status"]) == (
            10_001, buyer.public_id, "pending", "unpaid",
        )  # fmt: skip
        assert (body["payment_flow"], body["fulfilment"], body["custom"]) == (
            "on_delivery", "delivery", False,
        )  # fmt: skip
        assert (body["lines"][0]["unit_price"], body["lines"][0]["tax_rate"]) == ("20.00", "0.08")
        assert (body["totals"]["total"], body["totals"]["tax"]) == ("49.19", "3.20")
        assert client.get(f"{ORDERS}/{body['id']}").json() == body

    def test_believes_no_amount(self, client: APIClient, buyer: User, lamp: Product) -> None:
        cheap = {
            "product_id": str(lamp.id), "quantity": 2, "price": 0.01, "unit_price": "0.01",
            "line_total": 0, "discount": 40, "tax_rate": 0, "currency": "VND",
        }  # fmt: skip
        body = {
            "items": [cheap], "price": 1, "total": "1.00", "subtotal": 1, "currency": "VND",
            "discount": 50, "tax": 0, "shipping": 0, "status": "delivered", "number": 1,
            "payment_status": "paid", "paid_at": "2026-01-01", "user_id": "x", "id": UNKNOWN,
            "points": 5000, "tier": "platinum", "totals": {"total": "0"},
        }  # fmt: skip

        answer = post(client, ORDERS, body)

        assert answer.status_code == 201
        totals = answer.json()["totals"]
        assert (totals["total"], totals["tax"], totals["shipping"], totals["currency"]) == (
            "49.19", "3.20", "5.99", "USD",
        )  # fmt: skip
        stored = Order.objects.get()
        assert (stored.status, stored.payment_status, stored.user_id) == (
            "pending", "unpaid", buyer.pk,
        )  # fmt: skip

    @pytest.mark.parametrize(
        "quantity", [0, -1, 1.5, 1e18, "1e3", True, None, "", [1], {"a": 1}, 1001, "NaN"]
    )
    def test_takes_whole_quantities_alone(
        self, client: APIClient, lamp: Product, sku: Sku, quantity: Any
    ) -> None:
        with assert_events():
            answer = post(client, ORDERS, items(lamp, quantity))

        assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
        assert list(answer.json()["details"]["fields"]) == ["items.0.quantity"]
        assert Order.objects.count() == 0
        assert stock_of(sku.id) == [(10, 0)]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "items"),
            ({"items": []}, "items"),
            ({"items": "x"}, "items"),
            ({"items": [5]}, "items.0.non_field_errors"),
            ({"items": [{"quantity": 1}]}, "items.0.product_id"),
            ({"items": [{"product_id": "x", "quantity": 1}]}, "items.0.product_id"),
            ({"items": [{"product_id": {"$ne": 1}, "quantity": 1}]}, "items.0.product_id"),
            ({"items": [{"title": "Gift", "price": 1, "quantity": 1}]}, "items.0.product_id"),
            ({"items": [{"product_id": UNKNOWN}]}, "items.0.quantity"),
            ({"items": [{"product_id": UNKNOWN, "quantity": 1}] * 101}, "items"),
            ({"items": [{"product_id": UNKNOWN, "quantity": 1}], "fulfilment": "x"}, "fulfilment"),
            (
                {
                    "items": [{"product_id": UNKNOWN, "quantity": 1}],
                    "shipping_address": {"city": "x", "postal_code": "1", "country": "US"},
                },
                "shipping_address.line1",
            ),
        ],
    )
    def test_names_a_wrong_field(self, client: APIClient, body: Any, field: str) -> None:
        with assert_events():
            answer = post(client, ORDERS, body)

        assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
        assert list(answer.json()["details"]["fields"]) == [field]
        assert Order.objects.count() == 0

    def test_survives_ten_thousand_lines(self, client: APIClient, lamp: Product) -> None:
        line = {"product_id": str(lamp.id), "quantity": 1}

        answer = post(client, ORDERS, {"items": [line] * 10_000})

        assert answer.status_code == 400
        assert Order.objects.count() == 0

    @pytest.mark.parametrize(
        ("more", "status", "code"),
        [
            ({"cart_id": "c-1"}, 409, "cart_empty"),
            ({"coupon_code": "TEN"}, 422, "coupon_invalid"),
            ({"payment_method": "card"}, 400, "unsupported_payment_flow"),
            ({"paymentMethod": "stripe"}, 400, "unsupported_payment_flow"),
            ({"payment_method_id": UNKNOWN}, 400, "unsupported_payment_flow"),
            ({"payment": {"card_number": "4242"}}, 400, "unsupported_payment_flow"),
            ({"capture": "manual"}, 400, "unsupported_payment_flow"),
            ({"payment_flow": "backend"}, 400, "unsupported_payment_flow"),
            ({"address_id": UNKNOWN}, 404, "address_not_found"),
        ],
    )
    def test_refuses_what_is_not_there_yet(
        self, client: APIClient, lamp: Product, more: dict[str, Any], status: int, code: str
    ) -> None:
        with assert_events():
            answer = post(client, ORDERS, items(lamp, **more))

        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert Order.objects.count() == 0

    def test_refuses_what_is_not_sold(self, client: APIClient, shop: Shop, lamp: Product) -> None:
        draft = make_product(shop, status="draft")
        shirt = make_product(shop, variances=[SIZES])
        sku = {"items": [{"sku_id": UNKNOWN, "quantity": 1}]}

        answers = [post(client, ORDERS, body) for body in (items(draft), items(shirt), sku)]

        assert [(one.status_code, one.json()["code"]) for one in answers] == [
            (404, "product_not_found"), (400, "validation_failed"), (404, "sku_not_found"),
        ]  # fmt: skip

    def test_tells_what_is_short(self, client: APIClient, lamp: Product, sku: Sku) -> None:
        body = {"items": [{"product_id": str(lamp.id), "quantity": 6}] * 2}

        with assert_events():
            answer = post(client, ORDERS, body)

        assert (answer.status_code, answer.json()["code"]) == (409, "out_of_stock")
        assert answer.json()["details"]["items"] == [
            {
                "sku_id": str(sku.id),
                "product_id": str(lamp.id),
                "requested": 12,
                "available": 10,
            }
        ]

    def test_answers_a_repeated_key_with_the_first_order(
        self, client: APIClient, lamp: Product, sku: Sku
    ) -> None:
        first = post(client, ORDERS, items(lamp), HTTP_IDEMPOTENCY_KEY="k-1")
        with assert_events():
            again = post(client, ORDERS, items(lamp), HTTP_IDEMPOTENCY_KEY="k-1")
            other = post(client, ORDERS, items(lamp, 3), HTTP_IDEMPOTENCY_KEY="k-1")

        assert (first.status_code, again.status_code) == (201, 201)
        assert again.json() == first.json()
        assert again.headers["Idempotent-Replayed"] == "true"
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        assert stock_of(sku.id) == [(8, 2)]

    def test_keeps_the_address(self, client: APIClient, buyer: User, lamp: Product) -> None:
        address = {"street": "1 Main", "city": "Boston", "zip_code": "02101", "country": "US"}

        given = post(client, ORDERS, items(lamp, 1, shippingAddress=address)).json()
        home = add_address(
            actor=buyer,
            fields={"line1": "2 Home", "city": "NY", "postal_code": "10001", "country": "USA"},
        )
        named = post(client, ORDERS, items(lamp, 1, delivery_address_id=str(home.id))).json()

        assert (given["shipping_address"]["line1"], given["shipping_address"]["postal_code"]) == (
            "1 Main", "02101",
        )  # fmt: skip
        assert (named["shipping_address"]["line1"], named["shipping_address"]["country_code"]) == (
            "2 Home", "US",
        )  # fmt: skip


ROUTES = [
    ("get", "", None),
    ("post", "/pay", {"method": "cash"}),
    ("post", "/cancel", {}),
    ("post", "/status", {"status": "shipped"}),
    ("get", "/timeline", None),
]


@pytest.mark.django_db
class TestAccess:
    @pytest.mark.parametrize(("method", "path", "body"), ROUTES)
    def test_tells_a_stranger_that_there_is_none(
        self, order: Order, stranger: User, employee: User, method: str, path: str, body: Any
    ) -> None:
        before = Order.objects.get()
        for person in (stranger, employee):
            for key in (order.id, order.number, order.handle, UNKNOWN, "x", "0", "ORD-"):
                with assert_events():
                    answer = getattr(signed_in(person), method)(
                        f"{ORDERS}/{key}{path}", body, format="json"
                    )
                assert (answer.status_code, answer.json()["code"]) == (404, "order_not_found")
        assert Order.objects.get().updated_at == before.updated_at
        assert Payment.objects.count() == 0

    @pytest.mark.parametrize(("method", "path", "body"), ROUTES)
    def test_asks_a_guest_to_sign_in(
        self, order: Order, guest: APIClient, method: str, path: str, body: Any
    ) -> None:
        with assert_events():
            answer = getattr(guest, method)(f"{ORDERS}/{order.id}{path}", body, format="json")

        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert post(guest, ORDERS, {"items": []}).status_code == 401

    @pytest.mark.parametrize(
        ("path", "body"), [("pay", {"method": "cash"}), ("status", {"status": "shipped"})]
    )
    def test_leaves_to_the_shop_what_is_its(
        self, order: Order, client: APIClient, path: str, body: Any
    ) -> None:
        with assert_events():
            answer = post(client, f"{ORDERS}/{order.id}/{path}", body)

        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")

    def test_shows_one_by_id_and_by_number(
        self, order: Order, client: APIClient, seller: User, admin: User
    ) -> None:
        for one in (client, signed_in(seller), signed_in(admin)):
            for key in (order.id, order.number, order.handle, "ord-10001"):
                answer = one.get(f"{ORDERS}/{key}")
                assert (answer.status_code, answer.json()["id"]) == (200, str(order.id))

    def test_shows_a_shop_its_own_part(
        self, buyer: User, seller: User, stranger: User, lamp: Product
    ) -> None:
        rug = make_product(make_shop(stranger, "Rugs"), "Rug")
        both = make_order(buyer, (lamp, 1), (rug, 1))

        seen = signed_in(seller).get(f"{ORDERS}/{both.id}").json()

        assert [line["title"] for line in seen["lines"]] == ["Desk lamp"]
        assert [part["shop_id"] for part in seen["shop_orders"]] == [str(lamp.shop_id)]


@pytest.mark.django_db
class TestLists:
    def test_hold_ones_own_newest_first(
        self, client: APIClient, buyer: User, stranger: User, lamp: Product
    ) -> None:
        orders = [make_order(buyer, (lamp, 1)) for _ in range(3)]
        make_order(stranger, (lamp, 1))
        cancel_order(actor=buyer, order_id=orders[0].id)

        first = client.get(f"{ORDERS}?limit=2").json()
        rest = client.get(f"{ORDERS}?limit=2&cursor={first['next_cursor']}").json()
        gone = client.get(f"{ORDERS}?status=CANCELLED").json()

        assert [one["number"] for one in first["items"]] == [10_003, 10_002]
        assert [one["number"] for one in rest["items"]] == [10_001]
        assert rest["next_cursor"] is None
        assert [one["number"] for one in gone["items"]] == [10_001]
        assert client.get(f"{ORDERS}?status=lost").status_code == 400

    def test_of_a_shop_are_for_its_staff(
        self, buyer: User, seller: User, stranger: User, lamp: Product
    ) -> None:
        rug = make_product(make_shop(stranger, "Rugs"), "Rug")
        make_order(buyer, (lamp, 1), (rug, 1))
        make_order(buyer, (rug, 1))
        path = f"/api/v1/shops/{lamp.shop_id}/orders"

        own = signed_in(seller).get(path).json()
        none = signed_in(seller).get(f"{path}?status=shipped").json()
        foreign = signed_in(buyer).get(path)

        assert [one["number"] for one in own["items"]] == [10_001]
        assert [line["title"] for line in own["items"][0]["lines"]] == ["Desk lamp"]
        assert none["items"] == []
        assert (foreign.status_code, foreign.json()["code"]) == (403, "forbidden")
        assert len(signed_in(stranger).get("/api/v1/shops/shop_10002/orders?limit=1").json()[
            "items"
        ]) == 1  # fmt: skip

    def test_cost_the_same_however_long(
        self, client: APIClient, buyer: User, seller: User, lamp: Product
    ) -> None:
        shop = signed_in(seller)
        for count in (1, 5):
            for _ in range(count):
                make_order(buyer, (lamp, 1))
            # The first one is for the session.
            with assert_queries(1 + 3):
                client.get(ORDERS)
            with assert_queries(1 + 6):
                shop.get(f"/api/v1/shops/{lamp.shop_id}/orders")


@pytest.mark.django_db
class TestMoves:
    def test_are_paid_shipped_and_told(
        self, order: Order, client: APIClient, seller: User, buyer: User
    ) -> None:
        shop, path = signed_in(seller), f"{ORDERS}/{order.number}"

        paid = post(shop, f"{path}/pay", {"method": "CASH"})
        shipped = post(shop, f"{path}/status", {"status": "SHIPPED"})
        late = post(client, f"{path}/cancel")
        timeline = client.get(f"{path}/timeline").json()["items"]

        assert (paid.status_code, paid.json()["order"]["payment_status"]) == (200, "paid")
        assert (paid.json()["payment"]["status"], paid.json()["payment"]["amount"]) == (
            "captured", "49.19",
        )  # fmt: skip
        assert (shipped.status_code, shipped.json()["status"]) == (200, "shipped")
        assert (late.status_code, late.json()["code"]) == (409, "illegal_transition")
        assert [(one["event"], one["actor_id"]) for one in timeline] == [
            ("order.created", buyer.public_id),
            ("payment.succeeded", seller.public_id),
            ("order.status_changed", seller.public_id),
            ("order.status_changed", seller.public_id),
        ]
        assert [one["event_seq"] for one in timeline] == [1, 2, 3, 4]

    def test_happen_once_under_a_key(self, order: Order, seller: User, sku: Sku) -> None:
        shop, path = signed_in(seller), f"{ORDERS}/{order.id}/pay"

        answers = [
            post(shop, path, {"method": "cash"}, HTTP_IDEMPOTENCY_KEY=key)
            for key in ("a", "a", "b")
        ]

        assert [one.status_code for one in answers] == [200, 200, 409]
        assert answers[0].json() == answers[1].json()
        assert Payment.objects.count() == 1
        assert stock_of(sku.id) == [(8, 0)]

    def test_cancel_by_the_buyer(self, order: Order, client: APIClient, sku: Sku) -> None:
        answer = post(client, f"{ORDERS}/{order.id}/cancel", {"reason": "Too late"})

        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert stock_of(sku.id) == [(10, 0)]

    @pytest.mark.parametrize(
        ("path", "body", "field"),
        [("pay", {}, "method"), ("status", {}, "status"), ("status", {"status": "lost"}, "status"),
         ("cancel", {"reason": "x" * 201}, "reason")],
    )  # fmt: skip
    def test_name_a_wrong_field(
        self, order: Order, admin: User, path: str, body: Any, field: str
    ) -> None:
        answer = post(signed_in(admin), f"{ORDERS}/{order.id}/{path}", body)

        assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
        assert list(answer.json()["details"]["fields"]) == [field]

    def test_take_no_card(self, order: Order, seller: User) -> None:
        answer = post(signed_in(seller), f"{ORDERS}/{order.id}/pay", {"method": "card"})

        assert (answer.status_code, answer.json()["code"]) == (400, "unsupported_payment_flow")
        assert Order.objects.get().total == Decimal("49.19")


@pytest.mark.django_db
class TestDocument:
    def test_names_every_answer(
        self, order: Order, client: APIClient, seller: User, stranger: User, lamp: Product
    ) -> None:
        shop, path, one = signed_in(seller), f"{ORDERS}/{order.id}", ORDERS + "/{order_id}"
        address = {"line1": "1 Main", "city": "NY", "postal_code": "1", "country": "US"}
        hold(
            ORDERS,
            post(client, ORDERS, items(lamp, 1, shipping_address=address)),
            post(client, ORDERS, {}),
            post(client, ORDERS, items(lamp, 100)),
            post(client, ORDERS, items(lamp, 1, coupon_code="X")),
            post(client, ORDERS, items(lamp, 1, address_id=UNKNOWN)),
            client.get(ORDERS),
        )
        hold(one, client.get(path), shop.get(path), signed_in(stranger).get(path))
        hold(one + "/pay", *[post(shop, f"{path}/pay", {"method": "cash"}) for _ in range(2)])
        hold(one + "/status", post(shop, f"{path}/status", {"status": "shipped"}))
        hold(one + "/status", post(client, f"{path}/status", {"status": "shipped"}))
        hold(one + "/cancel", post(client, f"{path}/cancel"))
        hold(one + "/timeline", client.get(f"{path}/timeline"))
        hold("/api/v1/shops/{shop_id}/orders", shop.get(f"/api/v1/shops/{lamp.shop_id}/orders"))
