"""The one statement is planned once on a writer's connection, and finds resends by their index."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from chat.models import Room
from chat.services.messages import SendCommand, send_messages
from chat.tests.factories import make_group
from marketplace.core.db import discard_connection
from marketplace.core.planned import dedicate_connection

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="about PostgreSQL alone"),
]


def on_a_writers_connection(function: Callable[[], Any]) -> Any:
    """What a thread like that of group commit gets."""
    found: list[Any] = []

    def work() -> None:
        dedicate_connection()
        try:
            found.append(function())
        finally:
            discard_connection()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found[0]


def send(room: Room, people: list[User]) -> None:
    for n in range(3):
        send_messages(
            [
                SendCommand(actor=one, room_id=room.id, content="hi", client_id=f"c-{n}")
                for one in people
            ]
        )


def prepared() -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT generic_plans, custom_plans FROM pg_prepared_statements")
        return list(cursor.fetchall())


class TestPlanning:
    def test_plans_once_for_all_batches_of_a_writer(self, buyer: User, seller: User) -> None:
        room = make_group(buyer, seller)

        def work() -> list[tuple[Any, ...]]:
            send(room, [buyer, seller])
            return prepared()

        assert on_a_writers_connection(work) == [(3, 0)]

    def test_leaves_every_other_connection_as_it_is(self, buyer: User, seller: User) -> None:
        send(make_group(buyer, seller), [buyer, seller])

        assert prepared() == []
        with connection.cursor() as cursor:
            cursor.execute("SHOW enable_seqscan")
            assert cursor.fetchone() == ("on",)

    def test_finds_a_resend_by_its_index_even_without_statistics(
        self, buyer: User, seller: User
    ) -> None:
        room = make_group(buyer, seller)

        def work() -> str:
            send(room, [buyer, seller])
            with connection.cursor() as cursor:
                # The name of the first statement that is planned on a connection.
                cursor.execute(f"EXPLAIN EXECUTE planned_0 ('[]', false, false{', now()' * 4})")
                return "\n".join(line for (line,) in cursor.fetchall())

        plan = on_a_writers_connection(work)

        assert "message_client_id" in plan
        assert "message_room_seq" not in plan
        assert "Seq Scan" not in plan
