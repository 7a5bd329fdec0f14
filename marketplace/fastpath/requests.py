"""What came in and what goes out, in the plainest form that the routes can work with."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.http import QueryDict

from accounts.models import User
from marketplace.core.context import new_request_id
from marketplace.core.errors import AppError
from marketplace.core.limits import UNLIMITED, Allowance, caller_key, client_address
from marketplace.core.queries import QueryCount


@dataclass(slots=True, eq=False)
class FastRequest:
    """One request. headers: by lower-case name, each came once. argument: of `{…}` in the path.

    What the checks find out is noted here: origin (`https://example.com`, as Django makes it of the
    headers), allowance, user, and the queries of the batch that it was served in.
    """

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    peer: str
    argument: str = ""
    body: bytes = b""
    origin: str = ""
    id: str = ""
    started_at: float = field(default_factory=time.perf_counter)
    allowance: Allowance = UNLIMITED
    user: User | None = None
    queries: QueryCount = field(default_factory=QueryCount)

    def __post_init__(self) -> None:
        self.id = new_request_id(self.headers.get("x-request-id"))

    @property
    def query(self) -> QueryDict:
        """The query as views see it."""
        return QueryDict(self.query_string)

    @property
    def full_path(self) -> str:
        """Path and query, for the log."""
        return f"{self.path}?{self.query_string}" if self.query_string else self.path

    @property
    def caller(self) -> str:
        """Whose bucket and whose keys: the user, else the address."""
        return self.caller_of(None if self.user is None else self.user.public_id)

    def caller_of(self, user_id: str | None) -> str:
        """The same, of somebody who says who he is."""
        address = client_address(
            peer=self.peer or "unknown", forwarded_for=self.headers.get("x-forwarded-for")
        )
        return caller_key(user_id, address)


@dataclass(frozen=True, slots=True)
class FastAnswer:
    """An answer: a body that is written already, and headers beside those that all answers have."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


class LeaveToDjango(Exception):
    """Raised or given by a route for what only the whole request cycle does."""


Outcome = FastAnswer | AppError | LeaveToDjango
