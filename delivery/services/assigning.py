"""Who carries a delivery: named by the shop, or the nearest free courier who takes the offer.

A courier's place is taken by one conditional update, so that of two deliveries for one courier one
wins; an offer is open once per delivery, and ends by itself after 30 seconds.
"""

from datetime import datetime, timedelta
from uuid import UUID

from accounts.models import User
from delivery import access, selectors
from delivery.enums import DeliveryStatus, OfferStatus
from delivery.errors import AlreadyAssigned, CourierNotFound, OfferNotFound
from delivery.events import OFFERED
from delivery.models import Delivery, Offer
from delivery.payloads import offer_event
from delivery.services import couriers
from delivery.services.announcing import tell_status
from marketplace.core.clock import now
from marketplace.core.db import IntegrityError, on_commit, run, transactional
from marketplace.core.errors import IllegalTransition
from marketplace.core.inputs import read_id
from marketplace.core.jobs import enqueue
from marketplace.events.live import publish_removal
from marketplace.events.record import NewEvent, record, record_all

OFFER_FOR = timedelta(seconds=30)
# One who has let an offer pass is asked again after this, one who has declined never.
ASKED_AGAIN_AFTER = timedelta(minutes=5)
WAITING_LOOKED_AT = 100


def assign_courier(*, actor: User, delivery_id: str | UUID, courier_id: str) -> Delivery:
    """This courier carries it, on duty or not; for the shop's staff and admins, at once.

    While it has not set off; an earlier courier is out of it. courier_id: his public id.
    Raises DeliveryNotFound, Forbidden, CourierNotFound, IllegalTransition, AlreadyAssigned.
    """
    delivery = access.delivery_to_run(actor=actor, key=delivery_id)
    courier = selectors.find_courier(courier_id)
    if courier is None:
        raise CourierNotFound
    couriers.courier_row(courier)
    return _assign(actor=actor, delivery_id=delivery.id, courier=courier)


@transactional
def _assign(*, actor: User, delivery_id: UUID, courier: User) -> Delivery:
    delivery = access.delivery_to_run(actor=actor, key=delivery_id)
    if delivery.status not in (DeliveryStatus.PENDING, DeliveryStatus.ASSIGNED):
        raise IllegalTransition(
            f"A delivery that is {delivery.status} keeps its courier.", status=delivery.status
        )
    former = delivery.courier
    if former is not None and former.pk == courier.pk:
        raise AlreadyAssigned("This courier has it already.")
    withdraw_offer(delivery_id=delivery.id)
    events = _hand_to(delivery, courier, actor=actor)
    couriers.take_place(courier_id=courier.pk, within_capacity=False)
    if former is not None:
        couriers.free_place(courier_id=former.pk)
        _take_out(delivery, former)
    record_all(events)
    return delivery


def _hand_to(delivery: Delivery, courier: User, *, actor: User) -> list[NewEvent]:
    """One conditional update: by the status and the courier that were read."""
    previous, at = delivery.status, now()
    here = Delivery.objects.filter(id=delivery.id, status=previous, courier_id=delivery.courier_id)
    status = DeliveryStatus.ASSIGNED.value
    if not here.update(courier=courier, status=status, assigned_at=at, updated_at=at):
        raise AlreadyAssigned
    delivery.courier, delivery.status = courier, status
    delivery.assigned_at = delivery.updated_at = at
    return tell_status(delivery, previous=previous, actor=actor, at=at)


def _take_out(delivery: Delivery, former: User) -> None:
    """After the commit his connections leave the topic, unless it concerns him otherwise."""
    if access.may_see_delivery(former, delivery):
        return
    topic, user_id = delivery.topic, former.public_id
    on_commit(lambda: publish_removal(topic=topic, user_id=user_id, reason="reassigned"))


# --- offers ---------------------------------------------------------------------------------


def offer_delivery(*, delivery_id: UUID) -> Offer | None:
    """Offer it to the nearest free courier who has not declined it; None where there is nobody.

    Nothing happens where somebody carries it or considers it already.
    """
    delivery = selectors.find_delivery(delivery_id)
    if delivery is None or delivery.status != DeliveryStatus.PENDING:
        return None
    if selectors.find_open_offer(delivery_id=delivery.id) is not None:
        return None
    asked = _asked(delivery)
    for candidate in selectors.free_couriers(near=delivery.destination):
        if candidate.user.pk in asked:
            continue
        try:
            offer = _offer(delivery=delivery, to=candidate)
        except IntegrityError:
            return None  # somebody else has just offered it
        if offer is not None:
            return offer
    return None


