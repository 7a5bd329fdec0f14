"""Nothing that was acked is lost or told twice, however the server dies.

The suite makes a small run; MARKETPLACE_KILLS and MARKETPLACE_ACKED make it as large as one likes,
as does `python -m marketplace.tests.kill`.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from marketplace.tests.clients.talkers import Follower
from marketplace.tests.kill import Plan, RestSender, Sender, find_faults, follower_faults, run
from marketplace.tests.live import Person

pytestmark = [pytest.mark.integration, pytest.mark.transactions]

KILLS = int(os.environ.get("MARKETPLACE_KILLS", "3"))
ACKED = int(os.environ.get("MARKETPLACE_ACKED", "300"))
SEED = int(os.environ.get("MARKETPLACE_SEED", "7"))


# Larger runs get longer, and a run that hangs ends before its leg of .ci/run does.
@pytest.mark.timeout(180 + 10 * KILLS + ACKED / 10)
class TestKillNine:
    def test_loses_and_repeats_nothing_that_was_acked(self, tmp_path: Path) -> None:
        plan = Plan(kills=KILLS, acked=ACKED, seed=SEED)

        outcome = run(plan, tmp_path)

        assert outcome.faults == [], outcome.line(plan)
        assert outcome.kills == KILLS
        assert outcome.acked >= ACKED

    @pytest.mark.parametrize(
        "point", ["before_commit", "after_commit_before_publish", "after_commit_before_ack"]
    )
    def test_holds_where_the_process_dies_at_the_worst_moment(
        self, tmp_path: Path, point: str
    ) -> None:
        plan = Plan(kills=1, acked=60, failpoint=f"{point}:kill:12", server="uvicorn")

        outcome = run(plan, tmp_path)

        assert outcome.faults == [], outcome.line(plan)
        assert outcome.kills == 1
        if point != "before_commit":
            # What was stored and not acked was found again by its client_id.
            assert outcome.resent >= 1


def message(key: str, number: int) -> dict[str, Any]:
    """A stored message whose event has the seq after its number."""
    return {"client_id": key, "id": f"id-{key}", "seq": number + 1, "number": number}


def event(stored: dict[str, Any]) -> dict[str, Any]:
    """The event of a stored message."""
    return {
        "event": "message.sent",
        "event_id": f"event-{stored['id']}",
        "event_seq": stored["seq"],
        "payload": stored,
    }


CREATED = {"event": "room.created", "event_id": "event-0", "event_seq": 1, "payload": {}}


class TestTheHarnessItself:
    """It sees every kind of loss: without this, its silence would say nothing."""

    def sender(self, *keys: str) -> Sender:
        """One whose messages were all acked, in this order."""
        sender = RestSender("s", Person("u", "u", "+1", "t"), "r")
        sender.attempted = list(keys)
        sender.acked = {
            key: message(key, number) | {"duplicate": False}
            for number, key in enumerate(keys, start=1)
        }
        return sender

    def faults(self, stored: list[dict[str, Any]]) -> list[str]:
        """What is said of a history, with the log that belongs to it."""
        return find_faults([self.sender("a", "b", "c")], stored, [CREATED, *map(event, stored)])

    def test_is_content_with_a_whole_history(self) -> None:
        assert self.faults([message("a", 1), message("b", 2), message("c", 3)]) == []

    def test_sees_a_lost_message(self) -> None:
        assert self.faults([message("a", 1), message("b", 2)]) == ["c: acked, stored 0 times"]

    def test_sees_a_repeated_message(self) -> None:
        stored = [message("a", 1), message("b", 2), message("c", 3), message("c", 4)]

        assert "c: acked, stored 2 times" in self.faults(stored)

    def test_sees_a_swapped_order(self) -> None:
        assert self.faults([message("b", 1), message("a", 2), message("c", 3)]) == [
            "a: acked as 2, stored as 3",
            "b: acked as 3, stored as 2",
            "s: stored in another order than sent",
        ]

    def test_sees_a_gap_in_the_numbers(self) -> None:
        stored = [message("a", 1), message("b", 2), message("c", 3) | {"number": 4}]

        assert "numbers are not gapless: 4 after 2" in self.faults(stored)

    def test_sees_a_gap_in_the_log(self) -> None:
        stored = [message("a", 1), message("b", 2), message("c", 3)]
        log = [CREATED, event(stored[0]), event(stored[2])]

        faults = find_faults([self.sender("a", "b", "c")], stored, log)

        assert faults == ["seqs are not gapless: 4 after 2", "the log and the history differ"]

    def test_sees_a_receiver_who_missed_something(self) -> None:
        follower = Follower("plain", lambda: "", "t", "r")
        follower.events = [("event-0", 1)]

        assert follower_faults([follower], [CREATED, event(message("a", 1))]) == [
            "plain: heard 1 events, the log has 2"
        ]
