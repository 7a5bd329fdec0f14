"""AsyncAPI 3.0, made from the tables of the topic consumers: what they serve is what is told."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings

from marketplace.events import catalog
from marketplace.realtime.topic import (
    CommandRow,
    EventRow,
    Spelling,
    Spoken,
    TopicConsumer,
    consumers,
)

Json = dict[str, Any]

PROTOCOLS: dict[str, Json] = {
    "plain": {
        "title": "Plain WebSocket",
        "path": "/ws/",
        "description": "One JSON object per frame, all topics on one connection. In: `join`,"
        " `leave`, `event`, `access_token`, `ping`. Out: `ready`, `reply`, `event`, `heartbeat`,"
        " `pong`, `error`. `ref` is echoed.",
    },
    "phoenix": {
        "title": "Phoenix Channels",
        "path": "/socket/websocket",
        "description": "Without `vsn` or with `1.x` objects `{topic, event, payload, ref}`, with"
        " `vsn=2.0.0` arrays `[join_ref, ref, topic, event, payload]`. Every push gets one"
        " `phx_reply`.",
    },
    "feed": {
        "title": "Server-Sent Events",
        "path": "/api/v1/topics/{topic}/events",
        "description": "The log of one topic, with `Accept: text/event-stream`; `id` is the seq and"
        " `Last-Event-ID` resumes. Only out: commands go over REST.",
    },
}
SIGNAL_FIELDS: dict[str, tuple[str, ...]] = {
    "typing": ("room_id", "user_id", "username", "is_typing"),
    "presence.joined": ("room_id", "user_id", "username", "timestamp"),
    "presence.left": ("room_id", "user_id", "username", "timestamp"),
    "presence.diff": ("joins", "leaves"),
    "location": (
        "delivery_id",
        "latitude",
        "longitude",
        "recorded_at",
        "speed",
        "speed_mps",
        "accuracy",
        "heading",
        "eta_seconds",
        "distance_m",
    ),
    "eta": (
        "delivery_id",
        "eta_seconds",
        "eta_at",
        "low_seconds",
        "high_seconds",
        "distance_m",
        "speed_mps",
        "reason",
    ),
    "unread.changed": (
        "room_id",
        "unread_count",
        "total_unread",
        "last_message",
        "last_message_at",
        "rooms",
    ),
}
# Values that a shape looks into.
SAMPLES: Json = {"members": [], "mentions": [], "attachments": [], "reactions": {}, "data": {}}
# What belongs to a connection and to no topic.
CONNECTION: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "ready": ("send", "The connection stands.", ("type", "user_id", "epoch", "heartbeat")),
    "heartbeat": ("send", "The newest seq of each joined topic, every 30 s.", ("type", "latest")),
    "token_expiring": ("send", "The token ends in 60 s: send a new one.", ("expires_at",)),
    "removed": ("send", "The right to a topic has ended.", ("topic", "reason")),
    "error": ("send", "A frame that was not understood.", ("type", "error")),
    "pong": ("send", "The answer to a ping.", ("type", "ref")),
    "ping": ("receive", "Ask whether the line is alive.", ("type", "ref")),
    "access_token": ("receive", "A new token; topics stay.", ("type", "token", "ref")),
}


def asyncapi_document() -> Json:
    """The whole document: servers, channels per protocol and topic, operations, messages."""
    channels: Json = {}
    operations: Json = {}
    messages: Json = {}
    for consumer, spelling in _spoken_topics():
        _describe(consumer, spelling, channels=channels, operations=operations, messages=messages)
    _describe_connection(channels=channels, operations=operations, messages=messages)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Marketplace sockets",
            "version": settings.SPECTACULAR_SETTINGS["VERSION"],
            "description": "Topics, commands and events. A command on any protocol calls the same"
            " service; an event reaches every member on every protocol, in the order of"
            " `event_seq` per topic. Join with `since` to get what was missed.",
        },
        "defaultContentType": "application/json",
        "servers": {name: _server(name, row) for name, row in PROTOCOLS.items()},
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": _shared_schemas(),
            "securitySchemes": {
                "bearerToken": {
                    "type": "httpApiKey",
                    "in": "query",
                    "name": "token",
                    "description": "An access token, the same as REST's.",
                }
            },
        },
    }


def _server(name: str, row: Json) -> Json:
    scheme, _, host = settings.PUBLIC_URL.partition("://")
    socket_scheme = "wss" if scheme == "https" else "ws"
    return {
        "host": host.rstrip("/"),
        # A topic is part of the address there, and stands in the channels.
        "pathname": "/" if name == "feed" else row["path"],
        "protocol": scheme if name == "feed" else socket_scheme,
        "title": row["title"],
        "description": row["description"],
        "security": [{"$ref": "#/components/securitySchemes/bearerToken"}],
    }


def _spoken_topics() -> Iterator[tuple[type[TopicConsumer], Spelling]]:
    for _, consumer in sorted(consumers().items()):
        for spelling in consumer.spellings:
            if spelling.dialect in PROTOCOLS and spelling.is_told:
                yield consumer, spelling


def _describe(
    consumer: type[TopicConsumer],
    spelling: Spelling,
    *,
    channels: Json,
    operations: Json,
    messages: Json,
) -> None:
    name = f"{spelling.dialect}.{_word(spelling.prefix)}"
    received: list[str] = []
    sent: list[str] = []
    for row in consumer.events:
        for event, spoken in _told(row, spelling):
            key = f"{name}.{event}"
            messages.setdefault(key, _event_message(event, row, spoken))
            received.append(key)
    if spelling.dialect != "feed":
        for command in consumer.commands:
            key = f"{name}.{command.name}.command"
            messages[key] = _command_message(command, spelling)
            sent.append(key)
        for word in ("join", "leave", "sync"):
            key = f"{spelling.dialect}.{word}"
            messages[key] = _joining_message(word, spelling.dialect)
            sent.append(key)
    channels[name] = _channel(consumer, spelling, keys=[*received, *sent])
    if received:
        operations[f"{name}.hear"] = _operation("send", name, received, "What a member hears.")
    if sent:
        operations[f"{name}.command"] = _operation(
            "receive", name, sent, "What a member may ask for."
        )


def _told(row: EventRow, spelling: Spelling) -> Iterator[tuple[str, Spoken]]:
    """The names under which this dialect tells an event; the feed has the log's own."""
    if spelling.dialect == "feed":
        if row.durable:
            yield row.log_name, Spoken((row.log_name,))
        return
    spoken = row.in_voice(spelling.voice, spelling.dialect)
    for name in () if spoken is None else spoken.names:
        yield name, Spoken((name,), spoken.shape) if spoken else Spoken((name,))


