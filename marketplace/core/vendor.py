"""Which database this is: the same for the life of a process, and asked all the time."""

from functools import cache

from django.db import connection


@cache
def is_postgresql() -> bool:
    """Whether the default database is PostgreSQL."""
    return connection.vendor == "postgresql"


@cache
def is_sqlite() -> bool:
    """Whether the default database is SQLite."""
    return connection.vendor == "sqlite"


@cache
def is_mongodb() -> bool:
    """Whether the default database speaks the MongoDB wire."""
    return connection.vendor == "mongodb"
