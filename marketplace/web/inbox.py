"""The dev inbox: the newest lines of what the mock SMS and e-mail providers wrote."""

import json
import os
from pathlib import Path
from typing import Any

INBOX_LENGTH = 50
# Lines are short; twice this much is read of a file at most, however long it has grown.
CHUNK_BYTES = 64 * 1024


def newest_messages(
    *, sms_sink: str | Path, email_sink: str | Path, limit: int = INBOX_LENGTH
) -> list[dict[str, Any]]:
    """The newest `{channel, at, to, subject, body}` of both sinks together, newest first."""
    found = [_shown("sms", line) for line in newest_lines(Path(sms_sink), limit=limit)]
    found += [_shown("email", line) for line in newest_lines(Path(email_sink), limit=limit)]
    # Both files are in order of time and the sort is stable: equal instants keep their order.
    found.sort(key=lambda message: message["at"], reverse=True)
    return found[:limit]


def newest_lines(path: Path, *, limit: int) -> list[dict[str, Any]]:
    """The last `limit` JSON objects of a JSON-lines file, newest first; [] where there is none.

    A line that is not (yet) whole is passed over: the writer may be in the middle of it.
    """
    try:
        text = _tail(path, limit_bytes=2 * CHUNK_BYTES)
    except FileNotFoundError:
        return []
    found: list[dict[str, Any]] = []
    for line in reversed(text.splitlines()):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            found.append(entry)
        if len(found) == limit:
            break
    return found


def _tail(path: Path, *, limit_bytes: int) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - limit_bytes))
        return file.read().decode("utf-8", "replace")


def _shown(channel: str, entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "channel": channel,
        "at": str(entry.get("at", "")),
        "to": str(entry.get("to", "")),
        "subject": str(entry.get("subject", "")),
        "body": str(entry.get("body", "")),
    }
