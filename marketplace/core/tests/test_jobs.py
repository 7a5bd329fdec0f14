"""Later work as rows."""

import ast
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import time_machine
from celery import shared_task
from django.conf import settings as project
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from marketplace.core import job_rows, jobs, tasks
from marketplace.core import runner as runner_module
from marketplace.core.clock import now
from marketplace.core.db import atomic
from marketplace.core.models import Job, JobState
from marketplace.core.runner import Schedule
from marketplace.core.schedule import beat_schedule, slot_of
from marketplace.core.task_registry import _tickers, register_ticker

RUNS: list[dict[str, Any]] = []


@shared_task(name="test_note")  # type: ignore[untyped-decorator]  # untyped package
def note(**arguments: Any) -> None:
    RUNS.append(arguments)


@shared_task(name="test_fail")  # type: ignore[untyped-decorator]  # untyped package
def fail(**_: Any) -> None:
    raise RuntimeError("the phone +15550100001 with eyJhbGciOi.eyJzdWIi.c2ln")


@shared_task(name="send_test_fail")  # type: ignore[untyped-decorator]  # untyped package
def send_fail(**_: Any) -> None:
    raise RuntimeError


@pytest.fixture(autouse=True)
def _quiet(settings: Settings) -> Iterator[None]:
    RUNS.clear()
    settings.CELERY_BROKER_URL = ""
    settings.SCHEDULE = {"cleanup": "daily 03:00"}
    job_rows.wakeup.clear()
    yield
    RUNS.clear()


def run_until_settled(job: Job, *, most: int = 20) -> list[datetime]:
    """Move the clock to each next run of the job; gives those times."""
    times = []
    with time_machine.travel(now(), tick=False) as clock:
        for _ in range(most):
            job.refresh_from_db()
            if job.state in (JobState.DONE, JobState.DEAD):
                break
            clock.move_to(max(job.run_at + timedelta(milliseconds=1), now()))
            times.append(now())
            jobs.run_due_jobs()
    return times


@pytest.mark.django_db
class TestEnqueue:
    def test_runs_once_with_its_arguments(self) -> None:
        job = jobs.enqueue("test_note", key="k", challenge_id="c1")

        assert jobs.run_due_jobs() == 1
        assert jobs.run_due_jobs() == 0

        job.refresh_from_db()
        assert RUNS == [{"challenge_id": "c1"}]
        assert (job.state, job.attempts, job.last_error) == ("done", 1, "")

    def test_gives_the_first_job_to_a_second_with_its_key(self) -> None:
        first = jobs.enqueue("test_note", key="k", n=1)

        assert jobs.enqueue("test_note", key="k", n=2).id == first.id
        assert Job.objects.get().arguments == {"n": 1}

    def test_refuses_a_name_that_no_task_has(self) -> None:
        with pytest.raises(KeyError):
            jobs.enqueue("test_unheard_of", key="k")
        assert Job.objects.count() == 0

    def test_waits_for_its_time(self) -> None:
        jobs.enqueue("test_note", key="k", run_at=now() + timedelta(minutes=1))

        assert jobs.run_due_jobs() == 0
        with time_machine.travel(now() + timedelta(minutes=1)):
            assert jobs.run_due_jobs() == 1


@pytest.mark.django_db(transaction=True)
class TestCallersTransaction:
    @pytest.mark.transactions
    def test_takes_the_job_with_it_when_it_fails(self) -> None:
        def fail_after() -> None:
            with atomic():
                jobs.enqueue("test_note", key="k")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail_after()

        assert Job.objects.count() == 0
        assert not job_rows.wakeup.is_set()

    def test_wakes_the_runner_at_its_commit_and_not_before(self) -> None:
        with atomic():
            jobs.enqueue("test_note", key="k")
            before = job_rows.wakeup.is_set()

        assert (before, job_rows.wakeup.is_set()) == (False, True)


@pytest.mark.django_db
class TestFailure:
    def test_is_tried_8_times_ever_later_then_dead(self) -> None:
        job = jobs.enqueue("test_fail", key="k")

        times = run_until_settled(job)

        job.refresh_from_db()
        gaps = [(b - a).total_seconds() for a, b in pairwise(times)]
        assert (job.state, job.attempts, len(times)) == ("dead", 8, 8)
        for number, gap in enumerate(gaps):
            assert 7.5 * 2**number <= gap <= 12.6 * 2**number

    def test_of_what_is_sent_is_tried_5_times(self) -> None:
        job = jobs.enqueue("send_test_fail", key="k")

        assert len(run_until_settled(job)) == 5

    def test_keeps_its_error_without_secrets(self) -> None:
        job = jobs.enqueue("test_fail", key="k")
        jobs.run_due_jobs()

        job.refresh_from_db()
        assert job.last_error == "RuntimeError: the phone +1********01 with [redacted]"

    @pytest.mark.parametrize("runs", [10, 30, 500])
    def test_never_waits_over_an_hour(self, runs: int) -> None:
        assert 2700 <= job_rows.retry_delay_s(runs) <= 3600

    def test_dead_ones_are_listed_and_retried(self) -> None:
        job = jobs.enqueue("test_note", key="k")
        Job.objects.filter(id=job.id).update(state=JobState.DEAD, attempts=8)

        assert [one.id for one in jobs.list_dead()] == [job.id]
        jobs.retry_job(job.id)
        assert jobs.run_due_jobs() == 1
        assert list(jobs.list_dead()) == []
        with pytest.raises(jobs.JobNotFound):
            jobs.retry_job(job.id)


