"""Delivery over REST: what each route answers, and to whom."""

from io import BytesIO
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import User
from delivery.models import Courier, Delivery, Location, ShopRules
from delivery.services.assigning import offer_delivery
from delivery.services.couriers import report_position, set_duty
from delivery.services.rules import set_proof
from delivery.tests.factories import DOOR, away, bring, fix, make_delivery, send
from delivery.tokens import pin_of, token_of
from marketplace.core.clock import now
from marketplace.core.ids import uuid7
from marketplace.events.audit import list_audit
from marketplace.tests.cast import assert_events, assert_queries, make_user, signed_in
from marketplace.tests.threads import together
from orders.models import Order
from orders.services.moves import accept_order
from orders.tests.factories import make_order
from shops.models import Shop
from shops.tests.factories import make_product, make_shop, make_staff

HERE = {"latitude": away(900)[0], "longitude": away(900)[1]}


def url(delivery: Delivery, *more: str) -> str:
    return "/".join(["/api/v1/deliveries", str(delivery.id), *more])


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.django_db
class TestAccess:
    """Every route, asked by everybody."""

    ROUTES: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
        ("get", "", None),
        ("get", "eta", None),
        ("get", "locations", None),
        ("post", "locations", HERE),
        ("post", "status", {"status": "arrived"}),
        ("post", "attempts", {"reason": "x"}),
        ("post", "proof", {"signed_by": "x"}),
        ("post", "assign", {"courier_id": "x"}),
        ("post", "rating", {"score": 5}),
        ("post", "tracking-link", None),
    )

    @pytest.mark.parametrize(("method", "path", "body"), ROUTES)
    def test_is_none_for_who_is_not_concerned(
        self,
        moving: Delivery,
        stranger: User,
        employee: User,
        other_courier: User,
        guest: APIClient,
        method: str,
        path: str,
        body: dict[str, Any] | None,
    ) -> None:
        where = url(moving, *([path] if path else []))
        with assert_events():
            for user in (stranger, employee, other_courier):
                answer = getattr(signed_in(user), method)(where, body, format="json")
                assert code(answer) == (404, "delivery_not_found")
            assert code(getattr(guest, method)(where, body, format="json")) == (401, "unauthorized")
        assert not Location.objects.exists()

    @pytest.mark.parametrize(
        ("path", "body", "customer", "courier_may", "staff"),
        [
            ("locations", HERE, 403, 200, 403),
            ("status", {"status": "arrived"}, 403, 200, 200),
            ("attempts", {}, 403, 200, 200),
            ("proof", {"signed_by": "Asha"}, 403, 201, 201),
            ("assign", {"courier_id": "x"}, 403, 403, 404),
            ("rating", {"score": 5}, 409, 403, 403),
            ("tracking-link", {}, 403, 403, 200),
        ],
    )
    def test_of_those_whom_it_concerns(
        self,
        *,
        moving: Delivery,
        buyer: User,
        courier: User,
        seller: User,
        path: str,
        body: dict[str, Any],
        customer: int,
        courier_may: int,
        staff: int,
    ) -> None:
        for user, status in [(buyer, customer), (courier, courier_may), (seller, staff)]:
            Delivery.objects.filter(id=moving.id).update(status="in_transit")
            answer = signed_in(user).post(url(moving, path), body, format="json")
            assert answer.status_code == status, (user, answer.json())

    def test_of_paths_that_name_nothing(self, db: None, admin: User) -> None:
        client = signed_in(admin)
        for key in (uuid7(), "x", "1"):
            for path in ("", "/eta", "/locations"):
                answer = client.get(f"/api/v1/deliveries/{key}{path}")
                assert code(answer) == (404, "delivery_not_found")
        answer = client.post("/api/v1/deliveries/x/locations", HERE, format="json")
        assert code(answer) == (404, "delivery_not_found")


