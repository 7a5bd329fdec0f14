"""JSON as it may enter, from REST bodies and socket frames alike, and as it leaves.

Reading refuses what would hurt later: too deep, not a number, text that no store takes.
"""

import json
import re
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn

import orjson
from django.utils.functional import Promise

from marketplace.core.clock import wire_time
from marketplace.core.errors import MalformedRequest, ValidationFailed

MAX_DEPTH = 32

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_TEXT_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_json(data: bytes | str, *, max_depth: int = MAX_DEPTH) -> Any:
    """The value of this JSON text; of several equal keys the last wins.

    Raises MalformedRequest for what is not JSON (NaN, Infinity and numbers beyond a double
    included) and for more than `max_depth` levels; ValidationFailed for a lone surrogate.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        _refuse(data, error, max_depth)
    opened = (
        data.count(b"[") + data.count(b"{")
        if isinstance(data, bytes)
        else data.count("[") + data.count("{")
    )
    # Nearly every body has too few brackets to be too deep: then nothing has to be walked.
    if opened > max_depth and _is_deeper(value, max_depth):
        raise MalformedRequest("The JSON is nested too deeply.")
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        return levels == 0 or any(
            _is_deeper(item, levels - 1) for item in value.values() if isinstance(item, dict | list)
        )
    if isinstance(value, list):
        return levels == 0 or any(
            _is_deeper(item, levels - 1) for item in value if isinstance(item, dict | list)
        )
    return False


def _refuse(data: bytes | str, error: orjson.JSONDecodeError, max_depth: int) -> NoReturn:
    """Tell a lone surrogate, which is a wrong value, from text that is not JSON at all."""
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if isinstance(data, str) and _SURROGATE.search(data):
        raise _not_unicode("body") from error
    if _SURROGATE_ESCAPE.search(raw) and _depth(raw, max_depth) <= max_depth:
        try:
            value = json.loads(raw)
        except ValueError:
            value = None
        field = _find_surrogate(value, "")
        if field is not None:
            raise _not_unicode(field or "body") from error
    raise MalformedRequest("The request is not valid JSON.") from error


def _depth(raw: bytes, limit: int) -> int:
    """How deep the brackets go, counted without recursion, at most one more than `limit`."""
    depth = deepest = 0
    for match in _TEXT_OR_BRACKET.finditer(raw):
        mark = match.group()
        if mark in b"[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > limit:
                break
        elif mark in b"]}":
            depth -= 1
    return deepest


def _find_surrogate(value: Any, path: str) -> str | None:
    if isinstance(value, str):
        return path if _SURROGATE.search(value) else None
    if isinstance(value, dict):
        items = [(_clean_key(key), item) for key, item in value.items()]
        if any(_SURROGATE.search(key) for key in value):
            return path
    elif isinstance(value, list):
        items = [(str(number), item) for number, item in enumerate(value)]
    else:
        return None
    found = (_find_surrogate(item, f"{path}.{key}" if path else key) for key, item in items)
    return next((one for one in found if one is not None), None)


def _clean_key(key: str) -> str:
    return _SURROGATE.sub("?", key)


def _not_unicode(field: str) -> ValidationFailed:
    return ValidationFailed.for_fields({field: ["This is not valid Unicode text."]})


def write_json(value: Any) -> bytes:
    """The JSON of plain data: times in their wire form, decimals as text, ids lower case."""
    try:
        return orjson.dumps(
            value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS
        )
    except TypeError:
        # A surrogate that came back in an echo: escaped, it is JSON again.
        return json.dumps(value, default=_plain, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return wire_time(value)
    if isinstance(value, Decimal | Promise):
        return str(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    if hasattr(value, "hex") and hasattr(value, "int"):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form.")
