"""Proof of delivery: a photo, the customer's PIN, a name of who has signed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any
from uuid import UUID

from django.db.models import F

from accounts.models import User
from delivery import access
from delivery.enums import MOVING, ProofKind
from delivery.errors import ProofRequired
from delivery.models import NAME_CHARACTERS, Delivery
from delivery.tokens import pin_of
from marketplace.core.clock import now
from marketplace.core.db import run, transactional
from marketplace.core.errors import (
    Forbidden,
    IllegalTransition,
    UnsupportedMediaType,
    ValidationFailed,
)
from marketplace.core.text import clean_text
from shops import storage
from shops.enums import MediaType
from shops.services.media import checked_link

PIN_TRIES = 5


@dataclass(frozen=True, slots=True)
class Proof:
    """What the courier has to show; at least one of these. photo: an uploaded file."""

    photo_url: str | None = None
    pin: str | None = None
    signed_by: str | None = None
    photo: IO[bytes] | None = None


def add_proof(*, actor: User, delivery_id: str | UUID, proof: Proof) -> Delivery:
    """The delivery has this proof, while it is on its way or at the door.

    For its courier, the shop's staff and admins. A wrong PIN is counted; after five nothing but
    the customer's own word helps. Raises DeliveryNotFound, Forbidden, IllegalTransition,
    ProofRequired with `details.reason`, ValidationFailed, UnsupportedMediaType, PayloadTooLarge.
    """
    delivery = _to_prove(actor=actor, key=delivery_id)
    changes: dict[str, Any] = {}
    if proof.signed_by:
        changes["signed_by"] = _checked_name(proof.signed_by)
    if proof.photo_url:
        changes["photo_url"] = _checked_photo_url(proof.photo_url)
    if proof.pin:
        _check_pin(delivery, proof.pin)
        changes["pin_ok"] = True
    stored = None
    if proof.photo is not None:
        stored = changes["photo_url"] = _store(delivery, proof.photo)
    if not changes:
        raise ValidationFailed.for_fields({"proof": ["Give a photo, a PIN or a name."]})
    try:
        return _keep(actor=actor, delivery_id=delivery.id, changes=changes)
    except BaseException:
        if stored is not None:
            storage.delete(stored)
        raise


def _to_prove(*, actor: User, key: str | UUID) -> Delivery:
    delivery, standing = access.delivery_with_standing(actor=actor, key=key)
    if not (standing.courier or standing.staff):
        raise Forbidden
    if delivery.status not in MOVING:
        raise IllegalTransition("Proof is given on the way and at the door.")
    return delivery


@transactional
def _keep(*, actor: User, delivery_id: UUID, changes: Mapping[str, Any]) -> Delivery:
    delivery = _to_prove(actor=actor, key=delivery_id)
    here = Delivery.objects.filter(
        id=delivery.id, status__in=MOVING, courier_id=delivery.courier_id
    )
    if not here.update(**changes, updated_at=now()):
        raise IllegalTransition("The delivery has just moved.")
    return access.delivery_to_see(actor=actor, key=delivery_id)


def _check_pin(delivery: Delivery, pin: str) -> None:
    """Every try is counted before it is looked at, so that tries at once are no more than five."""
    if delivery.proof_kind != ProofKind.PIN:
        raise ValidationFailed.for_fields({"pin": ["This delivery has no PIN."]})
    tries = Delivery.objects.filter(id=delivery.id, pin_failures__lt=PIN_TRIES)
    if not run(lambda: tries.update(pin_failures=F("pin_failures") + 1)):
        raise ProofRequired("Too many wrong PINs.", proof=ProofKind.PIN, reason="pin_locked")
    if clean_text(pin, field="pin").strip() != pin_of(delivery):
        raise ProofRequired("This PIN is wrong.", proof=ProofKind.PIN, reason="pin_wrong")
    run(lambda: Delivery.objects.filter(id=delivery.id).update(pin_failures=0))


def _checked_name(text: str) -> str:
    name = " ".join(clean_text(text, field="signed_by").split())
    if len(name) > NAME_CHARACTERS:
        raise ValidationFailed.for_fields(
            {"signed_by": [f"This has at most {NAME_CHARACTERS} characters."]}
        )
    return name


def _checked_photo_url(url: str) -> str:
    return checked_link({"url": url, "media_type": MediaType.IMAGE.value}, where="photo_")["url"]


def _store(delivery: Delivery, photo: IO[bytes]) -> str:
    checked = storage.checked_file(photo)
    if checked.media_type != MediaType.IMAGE:
        raise UnsupportedMediaType("A photo is a JPEG, PNG, GIF or WebP.")
    return storage.save(checked, folder=f"deliveries/{delivery.id}")