@pytest.mark.django_db
class TestCreate:
    def test_makes_one_of_a_shop(
        self, shop: Shop, buyer: User, seller: User, courier: User
    ) -> None:
        answer = signed_in(seller).post(
            "/api/v1/deliveries",
            {
                "shopId": shop.handle,
                "customer_id": buyer.public_id,
                "destination": {"latitude": "40.7128", "longitude": -74.006, "text": "Door"},
                "delivery_person_id": courier.public_id,
                "status": "delivered",
            },
            format="json",
        )

        body = answer.json()
        made = Delivery.objects.get()
        assert answer.status_code == 201
        assert body == {
            "id": str(made.id),
            "order_id": None,
            "shop_id": str(shop.id),
            "customer_id": buyer.public_id,
            "courier_id": courier.public_id,
            "status": "assigned",
            "tracking_token": token_of(made),
            "destination": {"latitude": 40.7128, "longitude": -74.006, "text": "Door"},
            "location": None,
            "eta": body["eta"],
            "attempts": 0,
            "proof_kind": "none",
            "proof": None,
            "pin": None,
            "rating": None,
            "assigned_at": body["assigned_at"],
            "delivered_at": None,
            "created_at": body["created_at"],
            "updated_at": body["updated_at"],
        }
        assert body["eta"]["reason"] == "no_location"

    def test_is_made_once_under_a_key(self, shop: Shop, buyer: User, seller: User) -> None:
        client = signed_in(seller)
        body = {
            "shop_id": str(shop.id),
            "customer_id": buyer.public_id,
            "destination": {"text": "Door"},
        }
        answers = [
            client.post("/api/v1/deliveries", body, format="json", HTTP_IDEMPOTENCY_KEY="d-1")
            for _ in range(2)
        ]

        assert answers[0].json() == answers[1].json()
        assert Delivery.objects.count() == 1

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "shop_id"),
            ({"order_id": ["x"]}, "order_id"),
            ({"destination": "x"}, "destination"),
            ({"destination": {"latitude": 91, "longitude": 0}}, "destination.latitude"),
        ],
    )
    def test_tells_what_is_wrong(self, seller: User, body: dict[str, Any], field: str) -> None:
        answer = signed_in(seller).post("/api/v1/deliveries", body, format="json")

        assert code(answer) == (400, "validation_failed")
        assert field in ",".join(answer.json()["details"]["fields"])


@pytest.mark.django_db
class TestList:
    def test_shows_each_his_own(
        self,
        shop: Shop,
        buyer: User,
        seller: User,
        courier: User,
        admin: User,
        stranger: User,
    ) -> None:
        own = make_delivery(shop, buyer, courier)
        other = make_delivery(shop, seller)

        def ids(user: User, **query: str) -> list[str]:
            answer = signed_in(user).get("/api/v1/deliveries", query)
            return [one["id"] for one in answer.json()["items"]]

        assert ids(buyer) == ids(courier) == [str(own.id)]
        assert ids(seller) == ids(admin) == [str(other.id), str(own.id)]
        assert ids(stranger) == []
        assert ids(seller, status="PENDING") == [str(other.id)]

    def test_shows_the_token_to_whom_it_belongs(
        self, delivery: Delivery, buyer: User, courier: User
    ) -> None:
        def token(user: User) -> Any:
            return signed_in(user).get("/api/v1/deliveries").json()["items"][0]["tracking_token"]

        assert token(buyer) == token_of(delivery)
        assert token(courier) is None

    def test_costs_the_same_however_long(
        self, shop: Shop, buyer: User, seller: User, courier: User
    ) -> None:
        def count(user: User) -> int:
            client = signed_in(user)
            with CaptureQueriesContext(connection) as captured:
                client.get("/api/v1/deliveries?limit=50")
            return len(captured.captured_queries)

        make_delivery(shop, buyer, courier)
        few = [count(user) for user in (buyer, seller, courier)]
        for _ in range(10):
            make_delivery(shop, buyer, courier)
        many = [count(user) for user in (buyer, seller, courier)]

        assert many == few
        assert max(many) <= 7

    def test_goes_on_by_its_cursor(self, shop: Shop, buyer: User) -> None:
        made = [str(make_delivery(shop, buyer).id) for _ in range(3)]
        client = signed_in(buyer)

        first = client.get("/api/v1/deliveries?limit=2").json()
        second = client.get(f"/api/v1/deliveries?limit=2&cursor={first['next_cursor']}").json()

        assert [one["id"] for one in first["items"] + second["items"]] == made[::-1]
        assert second["next_cursor"] is None


@pytest.mark.django_db
def test_who_works_for_the_shop_is_asked_once(delivery: Delivery, seller: User) -> None:
    client = signed_in(seller)

    # Who asks, the delivery with its people, his place in the shop; it has not set off.
    with assert_queries(3):
        answer = client.get(url(delivery))

    assert answer.json()["tracking_token"] == token_of(delivery)


