"""AsyncAPI 3.0, made from the tables of the topic consumers: what they serve is what is told."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings

from marketplace.events import catalog
from marketplace.realtime.topic import CommandRow, EventRow, Spelling, TopicConsumer, consumers

Json = dict[str, Any]

PROTOCOLS: dict[str, Json] = {
    "plain": {
        "title": "Plain WebSocket",
        "path": "/ws/",
        "description": "One JSON object per frame, all topics on one connection. In: `join`, `leave`,"
        " `event`, `access_token`, `ping`. Out: `ready`, `reply`, `event`, `heartbeat`, `pong`,"
        " `error`. `ref` is echoed.",
    },
    "phoenix": {
        "title": "Phoenix Channels",
        "path": "/socket/websocket",
        "description": "Without `vsn` or with `1.x` objects `{topic, event, payload, ref}`, with"
        " `vsn=2.0.0` arrays `[join_ref, ref, topic, event, payload]`. Every push gets one"
        " `phx_reply`.",
    },
}


def asyncapi_document() -> Json:
    """The whole document: servers, channels per protocol and topic, operations, messages."""
    channels: Json = {}
    operations: Json = {}
    messages: Json = {}
    for consumer, spelling in _spoken_topics():
        _describe(consumer, spelling, channels=channels, operations=operations, messages=messages)
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
        "servers": {name: _server(row) for name, row in PROTOCOLS.items()},
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


def _server(row: Json) -> Json:
    scheme, _, host = settings.PUBLIC_URL.partition("://")
    return {
        "host": host.rstrip("/"),
        "pathname": row["path"],
        "protocol": "wss" if scheme == "https" else "ws",
        "title": row["title"],
        "description": row["description"],
        "security": [{"$ref": "#/components/securitySchemes/bearerToken"}],
    }


def _spoken_topics() -> Iterator[tuple[type[TopicConsumer], Spelling]]:
    for _, consumer in sorted(consumers().items()):
        for spelling in consumer.spellings:
            if spelling.dialect in PROTOCOLS:
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
    heard = {row.log_name: row for row in consumer.events}
    received: list[str] = []
    sent: list[str] = []
    for row in heard.values():
        spoken = row.in_voice(spelling.voice)
        for event in () if spoken is None else spoken.names:
            key = f"{name}.{event}"
            messages.setdefault(key, _event_message(event, row))
            received.append(key)
    for command in consumer.commands:
        key = f"{name}.{command.name}.command"
        messages[key] = _command_message(command, spelling)
        sent.append(key)
    for key in ("join", "leave"):
        messages[f"{spelling.dialect}.{key}"] = _joining_message(key, spelling.dialect)
        sent.append(f"{spelling.dialect}.{key}")
    channels[name] = _channel(consumer, spelling, keys=[*received, *sent])
    if received:
        operations[f"{name}.hear"] = _operation("send", name, received, "What a member hears.")
    operations[f"{name}.command"] = _operation("receive", name, sent, "What a member may ask for.")


def _channel(consumer: type[TopicConsumer], spelling: Spelling, *, keys: list[str]) -> Json:
    parameter = _parameter(consumer)
    own = f" `{spelling.prefix}{spelling.own}` stands for one's own." if spelling.own else ""
    channel: Json = {
        "address": f"{spelling.prefix}{{{parameter}}}",
        "title": f"{consumer.kind} over {PROTOCOLS[spelling.dialect]['title']}",
        "description": f"{consumer.summary}{own}".strip(),
        "servers": [{"$ref": f"#/servers/{spelling.dialect}"}],
        "parameters": {parameter: {"description": f"Id of the {consumer.kind}."}},
        "messages": {key: {"$ref": f"#/components/messages/{key}"} for key in keys},
    }
    return channel


def _operation(action: str, channel: str, keys: list[str], summary: str) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{key}"} for key in keys],
    }


def _event_message(event: str, row: EventRow) -> Json:
    name = row.log_name
    fields = _log_fields(name) if row.durable else ()
    payload: Json = {
        "type": "object",
        "properties": {field: {} for field in fields},
        "description": f"In the log: `{name}`." if row.durable else "A signal: pushed, not recorded.",
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


def _log_fields(name: str) -> tuple[str, ...]:
    try:
        return catalog.kind_of(name).fields
    except KeyError:
        return ()


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
            "properties": {
                field: {"description": text} for field, text in command.fields.items()
            },
        },
    }


def _joining_message(name: str, dialect: str) -> Json:
    frame = {"phoenix": f"phx_{name}"}.get(dialect, name)
    if name == "leave":
        return {"name": frame, "title": frame, "summary": "Stop hearing the topic."}
    return {
        "name": frame,
        "title": frame,
        "summary": "Hear the topic from now on, and what was missed since `since`.",
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


def _parameter(consumer: type[TopicConsumer]) -> str:
    return f"{_word(consumer.kind)}_id"


def _word(text: str) -> str:
    return text.rstrip(":_").replace(":", "_") or "topic"
