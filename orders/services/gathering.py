"""Group commit for requests: while one batch commits, those who come meanwhile gather.

No thread and no timer: the first who comes does the work of all who wait, then the next of those
who came meanwhile takes over. Somebody alone just does his own work at once.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from marketplace.core.db import hand_back_connection, in_transaction
from marketplace.core.errors import AppError

Command = TypeVar("Command")
Outcome = TypeVar("Outcome")

BATCH = 64


class _Ticket(Generic[Command, Outcome]):
    """One command that waits: its outcome or failure comes, or the turn to work for all."""

    __slots__ = ("called", "command", "done", "failure", "outcome")

    def __init__(self, command: Command) -> None:
        self.command = command
        self.called = threading.Event()
        self.done = False
        self.outcome: Outcome | None = None
        self.failure: BaseException | None = None


class Gathering(Generic[Command, Outcome]):
    """Collects the commands of all threads of this process for one service.

    service: takes a batch and gives an outcome or a refusal for each, in their order.
    """

    def __init__(self, service: Callable[[Sequence[Command]], list[Outcome | AppError]]) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._waiting: list[_Ticket[Command, Outcome]] = []
        self._busy = False

    def submit(self, command: Command) -> Outcome:
        """What the service makes of this command; raises its refusal, and what fails in it.

        Inside a transaction of the caller it is done at once and alone: it belongs to that one.
        """
        if in_transaction():
            return _given(self._service([command])[0])
        ticket: _Ticket[Command, Outcome] = _Ticket(command)
        with self._lock:
            self._waiting.append(ticket)
            leads, self._busy = not self._busy, True
        if not leads:
            hand_back_connection()
            ticket.called.wait()
        if not ticket.done:
            self._work()
        if ticket.failure is not None:
            raise ticket.failure
        return ticket.outcome  # type: ignore[return-value]  # done without failure

    def _work(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        try:
            for ticket, outcome in zip(
                batch, self._service([one.command for one in batch]), strict=True
            ):
                if isinstance(outcome, AppError):
                    ticket.failure = outcome
                else:
                    ticket.outcome = outcome
        except BaseException as error:  # noqa: BLE001  # told to everybody who waits for it
            for ticket in batch:
                ticket.failure = error
        finally:
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._busy = following is not None
            for ticket in batch:
                ticket.done = True
                ticket.called.set()
            if following is not None:
                following.called.set()


def _given(outcome: Outcome | AppError) -> Outcome:
    if isinstance(outcome, AppError):
        raise outcome
    return outcome