@pytest.mark.django_db
class TestLease:
    def test_that_ended_is_claimed_again_and_the_first_run_counts_no_more(self) -> None:
        with time_machine.travel("2026-01-10T12:00:00Z", tick=False) as clock:
            row = jobs.enqueue("test_note", key="k")
            first = job_rows.claim(row.id)
            assert first is not None
            assert job_rows.claim(row.id) is None
            clock.shift(60)
            second = job_rows.claim(row.id)
            assert second is not None

            job_rows._settle(first, state=JobState.DONE)
            row.refresh_from_db()
            assert (row.state, row.attempts) == ("running", 2)

            job_rows._settle(second, state=JobState.DONE)
            row.refresh_from_db()
            assert row.state == "done"

    @pytest.mark.parametrize("ended_lease", [False, True])
    def test_is_not_given_to_a_second_who_saw_the_row_free(
        self, monkeypatch: pytest.MonkeyPatch, ended_lease: bool
    ) -> None:
        row = jobs.enqueue("test_note", key="k")
        if ended_lease:
            Job.objects.filter(id=row.id).update(state="running", lease_until=now())
        others: list[Job | None] = []

        def claimed_by_another(name: str) -> int:
            """Called between the look and the UPDATE."""
            if not others:
                others.append(None)
                others[0] = job_rows.claim(row.id)
            return 8

        monkeypatch.setattr(job_rows, "most_runs", claimed_by_another)

        assert job_rows.claim(row.id) is None
        assert others[0] is not None
        row.refresh_from_db()
        assert (row.run, row.attempts) == (others[0].run, 1)

    def test_is_renewed_while_the_job_is_worked_on(self) -> None:
        with time_machine.travel("2026-01-10T12:00:00Z", tick=False) as clock:
            row = jobs.enqueue("test_note", key="k")
            job = job_rows.claim(row.id)
            assert job is not None
            with job_rows.leases.held(job):
                clock.shift(40)
                assert job_rows.leases.renew() == 1
                clock.shift(40)
                assert job_rows.claim(row.id) is None
            clock.shift(20)
            assert job_rows.claim(row.id) is not None

    def test_of_a_stopped_process_is_handed_back(self) -> None:
        row = jobs.enqueue("test_note", key="k")
        job = job_rows.claim(row.id)
        assert job is not None
        with job_rows.leases.held(job):
            assert job_rows.leases.hand_back() == 1

        assert jobs.run_due_jobs() == 1

    def test_a_job_that_kills_its_process_dies_in_the_end(self) -> None:
        with time_machine.travel("2026-01-10T12:00:00Z", tick=False) as clock:
            row = jobs.enqueue("test_note", key="k")
            for _ in range(9):
                job_rows.claim(row.id)
                clock.shift(61)

        row.refresh_from_db()
        assert (row.state, row.attempts) == ("dead", 8)


