"""Fixtures of the kernel's tests."""

from collections.abc import Iterator

import pytest
from django.test import Client

from marketplace.core import health, limits


@pytest.fixture(autouse=True)
def _counts_from_zero() -> Iterator[None]:
    limits.reset_limits()
    health.forget_checks()
    yield
    limits.reset_limits()
    health.forget_checks()


@pytest.fixture
def asha() -> Client:
    """Signed in, for the routes of `tests/urls.py`."""
    return Client(headers={"Authorization": "Bearer asha"})


@pytest.fixture
def edith() -> Client:
    """The admin."""
    return Client(headers={"Authorization": "Bearer edith"})
