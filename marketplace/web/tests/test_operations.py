"""What runs, over REST: for admins, over all processes, at a constant cost."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from chat.models import Room
from chat.services.rooms import create_group
from marketplace.core.models import Job
from marketplace.events.models import Position, TopicHead
from marketplace.tests.cast import assert_queries, signed_in
from marketplace.tests.sockets import Sockets, in_thread, sockets
from marketplace.web import operations

__all__ = ["sockets"]

TOPICS = "/api/v1/ops/topics"
OVERVIEW = "/api/v1/ops/overview"


def process(topics: dict[str, dict[str, int]], *, pid: int = 1, **more: Any) -> dict[str, Any]:
    """The answer of one process in which these people hold these topics."""
    return {
        "host": "here",
        "pid": pid,
        "figures": {"memory_bytes": 1},
        "sockets": {"plain": len(topics)},
        "people": sorted({person for people in topics.values() for person in people}),
        "topics": {
            topic: {"spelled": [topic], "people": people, "guests": 0}
            for topic, people in topics.items()
        },
    } | more


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the processes answer in this test."""
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(operations, "survey", lambda: given)
    return given


@pytest.fixture
def client(admin: User) -> APIClient:
    return signed_in(admin)


def listed(client: APIClient, **query: Any) -> dict[str, Any]:
    answer = client.get(TOPICS, query)
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.django_db
class TestAccess:
    @pytest.mark.parametrize("path", [TOPICS, OVERVIEW])
    def test_is_for_admins(
        self, path: str, buyer: User, employee: User, courier: User, stranger: User
    ) -> None:
        assert APIClient().get(path).status_code == 401
        for user in (buyer, employee, courier, stranger):
            answer = signed_in(user).get(path)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.django_db(transaction=True)
class TestLive:
    async def test_tells_who_is_where(
        self, sockets: Sockets, buyer: User, seller: User, admin: User
    ) -> None:
        room = await in_thread(lambda: create_group(owner=buyer, title="Lamps", members=[seller]))
        await (await sockets.phoenix(buyer)).join(f"group:{room.id}")
        await (await sockets.plain(buyer)).join(room.topic)
        await (await sockets.plain(seller)).join(room.topic)
        client = await in_thread(signed_in, admin)

        [told] = (await in_thread(listed, client))["items"]
        overview = (await in_thread(client.get, OVERVIEW)).json()

        assert told == {
            "topic": room.topic,
            "names": [f"chat:room_{room.id}", f"group:{room.id}", room.topic],
            "latest_seq": 1,
            "connections": 3,
            "member_count": 2,
            "guests": 0,
            "members": sorted(
                [
                    {"user_id": buyer.public_id, "connections": 2},
                    {"user_id": seller.public_id, "connections": 1},
                ],
                key=lambda one: str(one["user_id"]),
            ),
        }
        assert overview["sockets"] == {"phoenix-v2": 1, "plain": 2}
        assert (overview["people"], overview["topics"]) == (2, 1)
        assert overview["processes"][0]["requests"]["answered"] >= 1


