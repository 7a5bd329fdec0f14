"""Shops and products over REST: status, shape, error codes, pages; and nothing for a stranger."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import User
from marketplace.tests.cast import assert_events, assert_queries, signed_in
from shops.models import Product, Shop, Sku
from shops.services.shops import close_shop
from shops.tests.factories import COLORS, SIZES, make_product, make_shop, make_staff, the_sku

UNKNOWN = "019ab0c4-7d10-7cc1-8f6e-0a8d6d3e1b52"
SHOPS = "/api/v1/shops"
PRODUCTS = "/api/v1/products"
SHOP_FIELDS = {
    "id", "number", "shop_name", "location", "category", "subscription_plan", "owner_id",
    "currency", "country_code", "region", "rating", "response_time_s", "created_at", "updated_at",
}  # fmt: skip
PRODUCT_FIELDS = {
    "id", "sku", "shop_id", "name", "description", "brand", "category", "price", "currency",
    "stock_quantity", "stock_status", "media", "variances", "skus", "status", "created_at",
    "updated_at",
}  # fmt: skip
SKU_FIELDS = {
    "id", "code", "options", "price", "stock_quantity", "available", "created_at", "updated_at",
}  # fmt: skip
SHOP = {"shop_name": "Tall Lamp", "location": "Boston", "category": "home"}
PRODUCT = {"name": "Desk lamp", "price": 49.9, "stock_quantity": 12}
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 32
MP4 = b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 32


@pytest.fixture
def client(seller: User) -> APIClient:
    return signed_in(seller)


def send(client: APIClient, method: str, path: str, body: Any = None, **headers: str) -> Any:
    return getattr(client, method)(path, body, format="json", **headers)


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    body = answer.json()
    return [one["name"] for one in (body["items"] if isinstance(body, dict) else body)]


@pytest.mark.django_db
class TestShops:
    def test_opens_one(self, client: APIClient, seller: User) -> None:
        answer = send(client, "post", SHOPS, {**SHOP, "owner_id": "x", "number": 5, "rating": 5})

        assert answer.status_code == 201
        body = answer.json()
        assert set(body) == SHOP_FIELDS
        assert (body["number"], body["owner_id"]) == (10_001, seller.public_id)
        assert (body["subscription_plan"], body["currency"], body["rating"]) == (
            "free", "USD", None,
        )  # fmt: skip

    def test_takes_camel_case_and_a_plan(self, client: APIClient) -> None:
        body = {"shopName": "Tall", "location": "B", "category": "c", "subscriptionPlan": "Pro"}

        answer = send(client, "post", SHOPS, body)

        assert (answer.json()["shop_name"], answer.json()["subscription_plan"]) == ("Tall", "pro")

    def test_answers_a_repeated_key_with_the_first_shop(self, client: APIClient) -> None:
        first = send(client, "post", SHOPS, SHOP, HTTP_IDEMPOTENCY_KEY="k-1")
        with assert_events():
            again = send(client, "post", SHOPS, SHOP, HTTP_IDEMPOTENCY_KEY="k-1")

        assert (first.status_code, again.status_code) == (201, 201)
        assert again.json() == first.json()
        assert again.headers["Idempotent-Replayed"] == "true"
        assert Shop.objects.count() == 1

    def test_tells_that_a_name_is_taken(self, client: APIClient, shop: Shop) -> None:
        answer = send(client, "post", SHOPS, {**SHOP, "shop_name": "CORNER lamp"})

        assert (answer.status_code, answer.json()["code"]) == (409, "shop_name_taken")
        assert answer.json()["details"] == {"field": "shop_name"}

    @pytest.mark.parametrize("field", ["shop_name", "location", "category"])
    @pytest.mark.parametrize("value", [None, "", {"a": 1}, [1], True, "a\x00b"])
    def test_names_a_wrong_field(self, client: APIClient, field: str, value: Any) -> None:
        with assert_events():
            answer = send(client, "post", SHOPS, {**SHOP, field: value})

        assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
        assert list(answer.json()["details"]["fields"]) == [field]
        assert Shop.objects.count() == 0

    def test_shows_one_to_everybody_by_id_and_by_number(self, guest: APIClient, shop: Shop) -> None:
        answers = [guest.get(f"{SHOPS}/{key}") for key in (shop.id, shop.handle, "SHOP_10001")]

        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert [answer.json()["shop_name"] for answer in answers] == ["Corner Lamp"] * 3

    @pytest.mark.parametrize("key", ["shop_1", "shop_", "shop_x", "10001", "x", UNKNOWN])
    def test_finds_nothing_behind_other_keys(self, guest: APIClient, shop: Shop, key: str) -> None:
        answer = guest.get(f"{SHOPS}/{key}")

        assert (answer.status_code, answer.json()["code"]) == (404, "shop_not_found")

    def test_lists_open_shops_newest_first(
        self, guest: APIClient, client: APIClient, seller: User, buyer: User
    ) -> None:
        for name in ("One", "Two", "Three"):
            make_shop(seller, name, category="Food")
        make_shop(buyer, "Foreign")
        close_shop(actor=seller, key="shop_10002")

        first = guest.get(f"{SHOPS}?limit=2").json()
        rest = guest.get(f"{SHOPS}?limit=2&cursor={first['next_cursor']}").json()
        food = guest.get(f"{SHOPS}?category=food").json()
        mine = client.get(f"{SHOPS}?mine=true").json()

        assert [one["shop_name"] for one in first["items"]] == ["Foreign", "Three"]
        assert [one["shop_name"] for one in rest["items"]] == ["One"]
        assert rest["next_cursor"] is None
        assert [one["shop_name"] for one in food["items"]] == ["Three", "One"]
        assert [one["shop_name"] for one in mine["items"]] == ["Three", "One"]

    def test_asks_who_mine_are(self, guest: APIClient) -> None:
        assert guest.get(f"{SHOPS}?mine=true").status_code == 401

    def test_changes_and_closes_one(self, client: APIClient, shop: Shop) -> None:
        path = f"{SHOPS}/{shop.id}"

        patched = send(client, "patch", path, {"location": "Boston", "region": "MA"})
        put = send(client, "put", path, {"country_code": "us"})
        closed = send(client, "delete", path)

        assert (patched.status_code, patched.json()["region"]) == (200, "MA")
        assert (put.json()["location"], put.json()["country_code"]) == ("Boston", "US")
        assert (closed.status_code, closed.content) == (204, b"")
        assert client.get(path).status_code == 404


WRITES = [
    ("patch", "/shops/{shop}", {"location": "Paris"}),
    ("put", "/shops/{shop}", {"location": "Paris"}),
    ("delete", "/shops/{shop}", None),
    ("get", "/shops/{shop}/members", None),
    ("post", "/shops/{shop}/members", {"user_id": "x"}),
    ("patch", "/shops/{shop}/members/x", {"role": "staff"}),
    ("delete", "/shops/{shop}/members/x", None),
    ("post", "/shops/{shop}/products", PRODUCT),
    ("patch", "/products/{product}", {"name": "Mine"}),
    ("delete", "/products/{product}", None),
    ("post", "/products/{product}/media", {"url": "https://example.com/a.jpg"}),
    ("delete", "/products/{product}/media?url=https://example.com/a.jpg", None),
    ("post", "/products/{product}/skus", {"options": {"Size": "S"}}),
    ("patch", "/skus/{sku}", {"stock_quantity": 1}),
]


@pytest.mark.django_db
class TestAccess:
    @pytest.fixture
    def product(self, shop: Shop) -> Product:
        return make_product(shop)

    def ask(self, client: APIClient, product: Product, method: str, path: str, body: Any) -> Any:
        path = path.format(shop=product.shop_id, product=product.id, sku=the_sku(product).id)
        return send(client, method, f"/api/v1{path}", body)

    @pytest.mark.parametrize(("method", "path", "body"), WRITES)
    def test_refuses_a_stranger(
        self, product: Product, stranger: User, method: str, path: str, body: Any
    ) -> None:
        before = (Product.objects.get(), Sku.objects.get())

        with assert_events():
            answer = self.ask(signed_in(stranger), product, method, path, body)

        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        after = (Product.objects.get(), Sku.objects.get())
        assert [one.updated_at for one in after] == [one.updated_at for one in before]

    @pytest.mark.parametrize(("method", "path", "body"), WRITES)
    def test_asks_a_guest_to_sign_in(
        self, product: Product, guest: APIClient, method: str, path: str, body: Any
    ) -> None:
        with assert_events():
            answer = self.ask(guest, product, method, path, body)

        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")

    @pytest.mark.parametrize(
        ("method", "path", "body"), [one for one in WRITES if "shop" not in one[1]]
    )
    def test_tells_a_stranger_that_there_is_no_draft(
        self, product: Product, stranger: User, method: str, path: str, body: Any
    ) -> None:
        Product.objects.update(status="draft")

        with assert_events():
            answer = self.ask(signed_in(stranger), product, method, path, body)

        assert answer.status_code == 404
        assert answer.json()["code"] in ("product_not_found", "sku_not_found")

    def test_shows_a_draft_to_its_shop_alone(
        self, product: Product, client: APIClient, guest: APIClient, stranger: User
    ) -> None:
        Product.objects.update(status="draft")
        paths = [f"{PRODUCTS}/{product.id}{end}" for end in ("", "/skus", "/inventory")]

        for path in paths:
            assert client.get(path).status_code == 200
            for other in (guest, signed_in(stranger)):
                answer = other.get(path)
                assert (answer.status_code, answer.json()["code"]) == (404, "product_not_found")


@pytest.mark.django_db
class TestMembers:
    def test_come_change_and_go(self, client: APIClient, shop: Shop, buyer: User) -> None:
        path = f"{SHOPS}/{shop.id}/members"

        with assert_events((shop.topic, "shop.member_added")):
            added = send(client, "post", path, {"userId": buyer.public_id, "role": "STAFF"})
        with assert_events((shop.topic, "shop.role_changed")):
            raised = send(client, "patch", f"{path}/{buyer.public_id}", {"role": "manager"})
        listed = client.get(path).json()
        with assert_events((shop.topic, "shop.member_removed")):
            removed = send(client, "delete", f"{path}/{buyer.public_id}")

        assert (added.status_code, added.json()["role"]) == (201, "staff")
        assert set(added.json()) == {"user_id", "user", "role", "joined_at"}
        assert (raised.status_code, raised.json()["role"]) == (200, "manager")
        assert [one["role"] for one in listed["items"]] == ["owner", "manager"]
        assert removed.status_code == 204
        assert len(client.get(path).json()["items"]) == 1

    def test_are_there_once(self, client: APIClient, shop: Shop, buyer: User) -> None:
        make_staff(shop, buyer)

        with assert_events():
            answer = send(
                client, "post", f"{SHOPS}/{shop.id}/members", {"user_id": buyer.public_id}
            )

        assert (answer.status_code, answer.json()["code"]) == (409, "already_member")

    def test_are_known_people(self, client: APIClient, shop: Shop) -> None:
        answer = send(client, "post", f"{SHOPS}/{shop.id}/members", {"user_id": "nobody"})

        assert (answer.status_code, answer.json()["code"]) == (404, "user_not_found")

    def test_never_become_owner_by_a_role(self, client: APIClient, shop: Shop, buyer: User) -> None:
        with assert_events():
            answer = send(
                client,
                "post",
                f"{SHOPS}/{shop.id}/members",
                {"user_id": buyer.public_id, "role": "owner"},
            )

        assert list(answer.json()["details"]["fields"]) == ["role"]

    def test_keep_the_owner(self, client: APIClient, shop: Shop, seller: User) -> None:
        path = f"{SHOPS}/{shop.id}/members/{seller.public_id}"

        with assert_events():
            answers = [send(client, "delete", path), send(client, "patch", path, {"role": "staff"})]

        assert [answer.json()["code"] for answer in answers] == ["illegal_transition"] * 2

    def test_of_equal_rank_cannot_take_each_other_out(
        self, shop: Shop, buyer: User, courier: User, employee: User
    ) -> None:
        make_staff(shop, buyer, "manager")
        make_staff(shop, courier, "manager")
        make_staff(shop, employee, "staff")
        manager = signed_in(buyer)
        path = f"{SHOPS}/{shop.id}/members"

        assert send(manager, "delete", f"{path}/{courier.public_id}").status_code == 403
        assert send(manager, "post", path, {"user_id": "x", "role": "manager"}).status_code == 403
        assert send(manager, "delete", f"{path}/{employee.public_id}").status_code == 204
        assert send(manager, "delete", f"{path}/me").status_code == 204

    def test_unknown_are_not_found(self, client: APIClient, shop: Shop, stranger: User) -> None:
        for key in (stranger.public_id, "nobody"):
            answer = send(client, "delete", f"{SHOPS}/{shop.id}/members/{key}")
            assert (answer.status_code, answer.json()["code"]) == (404, "member_not_found")


@pytest.mark.django_db
class TestProducts:
    def test_makes_one(self, client: APIClient, shop: Shop) -> None:
        body = {
            **PRODUCT,
            "description": "Brass.",
            "media": [{"media_type": "IMAGE", "tag": "front", "url": "https://e.com/a.jpg"}],
            "variances": [SIZES, COLORS],
            "sku": 77,
            "shop_id": "x",
        }

        answer = send(client, "post", f"{SHOPS}/{shop.handle}/products", body)

        assert answer.status_code == 201
        made = answer.json()
        assert set(made) == PRODUCT_FIELDS
        assert set(made["skus"][0]) == SKU_FIELDS
        assert (made["sku"], made["price"], made["currency"]) == (1, "49.90", "USD")
        assert (made["stock_quantity"], made["stock_status"]) == (12, "in_stock")
        assert made["media"] == [
            {"media_type": "image", "tag": "front", "url": "https://e.com/a.jpg"}
        ]
        assert made["variances"] == [SIZES, COLORS]
        assert [one["code"] for one in made["skus"]] == ["1-1", "1-2", "1-3", "1-4", "1-5", "1-6"]
        assert [one["stock_quantity"] for one in made["skus"]] == [2] * 6
        assert client.get(f"{PRODUCTS}/{made['id']}").json() == made

    def test_answers_a_repeated_key_with_the_first_product(
        self, client: APIClient, shop: Shop
    ) -> None:
        path = f"{SHOPS}/{shop.id}/products"

        first = send(client, "post", path, PRODUCT, HTTP_IDEMPOTENCY_KEY="k-1")
        again = send(client, "post", path, PRODUCT, HTTP_IDEMPOTENCY_KEY="k-1")
        other = send(client, "post", path, {**PRODUCT, "name": "B"}, HTTP_IDEMPOTENCY_KEY="k-1")

        assert again.json() == first.json()
        assert again.headers["Idempotent-Replayed"] == "true"
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        assert Product.objects.count() == 1

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", ""), ("name", None), ("name", True), ("name", {"$ne": 1}), ("name", "a\x00"),
            ("price", -1), ("price", "NaN"), ("price", "x"), ("price", None), ("price", "1e18"),
            ("price", True), ("price", [1]), ("price", "1.999"),
            ("stock_quantity", -1), ("stock_quantity", 1.5), ("stock_quantity", "many"),
            ("stock_quantity", 10**18), ("stock_quantity", True),
            ("status", "sold"), ("media", "x"), ("media.0", ["x"]), ("media.0.url", [{}]),
            ("variances.0.options", [{"name": "Size"}]), ("variances", {"a": 1}),
        ],
    )  # fmt: skip
    def test_names_a_wrong_field(
        self, client: APIClient, shop: Shop, field: str, value: Any
    ) -> None:
        key = field.partition(".")[0]

        with assert_events():
            answer = send(client, "post", f"{SHOPS}/{shop.id}/products", {**PRODUCT, key: value})

        assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
        [named] = answer.json()["details"]["fields"]
        assert named.startswith(field), named
        assert Product.objects.count() == 0
        assert Shop.objects.get().last_sku == 0

    def test_changes_one(self, client: APIClient, shop: Shop) -> None:
        path = f"{PRODUCTS}/{make_product(shop).id}"

        patched = send(client, "patch", path, {"price": "40", "stockQuantity": 0, "sku": 9})
        put = send(client, "put", path, {"status": "Draft"})

        assert (patched.json()["price"], patched.json()["sku"]) == ("40.00", 1)
        assert patched.json()["stock_status"] == "out_of_stock"
        assert (put.json()["status"], put.json()["price"]) == ("draft", "40.00")

    def test_archives_one(self, client: APIClient, guest: APIClient, shop: Shop) -> None:
        path = f"{PRODUCTS}/{make_product(shop).id}"

        assert send(client, "delete", path).status_code == 204

        assert guest.get(path).status_code == 404
        assert client.get(path).json()["status"] == "archived"
        assert names(guest.get(PRODUCTS)) == []

    def test_tells_how_much_there_is(self, guest: APIClient, shop: Shop) -> None:
        product = make_product(shop, stock_quantity=3)

        body = guest.get(f"{PRODUCTS}/{product.id}/inventory").json()

        assert (body["quantity"], body["reserved"], body["available"]) == (3, 0, 3)
        assert (body["stock_status"], body["warehouses"]) == ("low_stock", [])
        assert [one["code"] for one in body["skus"]] == ["1"]


@pytest.mark.django_db
class TestSkus:
    def test_adds_a_choice_and_its_option(self, client: APIClient, shop: Shop) -> None:
        product = make_product(shop, variances=[SIZES])

        answer = send(
            client,
            "post",
            f"{PRODUCTS}/{product.id}/skus",
            {"options": {"size": "XL"}, "stock_quantity": 4, "price": "60"},
        )

        assert answer.status_code == 201
        assert set(answer.json()) == SKU_FIELDS
        assert (answer.json()["code"], answer.json()["price"]) == ("1-4", "60.00")
        listed = client.get(f"{PRODUCTS}/{product.id}/skus").json()["items"]
        assert [one["options"]["Size"] for one in listed] == ["S", "M", "L", "XL"]
        shown = client.get(f"{PRODUCTS}/{product.id}").json()
        assert shown["variances"] == [{"name": "Size", "options": ["S", "M", "L", "XL"]}]
        assert shown["stock_quantity"] == 16

    @pytest.mark.parametrize("options", [{"Size": "m"}, {}, {"Colour": "red"}, "S", {"Size": {}}])
    def test_refuses_what_is_no_new_choice(
        self, client: APIClient, shop: Shop, options: Any
    ) -> None:
        product = make_product(shop, variances=[SIZES])

        with assert_events():
            answer = send(client, "post", f"{PRODUCTS}/{product.id}/skus", {"options": options})

        assert answer.status_code == 400
        [named] = answer.json()["details"]["fields"]
        assert named.startswith("options")
        assert Sku.objects.count() == 3
        assert Product.objects.get().last_number == 3

    def test_keeps_one_sku_without_options(self, client: APIClient, shop: Shop) -> None:
        product = make_product(shop)

        answer = send(client, "post", f"{PRODUCTS}/{product.id}/skus", {"options": {"Size": "S"}})

        assert list(answer.json()["details"]["fields"]) == ["options"]

    @pytest.mark.parametrize("limit", ["SKUS", "OPTIONS"])
    def test_are_so_many_at_most(
        self, client: APIClient, shop: Shop, limit: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        product = make_product(shop, variances=[SIZES])
        monkeypatch.setattr(f"shops.services.skus.{limit}", 3)

        with assert_events():
            answer = send(
                client, "post", f"{PRODUCTS}/{product.id}/skus", {"options": {"Size": "XL"}}
            )

        assert list(answer.json()["details"]["fields"]) == ["options"]
        product.refresh_from_db()
        assert (product.last_number, product.variances) == (3, [SIZES])
        assert Sku.objects.count() == 3

    def test_changes_price_and_stock(self, client: APIClient, shop: Shop) -> None:
        product = make_product(shop, variances=[SIZES])
        sku = Sku.objects.get(code="1-2")

        changed = send(client, "patch", f"/api/v1/skus/{sku.id}", {"price": 9, "stock_quantity": 7})
        cleared = send(client, "patch", f"/api/v1/skus/{sku.id}", {"price": None})

        assert (changed.json()["price"], changed.json()["available"]) == ("9.00", 7)
        assert (cleared.json()["price"], cleared.json()["available"]) == ("49.90", 7)
        assert client.get(f"{PRODUCTS}/{product.id}").json()["stock_quantity"] == 15

    @pytest.mark.parametrize("key", ["x", UNKNOWN])
    def test_unknown_are_not_found(self, client: APIClient, key: str) -> None:
        answer = send(client, "patch", f"/api/v1/skus/{key}", {"stock_quantity": 1})

        assert (answer.status_code, answer.json()["code"]) == (404, "sku_not_found")


@pytest.mark.django_db
class TestMedia:
    @pytest.fixture(autouse=True)
    def _folder(self, settings: Settings, tmp_path: Any) -> None:
        settings.DATA_DIR = tmp_path

    @pytest.fixture
    def path(self, shop: Shop) -> str:
        return f"{PRODUCTS}/{make_product(shop).id}/media"

    def upload(self, client: APIClient, path: str, content: bytes, name: str = "a.jpg") -> Any:
        file = SimpleUploadedFile(name, content)
        return client.post(path, {"file": file, "tag": "front"}, format="multipart")

    def test_takes_a_link(self, client: APIClient, path: str) -> None:
        answer = send(client, "post", path, {"url": "https://example.com/film.MP4", "tag": "x"})

        assert answer.status_code == 201
        assert answer.json()["media"] == [
            {"media_type": "video", "tag": "x", "url": "https://example.com/film.MP4"}
        ]

    @pytest.mark.parametrize("url", ["", "x", "file:///etc/passwd", "javascript:alert(1)", {}, 1])
    def test_refuses_what_is_no_link(self, client: APIClient, path: str, url: Any) -> None:
        with assert_events():
            answer = send(client, "post", path, {"url": url})

        assert list(answer.json()["details"]["fields"]) == ["url"]

    def test_takes_no_plain_http_in_production(
        self, client: APIClient, path: str, settings: Settings
    ) -> None:
        settings.PROFILE = "production"

        answer = send(client, "post", path, {"url": "http://example.com/a.jpg"})

        assert list(answer.json()["details"]["fields"]) == ["url"]

    def test_shows_a_link_once(self, client: APIClient, path: str) -> None:
        link = {"url": "https://example.com/a.jpg"}
        send(client, "post", path, link)

        with assert_events():
            again = send(client, "post", path, {**link, "tag": "again"})

        assert list(again.json()["details"]["fields"]) == ["url"]
        assert len(Product.objects.get().media) == 1

    @pytest.mark.parametrize(
        ("content", "ending"),
        [(b"\xff\xd8\xff", "jpg"), (b"GIF89a", "gif"), (b"RIFF\x00\x00\x00\x00WEBP", "webp")],
    )
    def test_knows_each_kind_by_its_content(
        self, client: APIClient, path: str, content: bytes, ending: str
    ) -> None:
        [one] = self.upload(client, path, content + bytes(32)).json()["media"]

        assert (one["media_type"], one["url"].rpartition(".")[2]) == ("image", ending)

    def test_keeps_a_file_for_everybody(
        self, client: APIClient, guest: APIClient, path: str, settings: Settings
    ) -> None:
        answer = self.upload(client, path, PNG)

        assert answer.status_code == 201, answer.content
        [one] = answer.json()["media"]
        assert (one["media_type"], one["tag"]) == ("image", "front")
        assert one["url"].startswith(f"{settings.PUBLIC_URL}/media/products/")
        assert one["url"].endswith(".png"), "the content tells what it is, not the name"
        shown = guest.get(one["url"].removeprefix(settings.PUBLIC_URL))
        assert (shown.status_code, shown.content) == (200, PNG)
        assert shown.headers["Content-Type"] == "image/png"
        assert shown.headers["X-Content-Type-Options"] == "nosniff"
        assert shown.headers["Cross-Origin-Resource-Policy"] == "cross-origin"

    def test_takes_it_away(self, client: APIClient, guest: APIClient, path: str) -> None:
        url = self.upload(client, path, MP4).json()["media"][0]["url"]
        place = "/media/" + url.partition("/media/")[2]
        assert guest.get(place).status_code == 200

        removed = client.delete(path, {"url": url}, format="json")
        again = client.delete(f"{path}?url={url}")

        assert removed.status_code == 204
        assert (again.status_code, again.json()["code"]) == (404, "media_not_found")

    @pytest.mark.parametrize(
        "content",
        [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<html>", b"MZ\x90", b"%PDF-1.7", b"GIF"],
    )
    def test_refuses_other_files_by_their_content(
        self, client: APIClient, path: str, content: bytes
    ) -> None:
        with assert_events():
            answer = self.upload(client, path, content)

        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")

    def test_refuses_an_empty_file(self, client: APIClient, path: str) -> None:
        answer = self.upload(client, path, b"")

        assert (answer.status_code, list(answer.json()["details"]["fields"])) == (400, ["file"])

    def test_refuses_a_large_one(
        self, client: APIClient, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shops.storage.MOST_BYTES", {"image": 39, "video": 99})

        assert self.upload(client, path, PNG).status_code == 413
        assert self.upload(client, path, MP4).status_code == 201

    def test_serves_nothing_else(self, guest: APIClient, settings: Settings) -> None:
        (settings.DATA_DIR / "secret.png").write_bytes(PNG)

        for name in ("../secret.png", "..%2fsecret.png", "x.png", "products", "x.txt", "a/../b"):
            assert guest.get(f"/media/{name}").status_code == 404

    def test_asks_for_the_file_of_a_form(self, client: APIClient, path: str) -> None:
        answer = client.post(path, {"tag": "front"}, format="multipart")

        assert (answer.status_code, list(answer.json()["details"]["fields"])) == (400, ["file"])

    def test_counts_files_apart(self, client: APIClient, path: str, settings: Settings) -> None:
        settings.LIMITS = {**settings.LIMITS, "upload": [(1, 3600)]}

        assert [self.upload(client, path, PNG).status_code for _ in range(2)] == [201, 429]
        assert send(client, "post", path, {"url": "https://e.com/a.jpg"}).status_code == 201

    @pytest.mark.django_db(transaction=True)
    def test_replaced_media_take_their_files_along(
        self, client: APIClient, shop: Shop, tmp_path: Any
    ) -> None:
        product, other = make_product(shop), make_product(shop)
        for one in (product, product, other):
            self.upload(client, f"{PRODUCTS}/{one.id}/media", PNG)
        mine = [one["url"] for one in Product.objects.get(id=product.id).media]
        [foreign] = [one["url"] for one in Product.objects.get(id=other.id).media]

        answer = send(
            client,
            "patch",
            f"{PRODUCTS}/{product.id}",
            {"media": [{"url": mine[1]}, {"url": foreign}]},
        )
        send(client, "patch", f"{PRODUCTS}/{product.id}", {"media": None})

        assert [one["url"] for one in answer.json()["media"]] == [mine[1], foreign]
        left = [one.name for one in tmp_path.rglob("*") if one.is_file()]
        assert left == [foreign.rpartition("/")[2]], "a file of another product is not touched"

    def test_leaves_no_file_where_nothing_was_stored(
        self, client: APIClient, path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        monkeypatch.setattr("shops.services.media.MEDIA", 0)

        assert self.upload(client, path, PNG).status_code == 400

        assert [one for one in tmp_path.rglob("*") if one.is_file()] == []


@pytest.mark.django_db
class TestLists:
    @pytest.fixture(autouse=True)
    def _products(self, shop: Shop, stranger: User) -> None:
        other = make_shop(stranger, "Other")
        make_product(shop, "Desk lamp", price=50, category="Lamps", brand="Corner")
        make_product(shop, "Floor lamp", price=120, category="Lamps", brand="Tall")
        make_product(shop, "Rug", price=80, category="Floor", stock_quantity=0)
        make_product(other, "Wool rug", price=200, category="floor", description="Desk lamp not")
        make_product(shop, "Secret lamp", price=1, status="draft")

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", ["Wool rug", "Rug", "Floor lamp", "Desk lamp"]),
            ("category=lamps", ["Floor lamp", "Desk lamp"]),
            ("category=FLOOR", ["Wool rug", "Rug"]),
            ("brand=tall", ["Floor lamp"]),
            ("min_price=80", ["Wool rug", "Rug", "Floor lamp"]),
            ("price_min=80&maxPrice=120", ["Rug", "Floor lamp"]),
            ("in_stock=true", ["Wool rug", "Floor lamp", "Desk lamp"]),
            ("in_stock=false", ["Rug"]),
            ("shop_id=shop_10002", ["Wool rug"]),
            ("shop_id=nothing", []),
            ("sort=price", ["Desk lamp", "Rug", "Floor lamp", "Wool rug"]),
            ("sort=-price", ["Wool rug", "Floor lamp", "Rug", "Desk lamp"]),
            ("sort=name", ["Desk lamp", "Floor lamp", "Rug", "Wool rug"]),
            ("q=desk lamp", ["Desk lamp", "Wool rug"]),
            ("search=RUG", ["Rug", "Wool rug"]),
            ("q=rug&sort=newest", ["Wool rug", "Rug"]),
            ("q=100%", []),
        ],
    )
    def test_filters_and_sorts(self, guest: APIClient, query: str, expected: list[str]) -> None:
        assert names(guest.get(f"{PRODUCTS}?{query}")) == expected

    @pytest.mark.parametrize("sort", ["newest", "price", "-price", "name", "relevance"])
    def test_goes_through_every_page_once(self, guest: APIClient, sort: str) -> None:
        found: list[str] = []
        cursor = ""
        while True:
            path = f"{PRODUCTS}?q=r&sort={sort}&limit=1&cursor={cursor}"
            page = guest.get(path).json()
            found += [one["name"] for one in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = page["next_cursor"]

        assert sorted(found) == ["Desk lamp", "Floor lamp", "Rug", "Wool rug"]
        assert found == names(guest.get(f"{PRODUCTS}?q=r&sort={sort}"))

    def test_searches(self, guest: APIClient) -> None:
        assert names(guest.get(f"{PRODUCTS}/search?q=lamp&max_price=60")) == ["Desk lamp"]
        answer = guest.get(f"{PRODUCTS}/search")
        assert (answer.status_code, list(answer.json()["details"]["fields"])) == (400, ["q"])

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("min_price=x", "min_price"), ("max_price=NaN", "max_price"),
            ("min_price=-1", "min_price"),
            ("limit=0", "limit"), ("limit=x", "limit"), ("sort=best", "sort"),
            ("in_stock=maybe", "in_stock"), ("q=" + "x" * 201, "q"),
        ],
    )  # fmt: skip
    def test_names_a_wrong_field(self, guest: APIClient, query: str, field: str) -> None:
        answer = guest.get(f"{PRODUCTS}?{query}")

        assert (answer.status_code, list(answer.json()["details"]["fields"])) == (400, [field])

    def test_shows_a_shop_its_drafts(self, client: APIClient, guest: APIClient, shop: Shop) -> None:
        path = f"{SHOPS}/{shop.handle}/products"

        assert names(guest.get(path)) == ["Rug", "Floor lamp", "Desk lamp"]
        assert names(guest.get(f"{path}?status=draft")) == ["Rug", "Floor lamp", "Desk lamp"]
        assert names(client.get(path)) == ["Secret lamp", "Rug", "Floor lamp", "Desk lamp"]
        assert names(client.get(f"{path}?status=draft")) == ["Secret lamp"]

    def test_cost_the_same_however_long(self, guest: APIClient, shop: Shop) -> None:
        for number in range(15):
            make_product(shop, f"Lamp {number}", variances=[SIZES])

        with assert_queries(2):
            assert len(names(guest.get(PRODUCTS))) == 19
        with assert_queries(1):
            guest.get(SHOPS)
        with assert_queries(3):
            guest.get(f"{SHOPS}/{shop.id}/products")
        product = Product.objects.order_by("-id").first()
        assert product is not None
        with assert_queries(2):
            guest.get(f"{PRODUCTS}/{product.id}")
