"""The cast, for the pages."""

from marketplace.tests.cast import admin, buyer, courier, employee, guest, seller, stranger

__all__ = ["admin", "buyer", "courier", "employee", "guest", "seller", "stranger"]
