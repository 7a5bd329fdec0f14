"""Shops open under a name of their own and a number of the instance, change, and close."""

import pytest

from accounts.models import User
from marketplace.core.errors import AppError, Forbidden, ValidationFailed
from marketplace.core.models import Counter
from marketplace.events.models import AuditEntry, Event
from marketplace.tests.cast import assert_events
from marketplace.tests.threads import together
from shops.errors import ShopNameTaken, ShopNotFound
from shops.models import Shop, ShopMember
from shops.services.shops import close_shop, update_shop
from shops.tests.factories import make_product, make_shop, make_staff


@pytest.mark.django_db
class TestCreateShop:
    def test_makes_the_actor_its_owner(self, seller: User) -> None:
        shop = make_shop(seller, "  Corner   Lamp ")

        assert (shop.name, shop.number, shop.handle) == ("Corner Lamp", 10_001, "shop_10001")
        assert (shop.subscription_plan, shop.currency) == ("free", "USD")
        [member] = ShopMember.objects.filter(shop=shop).order_by("id")
        assert (member.user_id, member.role) == (seller.id, "owner")

    def test_records_it_on_its_topic(self, seller: User) -> None:
        shop = make_shop(seller)

        [event] = Event.objects.filter(topic=shop.topic)
        assert (event.seq, event.name, event.actor_id) == (1, "shop.created", seller.public_id)
        assert event.payload["shop_name"] == "Corner Lamp"

    def test_counts_on(self, seller: User) -> None:
        numbers = [make_shop(seller, name).number for name in ("First", "Second", "Third")]

        assert numbers == [10_001, 10_002, 10_003]

    @pytest.mark.parametrize("name", ["Corner Lamp", "CORNER LAMP", " corner  lamp "])
    def test_refuses_a_taken_name_in_any_case(self, shop: Shop, stranger: User, name: str) -> None:
        with assert_events(), pytest.raises(ShopNameTaken) as refused:
            make_shop(stranger, name)

        assert refused.value.details == {"field": "shop_name"}
        assert Shop.objects.count() == 1
        assert Counter.objects.get().value == 10_001

    @pytest.mark.parametrize("name", ["", "x", " x ", "x" * 81, "a\x00b"])
    def test_refuses_a_name_that_is_none(self, seller: User, name: str) -> None:
        with assert_events(), pytest.raises(ValidationFailed) as refused:
            make_shop(seller, name)

        assert list(refused.value.details["fields"]) == ["shop_name"]
        assert Shop.objects.count() == 0

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("location", ""),
            ("category", "c" * 61),
            ("subscription_plan", "two words"),
            ("currency", "XXX"),
            ("country_code", "USA"),
        ],
    )
    def test_names_the_field_that_is_wrong(self, seller: User, field: str, value: str) -> None:
        with pytest.raises(ValidationFailed) as refused:
            make_shop(seller, **{field: value})

        assert list(refused.value.details["fields"]) == [field]
        assert Shop.objects.count() == 0


@pytest.mark.transactions
@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_one_of_many_gets_the_name(self, seller: User) -> None:
        def attempt() -> str:
            try:
                return make_shop(seller).handle
            except AppError as error:
                return error.code

        outcomes = together(*[attempt] * 8)

        assert sorted(outcomes) == ["shop_10001"] + ["shop_name_taken"] * 7
        assert Shop.objects.count() == 1

    def test_many_names_get_numbers_of_their_own(self, seller: User) -> None:
        numbers = together(
            *[lambda place=place: make_shop(seller, f"Shop {place}").number for place in range(8)]
        )

        assert sorted(numbers) == list(range(10_001, 10_009))


@pytest.mark.django_db
class TestUpdateShop:
    def test_changes_what_is_named(self, shop: Shop, seller: User) -> None:
        with assert_events((shop.topic, "shop.updated")):
            changed = update_shop(
                actor=seller,
                key=shop.handle,
                changes={"shop_name": "Tall Lamp", "region": None, "country_code": "us"},
            )

        assert (changed.name, changed.location, changed.country_code) == (
            "Tall Lamp", "New York", "US",
        )  # fmt: skip
        assert Shop.objects.get().name_key == "tall lamp"

    def test_may_change_the_case_of_its_own_name(self, shop: Shop, seller: User) -> None:
        changed = update_shop(actor=seller, key=str(shop.id), changes={"shop_name": "CORNER LAMP"})

        assert changed.name == "CORNER LAMP"

    def test_tells_nothing_where_nothing_changes(self, shop: Shop, seller: User) -> None:
        with assert_events():
            update_shop(actor=seller, key=str(shop.id), changes={"location": "New York"})

    def test_refuses_the_name_of_another(self, shop: Shop, seller: User) -> None:
        other = make_shop(seller, "Other")

        with assert_events(), pytest.raises(ShopNameTaken):
            update_shop(actor=seller, key=str(other.id), changes={"shop_name": "corner lamp"})

    def test_keeps_its_currency_once_it_has_prices(self, shop: Shop, seller: User) -> None:
        update_shop(actor=seller, key=str(shop.id), changes={"currency": "EUR"})
        make_product(shop)

        with assert_events(), pytest.raises(ValidationFailed) as refused:
            update_shop(actor=seller, key=str(shop.id), changes={"currency": "USD"})

        assert list(refused.value.details["fields"]) == ["currency"]

    def test_is_for_managers_not_for_staff(self, shop: Shop, buyer: User, courier: User) -> None:
        make_staff(shop, buyer, "manager")
        make_staff(shop, courier, "staff")

        update_shop(actor=buyer, key=str(shop.id), changes={"location": "Boston"})
        with assert_events(), pytest.raises(Forbidden):
            update_shop(actor=courier, key=str(shop.id), changes={"location": "Paris"})

        assert Shop.objects.get().location == "Boston"

    def test_refuses_a_stranger_and_lets_an_admin(
        self, shop: Shop, stranger: User, admin: User
    ) -> None:
        with assert_events(), pytest.raises(Forbidden):
            update_shop(actor=stranger, key=str(shop.id), changes={"location": "Paris"})

        changed = update_shop(actor=admin, key=str(shop.id), changes={"location": "Oslo"})

        assert changed.location == "Oslo"


@pytest.mark.django_db
class TestCloseShop:
    def test_archives_its_products_and_frees_its_name(
        self, shop: Shop, seller: User, stranger: User
    ) -> None:
        product = make_product(shop)

        with assert_events((shop.topic, "shop.deleted")):
            close_shop(actor=seller, key=str(shop.id))

        product.refresh_from_db()
        assert product.status == "archived"
        assert make_shop(stranger, "corner lamp").number == 10_002
        assert AuditEntry.objects.get(action="shop.deleted").target == shop.topic
        with pytest.raises(ShopNotFound):
            close_shop(actor=seller, key=str(shop.id))

    def test_two_shops_of_one_name_may_have_closed(self, shop: Shop, seller: User) -> None:
        close_shop(actor=seller, key=str(shop.id))
        close_shop(actor=seller, key=str(make_shop(seller).id))

        assert list(Shop.objects.order_by("number").values_list("name_key", flat=True)) == [
            None,
            None,
        ]

    def test_is_for_the_owner_alone(self, shop: Shop, buyer: User) -> None:
        make_staff(shop, buyer, "manager")

        with assert_events(), pytest.raises(Forbidden):
            close_shop(actor=buyer, key=str(shop.id))

        assert Shop.objects.get().closed_at is None