@pytest.mark.django_db
class TestTheWay:
    def test_by_rest_alone(self, delivery: Delivery, courier: User, buyer: User) -> None:
        client, customer = signed_in(courier), signed_in(buyer)
        moved = client.post(url(delivery, "status"), {"status": "IN_TRANSIT"}, format="json")
        stored = client.post(url(delivery, "locations"), HERE, format="json")
        seen = customer.get(url(delivery)).json()
        eta = customer.get(url(delivery, "eta")).json()
        failed = client.post(url(delivery, "attempts"), {"reason": "Nobody."}, format="json")
        for status in ("in_transit", "arrived", "delivered"):
            client.post(url(delivery, "status"), {"status": status}, format="json")
        rated = customer.post(
            url(delivery, "rating"), {"score": 5, "comment": "Quick."}, format="json"
        )
        again = customer.post(url(delivery, "rating"), {"score": 1}, format="json")

        assert moved.json()["status"] == "in_transit"
        assert stored.json() == {"accepted": True, "rejected": None, "late": False}
        assert seen["location"]["latitude"] == HERE["latitude"]
        assert seen["eta"]["eta_seconds"] == eta["eta_seconds"] == 195
        assert (failed.json()["status"], failed.json()["attempts"]) == ("assigned", 1)
        assert (rated.status_code, rated.json()["rating"]) == (200, 5)
        assert code(again) == (409, "illegal_transition")
        assert customer.get(url(delivery)).json()["location"] is None

    def test_shows_the_trail_oldest_first(
        self, moving: Delivery, buyer: User, no_limit: None
    ) -> None:
        begin = moving.started_at
        assert begin is not None
        points = [
            fix(away(900 - n), now().replace(microsecond=0) - (now() - begin) / (n + 2))
            for n in range(3)
        ]
        send(moving, *points, fix((0.0, 0.0), now()))
        client = signed_in(buyer)

        good = client.get(url(moving, "locations")).json()["items"]
        every = client.get(url(moving, "locations") + "?rejected=true&limit=3").json()

        assert len(good) == 3
        times = [one["recorded_at"] for one in good]
        assert times == sorted(times)
        assert set(good[0]) == {
            "id", "delivery_id", "latitude", "longitude", "accuracy", "speed_mps", "heading",
            "recorded_at", "rejected", "late", "created_at", "updated_at",
        }  # fmt: skip
        assert len(every["items"]) == 3
        rest = client.get(
            url(moving, "locations") + f"?rejected=true&cursor={every['next_cursor']}"
        ).json()
        assert rest["items"][0]["rejected"] == "static"

    def test_takes_points_and_refuses_a_flood(
        self, moving: Delivery, courier: User, one_window: None
    ) -> None:
        client = signed_in(courier)

        answers = [
            client.post(url(moving, "locations"), {"points": [HERE]}, format="json")
            for _ in range(3)
        ]

        assert answers[0].json()["points"][0]["accepted"] is True
        assert code(answers[2]) == (429, "rate_limited")
        assert code(client.post(url(moving, "locations"), {"latitude": 91}, format="json")) == (
            400,
            "validation_failed",
        )

    def test_refuses_positions_before_it_sets_off(self, delivery: Delivery, courier: User) -> None:
        answer = signed_in(courier).post(url(delivery, "locations"), HERE, format="json")

        assert code(answer) == (409, "illegal_transition")
        assert not Location.objects.exists()


@pytest.mark.django_db
class TestProof:
    def test_of_a_pin_is_told_to_the_customer_alone(
        self, moving: Delivery, buyer: User, courier: User, seller: User
    ) -> None:
        Delivery.objects.filter(id=moving.id).update(proof_kind="pin")
        bring(moving, "arrived")

        pins = [signed_in(who).get(url(moving)).json()["pin"] for who in (buyer, courier, seller)]
        assert pins == [pin_of(moving), None, None]
        client = signed_in(courier)
        bare = client.post(url(moving, "status"), {"status": "delivered"}, format="json")
        done = client.post(
            url(moving, "status"), {"status": "delivered", "proof": {"pin": pins[0]}}, format="json"
        )

        assert code(bare) == (409, "proof_required")
        assert bare.json()["details"] == {"proof": "pin"}
        assert done.json()["proof"] == {"photo_url": None, "pin_ok": True, "signed_by": None}

    def test_is_a_file(
        self, moving: Delivery, courier: User, settings: Settings, tmp_path: Any
    ) -> None:
        settings.DATA_DIR = tmp_path
        file = BytesIO(b"\xff\xd8\xff" + b"\0" * 64)
        file.name = "../../door.jpg"

        answer = signed_in(courier).post(
            url(moving, "proof"), {"file": file, "signed_by": "Asha"}, format="multipart"
        )

        proof = answer.json()["proof"]
        assert answer.status_code == 201
        assert proof["signed_by"] == "Asha"
        assert f"/media/deliveries/{moving.id}/" in proof["photo_url"]
        missing = signed_in(courier).post(url(moving, "proof"), {"x": "y"}, format="multipart")
        assert code(missing) == (400, "validation_failed")


