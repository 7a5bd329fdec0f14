"""A survey: every process says what it holds, and one that is away is left out."""

from typing import Any

import orjson
import pytest

from accounts.models import User
from chat.models import Room
from marketplace.realtime import runtime as runtime_module
from marketplace.realtime.survey import holdings, survey
from marketplace.realtime.tests.test_bridge import ROOM, TOPIC, Scene, pair, scene, server
from marketplace.tests.sockets import Sockets, in_thread

__all__ = ["scene", "server"]


@pytest.mark.django_db(transaction=True)
class TestHoldings:
    async def test_tell_who_holds_which_topic_by_which_name(
        self, sockets: Sockets, room: Room, buyer: User, seller: User
    ) -> None:
        phoenix, plain = await sockets.phoenix(buyer), await sockets.plain(buyer)
        await sockets.plain(seller)
        await sockets.plain(None)
        await phoenix.join(f"chat:room_{room.id}")
        await plain.join(room.topic)

        held = holdings(sockets.runtime)

        assert held["sockets"] == {"phoenix-v2": 1, "plain": 3}
        assert held["people"] == sorted([buyer.public_id, seller.public_id])
        assert held["topics"] == {
            room.topic: {
                "spelled": [f"chat:room_{room.id}", room.topic],
                "people": {buyer.public_id: 2},
                "guests": 0,
            },
            "announcements": {"spelled": ["announcements"], "people": {}, "guests": 1},
        }
        assert orjson.loads(orjson.dumps(held)) == held

    async def test_are_asked_from_a_thread_of_a_request(
        self, sockets: Sockets, room: Room, buyer: User
    ) -> None:
        plain = await sockets.plain(buyer)
        await plain.join(room.topic)

        [own] = await in_thread(survey)

        assert list(own["topics"]) == [room.topic]

    def test_are_empty_where_nobody_has_connected(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(runtime_module, "_runtime", None)

        [own] = survey()

        assert (own["topics"], own["sockets"], own["people"]) == ({}, {}, [])
        assert own["figures"]["memory_bytes"] > 0


class TestTwoProcesses:
    async def test_answer_each_other(self, scene: Scene) -> None:
        asking, _, listener = await pair(scene)

        answers = await asking.bridge.survey()

        [other] = answers
        assert other["topics"][TOPIC]["people"] == {listener.user_id: 1}
        assert other["people"] == [listener.user_id]
        assert str(ROOM) in TOPIC

    async def test_do_without_one_that_is_silent(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asking, other, _ = await pair(scene)

        async def silent(key: str) -> None:
            """Says nothing."""

        monkeypatch.setattr(other.bridge, "_answer_survey", silent)

        assert await asking.bridge.survey() == []

    async def test_ask_nobody_while_redis_is_away(self, scene: Scene) -> None:
        asking, _, _ = await pair(scene)
        asking.bridge.is_up = False

        answers: list[dict[str, Any]] = await asking.bridge.survey()

        assert answers == []
        asking.bridge.is_up = True
