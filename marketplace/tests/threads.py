"""Several at the same moment."""

import threading
from collections.abc import Callable
from typing import TypeVar

from django.db import connection

T = TypeVar("T")


def together(*functions: Callable[[], T]) -> list[T]:
    """Run these in threads that start at one barrier; what they gave, in their order."""
    barrier = threading.Barrier(len(functions))
    outcomes: dict[int, T] = {}
    errors: list[BaseException] = []

    def in_thread(place: int, function: Callable[[], T]) -> None:
        try:
            barrier.wait(timeout=10)
            outcomes[place] = function()
        except BaseException as error:  # noqa: BLE001  # told to the test
            errors.append(error)
        finally:
            connection.close()

    threads = [
        threading.Thread(target=in_thread, args=[place, function])
        for place, function in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not errors, errors
    return [outcomes[place] for place in range(len(functions))]
