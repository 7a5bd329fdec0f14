"""The dialogue that the documentation shows, word for word, on every way in."""

from typing import Any

import pytest

from accounts.models import User
from chat.models import Room
from chat.tests.factories import make_talk
from marketplace.core.jobs import run_due_jobs
from marketplace.tests.sockets import Sockets, in_thread
from marketplace.tests.test_protocol_parity import (
    WAYS,
    PhoenixWay,
    PlainWay,
    RestWay,
    Way,
    way_of,
)
from shops.models import Shop

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

DIALOGUE = [
    ("@createshop", "Let's create a shop! What should we name it?"),
    ("My Awesome Shop", "Great name! Where is the shop located?"),
    ("New York", "What category is your shop? (e.g., food, clothing, electronics)"),
    ("clothing", "✅ Shop created successfully! ID: shop_10001"),
]


async def heard_by(way: Way, room: Room) -> dict[str, Any]:
    """The newest message of the assistant as this way in tells it."""
    if isinstance(way, RestWay):
        path = f"/api/v1/chat/rooms/{room.id}/messages"
        page = (await in_thread(way._call, "get", path, None))[1]
        return dict(page["items"][-1])
    while True:
        if isinstance(way, PlainWay):
            told = await way.socket.event("new_message")
        else:
            assert isinstance(way, PhoenixWay)
            told = (await way.socket.event("new_message")).payload
        if told["sender_type"] == "ai":
            return told


async def say_on(way: Way, room: Room, line: str) -> dict[str, Any]:
    kind, sent = await way.ask(str(room.id), "message", {"content": line})
    assert (kind, sent["content"], sent["sender_type"]) == ("ok", line, "user")
    await in_thread(run_due_jobs)
    return dict(sent)


@pytest.mark.parametrize("name", WAYS)
class TestDialogue:
    async def test_is_word_for_word(self, name: str, sockets: Sockets, buyer: User) -> None:
        room = await in_thread(make_talk, buyer)
        way = await way_of(name, buyer, sockets)
        assert (await way.join(str(room.id)))[0] == "ok"

        for line, answer in DIALOGUE:
            asked = await say_on(way, room, line)
            told = await heard_by(way, room)

            assert told["content"] == answer
            assert (told["sender_type"], told["sender_id"]) == ("ai", "ai_system")
            assert told["sender"] is None
            assert told["number"] == asked["number"] + 1

        shop = await in_thread(Shop.objects.get)
        assert (shop.name, shop.owner_id) == ("My Awesome Shop", buyer.pk)


class TestChangeOfProtocol:
    async def test_leaves_the_dialogue_open(self, sockets: Sockets, buyer: User) -> None:
        room = await in_thread(make_talk, buyer)

        for name, (line, answer) in zip(WAYS, DIALOGUE, strict=True):
            way = await way_of(name, buyer, sockets)
            assert (await way.join(str(room.id)))[0] == "ok"
            await say_on(way, room, line)
            assert (await heard_by(way, room))["content"] == answer

        assert await in_thread(Shop.objects.count) == 1
