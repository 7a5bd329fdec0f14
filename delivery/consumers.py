"""The topic `delivery:`: who hears where a delivery is, and what its courier says there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar
from uuid import UUID

import orjson

from accounts.models import User
from delivery import access, selectors
from delivery.access import Standing, standing_in
from delivery.errors import DeliveryNotFound, EtaUnavailable
from delivery.models import Delivery, Location
from delivery.payloads import (
    delivery_payload,
    eta_payload,
    location_payload,
    track_eta,
    track_payload,
)
from delivery.serializers import MoveDeliveryInput, answer_fixes, new_proof, read_fixes
from delivery.services import moves, tracking
from delivery.services.fixes import FixCommand, RecordedFixes, Verdict, record_fixes
from delivery.shapes import (
    delivery_details,
    held_details,
    held_eta,
    held_milestone,
    held_position,
    held_state,
    held_status,
    market_delivery,
    market_location,
)
from marketplace.core.errors import AppError, Forbidden, Unauthorized
from marketplace.core.inputs import read_id
from marketplace.realtime.topic import (
    JOINS_TOGETHER,
    Call,
    CommandRow,
    EventRow,
    Joined,
    Joiner,
    Spelling,
    Spoken,
    TopicConsumer,
    TopicRef,
)

HELD = "held"
"""The voice in which the holder of a link is spoken to."""
INVALID = "invalid"
"""A Phoenix name that is neither a delivery's nor a link's."""
DETAILS = "delivery_details"
# Existing clients compare these words; the code stands beside them.
NO_RIGHT = {
    "forbidden": "unauthorized",
    "delivery_not_found": "unauthorized",
    "unauthorized": "unauthorized",
}


# Many positions of few deliveries: making the UUID takes as long as reading the position.
_id_of = lru_cache(maxsize=10_000)(UUID)


@lru_cache
def _answer_to_one(verdict: Verdict) -> bytes:
    """There are few different ones, each told many thousand times."""
    return orjson.dumps(answer_fixes(RecordedFixes([verdict], as_list=False)))


def answer_recorded(recorded: RecordedFixes, voice: str) -> dict[str, Any] | bytes:
    """The reply to positions."""
    if recorded.as_list:
        return answer_fixes(recorded)
    return _answer_to_one(recorded.verdicts[0])


@dataclass(frozen=True, slots=True)
class Sight:
    """A delivery that somebody may see. standing: what he is to it; None = he holds its link."""

    delivery: Delivery
    standing: Standing | None


class DeliveryConsumer(TopicConsumer):
    """One delivery: its status, where its courier is, when it arrives."""

    kind: ClassVar[str] = "delivery"
    summary: ClassVar[str] = (
        "One delivery: status, positions, time of arrival; by a link also without a sign-in."
    )
    joins_together: ClassVar[int] = JOINS_TOGETHER
    spellings = (
        Spelling("plain", "delivery:"),
        Spelling("plain", "delivery:token_", voice=HELD, is_secret=True),
        Spelling("phoenix", "delivery:", voice=INVALID, is_told=False),
        Spelling("phoenix", "delivery:delivery_"),
        Spelling("phoenix", "delivery:token_", voice=HELD, is_secret=True),
        Spelling("feed", "delivery:"),
    )
    commands = (
        CommandRow(
            "location_update",
            "location_update",
            "Say where one is; its courier, while it is on its way.",
            fields={
                "latitude": "degrees",
                "longitude": "degrees",
                "accuracy": "metres",
                "speed_mps": "metres per second; also `speed`",
                "heading": "degrees from north",
                "recorded_at": "RFC 3339, or seconds or milliseconds since 1970; default now",
                "points": "instead: up to 100 of these",
            },
            batch=record_fixes,
            answer=answer_recorded,
            failure="location_update_failed",
            failures=NO_RIGHT,
        ),
        CommandRow(
            "update_status",
            "update_status",
            "Move it: in_transit, arrived, delivered, cancelled; assigned = the attempt failed.",
            fields={
                "status": "where to",
                "reason": "up to 200 characters",
                "proof": "{photo_url, pin, signed_by}, with `delivered`",
            },
            failure="status_update_failed",
            failures=NO_RIGHT,
        ),
        CommandRow(
            "get_eta",
            "get_eta",
            "Ask when it arrives; refused where nobody knows.",
            failure=":insufficient_data",
        ),
    )
    events = (
        EventRow(
            "delivery.status_changed",
            Spoken(("status_changed",)),
            "It stands elsewhere.",
            voices={HELD: Spoken(("status_changed",), held_status)},
        ),
        EventRow(
            "delivery.milestone",
            Spoken(("delivery_event",)),
            "The courier is near, or an attempt has failed.",
            voices={HELD: Spoken(("delivery_event",), held_milestone)},
        ),
        EventRow(
            "location",
            Spoken(("location_updated",)),
            "Where its courier is; at most once a second.",
            voices={HELD: Spoken(("location_updated",), held_position)},
            durable=False,
        ),
        EventRow(
            "eta",
            Spoken(("eta_updated",)),
            "It arrives at another time; at most every ten seconds.",
            voices={HELD: Spoken(("eta_updated",), held_eta)},
            durable=False,
        ),
    )

    @classmethod
    def normal_id(cls, text: str, *, own: str | None) -> str | None:
        """A UUID in lower case with hyphens."""
        found = read_id(text)
        return None if found is None else str(found)

    @classmethod
    def look_up(cls, ref: TopicRef, address: str) -> str:
        """The id of the delivery that a link leads to. Raises DeliveryNotFound, RateLimited."""
        return str(tracking.find_by_token(ref.secret, address).id)

    @classmethod
    def authorise(cls, actor: User | None, topic_id: str, action: str) -> None:
        """Those whom it concerns. Raises Unauthorized, DeliveryNotFound."""
        cls._delivery(actor, topic_id)

    @classmethod
    def authorise_again(cls, actor: User | None, ref: TopicRef) -> None:
        """The same; a link holds until it ends."""
        if ref.voice == HELD:
            cls._held(ref)
        else:
            cls._delivery(actor, ref.id)

    @classmethod
    def join_all(cls, joiners: Sequence[Joiner]) -> list[Joined | AppError]:
        """The delivery as each sees it; Phoenix clients without `since` get its details."""
        found = selectors.find_deliveries({UUID(one.ref.id) for one in joiners if one.ref.id})
        asked = [found.get(UUID(one.ref.id)) if one.ref.id else None for one in joiners]
        sights = cls._sights(joiners, asked)
        seen = {one.delivery.id: one.delivery for one in sights if isinstance(one, Sight)}
        places = selectors.whereabouts_of(seen.values())
        trails = selectors.newest_locations(
            {
                sight.delivery.id
                for joiner, sight in zip(joiners, sights, strict=True)
                if isinstance(sight, Sight) and sight.standing and joiner.with_history
            }
        )
        return [
            cls._shown(joiner, sight, places[sight.delivery.id], trails)
            if isinstance(sight, Sight)
            else sight
            for joiner, sight in zip(joiners, sights, strict=True)
        ]

    @classmethod
    def _sights(
        cls, joiners: Sequence[Joiner], asked: Sequence[Delivery | None]
    ) -> list[Sight | AppError]:
        """What each may see, or why he is not let in."""
        named = [place for place, one in enumerate(joiners) if one.ref.voice not in (HELD, INVALID)]
        known = access.deliveries_to_see([(joiners[place].actor, asked[place]) for place in named])
        standings = dict(zip(named, known, strict=True))
        return [
            cls._sight(one.ref, delivery, standings.get(place))
            for place, (one, delivery) in enumerate(zip(joiners, asked, strict=True))
        ]

    @classmethod
    def _sight(
        cls, ref: TopicRef, delivery: Delivery | None, standing: Standing | AppError | None
    ) -> Sight | AppError:
        """standing: of one who asks by the delivery's name."""
        if isinstance(standing, AppError):
            return standing
        if delivery is None or not (standing or cls._is_held(ref, delivery)):
            return DeliveryNotFound()
        return Sight(delivery, standing)

    @classmethod
    def _shown(
        cls,
        joiner: Joiner,
        sight: Sight,
        place: selectors.Whereabouts,
        trails: Mapping[UUID, Sequence[Location]],
    ) -> Joined:
        delivery = sight.delivery
        history: list[tuple[str, dict[str, Any]]] = []
        if sight.standing is None:
            track = track_payload(delivery, place=place)
            state = held_state(track, delivery_id=str(delivery.id))
            if joiner.with_history:
                history.append((DETAILS, held_details(state)))
            return Joined(state=state, history=history, snapshot="delivery")
        described = delivery_payload(delivery, standing=sight.standing, place=place)
        if joiner.with_history:
            trail = [location_payload(row) for row in trails[delivery.id]]
            history.append((DETAILS, delivery_details(described, trail)))
        location = described["location"]
        state = {
            "delivery": market_delivery(described),
            "location": None if location is None else market_location(location),
            "eta": described["eta"],
        }
        return Joined(state=state, history=history, snapshot="delivery")

    @classmethod
    def _held(cls, ref: TopicRef) -> Delivery:
        """The delivery of a link that has been looked up, if it has neither ended since nor been
        renewed.
        """
        delivery = selectors.find_delivery(UUID(ref.id)) if ref.id else None
        if delivery is None or not cls._is_held(ref, delivery):
            raise DeliveryNotFound
        return delivery

    @classmethod
    def _is_held(cls, ref: TopicRef, delivery: Delivery) -> bool:
        return ref.voice == HELD and tracking.is_link_of(ref.secret, delivery)

    @classmethod
    def _delivery(cls, actor: User | None, topic_id: str) -> Delivery:
        """A topic that exists and one that does not give the same refusal."""
        if actor is None:
            raise Unauthorized
        if not topic_id:
            raise DeliveryNotFound
        return access.delivery_to_see(actor=actor, key=UUID(topic_id))

    @classmethod
    def refusal_reason(cls, error: AppError, voice: str) -> str:
        """Realtime Market's clients compare these words."""
        if voice == INVALID:
            return "invalid_topic"
        return "unauthorized" if error.status == 401 else error.code

    @classmethod
    def location_update(cls, call: Call) -> FixCommand:
        """What is to be stored; the batch does it."""
        cls._check_may_act(call)
        return read_fixes(call.payload, actor=call.actor, delivery_id=_id_of(call.ref.id))

    @classmethod
    async def update_status(cls, call: Call) -> dict[str, Any]:
        """Move the delivery."""
        cls._check_may_act(call)
        asked = MoveDeliveryInput.read(call.payload)
        proof = new_proof(asked.pop("proof", None))
        return await call.session.runtime.run(
            lambda: cls._move(call.actor, UUID(call.ref.id), proof=proof, **asked)
        )

    @classmethod
    def _move(cls, actor: User, delivery_id: UUID, **asked: Any) -> dict[str, Any]:
        delivery = moves.move_delivery(actor=actor, delivery_id=delivery_id, **asked)
        place = selectors.whereabouts(delivery)
        standing = standing_in(actor, delivery)
        return market_delivery(delivery_payload(delivery, standing=standing, place=place))

    @classmethod
    async def get_eta(cls, call: Call) -> dict[str, Any]:
        """When it arrives."""
        return await call.session.runtime.run(cls._eta, call.session.user, call.ref)

    @classmethod
    def _eta(cls, actor: User | None, ref: TopicRef) -> dict[str, Any]:
        is_held = ref.voice == HELD
        delivery = cls._held(ref) if is_held else cls._delivery(actor, ref.id)
        eta = selectors.eta_of(delivery)
        if isinstance(eta, str):
            raise EtaUnavailable(reason=eta)
        return track_eta(eta_payload(eta)) if is_held else eta_payload(eta)

    @classmethod
    def _check_may_act(cls, call: Call) -> None:
        """A link shows, and changes nothing, whoever holds it."""
        if call.ref.voice == HELD:
            raise Forbidden("A link shows a delivery and changes nothing.")