def _describe_connection(*, channels: Json, operations: Json, messages: Json) -> None:
    name = "plain.connection"
    keys: dict[str, list[str]] = {"send": [], "receive": []}
    for word, (action, summary, fields) in CONNECTION.items():
        key = f"{name}.{word}"
        payload = {"type": "object", "properties": {field: {} for field in fields}}
        messages[key] = {"name": word, "title": word, "summary": summary, "payload": payload}
        keys[action].append(key)
    channels[name] = {
        "address": None,
        "title": "The connection itself, over plain WebSocket",
        "servers": [{"$ref": "#/servers/plain"}],
        "messages": {
            key: {"$ref": f"#/components/messages/{key}"}
            for key in [*keys["send"], *keys["receive"]]
        },
    }
    operations[f"{name}.hear"] = _operation("send", name, keys["send"], "What it tells.")
    operations[f"{name}.command"] = _operation("receive", name, keys["receive"], "What it takes.")


def _channel(consumer: type[TopicConsumer], spelling: Spelling, *, keys: list[str]) -> Json:
    parameter = "token" if spelling.is_secret else _parameter(consumer)
    address = spelling.prefix if consumer.is_single else f"{spelling.prefix}{{{parameter}}}"
    if spelling.dialect == "feed":
        address = PROTOCOLS["feed"]["path"].replace("{topic}", address)
    own = f" `{spelling.prefix}{spelling.own}` stands for one's own." if spelling.own else ""
    channel: Json = {
        "address": address,
        "title": f"{consumer.kind} over {PROTOCOLS[spelling.dialect]['title']}",
        "description": f"{consumer.summary}{own}".strip(),
        "servers": [{"$ref": f"#/servers/{spelling.dialect}"}],
        "parameters": {parameter: {"description": _meaning(consumer, spelling)}},
        "messages": {key: {"$ref": f"#/components/messages/{key}"} for key in keys},
    }
    if consumer.is_single:
        del channel["parameters"]
    return channel


