"""`manage.py topics [pattern]`: who holds which topic now, asked of the running server."""

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import IO, Any, cast

import httpx2
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from accounts.enums import Role
from accounts.models import User
from accounts.services import sessions
from marketplace.serving.listening import host_header, reachable

TIMEOUT_S = 10
# Columns of what goes to a file or a pipe, so that no id is cut.
PAPER = 200
SHOWN_MEMBERS = 3


class Command(BaseCommand):
    """List the live topics of all processes, with what each of them is called and who listens."""

    help = "List live topics and their members; patterns such as `room:*` or `chat:*`."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """A pattern, and how often to ask again."""
        parser.add_argument("pattern", nargs="?", default="*", help="`room:*`, `chat:*`; all: `*`")
        parser.add_argument(
            "--watch", type=float, metavar="SECONDS", help="ask again this often, until Ctrl-C"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a table. Exit code 1 where no server answers, or nobody may ask it."""
        console = Console(
            file=cast(IO[str], self.stdout), width=None if self.stdout.isatty() else PAPER
        )
        try:
            while True:
                console.print(_table(list(_live_topics(options["pattern"]))))
                if options["watch"] is None:
                    return
                time.sleep(max(options["watch"], 0.5))
        except KeyboardInterrupt:
            return


def _live_topics(pattern: str) -> Iterator[dict[str, Any]]:
    """Every page of `GET /api/v1/ops/topics`, asked with a session that ends with the command."""
    admin = User.objects.filter(role=Role.ADMIN, is_active=True).order_by("created_at").first()
    if admin is None:
        raise CommandError("Only an admin may ask, and there is none: manage.py create_staff.")
    url = f"http://{reachable(settings.BIND_HOST)}:{settings.PORT}/api/v1/ops/topics"
    asked: dict[str, Any] = {"pattern": pattern, "limit": 100}
    with (
        sessions.borrowed_session(user=admin, user_agent="manage.py topics") as token,
        httpx2.Client(timeout=TIMEOUT_S, headers=_headers(token)) as client,
    ):
        while True:
            page = _ask(client, url, asked)
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            asked["cursor"] = page["next_cursor"]


def _headers(token: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {token}",
        "Host": host_header(settings.PUBLIC_URL),
        # Asked past the proxy that ends TLS.
        "X-Forwarded-Proto": "https",
    }


def _ask(client: httpx2.Client, url: str, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        response = client.get(url, params=asked)
        if response.is_success:
            return dict(response.json())
        told = f"{response.status_code} {response.text[:200]}"
    except httpx2.HTTPError as error:
        told = str(error)
    raise CommandError(f"The server at {url} does not answer: {told}. Is it started?")


def _table(topics: list[dict[str, Any]]) -> Table:
    table = Table("topic", "clients call it", "seq", "sockets", "people", "guests", "members")
    for one in topics:
        members = [member["user_id"] for member in one["members"][:SHOWN_MEMBERS]]
        more = one["member_count"] - len(members)
        table.add_row(
            one["topic"],
            "\n".join(name for name in one["names"] if name != one["topic"]),
            *(str(one[name]) for name in ("latest_seq", "connections", "member_count", "guests")),
            "\n".join([*members, f"and {more} more"] if more > 0 else members),
        )
    table.caption = f"{len(topics)} live topics"
    return table
