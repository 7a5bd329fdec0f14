"""The cast, for the pages."""

from marketplace.tests.cast import admin, buyer, courier, employee, seller, stranger

__all__ = ["admin", "buyer", "courier", "employee", "seller", "stranger"]
