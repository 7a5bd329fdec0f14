"""The admin: who gets in, what is shown, what is hidden, what the actions do, at what cost."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.enums import Issuer
from accounts.models import AuthSession, User
from accounts.services.sessions import start_session
from chat.models import Room
from chat.services.messages import send_message
from chat.services.rooms import create_group, open_direct_room
from marketplace.core.clock import now
from marketplace.core.ids import uuid7
from marketplace.core.models import IdempotencyKey, Job, JobState
from marketplace.events.models import AuditEntry, Event, Position, TopicHead
from marketplace.tests.cast import PASSWORD, make_user

pytestmark = pytest.mark.django_db

TABLES = [
    "accounts_user",
    "accounts_authsession",
    "chat_room",
    "chat_member",
    "chat_message",
    "events_event",
    "events_topichead",
    "events_position",
    "events_auditentry",
    "core_job",
    "core_idempotencykey",
]
MOST_QUERIES = 15


@pytest.fixture
def staff(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client


@pytest.fixture
def direct(buyer: User, seller: User) -> Room:
    room, _ = open_direct_room(actor=buyer, other=seller)
    send_message(actor=buyer, room_id=room.id, content="the secret handshake")
    return room


@pytest.fixture
def group(seller: User) -> Room:
    room = create_group(owner=seller, title="Team")
    send_message(actor=seller, room_id=room.id, content="<script>alert(1)</script> lamps")
    return room


def listed(client: Client, table: str, **query: str) -> str:
    answer = client.get(reverse(f"admin:{table}_changelist"), query)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def shown(client: Client, table: str, key: Any) -> str:
    answer = client.get(reverse(f"admin:{table}_change", args=[key]))
    assert answer.status_code == 200, answer
    return answer.content.decode()


def act(client: Client, table: str, action: str, *keys: Any) -> None:
    answer = client.post(
        reverse(f"admin:{table}_changelist"),
        {"action": action, "_selected_action": [str(key) for key in keys]},
    )
    assert answer.status_code == 302, answer.content.decode()[-2000:]


class TestStaffWithoutAddress:
    def test_see_their_pages(self) -> None:
        boss = make_user("Boss", number=90, role="admin", is_staff=True, is_superuser=True)
        User.objects.filter(pk=boss.pk).update(email=None, name="")
        client = Client()
        client.force_login(boss)

        page = client.get("/admin/")

        assert page.status_code == 200
        assert "None" not in page.content.decode().partition('x-data="{ openUserLinks')[2][:4000]


class TestEntrance:
    def test_takes_e_mail_and_password(self, client: Client, admin: User) -> None:
        answer = client.post(
            "/admin/login/?next=/admin/", {"username": "Edith@Example.com", "password": PASSWORD}
        )

        assert answer.status_code == 302
        assert answer["Location"] == "/admin/"

    def test_refuses_a_wrong_password(self, client: Client, admin: User) -> None:
        answer = client.post(
            "/admin/login/", {"username": "edith@example.com", "password": "Password124!"}
        )

        assert answer.status_code == 200
        assert "_auth_user_id" not in client.session

    @pytest.mark.parametrize("table", TABLES)
    def test_is_closed_to_everybody_else(self, client: Client, buyer: User, table: str) -> None:
        client.force_login(buyer)

        answer = client.get(reverse(f"admin:{table}_changelist"))

        assert answer.status_code == 302
        assert answer["Location"].startswith("/admin/login/")

    def test_gives_an_employee_no_table(self, client: Client, employee: User) -> None:
        User.objects.filter(pk=employee.pk).update(is_staff=True)
        client.force_login(employee)

        assert client.get("/admin/").status_code == 200
        assert client.get(reverse("admin:chat_message_changelist")).status_code == 403

    def test_demands_the_form_token(self, admin: User) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(admin)

        answer = client.post(reverse("admin:accounts_user_changelist"), {"action": "deactivate"})

        assert answer.status_code == 403


class TestHistory:
    @pytest.mark.parametrize("table", [table for table in TABLES if table != "accounts_user"])
    def test_can_be_neither_added_to_nor_deleted_from(self, staff: Client, table: str) -> None:
        page = listed(staff, table)

        assert "delete_selected" not in page
        assert staff.get(reverse(f"admin:{table}_add")).status_code == 403

    def test_refuses_to_change_an_event(self, staff: Client, group: Room) -> None:
        event = Event.objects.filter(topic=group.topic).order_by("seq")[0]

        answer = staff.post(
            reverse("admin:events_event_change", args=[event.pk]), {"name": "room.forged"}
        )

        assert answer.status_code == 403
        event.refresh_from_db()
        assert event.name == "room.created"

    def test_shows_one_of_each(self, staff: Client, direct: Room, buyer: User) -> None:
        start_session(user=buyer, issuer=Issuer.MARKETPLACE)
        fill(1)

        for table in TABLES:
            model = MODELS[table]
            key = model.objects.order_by("pk")[0].pk
            assert shown(staff, table, key)


class TestMessages:
    def test_hides_what_was_said_in_a_direct_room(self, staff: Client, direct: Room) -> None:
        message = direct.messages.get()

        for page in (
            listed(staff, "chat_message"),
            shown(staff, "chat_message", message.pk),
            shown(staff, "chat_room", direct.pk),
            listed(staff, "chat_room"),
        ):
            assert "secret handshake" not in page
        assert "(hidden: direct room)" in listed(staff, "chat_message")

    def test_finds_no_words_of_a_direct_room(
        self, staff: Client, direct: Room, group: Room
    ) -> None:
        # A search that finds is a way to read, one guess at a time.
        assert str(direct.pk) not in listed(staff, "chat_message", q="handshake")
        assert "Team" in listed(staff, "chat_message", q="lamps")

    def test_hides_it_in_the_log_too(self, staff: Client, direct: Room) -> None:
        event = Event.objects.get(topic=direct.topic, name="message.sent")

        assert "secret handshake" not in shown(staff, "events_event", event.pk)

    def test_shows_other_rooms_escaped(self, staff: Client, group: Room) -> None:
        message = group.messages.get()

        for page in (listed(staff, "chat_message"), shown(staff, "chat_message", message.pk)):
            assert "<script>alert(1)" not in page
            assert "&lt;script&gt;alert(1)&lt;/script&gt; lamps" in page

    def test_escapes_names(self, staff: Client, group: Room, seller: User) -> None:
        User.objects.filter(pk=seller.pk).update(username="<img onerror=x>", name="<b>Bruno</b>")

        for table in ("accounts_user", "chat_member", "chat_message", "chat_room"):
            page = listed(staff, table)
            assert "<img onerror" not in page
            assert "<b>Bruno" not in page


class TestSearch:
    def test_finds_a_row_by_its_id(self, staff: Client, direct: Room, group: Room) -> None:
        page = listed(staff, "chat_room", q=str(group.pk))

        assert "Team" in page
        assert str(direct.pk) not in page

    def test_finds_messages_by_room_and_by_sender(
        self, staff: Client, direct: Room, group: Room, buyer: User
    ) -> None:
        assert "Team" in listed(staff, "chat_message", q=str(group.pk))
        by_sender = listed(staff, "chat_message", q=buyer.public_id)
        assert f"direct {direct.pk.hex[-12:]}" in by_sender
        assert "Team" not in by_sender.split("result_list")[-1]

    def test_finds_people_by_the_beginning_of_what_they_are_called(
        self, staff: Client, buyer: User, seller: User
    ) -> None:
        for words in ("ASHA@ex", "asha", "+15550100001", buyer.public_id):
            page = listed(staff, "accounts_user", q=words)
            assert "asha@example.com" in page
            assert "bruno@example.com" not in page

    def test_finds_the_events_of_a_topic(self, staff: Client, direct: Room, group: Room) -> None:
        page = listed(staff, "events_event", q=group.topic)

        assert str(group.pk) in page
        assert str(direct.pk) not in page

    def test_finds_the_audit_of_a_user(self, staff: Client, buyer: User, admin: User) -> None:
        AuditEntry.objects.create(action="user.changed", target=f"user:{buyer.public_id}")
        AuditEntry.objects.create(action="jobs.retried", target="jobs", actor_id=admin.public_id)

        page = listed(staff, "events_auditentry", q=buyer.public_id)

        assert f"user:{buyer.public_id}" in page
        assert admin.public_id not in page.split("result_list")[-1]

    @pytest.mark.parametrize("table", TABLES)
    def test_takes_any_words(self, staff: Client, table: str) -> None:
        assert listed(staff, table, q="50%_ ' \\ (.* \U0001f600")


class TestUserActions:
    def test_ends_every_session_and_writes_it_down(
        self, staff: Client, admin: User, buyer: User, seller: User
    ) -> None:
        for _ in range(2):
            start_session(user=buyer, issuer=Issuer.MARKETPLACE)
        start_session(user=seller, issuer=Issuer.MARKETPLACE)

        act(staff, "accounts_user", "end_sessions", buyer.pk)

        living = AuthSession.objects.filter(ended_at__isnull=True).order_by("pk")
        assert [session.user_id for session in living] == [seller.pk]
        entry = AuditEntry.objects.get(action="user.signed_out")
        assert entry.actor_id == admin.public_id
        assert entry.target == f"user:{buyer.public_id}"
        assert entry.details == {"sessions": 2}

    def test_deactivates_through_the_service(self, staff: Client, admin: User, buyer: User) -> None:
        start_session(user=buyer, issuer=Issuer.MARKETPLACE)

        act(staff, "accounts_user", "deactivate", buyer.pk, admin.pk)

        buyer.refresh_from_db()
        admin.refresh_from_db()
        assert (buyer.is_active, admin.is_active) == (False, True)
        assert AuthSession.objects.get().end_reason == "deactivated"
        entry = AuditEntry.objects.get(action="user.deactivated")
        assert (entry.actor_id, entry.target) == (admin.public_id, f"user:{buyer.public_id}")

    def test_reactivates(self, staff: Client, buyer: User) -> None:
        User.objects.filter(pk=buyer.pk).update(is_active=False)

        act(staff, "accounts_user", "reactivate", buyer.pk)

        buyer.refresh_from_db()
        assert buyer.is_active
        assert AuditEntry.objects.get().action == "user.activated"

    def test_ends_one_session(self, staff: Client, admin: User, buyer: User) -> None:
        kept = start_session(user=buyer, issuer=Issuer.MARKETPLACE).session
        ended = start_session(user=buyer, issuer=Issuer.MARKETPLACE).session

        act(staff, "accounts_authsession", "end_chosen", ended.pk)

        kept.refresh_from_db()
        ended.refresh_from_db()
        assert kept.ended_at is None
        assert ended.ended_at is not None
        entry = AuditEntry.objects.get(action="session.ended")
        assert entry.target == f"session:{ended.pk}"


class TestUserForm:
    def save(self, client: Client, user: User, **changed: str) -> None:
        fields = {
            "name": user.name,
            "username": user.username or "",
            "email": user.email or "",
            "role": user.role,
            "side": user.side,
        }
        answer = client.post(
            reverse("admin:accounts_user_change", args=[user.pk]), fields | changed
        )
        assert answer.status_code == 302, answer.content.decode()[-3000:]

    def test_changes_a_name_and_writes_it_down(
        self, staff: Client, admin: User, buyer: User
    ) -> None:
        session = start_session(user=buyer, issuer=Issuer.MARKETPLACE).session

        self.save(staff, buyer, name="Asha B.")

        buyer.refresh_from_db()
        session.refresh_from_db()
        assert buyer.name == "Asha B."
        assert session.ended_at is None
        entry = AuditEntry.objects.get(action="user.changed")
        assert entry.details == {"fields": ["name"]}
        assert entry.actor_id == admin.public_id

    def test_changes_a_role_through_the_service(
        self, staff: Client, admin: User, buyer: User
    ) -> None:
        session = start_session(user=buyer, issuer=Issuer.MARKETPLACE).session

        self.save(staff, buyer, role="admin")

        buyer.refresh_from_db()
        session.refresh_from_db()
        assert (buyer.role, buyer.is_staff, buyer.is_superuser) == ("admin", True, True)
        assert session.end_reason == "role_changed"
        entry = AuditEntry.objects.get(action="user.role_changed")
        assert entry.details == {"from": "user", "to": "admin"}

    def test_takes_nothing_that_is_not_on_the_form(self, staff: Client, buyer: User) -> None:
        self.save(staff, buyer, is_superuser="on", is_staff="on", phone_number="+19990000000")

        buyer.refresh_from_db()
        assert (buyer.is_superuser, buyer.is_staff) == (False, False)
        assert buyer.phone_number == "+15550100001"

    def test_sets_a_password_and_ends_the_sessions(self, staff: Client, buyer: User) -> None:
        session = start_session(user=buyer, issuer=Issuer.MARKETPLACE).session
        new = "Another-Lamp-42"

        answer = staff.post(
            reverse("admin:auth_user_password_change", args=[buyer.pk]),
            {"password1": new, "password2": new, "usable_password": "true"},
        )

        assert answer.status_code == 302, answer.content.decode()[-2000:]
        buyer.refresh_from_db()
        session.refresh_from_db()
        assert buyer.check_password(new)
        assert session.end_reason == "password_changed"
        assert AuditEntry.objects.get(action="user.password_changed").target == (
            f"user:{buyer.public_id}"
        )

    def test_adds_and_deletes_nobody(self, staff: Client, buyer: User) -> None:
        assert staff.get(reverse("admin:accounts_user_add")).status_code == 403
        delete = reverse("admin:accounts_user_delete", args=[buyer.pk])
        assert staff.post(delete, {"post": "yes"}).status_code == 403


class TestJobs:
    def test_retries_only_dead_jobs(self, staff: Client, admin: User) -> None:
        dead = Job.objects.create(
            key="a", name="send_sms", state=JobState.DEAD, attempts=5, last_error="boom"
        )
        done = Job.objects.create(key="b", name="send_sms", state=JobState.DONE, attempts=1)

        act(staff, "core_job", "retry_dead", dead.pk, done.pk)

        dead.refresh_from_db()
        done.refresh_from_db()
        assert (dead.state, dead.attempts) == ("waiting", 0)
        assert (done.state, done.attempts) == ("done", 1)
        entry = AuditEntry.objects.get(action="jobs.retried")
        assert entry.actor_id == admin.public_id
        assert entry.target == f"job:{dead.pk}"
        assert entry.details == {"jobs": [str(dead.pk)], "names": ["send_sms"]}

    def test_writes_nothing_down_where_nothing_was_done(self, staff: Client) -> None:
        done = Job.objects.create(key="b", name="send_sms", state=JobState.DONE)

        act(staff, "core_job", "retry_dead", done.pk)

        assert AuditEntry.objects.count() == 0

    def test_runs_a_waiting_job_at_once(self, staff: Client) -> None:
        later = now() + timedelta(hours=1)
        job = Job.objects.create(key="a", name="send_sms", run_at=later)

        act(staff, "core_job", "run_at_once", job.pk)

        job.refresh_from_db()
        assert job.run_at <= now()

    def test_hides_the_stored_answers_of_idempotency_keys(self, staff: Client) -> None:
        key = IdempotencyKey.objects.create(
            scope="s", body_hash="h", status=201, body="what somebody wrote",
            lease_until=now(), expires_at=now(),
        )  # fmt: skip

        assert "what somebody wrote" not in shown(staff, "core_idempotencykey", key.pk)


class TestPositions:
    def test_lets_a_parked_subscriber_go_on(self, staff: Client, admin: User, group: Room) -> None:
        position = Position.objects.create(
            subscriber="notify", topic=group.topic, seq=1, failures=8, parked_at=now()
        )
        free = Position.objects.create(subscriber="other", topic=group.topic, seq=1)

        act(staff, "events_position", "let_go_on", position.pk, free.pk)

        position.refresh_from_db()
        assert (position.parked_at, position.failures, position.seq) == (None, 0, 1)
        assert TopicHead.objects.get(topic=group.topic).subscribers_pending
        entry = AuditEntry.objects.get(action="subscriber.retried")
        assert entry.actor_id == admin.public_id


MODELS: dict[str, Any] = {table: apps.get_model(table.replace("_", ".")) for table in TABLES}


def fill(count: int) -> None:
    """So many rows of everything, each with people and rooms of its own."""
    start = User.objects.count() + 100
    for number in range(start, start + count):
        user = make_user(f"Person{number}", number=number)
        room = create_group(owner=user, title=f"Room {number}")
        send_message(actor=user, room_id=room.id, content=f"Message {number}")
        start_session(user=user, issuer=Issuer.MARKETPLACE)
        Position.objects.create(subscriber="notify", topic=room.topic)
        AuditEntry.objects.create(action="user.changed", target=f"user:{user.public_id}")
        Job.objects.create(key=str(uuid7()), name="send_sms")
        IdempotencyKey.objects.create(
            scope=str(number), body_hash="h", lease_until=now(), expires_at=now()
        )


class TestCost:
    @pytest.fixture
    def counted(self, staff: Client) -> Callable[[str], int]:
        def count(table: str) -> int:
            with CaptureQueriesContext(connection) as captured:
                listed(staff, table)
            return len(captured.captured_queries)

        return count

    def test_is_the_same_for_5_and_50_rows(self, counted: Callable[[str], int]) -> None:
        fill(5)
        few = {table: counted(table) for table in TABLES}
        fill(45)

        many = {table: counted(table) for table in TABLES}

        assert many == few
        assert max(many.values()) <= MOST_QUERIES
