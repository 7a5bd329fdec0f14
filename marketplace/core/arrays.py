"""Arrays of PostgreSQL, as its text or its binary form has them, at the price of a loop in C."""

import struct
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson

from marketplace.core.jsontext import write_json

TEXT, UUID_TYPE, JSONB = 25, 2950, 3802
_HEAD = struct.Struct("!iiIii")
_LENGTH = struct.Struct("!i").pack
_NULL = _LENGTH(-1)
_JSONB_VERSION = b"\x01"


def nul_byte() -> Exception:
    """What the driver raises for such a text."""
    from psycopg import DataError

    return DataError("PostgreSQL text cannot contain NUL (0x00) bytes.")


class Binary(bytes):
    """A value in the binary form of its type."""


def plain_array(values: Sequence[Any]) -> bytes:
    """Values whose text needs no escape: their JSON is PostgreSQL's array but for the brackets."""
    return b"{%b}" % orjson.dumps(values, default=str)[1:-1]


def text_array(values: Sequence[str | None]) -> bytes:
    """Short texts. An array knows two of JSON's escapes; texts that need another are rare.

    Raises DataError for a NUL, which PostgreSQL's texts cannot hold.
    """
    array = plain_array(values)
    if b"\\" not in array or b"\\" not in array.replace(rb"\\", b"").replace(rb"\"", b""):
        return array
    return b"{%b}" % b",".join([b"NULL" if one is None else _quoted(one) for one in values])


def _quoted(value: str) -> bytes:
    if "\0" in value:
        raise nul_byte()
    return b'"%b"' % value.replace("\\", "\\\\").replace('"', '\\"').encode()


def uuid_array(values: Sequence[UUID | None]) -> Binary:
    """Ids, many of them: PostgreSQL reads a text of each digit by digit."""
    return _binary(UUID_TYPE, [None if one is None else one.bytes for one in values])


def long_text_array(values: Sequence[str | None]) -> Binary:
    """Texts that are long, or full of what an array would have to escape."""
    return _binary(TEXT, [None if one is None else one.encode() for one in values])


def json_array(values: Sequence[Any]) -> Binary:
    """Values of a JSON column."""
    return _binary(
        JSONB, [None if one is None else _JSONB_VERSION + write_json(one) for one in values]
    )


def _binary(kind: int, items: list[bytes | None]) -> Binary:
    """PostgreSQL's `array_recv`: dimensions, whether there are nulls, type, length, first index."""
    head = _HEAD.pack(1, None in items, kind, len(items), 1)
    framed = [_NULL if item is None else _LENGTH(len(item)) + item for item in items]
    return Binary(head + b"".join(framed))
