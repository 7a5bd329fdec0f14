"""`manage.py topics` and `manage.py dbinfo`, as an operator reads them."""

import asyncio
import re
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuthSession, User
from accounts.services import sessions
from marketplace.core import db_info
from marketplace.tests.cast import admin, buyer, seller, stranger
from marketplace.tests.clients.talkers import Plain
from marketplace.tests.live import Site

__all__ = ["admin", "buyer", "seller", "stranger"]


def printed(name: str, *arguments: str) -> str:
    out = StringIO()
    call_command(name, *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.integration
class TestTopics:
    def test_shows_who_holds_a_room_and_what_clients_call_it(self, tmp_path: Path) -> None:
        with Site(tmp_path) as site:
            server = site.start("uvicorn")
            site.manage(
                "create_staff", "--role", "admin", "--email", f"{tmp_path.name}@example.com",
                "--password", "Password123!",
            )  # fmt: skip
            asha, bruno = site.sign_up(server, "asha"), site.sign_up(server, "bruno")
            room_id = site.open_room(server, asha, bruno)

            async def hold() -> str:
                socket = await Plain.open(server.socket_url, asha.token)
                await socket.join(room_id)
                try:
                    return await asyncio.to_thread(
                        site.manage, "topics", "chat:*", PORT=str(server.port)
                    )
                finally:
                    await socket.close()

            told = asyncio.run(hold())

        [row] = [line for line in told.splitlines() if f" room:{room_id} " in line]
        assert re.split(r"\s*[│┃]\s*", row.strip("│┃ "))[2:6] == ["1", "1", "1", "0"]
        assert asha.id in told
        assert "1 live topics" in told

    @pytest.mark.django_db
    def test_says_that_no_admin_may_ask(self) -> None:
        with pytest.raises(CommandError, match="create_staff"):
            printed("topics")

    @pytest.mark.django_db
    def test_says_that_no_server_answers(self, admin: User, settings: object) -> None:
        settings.PORT = 9  # type: ignore[attr-defined]  # pytest-django's wrapper

        with pytest.raises(CommandError, match="does not answer"):
            printed("topics")

        assert not AuthSession.objects.filter(user=admin, ended_at__isnull=True).exists()


@pytest.mark.django_db
class TestBorrowedSession:
    def test_ends_with_its_block_and_is_no_sign_in(self, admin: User) -> None:
        before = admin.last_login

        with sessions.borrowed_session(user=admin, user_agent="a command") as token:
            assert token.count(".") == 2
            session = AuthSession.objects.get(user=admin)
            assert session.ended_at is None

        assert AuthSession.objects.get(user=admin).ended_at is not None
        assert User.objects.get(pk=admin.pk).last_login == before


@pytest.mark.django_db
class TestDbinfo:
    def test_lists_every_table_with_its_rows(self, buyer: User, seller: User) -> None:
        told = printed("dbinfo")

        assert re.search(r"ping \d+\.\d\d ms", told)
        [row] = [line for line in told.splitlines() if " accounts_user " in line]
        assert [cell.strip() for cell in row.strip("│ ").split("│")][:2] == ["accounts_user", "2"]
        assert f"{len(db_info.table_names())} tables" in told

    def test_shows_the_indexes_of_one_table(self) -> None:
        told = printed("dbinfo", "chat_message")

        assert re.search(r"│ room_id, number +│ yes +│", told)
        assert "0 rows" in told

    def test_names_the_tables_where_there_is_no_such_one(self) -> None:
        with pytest.raises(CommandError, match=r"no table nothing.*chat_message"):
            printed("dbinfo", "nothing")