@pytest.mark.django_db
class TestCouriers:
    def test_go_on_duty_and_say_where_they_are(self, courier: User, buyer: User) -> None:
        client = signed_in(courier)
        early = client.post("/api/v1/couriers/me/location", HERE, format="json")
        on = client.put("/api/v1/couriers/me", {"duty": "on", "capacity": 2}, format="json")
        here = client.post("/api/v1/couriers/me/location", HERE, format="json")

        assert code(early) == (409, "illegal_transition")
        assert (on.json()["duty"], on.json()["capacity"], on.json()["load"]) == ("on", 2, 0)
        assert here.json()["positioned_at"] is not None
        assert Courier.objects.get().latitude == HERE["latitude"]
        refused = signed_in(buyer).put("/api/v1/couriers/me", {"duty": "on"}, format="json")
        assert code(refused) == (403, "role_not_allowed")

    def test_are_listed_for_people_who_send_things(
        self, shop: Shop, courier: User, other_courier: User, seller: User, admin: User, buyer: User
    ) -> None:
        set_duty(actor=courier, duty="on")
        set_duty(actor=other_courier)

        body = signed_in(seller).get("/api/v1/couriers?duty=on").json()

        assert [one["user_id"] for one in body["items"]] == [courier.public_id]
        assert "+1555" not in str(body)
        assert len(signed_in(admin).get("/api/v1/couriers").json()["items"]) == 2
        for user in (buyer, courier):
            assert code(signed_in(user).get("/api/v1/couriers")) == (403, "forbidden")

    def test_nearest_first(
        self,
        delivery: Delivery,
        seller: User,
        courier: User,
        other_courier: User,
        admin: User,
        stranger: User,
    ) -> None:
        far, near = away(2_449), away(0, east_m=351)
        for user, place in ((courier, far), (other_courier, near)):
            set_duty(actor=user, duty="on")
            report_position(actor=user, latitude=place[0], longitude=place[1])
        unknown = make_user("Hasan", number=8, role="courier")
        set_duty(actor=unknown, duty="on")
        client = signed_in(seller)

        with assert_queries(4):
            by_place = client.get(f"/api/v1/couriers?latitude={DOOR[0]}&longitude={DOOR[1]}").json()
        by_delivery = client.get(f"/api/v1/couriers?delivery_id={delivery.id}").json()
        only_one = client.get(f"/api/v1/couriers?delivery_id={delivery.id}&limit=1").json()
        all_of_them = client.get("/api/v1/couriers").json()["items"]

        # To a hundred metres: from three places more would tell where somebody stands.
        found = [(one["user_id"], one["distance_m"]) for one in by_place["items"]]
        assert found == [
            (other_courier.public_id, 400.0),
            (courier.public_id, 2_400.0),
            (unknown.public_id, None),
        ]
        assert by_delivery == by_place
        assert by_place["next_cursor"] is None
        assert len(only_one["items"]) == 1
        assert [one["distance_m"] for one in all_of_them] == [None] * 3
        assert "latitude" not in str(by_place)

    @pytest.mark.parametrize(
        ("query", "refused"),
        [
            ("latitude=1", "longitude"),
            ("longitude=1", "latitude"),
            ("latitude=91&longitude=0", "latitude"),
            ("latitude=here&longitude=0", "latitude"),
        ],
    )
    def test_are_near_whole_places_alone(
        self, shop: Shop, seller: User, query: str, refused: str
    ) -> None:
        answer = signed_in(seller).get(f"/api/v1/couriers?{query}")

        assert code(answer) == (400, "validation_failed")
        assert list(answer.json()["details"]["fields"]) == [refused]

    def test_are_near_deliveries_of_ones_own_shop_alone(
        self, delivery: Delivery, stranger: User, buyer: User
    ) -> None:
        make_shop(stranger, "Shade & Co")
        make_shop(buyer, "Second Hand")
        where = f"/api/v1/couriers?delivery_id={delivery.id}"

        assert code(signed_in(stranger).get(where)) == (404, "delivery_not_found")
        assert code(signed_in(buyer).get(where)) == (403, "forbidden")

    def test_of_a_delivery_without_a_point_are_listed_without_a_distance(
        self, shop: Shop, buyer: User, seller: User, courier: User
    ) -> None:
        set_duty(actor=courier, duty="on")
        report_position(actor=courier, latitude=DOOR[0], longitude=DOOR[1])
        somewhere = make_delivery(shop, buyer, destination=None)

        answer = signed_in(seller).get(f"/api/v1/couriers?delivery_id={somewhere.id}").json()

        assert [one["distance_m"] for one in answer["items"]] == [None]

    def test_answer_offers(self, shop: Shop, buyer: User, courier: User) -> None:
        set_duty(actor=courier, duty="on", capacity=2)
        taken, left = (make_delivery(shop, buyer) for _ in range(2))
        for one in (taken, left):
            offer_delivery(delivery_id=one.id)
        client = signed_in(courier)

        offered = client.get("/api/v1/deliveries?offered=true").json()["items"]
        accepted = client.post(url(taken, "accept"))
        declined = client.post(url(left, "decline"))
        again = client.post(url(left, "accept"))

        assert [one["id"] for one in offered] == [str(left.id), str(taken.id)]
        assert accepted.json()["courier_id"] == courier.public_id
        assert declined.status_code == 204
        assert code(again) == (404, "offer_not_found")