def _asked(delivery: Delivery) -> set[UUID]:
    """Couriers who are not asked again now."""
    offers = Offer.objects.filter(delivery=delivery).order_by("id")
    recently = now() - ASKED_AGAIN_AFTER
    return {
        offer.courier_id
        for offer in offers
        if offer.status == OfferStatus.DECLINED or offer.expires_at > recently
    }


@transactional
def _offer(*, delivery: Delivery, to: selectors.CourierOffer) -> Offer | None:
    """None where the courier has no place left by now."""
    if not couriers.take_place(courier_id=to.user.pk, within_capacity=True):
        return None
    offer = Offer.objects.create(
        delivery=delivery,
        courier=to.user,
        distance_m=to.distance_m,
        expires_at=now() + OFFER_FOR,
        open_key=str(delivery.id),
    )
    enqueue(
        "expire_offer", key=f"expire_offer:{offer.id}", run_at=offer.expires_at, offer_id=offer.id
    )
    record(to.user.topic, OFFERED, offer_event(offer, delivery))
    return offer


def accept_offer(*, actor: User, delivery_id: str | UUID) -> Delivery:
    """The courier takes what he was offered. Raises OfferNotFound, AlreadyAssigned."""
    return _accept(actor=actor, offer=_offered(actor, delivery_id))


@transactional
def _accept(*, actor: User, offer: Offer) -> Delivery:
    # His place stays taken: it is the delivery's from now on.
    if not _end(offer, OfferStatus.ACCEPTED, before=now()):
        raise OfferNotFound
    delivery = selectors.find_delivery(offer.delivery_id)
    if delivery is None or delivery.status != DeliveryStatus.PENDING:
        raise AlreadyAssigned
    record_all(_hand_to(delivery, actor, actor=actor))
    return delivery


def decline_offer(*, actor: User, delivery_id: str | UUID) -> None:
    """The courier does not take it: it passes on. Raises OfferNotFound."""
    offer = _offered(actor, delivery_id)
    if not _pass_on(offer=offer, status=OfferStatus.DECLINED):
        raise OfferNotFound


def expire_offer(*, offer_id: UUID) -> bool:
    """An offer that nobody has answered in time passes on; whether it did."""
    offer = Offer.objects.filter(id=offer_id, expires_at__lte=now()).first()
    return offer is not None and _pass_on(offer=offer, status=OfferStatus.EXPIRED)


@transactional
def _pass_on(*, offer: Offer, status: OfferStatus) -> bool:
    if not _end(offer, status):
        return False
    couriers.free_place(courier_id=offer.courier_id)
    enqueue(
        "offer_delivery",
        key=f"offer_delivery:{offer.delivery_id}:{offer.id}",
        delivery_id=offer.delivery_id,
    )
    return True


def withdraw_offer(*, delivery_id: UUID) -> None:
    """Nobody need answer any more; inside a transaction."""
    offer = selectors.find_open_offer(delivery_id=delivery_id)
    if offer is not None and _end(offer, OfferStatus.WITHDRAWN):
        couriers.free_place(courier_id=offer.courier_id)


def _end(offer: Offer, status: OfferStatus, *, before: datetime | None = None) -> bool:
    """One conditional update: of all who answer and the clock, one is first.

    before: it must not have ended by itself at this instant.
    """
    still_open = Offer.objects.filter(id=offer.id, status=OfferStatus.OPEN)
    if before is not None:
        still_open = still_open.filter(expires_at__gt=before)
    return bool(still_open.update(status=status, open_key=None, updated_at=now()))


def _offered(actor: User, key: str | UUID) -> Offer:
    delivery_id = key if isinstance(key, UUID) else read_id(key)
    offer = None if delivery_id is None else selectors.find_open_offer(delivery_id=delivery_id)
    if offer is None or offer.courier_id != actor.pk:
        raise OfferNotFound
    return offer


def offer_waiting() -> int:
    """Offer what waits for a courier, the oldest first; how many offers were made."""
    made = 0
    waiting = selectors.waiting_deliveries().values_list("id", flat=True)
    for delivery_id in list(waiting[:WAITING_LOOKED_AT]):
        if run(lambda key=delivery_id: offer_delivery(delivery_id=key)) is not None:  # type: ignore[misc]  # bound on purpose
            made += 1
    return made
