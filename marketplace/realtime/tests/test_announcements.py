"""The topic that everybody may hear, and that guests on `/ws/` hear from the start."""

import pytest
from pytest_django import Settings

from accounts.models import User
from marketplace.core.db import atomic
from marketplace.core.ids import uuid7
from marketplace.events.record import open_topic, record
from marketplace.realtime.topic import parse_topic
from marketplace.tests.sockets import Sockets, in_thread, settle

pytestmark = pytest.mark.django_db(transaction=True)

TOPIC = "announcements"


def open_announcements() -> None:
    with atomic():
        open_topic(TOPIC)


def announce(message: str) -> None:
    payload = {"id": str(uuid7()), "title": None, "message": message, "level": "info"}
    with atomic():
        record(TOPIC, "announcement.created", payload | {"created_at": "t"})


class TestAnnouncements:
    async def test_reach_everybody_on_every_protocol(self, sockets: Sockets, buyer: User) -> None:
        await in_thread(open_announcements)
        guest, plain = await sockets.plain(None), await sockets.plain(buyer)
        phoenix, nobody = await sockets.phoenix(buyer), await sockets.phoenix(None)
        await plain.join(TOPIC)
        await phoenix.join(TOPIC)
        await nobody.join(TOPIC)
        await settle(lambda: len(sockets.runtime.latest_of(next(iter(
            one for one in sockets.runtime.sessions if one.user_id is None)))) == 1)  # fmt: skip

        await in_thread(announce, "We close at six.")

        told = [await guest.event("announcement"), await plain.event("announcement")]
        told += [(await one.event("announcement")).payload for one in (phoenix, nobody)]
        assert [one["message"] for one in told] == ["We close at six."] * 4
        assert {(one["topic"], one["event_seq"]) for one in told} == {(TOPIC, 1)}

    async def test_are_held_by_a_guest_without_a_word(
        self, sockets: Sockets, settings: Settings
    ) -> None:
        guest = await sockets.plain(None)
        here = sockets.runtime
        [session] = here.sessions

        assert await guest.rest() == []
        assert list(session.memberships) == [TOPIC]
        for tick in range(30):
            here.checks.tick(tick)
        beat = await guest.hear_until(lambda one: one["type"] == "heartbeat")
        assert beat["latest"] == {TOPIC: 0}

    async def test_do_not_keep_a_guest_where_guests_are_denied(
        self, sockets: Sockets, settings: Settings
    ) -> None:
        settings.SOCKETIO_ANONYMOUS = "deny"
        silent, asking = await sockets.plain(None), await sockets.plain(None)
        await asking.join(TOPIC)
        await silent.rest()
        for session in sockets.runtime.sessions:
            session.connected_at -= 21

        sockets.runtime.checks.tick(1)

        assert await silent.closed() == 4401
        assert len(sockets.runtime.sessions) == 1

    async def test_are_replayed_as_any_topic(self, sockets: Sockets, buyer: User) -> None:
        await in_thread(open_announcements)
        for number in range(3):
            await in_thread(announce, str(number))

        joined = await (await sockets.plain(buyer)).join(TOPIC, since=1)

        assert [one["message"] for one in joined["missed"]] == ["1", "2"]
        assert (joined["recovered"], joined["latest_seq"]) == (True, 3)

    @pytest.mark.parametrize("dialect", ["plain", "phoenix", "feed"])
    async def test_have_one_name(self, dialect: str) -> None:
        ref = parse_topic(TOPIC, dialect=dialect, own=None)

        assert ref is not None
        assert ref.topic == TOPIC
        assert parse_topic("announcements:x", dialect=dialect, own=None) is None
        assert parse_topic("announcementsx", dialect=dialect, own=None) is None