@pytest.mark.django_db
class TestTopics:
    def test_adds_the_processes_up(self, client: APIClient, answers: list[Any]) -> None:
        answers += [
            process({"room:a": {"asha": 1, "bruno": 2}}, pid=1),
            process({"room:a": {"asha": 1}, "user:asha": {"asha": 1}}, pid=2),
        ]

        first, second = listed(client)["items"]

        assert (first["topic"], second["topic"]) == ("room:a", "user:asha")
        assert first["connections"] == 4
        assert first["members"] == [
            {"user_id": "asha", "connections": 2},
            {"user_id": "bruno", "connections": 2},
        ]

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("room:*", ["room:a", "room:b"]),
            ("chat:*", ["room:a", "room:b"]),
            ("chat:room_a", ["room:a"]),
            ("notification:*", ["user:asha"]),
            ("group:*", []),
            ("*", ["room:a", "room:b", "user:asha"]),
            ("room", []),
            ("[", []),
        ],
    )
    def test_finds_by_any_protocols_name(
        self, client: APIClient, answers: list[Any], pattern: str, expected: list[str]
    ) -> None:
        answers.append(process({"room:a": {"x": 1}, "room:b": {"x": 1}}))
        own = process({"user:asha": {"asha": 1}})
        own["topics"]["user:asha"]["spelled"] = ["notification:asha"]
        answers.append(own)

        assert [one["topic"] for one in listed(client, pattern=pattern)["items"]] == expected

    def test_goes_through_all_in_pages(self, client: APIClient, answers: list[Any]) -> None:
        answers.append(process({f"room:{n}": {"x": 1} for n in range(5)}))

        first = listed(client, limit=2)
        second = listed(client, limit=2, cursor=first["next_cursor"])
        third = listed(client, limit=2, cursor=second["next_cursor"])

        found = [one["topic"] for page in (first, second, third) for one in page["items"]]
        assert found == [f"room:{n}" for n in range(5)]
        assert third["next_cursor"] is None

    def test_shows_the_first_hundred_of_a_crowd(
        self, client: APIClient, answers: list[Any]
    ) -> None:
        answers.append(process({"room:a": {f"user{n:04}": 1 for n in range(150)}}))

        [told] = listed(client)["items"]

        assert (told["member_count"], len(told["members"])) == (150, 100)

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ({"limit": "0"}, "validation_failed"),
            ({"cursor": "x"}, "cursor_invalid"),
            ({"pattern": "x" * 161}, "validation_failed"),
        ],
    )
    def test_refuses_what_is_no_question(
        self, client: APIClient, query: dict[str, str], code: str
    ) -> None:
        answer = client.get(TOPICS, query)

        assert (answer.status_code, answer.json()["code"]) == (400, code)

    def test_costs_the_same_for_one_and_for_many(
        self, client: APIClient, answers: list[Any]
    ) -> None:
        answers.append(process({f"room:{n:03}": {"x": 1} for n in range(80)}))

        with assert_queries(2):
            listed(client, limit=1)
        with assert_queries(2):
            assert len(listed(client, limit=100)["items"]) == 80


@pytest.mark.django_db
class TestOverview:
    def test_counts_what_waits(self, client: APIClient, answers: list[Any], buyer: User) -> None:
        room: Room = create_group(owner=buyer, title="Lamps")
        for number, state in enumerate(["waiting", "waiting", "running", "dead", "done"]):
            Job.objects.create(key=str(number), name="cleanup", state=state)
        TopicHead.objects.filter(topic=room.topic).update(subscribers_pending=True)
        Position.objects.create(subscriber="s", topic=room.topic, parked_at=room.created_at)
        answers += [process({"room:a": {"x": 1}}, pid=1), process({"room:a": {"y": 1}}, pid=2)]

        told = client.get(OVERVIEW).json()

        assert told["jobs"] == {"waiting": 2, "running": 1, "dead": 1}
        assert told["log"] == {"subscribers_pending": 1, "relay_pending": 0, "parked": 1}
        assert (told["topics"], told["people"], told["sockets"]) == (1, 2, {"plain": 2})
        assert [one["pid"] for one in told["processes"]] == [1, 2]
        assert told["parts"]["database"] == "ok"

    def test_has_the_fields_that_the_document_names(self, client: APIClient) -> None:
        told = client.get(OVERVIEW).json()

        assert set(told) == set(operations.OverviewOutput().fields)
        [own] = told["processes"]
        assert set(own) == set(operations.ProcessOutput().fields)

    def test_costs_the_same_for_one_and_for_many(self, client: APIClient, buyer: User) -> None:
        client.get(OVERVIEW)  # asks the parts, for a second
        with assert_queries(6):
            client.get(OVERVIEW)
        for number in range(20):
            create_group(owner=buyer, title=f"Room {number}")
            Job.objects.create(key=str(number), name="cleanup")

        with assert_queries(6):
            client.get(OVERVIEW)