def _operation(action: str, channel: str, keys: list[str], summary: str) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{key}"} for key in keys],
    }


def _event_message(event: str, row: EventRow, spoken: Spoken) -> Json:
    name = row.log_name
    fields = _fields(row, spoken)
    payload: Json = {
        "type": "object",
        "properties": {field: {} for field in fields},
        "description": f"In the log: `{name}`."
        if row.durable
        else "A signal: pushed, not recorded.",
    }
    if row.durable:
        payload = {"allOf": [{"$ref": "#/components/schemas/Recorded"}, payload]}
    return {
        "name": event,
        "title": event,
        "summary": row.summary,
        "tags": [{"name": "durable" if row.durable else "signal"}],
        "payload": payload,
    }


def _fields(row: EventRow, spoken: Spoken) -> tuple[str, ...]:
    """What the payload holds: the log's fields, as this way of speaking shapes them."""
    if not row.durable:
        return SIGNAL_FIELDS.get(row.log_name, ())
    fields = catalog.kind_of(row.log_name).fields
    return tuple(spoken.shape({field: SAMPLES.get(field) for field in fields}))


def _command_message(command: CommandRow, spelling: Spelling) -> Json:
    names = [command.name, *command.aliases, *command.voices.get(spelling.voice, ())]
    also = f" Also accepted: {', '.join(f'`{one}`' for one in names[1:])}." if names[1:] else ""
    return {
        "name": command.name,
        "title": command.name,
        "summary": command.summary,
        "description": f"Answered by one reply.{also}",
        "payload": {
            "type": "object",
            "properties": {field: {"description": text} for field, text in command.fields.items()},
        },
    }


def _joining_message(name: str, dialect: str) -> Json:
    frame = f"phx_{name}" if dialect == "phoenix" and name != "sync" else name
    if name == "leave":
        return {"name": frame, "title": frame, "summary": "Stop hearing the topic."}
    summary = {
        "join": "Hear the topic from now on, and what was missed since `since`.",
        "sync": "Ask for what was missed since `since`, on a topic that is joined.",
    }[name]
    return {
        "name": frame,
        "title": frame,
        "summary": summary,
        "payload": {"$ref": "#/components/schemas/Join"},
    }


def _shared_schemas() -> Json:
    return {
        "Join": {
            "type": "object",
            "properties": {
                "since": {"type": "integer", "description": "The last `event_seq` that was seen."},
                "epoch": {"type": "string", "description": "The epoch of that seq."},
                "token": {"type": "string", "description": "A token for this topic alone."},
            },
        },
        "Joined": {
            "type": "object",
            "description": "The reply to a join or `sync`, beside the state of the topic.",
            "required": ["latest_seq", "epoch", "recovered", "missed", "has_more"],
            "properties": {
                "latest_seq": {"type": "integer"},
                "epoch": {"type": "string"},
                "recovered": {"type": "boolean"},
                "missed": {"type": "array", "maxItems": 200, "items": {"type": "object"}},
                "has_more": {"type": "boolean"},
                "reset": {"type": "boolean"},
                "reason": {"type": "string", "enum": ["horizon", "future", "epoch"]},
            },
        },
        "Recorded": {
            "type": "object",
            "required": ["event_id", "event_seq", "topic"],
            "properties": {
                "event_id": {"type": "string", "format": "uuid"},
                "event_seq": {"type": "integer", "minimum": 1},
                "topic": {"type": "string"},
            },
        },
        "Error": {
            "type": "object",
            "required": ["code", "message", "details", "request_id"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "details": {"type": "object"},
                "request_id": {"type": ["string", "null"]},
            },
        },
    }


def _meaning(consumer: type[TopicConsumer], spelling: Spelling) -> str:
    """What stands for the topic in its address."""
    if spelling.is_secret:
        return f"What opens the {consumer.kind} without a sign-in; it shows and changes nothing."
    return f"Id of the {consumer.kind}."


def _parameter(consumer: type[TopicConsumer]) -> str:
    return f"{_word(consumer.kind)}_id"


def _word(text: str) -> str:
    return text.rstrip(":_").replace(":", "_") or "topic"