@pytest.mark.django_db(transaction=True)
class TestRace:
    def test_of_many_runners_one_gets_the_job(self) -> None:
        for number in range(5):
            jobs.enqueue("test_note", key=str(number), number=number)
        barrier = threading.Barrier(4)

        def run() -> None:
            barrier.wait()
            while jobs.run_due_jobs():
                pass
            connection.close()

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(run["number"] for run in RUNS) == [0, 1, 2, 3, 4]

    def test_of_many_with_one_key_there_is_one_row(self) -> None:
        barrier = threading.Barrier(4)
        ids = []

        def enqueue() -> None:
            barrier.wait()
            ids.append(jobs.enqueue("test_note", key="same").id)
            connection.close()

        threads = [threading.Thread(target=enqueue) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(ids) == 4
        assert len(set(ids)) == 1

    def test_the_runner_runs_what_is_enqueued_at_once(self) -> None:
        runner = jobs.JobRunner()
        runner.start()
        try:
            jobs.enqueue("test_note", key="k")
            deadline = threading.Event()
            for _ in range(100):
                if RUNS:
                    break
                deadline.wait(0.02)
        finally:
            assert runner.stop(5)

        assert RUNS == [{}]

    def test_a_stop_waits_for_the_job_in_hand_or_hands_it_back(self) -> None:
        begun, go_on = threading.Event(), threading.Event()

        @shared_task(name="test_slow")  # type: ignore[untyped-decorator]  # untyped package
        def slow(**_: Any) -> None:
            begun.set()
            go_on.wait(5)

        runner = jobs.JobRunner(workers=1)
        runner.start()
        job = jobs.enqueue("test_slow", key="k")
        assert begun.wait(5)

        assert runner.stop(0.05) is False
        job.refresh_from_db()
        assert job.state == "waiting"
        go_on.set()
        for thread in runner._threads:
            thread.join(5)
        job.refresh_from_db()
        assert job.state == "waiting"


@pytest.mark.django_db
class TestSchedule:
    @pytest.mark.parametrize(
        ("every", "at", "slot"),
        [
            (60, "2026-01-10T12:00:59Z", "2026-01-10T12:00:00Z"),
            (20, "2026-01-10T12:00:59Z", "2026-01-10T12:00:40Z"),
            ("daily 03:00", "2026-01-10T02:59:59Z", "2026-01-09T03:00:00Z"),
            ("daily 03:00", "2026-01-10T03:00:00Z", "2026-01-10T03:00:00Z"),
        ],
    )
    def test_knows_the_slot(self, every: int | str, at: str, slot: str) -> None:
        assert slot_of(every, datetime.fromisoformat(at)) == datetime.fromisoformat(slot)

    def test_fills_a_slot_once_over_all_processes(self, settings: Settings) -> None:
        settings.SCHEDULE = {"test_note": 60}
        instant = datetime(2026, 1, 10, 12, 0, 5, tzinfo=UTC)
        one, other = Schedule(), Schedule()

        for schedule in (one, other, one):
            schedule.fill(instant)
        one.fill(instant + timedelta(seconds=60))

        assert sorted(Job.objects.values_list("key", flat=True)) == [
            "test_note:2026-01-10T12:00:00.000Z",
            "test_note:2026-01-10T12:01:00.000Z",
        ]

    def test_writes_no_rows_for_tickers_and_unknown_names(self, settings: Settings) -> None:
        settings.SCHEDULE = {"test_ticker": 1, "test_unheard_of": 1}
        register_ticker("test_ticker", lambda: False)
        try:
            Schedule().fill(now())
        finally:
            del _tickers["test_ticker"]

        assert Job.objects.count() == 0

    def test_is_off_by_a_setting(self, settings: Settings) -> None:
        settings.ENABLE_BACKGROUND_TASKS = False
        settings.SCHEDULE = {"test_note": 60}

        assert Schedule().fill(now()) == 0

    def test_is_told_to_beat(self, settings: Settings) -> None:
        settings.SCHEDULE = {"sweep_jobs": 30, "cleanup": "daily 03:00"}

        entries = beat_schedule()

        assert (entries["sweep_jobs"]["task"], entries["sweep_jobs"]["schedule"]) == (
            "run_slot",
            30.0,
        )
        assert entries["cleanup"]["schedule"].hour == {3}

    @pytest.mark.parametrize(("name", "rows"), [("test_note", 1), ("test_unheard_of", 0)])
    def test_a_slot_that_beat_asks_for_is_filled_where_it_has_a_task(
        self, settings: Settings, name: str, rows: int
    ) -> None:
        settings.SCHEDULE = {name: 3600}

        tasks.run_slot(name)
        tasks.run_slot(name)

        assert Job.objects.count() == rows

    def test_a_failing_ticker_stops_no_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = []

        def broken() -> None:
            raise RuntimeError

        def working() -> bool:
            calls.append(1)
            return True

        monkeypatch.setattr(runner_module, "tickers", lambda: {"a": broken, "b": working})

        assert jobs.run_tickers() is True
        assert calls == [1]


@pytest.mark.django_db(transaction=True)
class TestBroker:
    @pytest.fixture(autouse=True)
    def sent(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        from marketplace.core.tasks import run_job

        settings.CELERY_BROKER_URL = "redis://broker"
        ids: list[str] = []

        def apply_async(args: list[str], **_: Any) -> None:
            ids.append(args[0])

        monkeypatch.setattr(run_job, "apply_async", apply_async)
        return ids

    def test_gets_the_id_after_the_commit(self, sent: list[str]) -> None:
        with atomic():
            job = jobs.enqueue("test_note", key="k")
            assert sent == []

        assert sent == [str(job.id)]

    def test_that_brings_an_id_twice_runs_it_once(self, sent: list[str]) -> None:
        from marketplace.core.tasks import run_job

        job = jobs.enqueue("test_note", key="k", n=1)
        run_job(str(job.id))
        run_job(str(job.id))

        assert RUNS == [{"n": 1}]

    def test_that_is_down_fails_no_caller_and_the_sweep_finds_the_job(
        self, sent: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from marketplace.core.tasks import run_job

        def down(**_: Any) -> None:
            raise ConnectionError

        with monkeypatch.context() as patch:
            patch.setattr(run_job, "apply_async", down)
            job = jobs.enqueue("test_note", key="k")

        assert jobs.sweep() == 0
        with time_machine.travel(now() + timedelta(seconds=121)):
            assert jobs.sweep() == 1
            assert jobs.sweep() == 0
        assert sent == [str(job.id)]

    def test_does_not_carry_what_is_far_away(self, sent: list[str]) -> None:
        job = jobs.enqueue("test_note", key="k", run_at=now() + timedelta(hours=1))

        assert sent == []
        with time_machine.travel(now() + timedelta(hours=1)):
            jobs.sweep()
        assert sent == [str(job.id)]


@pytest.mark.django_db
class TestCleanup:
    def test_forgets_done_jobs_after_a_week_and_keeps_dead_ones(self) -> None:
        for key, state in (("old", "done"), ("dead", "dead")):
            Job.objects.create(
                key=key, name="cleanup", state=state, finished_at=now() - timedelta(days=8)
            )
        Job.objects.create(key="new", name="cleanup", state="done", finished_at=now())

        jobs.find_task("cleanup")()  # type: ignore[misc]  # it is there

        assert sorted(Job.objects.values_list("key", flat=True)) == ["dead", "new"]

    def test_a_part_that_fails_stops_no_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        called = []

        def broken(_: datetime) -> int:
            raise ValueError("broken")

        def working(instant: datetime) -> int:
            called.append(instant)
            return 0

        parts = {"a": broken, "b": working}
        monkeypatch.setattr(tasks, "cleanup_parts", lambda: parts)

        with pytest.raises(ValueError, match="broken"):
            tasks.cleanup()
        assert len(called) == 1


@pytest.mark.django_db
class TestCommand:
    def test_runs_what_is_due_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        jobs.enqueue("test_note", key="k")

        call_command("run_jobs", "--once")

        assert len(RUNS) == 1
        assert capsys.readouterr().out == "2 jobs run.\n"

    def test_lists_tasks_and_open_jobs(self, capsys: pytest.CaptureFixture[str]) -> None:
        job = jobs.enqueue("test_note", key="k", run_at=now() + timedelta(hours=1))

        call_command("run_jobs", "--list")

        printed = capsys.readouterr().out
        assert "cleanup                  daily 03:00" in printed
        assert str(job.id) in printed

    def test_runs_a_scheduled_task_now(self, settings: Settings) -> None:
        settings.SCHEDULE = {"test_note": 3600}

        call_command("run_jobs", "--run", "test_note")

        assert len(RUNS) == 1

    @pytest.mark.parametrize("name", ["test_unheard_of", "test_fail"])
    def test_says_why_it_does_not(self, name: str) -> None:
        with pytest.raises(CommandError):
            call_command("run_jobs", "--run", name)

    def test_shows_and_retries_the_dead(self, capsys: pytest.CaptureFixture[str]) -> None:
        job = jobs.enqueue("test_fail", key="k")
        Job.objects.filter(id=job.id).update(state="dead", last_error="RuntimeError: no")

        call_command("run_jobs", "--dead")
        call_command("run_jobs", "--retry", str(job.id))

        printed = capsys.readouterr().out
        assert "RuntimeError: no" in printed
        job.refresh_from_db()
        assert job.state == "waiting"


class TestNames:
    def test_every_enqueued_name_is_a_task(self) -> None:
        """Services name tasks as text, because they may not import them: here it is held."""
        jobs.load_tasks()
        known = set(jobs.task_names()) | set(_tickers)
        unknown = {
            f"{file.relative_to(project.BASE_DIR)}: {name}"
            for file, name in enqueued_names(Path(project.BASE_DIR))
            if name not in known
        }

        assert unknown == set()


def enqueued_names(root: Path) -> Iterator[tuple[Path, str]]:
    """Every literal first argument of a call of `enqueue`, tests left out."""
    folders = ("marketplace", "accounts", "shops", "orders", "delivery", "chat", "support")
    for folder in folders:
        for file in (root / folder).rglob("*.py"):
            if "tests" in file.parts or "migrations" in file.parts:
                continue
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not node.args:
                    continue
                called = getattr(node.func, "id", getattr(node.func, "attr", ""))
                first = node.args[0]
                if called == "enqueue" and isinstance(first, ast.Constant):
                    yield file, str(first.value)
