"""Links that show a delivery to whoever has them: 192 bits, found by their hash, ended in time."""

from datetime import timedelta
from uuid import UUID

from accounts.models import User
from delivery import access, selectors
from delivery.enums import ENDED
from delivery.errors import DeliveryNotFound
from delivery.models import Delivery
from delivery.tokens import TOKEN_FORM, hash_of, new_token, token_of
from marketplace.core import limits
from marketplace.core.clock import now
from marketplace.core.db import on_commit, transactional
from marketplace.core.errors import Conflict, IllegalTransition
from marketplace.events.audit import record_audit
from marketplace.events.live import publish_recheck

VALID_AFTER_THE_END = timedelta(hours=24)
BUCKET = "tracking_miss"

__all__ = ["find_by_token", "is_link_of", "is_shown", "new_token", "renew_link", "token_of"]


def find_by_token(token: str, address: str) -> Delivery:
    """The delivery of this link. Wrong and ended ones look the same, and are counted by address.

    Raises DeliveryNotFound; RateLimited where this address has guessed too often, whatever it
    asks for then.
    """
    limits.check(BUCKET, address, cost=0)
    delivery = None
    if TOKEN_FORM.fullmatch(token):
        delivery = selectors.find_by_token_hash(hash_of(token))
    if delivery is None or not is_shown(delivery):
        limits.check(BUCKET, address)
        raise DeliveryNotFound
    return delivery


@transactional
def renew_link(*, actor: User, delivery_id: str | UUID) -> Delivery:
    """The delivery has another link; the one before leads nowhere, and who watches by it is let go.

    For staff of its shop and admins. Raises DeliveryNotFound, Forbidden, IllegalTransition once the
    link has ended, Conflict where somebody else has renewed it at the same moment.
    """
    delivery = access.delivery_to_run(actor=actor, key=delivery_id)
    if not is_shown(delivery):
        raise IllegalTransition("The link of this delivery has ended.", status=delivery.status)
    before = Delivery.objects.filter(id=delivery.id, token_number=delivery.token_number)
    delivery.token_number += 1
    delivery.token_hash = hash_of(new_token(delivery))
    delivery.updated_at = now()
    changes = ("token_number", "token_hash", "updated_at")
    if not before.update(**{name: getattr(delivery, name) for name in changes}):
        raise Conflict("Somebody else has just renewed this link.")
    record_audit(actor_id=actor.public_id, action="delivery.link_renewed", target=delivery.topic)
    on_commit(lambda: publish_recheck(topic=delivery.topic))
    return delivery


def is_link_of(token: str, delivery: Delivery) -> bool:
    """Whether this link leads to the delivery now."""
    return hash_of(token) == delivery.token_hash and is_shown(delivery)


def is_shown(delivery: Delivery) -> bool:
    """Whether its link still leads to it: until 24 hours after its last state."""
    if delivery.status not in ENDED or delivery.ended_at is None:
        return True
    return now() < delivery.ended_at + VALID_AFTER_THE_END
