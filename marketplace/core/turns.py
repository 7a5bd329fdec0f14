"""Taking turns inside a process, so that threads after one row do not make each other try again.

Nothing is decided here: the row decides, as it does between processes. On a database that fails
the second writer of a row instead of letting it wait, a queue of threads costs one try each where a
crowd costs dozens.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from marketplace.core.db import hand_back_connection, in_transaction

PATIENCE_S = 5.0
_locks = tuple(threading.Lock() for _ in range(64))


@contextmanager
def turn(key: str) -> Iterator[None]:
    """Inside, this thread is mostly the only one of its process with this key.

    Not inside a transaction: who holds rows must not wait for somebody who may wait for them.
    """
    lock = _locks[hash(key) % len(_locks)]
    taken = not in_transaction() and _wait_for(lock)
    try:
        yield
    finally:
        if taken:
            lock.release()


def _wait_for(lock: threading.Lock) -> bool:
    if lock.acquire(blocking=False):
        return True
    hand_back_connection()
    return lock.acquire(timeout=PATIENCE_S)
