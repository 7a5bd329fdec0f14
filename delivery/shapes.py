"""Canonical payloads in the words of each way of speaking; no rule, no database."""

from typing import Any

from delivery.geo import rough
from delivery.payloads import track_eta


def market_delivery(delivery: dict[str, Any]) -> dict[str, Any]:
    """Delivery of Realtime Market, Phoenix and plain."""
    location = delivery["location"]
    return delivery | {
        "_id": delivery["id"],
        "delivery_person_id": delivery["courier_id"],
        "location": None if location is None else market_location(location),
    }


def market_location(location: dict[str, Any]) -> dict[str, Any]:
    """Location of Realtime Market, Phoenix and plain."""
    return location | {"_id": location["id"]}


def delivery_details(delivery: dict[str, Any], history: list[dict[str, Any]]) -> dict[str, Any]:
    """What a Phoenix client is told after it has joined. history: Locations, oldest first."""
    eta = delivery["eta"]
    return {
        "delivery": market_delivery(delivery),
        "latest_location": None
        if delivery["location"] is None
        else market_location(delivery["location"]),
        "location_history": [market_location(one) for one in history],
        "eta_seconds": None if eta is None else eta["eta_seconds"],
    }


# --- for the holder of a link: allow-lists, so that a new field is not told by accident -----------


def held_state(track: dict[str, Any], *, delivery_id: str) -> dict[str, Any]:
    """The state that a join by a link answers."""
    told = ("status", "courier_name", "delivered_at", "created_at", "updated_at")
    delivery = {name: track[name] for name in told}
    return {
        "delivery": delivery | {"id": delivery_id, "_id": delivery_id},
        "location": track["location"],
        "eta": track["eta"],
    }


def held_details(state: dict[str, Any]) -> dict[str, Any]:
    """`delivery_details` for who joined by a link."""
    return {
        "delivery": state["delivery"],
        "latest_location": state["location"],
        "location_history": [],
        "eta_seconds": state["eta"]["eta_seconds"],
    }


def held_status(payload: dict[str, Any]) -> dict[str, Any]:
    """`status_changed`: without order and reason, which may name people."""
    told = (
        "delivery_id", "status", "previous_status", "milestone", "message", "at", "updated_at",
        "delivered_at",
    )  # fmt: skip
    return {name: payload[name] for name in told}


def held_milestone(payload: dict[str, Any]) -> dict[str, Any]:
    """`delivery_event`."""
    return {name: payload[name] for name in ("delivery_id", "milestone", "message", "at")}


def held_position(payload: dict[str, Any]) -> dict[str, Any]:
    """`location_updated`, to about eleven metres."""
    distance = payload["distance_m"]
    return {
        "delivery_id": payload["delivery_id"],
        "latitude": rough(payload["latitude"]),
        "longitude": rough(payload["longitude"]),
        "recorded_at": payload["recorded_at"],
        "eta_seconds": payload["eta_seconds"],
        "distance_m": None if distance is None else int(round(distance, -1)),
    }


def held_eta(payload: dict[str, Any]) -> dict[str, Any]:
    """`eta_updated`."""
    return {"delivery_id": payload["delivery_id"]} | track_eta(payload)
