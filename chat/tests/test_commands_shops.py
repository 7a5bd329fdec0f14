"""The dialogues that need shops alone, line by line, on their path and off it."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from pytest_django import Settings

from accounts.models import User
from chat.commands.help import FIRST_LINE
from chat.models import Member, Room
from chat.services.rooms import open_shop_room
from chat.tests.factories import make_group, make_talk, talk
from marketplace.core import health
from marketplace.core.clock import now
from marketplace.tests.cast import assert_queries
from shops.models import Product, Shop, Sku
from shops.services.shops import close_shop
from shops.tests.factories import make_product, make_shop, make_staff

pytestmark = pytest.mark.django_db

NOT_UNDERSTOOD = "I didn't understand that. Type @help for available commands."
ASK_NAME = "Let's create a shop! What should we name it?"
ASK_LOCATION = "Great name! Where is the shop located?"
ASK_CATEGORY = "What category is your shop? (e.g., food, clothing, electronics)"
CANCELLED = "Okay, cancelled."


@pytest.fixture
def room(seller: User) -> Room:
    return make_talk(seller)


@pytest.fixture
def shop(seller: User) -> Shop:
    return make_shop(seller)


class TestCreateShop:
    def test_opens_one_word_for_word(self, room: Room, seller: User) -> None:
        told = talk(room, seller, "@createshop", "My Awesome Shop", "New York", "clothing")

        assert told == [
            ASK_NAME,
            ASK_LOCATION,
            ASK_CATEGORY,
            "✅ Shop created successfully! ID: shop_10001",
        ]
        shop = Shop.objects.get()
        assert (shop.name, shop.location, shop.category) == (
            "My Awesome Shop",
            "New York",
            "clothing",
        )
        assert (shop.number, shop.subscription_plan, shop.owner_id) == (10001, "free", seller.pk)

    def test_makes_the_row_that_rest_makes(self, room: Room, seller: User, buyer: User) -> None:
        talk(room, seller, "@createshop", "By  words", "New York", "clothing")
        make_shop(buyer, "By hand", location="New York", category="clothing")

        def facts(shop: Shop) -> dict[str, Any]:
            differ = {"id", "number", "name", "name_key", "owner_id", "created_at", "updated_at"}
            rows = Shop.objects.filter(id=shop.id).values()
            return {key: value for key, value in rows[0].items() if key not in differ}

        words, hand = Shop.objects.order_by("number")
        assert words.name == "By words"
        assert facts(words) == facts(hand)
        assert words.members.get().role == hand.members.get().role == "owner"

    def test_asks_again_for_a_name_that_is_taken(
        self, room: Room, seller: User, buyer: User
    ) -> None:
        make_shop(buyer, "Corner Lamp")

        told = talk(room, seller, "@createshop", " corner  LAMP ", "Other Lamp")

        taken = "That name is already taken. What should we name it?"
        assert told == [ASK_NAME, taken, ASK_LOCATION]

    @pytest.mark.parametrize("name", ["x", "x" * 81, "   "])
    def test_asks_again_for_a_name_of_a_bad_length(
        self, room: Room, seller: User, name: str
    ) -> None:
        told = talk(room, seller, "@createshop", name, "Lamp")

        bad = "A shop name has 2 to 80 characters. What should we name it?"
        assert told == [ASK_NAME, bad, ASK_LOCATION]

    def test_asks_again_for_what_it_cannot_use(self, room: Room, seller: User) -> None:
        told = talk(room, seller, "@createshop", "Lamp", "x" * 201, "NY", "y" * 61, " ", "food")

        assert told == [
            ASK_NAME,
            ASK_LOCATION,
            f"{NOT_UNDERSTOOD}\n{ASK_LOCATION}",
            ASK_CATEGORY,
            f"{NOT_UNDERSTOOD}\n{ASK_CATEGORY}",
            f"{NOT_UNDERSTOOD}\n{ASK_CATEGORY}",
            "✅ Shop created successfully! ID: shop_10001",
        ]

    def test_is_told_that_somebody_was_quicker(self, room: Room, seller: User, buyer: User) -> None:
        talk(room, seller, "@createshop", "Lamp", "NY")
        make_shop(buyer, "Lamp")

        assert talk(room, seller, "food") == ["❌ Failed to create shop: This shop name is taken."]
        assert Shop.objects.get().owner_id == buyer.pk
        assert talk(room, seller, "food") == [], "the dialogue is over"

    def test_keeps_a_name_as_it_was_typed(self, room: Room, seller: User) -> None:
        talk(room, seller, "@createshop", "{{7*7}} {0.__class__}", "%s", "<b>")

        shop = Shop.objects.get()
        assert (shop.name, shop.location, shop.category) == ("{{7*7}} {0.__class__}", "%s", "<b>")


class TestEnd:
    @pytest.mark.parametrize("word", ["cancel", "Cancel", "@cancel", "@CANCEL"])
    def test_cancels(self, room: Room, seller: User, word: str) -> None:
        assert talk(room, seller, "@createshop", word, "Lamp") == [ASK_NAME, CANCELLED]

        member = Member.objects.get(room=room)
        assert (member.wizard, member.wizard_open) == (None, False)

    def test_has_nothing_to_cancel(self, room: Room, seller: User) -> None:
        assert talk(room, seller, "@cancel") == ["There is nothing to cancel."]
        assert talk(room, seller, "cancel") == []

    def test_times_out_after_ten_minutes(self, room: Room, seller: User) -> None:
        with time_machine.travel(now(), tick=False) as clock:
            talk(room, seller, "@createshop")
            clock.shift(timedelta(minutes=10))
            assert talk(room, seller, "Lamp") == [ASK_LOCATION], "counted from the last question"
            clock.shift(timedelta(minutes=10, milliseconds=1))

            told = talk(room, seller, "New York", "food")

        late = "That took too long, so I stopped. Send @createshop to start again."
        assert told == [late]
        assert not Shop.objects.exists()

    def test_ends_with_another_command(self, room: Room, seller: User) -> None:
        told = talk(room, seller, "@createshop", "Lamp", "@listproducts", "New York")

        none = "You have no products yet. Send @createproduct to add one."
        assert told == [ASK_NAME, ASK_LOCATION, none]

    def test_begins_again_with_the_same_command(self, room: Room, seller: User) -> None:
        told = talk(room, seller, "@createshop", "Lamp", "@CREATESHOP", "Other")

        assert told == [ASK_NAME, ASK_LOCATION, ASK_NAME, ASK_LOCATION]
        wizard = Member.objects.get(room=room).wizard
        assert wizard is not None
        assert wizard["data"] == {"shop_name": "Other"}

    def test_stays_open_over_a_word_that_nobody_knows(self, room: Room, seller: User) -> None:
        told = talk(room, seller, "@createshop", "@nothing", "Lamp")

        unknown = "I didn't understand that command. Type @help for available commands."
        assert told == [ASK_NAME, unknown, ASK_LOCATION]


class TestUnknownWords:
    @pytest.mark.parametrize(
        "line", ["@buy lamp", "@openticket", "@confirm", "@undo", "@", "@nothing", "@asha hi"]
    )
    def test_are_answered_in_the_assistants_own_room(
        self, room: Room, seller: User, line: str
    ) -> None:
        unknown = "I didn't understand that command. Type @help for available commands."
        assert talk(room, seller, line) == ([] if line == "@" else [unknown])

    def test_are_mentions_elsewhere(self, shop: Shop, seller: User, buyer: User) -> None:
        group = make_group(seller, buyer)
        shop_room, _ = open_shop_room(actor=buyer, shop_id=shop.handle)

        assert talk(group, seller, "@asha hi", "hello") == []
        assert talk(shop_room, buyer, "@bruno hi") == []
        assert not Member.objects.filter(wizard_open=True).exists()


class TestOtherMembers:
    def test_do_not_answer_the_dialogue(self, seller: User, buyer: User) -> None:
        group = make_group(seller, buyer)
        talk(group, seller, "@createshop")

        assert talk(group, buyer, "My name", "cancel") == []
        assert talk(group, seller, "Lamp") == [ASK_LOCATION]

    def test_have_a_dialogue_of_their_own(self, seller: User, buyer: User) -> None:
        group = make_group(seller, buyer)
        talk(group, seller, "@createshop", "Lamp")
        talk(group, buyer, "@createshop", "Shade")

        assert talk(group, seller, "New York", "food")[-1].endswith("shop_10001")
        assert talk(group, buyer, "Boston", "home")[-1].endswith("shop_10002")
        owners = {shop.name: shop.owner_id for shop in Shop.objects.all()}
        assert owners == {"Lamp": seller.pk, "Shade": buyer.pk}

    def test_of_one_person_every_room_has_its_own(self, room: Room, seller: User) -> None:
        other = make_talk(seller, "second")
        talk(room, seller, "@createshop", "Lamp")

        assert talk(other, seller, "New York") == []
        assert talk(other, seller, "@createshop", "Shade") == [ASK_NAME, ASK_LOCATION]
        assert talk(room, seller, "New York") == [ASK_CATEGORY]


class TestFlag:
    def test_off_makes_every_message_a_plain_one(
        self, room: Room, seller: User, settings: Settings
    ) -> None:
        settings.ENABLE_AI_COMMANDS = False

        assert talk(room, seller, "@help", "@createshop", "@nothing", "@cancel") == []
        assert not Member.objects.filter(wizard_open=True).exists()

    def test_off_leaves_an_open_dialogue_unanswered(
        self, room: Room, seller: User, settings: Settings
    ) -> None:
        talk(room, seller, "@createshop")
        settings.ENABLE_AI_COMMANDS = False

        assert talk(room, seller, "Lamp") == []


class TestHelp:
    LINE = (
        "Available commands: @createshop, @createproduct, @setupdelivery, @help, @status,"
        " @listproducts, @request, @deliveryto, @buy, @openticket, @confirm, @undo, @cancel"
    )

    def test_begins_with_the_line_that_clients_know(self, room: Room, seller: User) -> None:
        [told] = talk(room, seller, "@HELP me")

        assert told.split("\n")[0] == self.LINE == FIRST_LINE

    def test_has_a_line_for_each_that_is_there(self, room: Room, seller: User) -> None:
        lines = talk(room, seller, "@help")[0].split("\n")

        assert lines[1:3] == [
            "@createshop - Start shop creation wizard",
            "@createproduct - Start product creation wizard",
        ]
        assert "@help - Show available commands" in lines
        assert "@status - Check system status" in lines
        assert "@listproducts - List your products" in lines
        assert not any(line.startswith(("@buy", "@undo", "@confirm")) for line in lines)

    @pytest.mark.parametrize("kind", ["group", "shop", "assistant"])
    def test_answers_in_every_kind_of_room(
        self, kind: str, shop: Shop, seller: User, buyer: User
    ) -> None:
        rooms = {
            "group": lambda: make_group(buyer, seller),
            "shop": lambda: open_shop_room(actor=buyer, shop_id=shop.handle)[0],
            "assistant": lambda: make_talk(buyer),
        }

        [told] = talk(rooms[kind](), buyer, "@help")

        assert told.startswith("Available commands: ")


class TestStatus:
    def test_names_every_part(self, room: Room, seller: User) -> None:
        health.forget_checks()

        assert talk(room, seller, "@status") == [
            "System status: ok\ndatabase: ok\nrealtime: ok\nbus: off\nassistant: ok"
        ]

    def test_says_what_is_down(
        self, room: Room, seller: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        down = {"database": "ok", "channel_layer": "down", "broker": "unused", "bus": "ok"}
        monkeypatch.setattr(health, "check_parts", lambda: down)

        assert talk(room, seller, "@status") == [
            "System status: degraded\ndatabase: ok\nrealtime: down\nbus: ok\nassistant: ok"
        ]


class TestListProducts:
    def test_lists_those_of_the_senders_own_shops(
        self, room: Room, seller: User, buyer: User, shop: Shop
    ) -> None:
        other = make_shop(buyer, "Other")
        make_staff(other, seller)
        foreign = make_shop(buyer, "Foreign")
        make_product(shop, "Desk lamp", price=Decimal("49.90"), stock_quantity=12)
        make_product(shop, "Old lamp", status="draft", price=Decimal(5), stock_quantity=0)
        make_product(other, "Chair", price=Decimal(20), stock_quantity=3)
        make_product(foreign, "Table")

        assert talk(room, seller, "@listproducts") == [
            (
                "Your products:\n"
                "1. Chair - 20.00 USD - 3 in stock (SKU 1)\n"
                "2. Old lamp - 5.00 USD - 0 in stock (SKU 2)\n"
                "3. Desk lamp - 49.90 USD - 12 in stock (SKU 1)"
            )
        ]

    def test_lists_twenty_in_as_many_queries_as_one(
        self, room: Room, seller: User, shop: Shop
    ) -> None:
        for number in range(22):
            make_product(shop, f"Lamp {number}")

        with assert_queries(40):
            [told] = talk(room, seller, "@listproducts")

        lines = told.split("\n")
        assert (len(lines), lines[1][:10], lines[20][:3]) == (21, "1. Lamp 21", "20.")

    def test_leaves_out_what_is_archived(self, room: Room, seller: User, shop: Shop) -> None:
        make_product(shop)
        Product.objects.update(status="archived")

        none = "You have no products yet. Send @createproduct to add one."
        assert talk(room, seller, "@listproducts") == [none]


ASK_SHOP = "Let's create a product! First, what's your shop name?"
QUESTIONS = [
    ASK_SHOP,
    "What is the product called?",
    "How would you describe it?",
    "What is the price?",
    "How many are in stock?",
    'Any options? (e.g., Size: S, M, L; Color: red, blue) Send "none" to skip.',
    'Any pictures or videos? Send a link or attach a file, or send "none".',
]
LINKS = "https://example.com/front.jpg https://example.com/film.mp4"


class TestCreateProduct:
    def test_asks_one_thing_after_the_other(self, room: Room, seller: User, shop: Shop) -> None:
        told = talk(
            room, seller, "@createproduct", "corner lamp", "T-shirt", "Cotton.", "19.90", "61",
            "Size: S, M, L; Color: red, blue", LINKS,
        )  # fmt: skip

        assert told == [*QUESTIONS, "✅ Product created successfully! SKU: 1"]
        product = Product.objects.get()
        assert (product.name, product.description) == ("T-shirt", "Cotton.")
        assert (product.price, product.currency, product.status) == (
            Decimal("19.90"),
            "USD",
            "published",
        )
        assert [one["media_type"] for one in product.media] == ["image", "video"]
        assert product.variances == [
            {"name": "Size", "options": ["S", "M", "L"]},
            {"name": "Color", "options": ["red", "blue"]},
        ]
        stock = list(Sku.objects.order_by("number").values_list("available", flat=True))
        assert stock == [11, 10, 10, 10, 10, 10]

    def test_takes_none_for_an_answer(self, room: Room, seller: User, shop: Shop) -> None:
        told = talk(
            room, seller, "@createproduct", "shop_10001", "Lamp", "It shines.", "$5", "0", "none",
            "None",
        )  # fmt: skip

        assert told[-1] == "✅ Product created successfully! SKU: 1"
        product = Product.objects.get()
        assert (product.media, product.variances, product.price) == ([], [], Decimal(5))

    @pytest.mark.parametrize(
        "answer", ["Corner Lamp", "CORNER lamp", "shop_10001", "SHOP_10001", "10001", "#10001", "2"]
    )
    def test_knows_a_shop_by_what_people_call_it(
        self, room: Room, seller: User, shop: Shop, answer: str
    ) -> None:
        make_shop(seller, "Newer")

        talk(room, seller, "@createproduct", answer)

        wizard = Member.objects.get(room=room).wizard
        assert wizard is not None
        assert wizard["data"]["shop"] == str(shop.id)

    def test_needs_a_shop_first(self, room: Room, seller: User, buyer: User) -> None:
        make_shop(buyer, "Not his")

        told = talk(room, seller, "@createproduct", "Not his")

        assert told == ["You need a shop first. Send @createshop to create one."]

    def test_ends_where_the_shop_is_closed_meanwhile(
        self, room: Room, seller: User, shop: Shop
    ) -> None:
        talk(room, seller, "@createproduct")
        close_shop(actor=seller, key=str(shop.id))

        told = talk(room, seller, "Corner Lamp", "Corner Lamp")

        assert told == ["You need a shop first. Send @createshop to create one."]

    def test_lists_the_shops_where_it_knows_none_of_that_name(
        self, room: Room, seller: User, buyer: User, shop: Shop
    ) -> None:
        make_shop(seller, "Newer")
        make_shop(buyer, "Not his")

        told = talk(room, seller, "@createproduct", "Not his", "3", "Newer")

        unknown = (
            "You have no shop of that name.\n1. Newer (shop_10002)\n2. Corner Lamp (shop_10001)"
        )
        assert told == [ASK_SHOP, unknown, unknown, QUESTIONS[1]]

    @pytest.mark.parametrize(
        ("answers", "wrong"),
        [
            (["Corner Lamp"], ["x" * 201, "  "]),
            (["Corner Lamp", "Lamp"], ["  "]),
            (["Corner Lamp", "Lamp", "It shines."], ["free", "-1", "1.234", "5 EUR"]),
            (["Corner Lamp", "Lamp", "It shines.", "5"], ["many", "-1", "1.5", "1000000001"]),
            (
                ["Corner Lamp", "Lamp", "It shines.", "5", "1"],
                ["S, M", "Size:", "Size: S, s", "Size: S; Size: M"],
            ),
        ],
    )
    def test_asks_again_for_what_it_cannot_use(
        self, room: Room, seller: User, shop: Shop, answers: list[str], wrong: list[str]
    ) -> None:
        question = talk(room, seller, "@createproduct", *answers)[-1]

        assert talk(room, seller, *wrong) == [f"{NOT_UNDERSTOOD}\n{question}"] * len(wrong)
        assert not Product.objects.exists()

    def test_says_that_it_takes_links_alone(self, room: Room, seller: User, shop: Shop) -> None:
        talk(room, seller, "@createproduct", "Corner Lamp", "Lamp", "Shines.", "5", "1", "none")

        [told] = talk(room, seller, "here is my file")

        assert told == (
            f"{NOT_UNDERSTOOD}\nFiles cannot be attached yet: please send links.\n{QUESTIONS[-1]}"
        )

    def test_tells_a_refusal(self, room: Room, seller: User, buyer: User) -> None:
        shop = make_shop(buyer)
        work = make_staff(shop, seller)
        talk(room, seller, "@createproduct", "Corner Lamp", "Lamp", "Shines.", "5", "1", "none")
        work.delete()

        assert talk(room, seller, "none") == ["❌ Failed to create product: You may not do this."]
        assert not Product.objects.exists()
