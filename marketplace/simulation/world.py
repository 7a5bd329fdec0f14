"""The time and the wire of a simulation: one thread, a clock of its own, requests in process.

Every actor asks the public REST routes as any client does. Between two of his steps everything
that follows from the first is done: subscribers and jobs, in their order. So nothing happens at
the same time, and the same seed gives the same story.
"""

import heapq
import itertools
import json
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections

from accounts.enums import Role
from accounts.models import User
from accounts.services.registration import create_staff
from marketplace.core import clock
from marketplace.core.job_rows import run_due_jobs
from marketplace.events.subscribe import run_subscribers

PASSWORD = "Password123!"  # noqa: S105  # of people who exist in a simulation alone
SETTLED_AFTER = 1_000


class Refused(Exception):
    """A request was answered with an error; `code` is the stable one."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status = status
        self.code = str(body.get("code", ""))
        super().__init__(f"{status} {self.code}: {body.get('message', '')}")


@dataclass(order=True)
class _Turn:
    at: datetime
    place: int
    act: Callable[[], timedelta | None] = field(compare=False)


class World:
    """seed: decides everything that chance decides. hours: of the market's own time.

    speed: seconds of the market in one second here, 0 = as fast as it goes.
    """

    def __init__(self, *, seed: int, hours: float, speed: float = 0) -> None:
        self.seed = seed
        # It ends now, so that no token of it comes from the future.
        self.ends_at = clock.now()
        self.started_at = self.ends_at - timedelta(hours=hours)
        self.now = self.started_at
        self.speed = speed
        self.requests = 0
        self.refusals: dict[str, int] = {}
        # The ids of the couriers of this market: others may be on duty in the same city.
        self.couriers: set[str] = set()
        self._turns: list[_Turn] = []
        self._places = itertools.count()
        self._application = get_wsgi_application()

    def chance(self, name: str) -> random.Random:
        """The chance of one actor, which no other actor's steps can shift."""
        return random.Random(f"{self.seed}:{name}")  # noqa: S311  # the same every time, no secret

    def plan(self, act: Callable[[], timedelta | None], *, after: timedelta) -> None:
        """Call `act` then; it gives after how long again, None for never."""
        heapq.heappush(self._turns, _Turn(self.now + after, next(self._places), act))

    @contextmanager
    def time_of_its_own(self) -> Iterator[None]:
        """Within it the whole product lives by the market's clock, and no rate is a person's."""
        lives_s = int((self.ends_at - self.started_at).total_seconds()) + 86_400
        with tempfile.TemporaryDirectory() as folder, clock.running_by(lambda: self.now):
            changed = {
                "LIMITS": {name: [(0, 1)] * len(rows) for name, rows in settings.LIMITS.items()},
                "MESSAGE_RATE_LIMIT": 0,
                # Tokens are checked by the real clock, and must outlive the market's.
                "TOKEN_TTL_ACCESS": lives_s,
                "SMS_BACKEND": "mock",
                "SMS_SINK": Path(folder) / "sms.jsonl",
            }
            before = {name: getattr(settings, name) for name in changed}
            # A request ends in the middle of this thread's own work, whose connection stays.
            ends = (request_started, request_finished)
            try:
                for signal in ends:
                    signal.disconnect(close_old_connections)
                for name, value in changed.items():
                    setattr(settings, name, value)
                yield
            finally:
                for name, value in before.items():
                    setattr(settings, name, value)
                for signal in ends:
                    signal.connect(close_old_connections)

    def run(self, *, on_progress: Callable[[float], None] = lambda part: None) -> None:
        """Play to the end. on_progress: gets the part that is over, 0 to 1."""
        whole = (self.ends_at - self.started_at).total_seconds()
        began = time.monotonic()
        while self._turns and self._turns[0].at < self.ends_at:
            turn = heapq.heappop(self._turns)
            over = (turn.at - self.started_at).total_seconds()
            if self.speed:
                time.sleep(max(0.0, over / self.speed - (time.monotonic() - began)))
            self.now = turn.at
            again = turn.act()
            self.settle()
            if again is not None:
                self.plan(turn.act, after=again)
            on_progress(over / whole)

    def settle(self) -> None:
        """Do everything that follows, one after the other."""
        for _ in range(SETTLED_AFTER):
            if not run_subscribers() and not run_due_jobs(limit=1):
                return
        raise RuntimeError("The market does not come to rest: something causes itself.")

    def sign_up(self, name: str, *, role: str) -> "Person":
        """Somebody new, by e-mail address and password."""
        # Names are taken once for ever: the instant makes those of every run new.
        unique = f"{name}-{self.ends_at:%Y%m%d%H%M%S%f}"
        person = Person(self, name)
        body = {"email": f"{unique}@example.com", "password": PASSWORD, "name": name, "role": role}
        person.takes(person.call("POST", "/auth/register", body))
        return person

    def hire(self, name: str, *, number: int) -> "Person":
        """A courier, whom the market's staff has made; he signs in by the code on his phone."""
        phone = f"+49{self.ends_at:%d%H%M%S%f}"[:13] + f"{number:02d}"
        user = create_staff(
            role=Role.COURIER, email=f"{name}-{self.ends_at:%Y%m%d%H%M%S%f}@example.com",
            phone_number=phone, password=PASSWORD,
        )  # fmt: skip
        User.objects.filter(pk=user.pk).update(name=name)
        person = Person(self, name)
        person.call("POST", "/auth/otp/request", {"phone_number": phone})
        self.settle()
        sent = json.loads(Path(settings.SMS_SINK).read_text().splitlines()[-1])
        [code] = re.findall(r"\b[0-9]{6}\b", sent["body"])
        person.takes(person.call("POST", "/auth/otp/verify", {"phone_number": phone, "code": code}))
        self.couriers.add(person.id)
        return person

    def client(self) -> httpx2.Client:
        """A client of this process's own routes."""
        transport = httpx2.WSGITransport(app=self._application, raise_app_exceptions=True)
        return httpx2.Client(transport=transport, base_url=settings.PUBLIC_URL)


class Person:
    """Somebody with a token."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.chance = world.chance(name)
        self.id = ""
        self._client = world.client()

    def takes(self, pair: dict[str, Any]) -> None:
        """Go on as who has signed in."""
        self.id = pair["user"]["id"]
        self._client.headers["Authorization"] = f"Bearer {pair['access_token']}"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask a route of `/api/v1`. Raises Refused."""
        self.world.requests += 1
        answer = self._client.request(method, f"/api/v1{path}", json=body)
        told = answer.json() if answer.content else None
        if answer.is_success:
            return told
        refused = Refused(answer.status_code, told or {})
        self.world.refusals[refused.code] = self.world.refusals.get(refused.code, 0) + 1
        raise refused

    def between(self, shortest: timedelta, longest: timedelta) -> timedelta:
        """A time of his own choice."""
        return shortest + (longest - shortest) * self.chance.random()