@pytest.mark.django_db
class TestShopRules:
    URL = "/api/v1/shops/shop_10001/delivery-rules"

    def test_hold_for_deliveries_made_from_then_on(
        self, shop: Shop, delivery: Delivery, seller: User, buyer: User
    ) -> None:
        client = signed_in(seller)
        before = client.get(self.URL)
        with assert_events():
            answers = [
                client.put(self.URL, {"proof_kind": kind}, format="json")
                for kind in ("photo", "PIN")
            ]

        assert before.json() == {"proof_kind": "none"}
        assert [one.json() for one in answers] == [{"proof_kind": "photo"}, {"proof_kind": "pin"}]
        assert client.get(self.URL).json() == {"proof_kind": "pin"}
        assert ShopRules.objects.count() == 1
        assert make_delivery(shop, buyer).proof_kind == "pin"
        assert Delivery.objects.get(id=delivery.id).proof_kind == "none"
        entries = list_audit(action="shop.proof_changed", target=shop.topic)
        assert [one.details["proof_kind"] for one in entries] == ["pin", "photo"]

    def test_are_read_by_staff_and_changed_by_managers(
        self, shop: Shop, seller: User, buyer: User, stranger: User, admin: User, guest: APIClient
    ) -> None:
        make_staff(shop, buyer)
        make_staff(shop, stranger, "manager")
        wish = {"proof_kind": "pin"}

        told = {
            user.username: (
                signed_in(user).get(self.URL).status_code,
                signed_in(user).put(self.URL, wish, format="json").status_code,
            )
            for user in (buyer, stranger, seller, admin)
        }

        assert told == {
            "asha": (200, 403), "farid": (200, 200), "bruno": (200, 200), "edith": (200, 200),
        }  # fmt: skip
        assert code(guest.put(self.URL, wish, format="json")) == (401, "unauthorized")

    def test_are_none_of_other_shops_business(self, shop: Shop, stranger: User) -> None:
        make_shop(stranger, "Shade & Co")
        client = signed_in(stranger)

        assert code(client.get(self.URL)) == (403, "forbidden")
        assert code(client.put(self.URL, {"proof_kind": "pin"}, format="json")) == (
            403,
            "forbidden",
        )
        missing = client.get("/api/v1/shops/shop_99999/delivery-rules")
        assert code(missing) == (404, "shop_not_found")
        assert not ShopRules.objects.exists()

    def test_refuse_another_word(self, shop: Shop, seller: User) -> None:
        for body in ({"proof_kind": "blood"}, {}):
            answer = signed_in(seller).put(self.URL, body, format="json")
            assert code(answer) == (400, "validation_failed")
        assert not ShopRules.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.transactions
