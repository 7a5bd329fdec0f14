"""The lists that the benchmark asks (benchmarks/README.md): all of them, and what each costs."""

import io
import re

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.models import User
from chat.models import Member, Message, Room
from marketplace.events.models import Event, TopicHead
from marketplace.management import bench_pages, benchmarking
from marketplace.management.bench_history import Market, Sizes, fill
from marketplace.management.bench_pages import ADMIN, WHOLE, Listing, every_list
from marketplace.management.commands import bench_shop
from marketplace.management.commands.bench_clients import ensure_people
from marketplace.management.commands.bench_messages import READER_SET
from marketplace.management.commands.bench_messages import fill as fill_rooms
from marketplace.tests.cast import TRANSACTION_WORDS
from orders.models import Order

PEOPLE, SHOPS, PRODUCTS = 14, 12, 144
FEW, MORE = 2, 10
SMALL = Sizes(
    orders=24,
    deliveries=24,
    couriers=12,
    locations=12,
    staff=12,
    addresses=12,
    skus=12,
    records=120,
)


def bench_messages(messages: int) -> None:
    out = io.StringIO()
    given = {"messages": messages, "rooms": 3, "people": PEOPLE}
    options = [part for key, value in given.items() for part in (f"--{key}", str(value))]
    call_command("bench_messages", *options, stdout=out)
    assert out.getvalue() == ""


@pytest.mark.django_db
class TestBenchMessages:
    def test_says_half_of_them_where_everybody_is(self) -> None:
        bench_messages(40)

        rooms = list(Room.objects.order_by("created_at", "id"))
        assert [room.member_count for room in rooms] == [PEOPLE, 10, 10]
        assert [room.last_number for room in rooms] == [20, 10, 10]
        assert Member.objects.filter(user__username=f"{READER_SET}_0").count() == 3

    def test_leaves_what_the_service_leaves(self) -> None:
        bench_messages(40)

        for room in Room.objects.order_by("id"):
            numbers = list(Message.objects.filter(room=room).order_by("seq").values_list("number"))
            assert numbers == [(number,) for number in range(1, room.last_number + 1)]
            seqs = list(Event.objects.filter(topic=room.topic).order_by("seq").values_list("seq"))
            head = TopicHead.objects.get(topic=room.topic)
            assert seqs == [(seq,) for seq in range(1, head.last_seq + 1)]
            newest = Message.objects.get(room=room, number=room.last_number)
            assert Member.objects.get(room=room, user=newest.sender).read_seq == newest.seq

    def test_goes_on_where_an_earlier_call_has_ended(self) -> None:
        bench_messages(20)
        bench_messages(40)
        bench_messages(40)

        assert Message.objects.count() == 40
        assert Room.objects.count() == 3

    @pytest.mark.parametrize("command", ["bench_messages", "bench_lists"])
    def test_is_refused_in_production(self, command: str, settings: Settings) -> None:
        settings.PROFILE = "production"
        given = ["--messages", "1"] if command == "bench_messages" else []

        with pytest.raises(CommandError, match="production"):
            call_command(command, *given)

        assert not User.objects.exists()


@pytest.fixture
def market(db: None, monkeypatch: pytest.MonkeyPatch) -> Market:
    """A little of everything that lists show."""
    for module in (benchmarking, bench_shop):
        monkeypatch.setattr(module, "SHOPS", SHOPS)
    monkeypatch.setattr(benchmarking, "PER_CATEGORY", PRODUCTS // 2)
    [owner] = ensure_people(set_name=benchmarking.OWNER_SET, count=1)
    bench_shop.fill(products=PRODUCTS, shops=bench_shop.ensure_shops(owner))
    people = ensure_people(set_name=READER_SET, count=PEOPLE)
    fill_rooms(messages=60, rooms=12, people=people)
    return fill(sizes=SMALL, people=people)


def queries_of(path: str, one: Listing) -> int:
    """What an answer costs; the less of two, since some things are remembered for a second."""
    name, _, value = one.header.partition(": ")
    headers = {name: value} if value else {}
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as captured:
            answer = Client(headers=headers).get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.content[:200]!r}"
        texts = [str(query["sql"]) for query in captured.captured_queries]
        counts.append(sum(not text.startswith(TRANSACTION_WORDS) for text in texts))
    return min(counts)


def keys_on(path: str, one: Listing) -> list[str]:
    name, _, value = one.header.partition(": ")
    page = Client(headers={name: value}).get(path).content.decode()
    return list(dict.fromkeys(re.findall(r'href="/admin/\w+/\w+/([0-9a-f-]{36})/change/', page)))


def of_so_many(count: int, one: Listing) -> str:
    """The address of the list, cut to so many rows."""
    if one.kind == ADMIN:
        keys = keys_on(one.path, one)[:count]
        assert len(keys) == count, f"{one.path} shows {len(keys)} rows"
        return f"{one.path}?id__in={','.join(keys)}"
    return f"{one.path}{'&' if '?' in one.path else '?'}limit={count}"


class TestLists:
    def test_cost_the_same_queries_however_many_rows_they_show(self, market: Market) -> None:
        costs: dict[str, set[int]] = {}
        for one in every_list(market):
            if one.kind == WHOLE:
                paths = []
            elif one.kind == ADMIN and "?" in one.path:
                paths = [one.path]
            else:
                paths = [of_so_many(count, one) for count in (FEW, MORE)]
            costs[one.name] = {queries_of(path, one) for path in paths}

        assert {name: found for name, found in costs.items() if len(found) > 1} == {}
        assert max(max(found, default=0) for found in costs.values()) <= 10

    def test_are_all_that_there_are(self, market: Market) -> None:
        known = {_form(one.path) for one in every_list(market)}

        schema = Client().get("/openapi.json").json()
        paged = {
            _form(path)
            for path, methods in schema["paths"].items()
            if {"cursor", "limit", "page"}
            & {one["name"] for one in methods.get("get", {}).get("parameters", ())}
        }
        assert paged - known == set()

    def test_of_the_admin_are_searched_and_filtered_each(self, market: Market) -> None:
        pages = [one.path for one in every_list(market) if one.kind == ADMIN]

        plain = {path for path in pages if "?" not in path}
        assert len([path for path in pages if "?q=" in path]) == len(plain)
        assert len([path for path in pages if "?" in path and "?q=" not in path]) == len(plain)
        assert {*bench_pages.SEARCHES} == {*bench_pages.FILTERS}

    def test_are_asked_of_a_market_that_is_made_once(self, market: Market) -> None:
        orders, messages = Order.objects.count(), Message.objects.count()

        again = fill(sizes=SMALL, people=ensure_people(set_name=READER_SET, count=PEOPLE))

        assert (Order.objects.count(), Message.objects.count()) == (orders, messages)
        assert again == market


def _form(path: str) -> str:
    """A path without its query, with its ids left blank."""
    plain = path.partition("?")[0]
    return re.sub(r"\{\w+\}|(room:)?[0-9a-f]{8}-[0-9a-f-]{27}", "*", plain)