def test_two_first_rules_at_once_are_one_row(shop: Shop, seller: User) -> None:
    together(
        *[
            lambda kind=kind: set_proof(actor=seller, shop_id="shop_10001", proof_kind=kind)
            for kind in ("pin", "photo", "pin", "photo")
        ]
    )

    assert ShopRules.objects.count() == 1
    assert list_audit(action="shop.proof_changed").count() == 4


@pytest.mark.django_db
class TestOrderTracking:
    @pytest.fixture
    def order(self, shop: Shop, buyer: User, seller: User) -> Order:
        made = make_order(buyer, (make_product(shop), 1))
        accept_order(actor=seller, order_id=made.id)
        return Order.objects.get(id=made.id)

    @pytest.fixture
    def sent(self, order: Order, seller: User, courier: User) -> Delivery:
        body = {
            "order_id": str(order.number),
            "destination": {"latitude": DOOR[0], "longitude": DOOR[1]},
            "courier_id": courier.public_id,
        }
        answer = signed_in(seller).post("/api/v1/deliveries", body, format="json")
        assert answer.status_code == 201, answer.json()
        return Delivery.objects.select_related("courier", "customer").get()

    def test_tells_of_an_order_that_waits(self, order: Order, buyer: User) -> None:
        body = signed_in(buyer).get(f"/api/v1/orders/{order.id}/tracking").json()

        assert body["deliveries"] == []
        assert (body["delivery_status"], body["tracking_token"]) == (None, None)
        assert body["order_number"] == "ORD-00010001"
        assert [one["status"] for one in body["history"]] == ["pending", "processing"]
        assert body["estimated_delivery"][:10] > body["history"][0]["timestamp"][:10]

    def test_tells_where_it_is(
        self, sent: Delivery, order: Order, buyer: User, courier: User, no_limit: None
    ) -> None:
        bring(sent, "in_transit")
        send(sent, fix(away(600), now(), speed_mps=10.0))

        body = signed_in(buyer).get(f"/api/v1/orders/ORD-{order.number}/tracking").json()

        assert (body["status"], body["delivery_status"]) == ("shipped", "in_transit")
        assert body["tracking_token"] == token_of(sent)
        assert body["tracking_url"].endswith(f"/track/{token_of(sent)}")
        assert body["tracking_number"] == f"TRK-{sent.id.hex[-12:].upper()}"
        assert (body["eta_seconds"], body["distance_m"]) == (78, 600.0)
        assert body["estimated_delivery"] == body["eta_at"]
        assert body["location"]["latitude"] == away(600)[0]
        [part] = body["deliveries"]
        assert part["delivery_id"] == str(sent.id)
        assert [one["description"] for one in body["history"]] == [
            "Order placed",
            "Order is processing",
            "Delivery assigned to driver",
            "Order is shipped",
            "Status changed to in_transit",
        ] or len(body["history"]) == 5

    def test_is_storefronts_too(self, sent: Delivery, order: Order, buyer: User) -> None:
        body = signed_in(buyer).get(f"/api/orders/{order.id}/tracking").json()

        assert (body["status"], body["order_number"]) == ("processing", "ORD-00010001")
        assert body["tracking_token"] == token_of(sent)
        bring(sent, "in_transit", "arrived", "delivered")
        body = signed_in(buyer).get(f"/api/orders/{order.id}/tracking").json()
        assert body["status"] == "delivered"
        assert body["estimated_delivery"] == body["deliveries"][0]["delivered_at"]

    def test_calls_what_has_no_courier_confirmed(self, order: Order, buyer: User) -> None:
        body = signed_in(buyer).get(f"/api/orders/{order.id}/tracking").json()

        assert body["status"] == "confirmed"

    def test_is_private(
        self, sent: Delivery, order: Order, stranger: User, courier: User, guest: APIClient
    ) -> None:
        for user in (stranger, courier):
            answer = signed_in(user).get(f"/api/v1/orders/{order.id}/tracking")
            assert code(answer) == (404, "order_not_found")
            legacy = signed_in(user).get(f"/api/orders/{order.id}/tracking")
            assert (legacy.status_code, legacy.json()["error"]) == (404, "Order not found")
        assert guest.get(f"/api/v1/orders/{order.id}/tracking").status_code == 401

    def test_is_there_for_the_shops_staff(
        self, sent: Delivery, order: Order, shop: Shop, stranger: User
    ) -> None:
        make_staff(shop, stranger)

        body = signed_in(stranger).get(f"/api/v1/orders/{order.id}/tracking").json()

        assert body["tracking_token"] == token_of(sent)
