"""Links that show a delivery to whoever has them: 192 bits, found by their hash, ended in time."""

from datetime import timedelta

from delivery import selectors
from delivery.enums import ENDED
from delivery.errors import DeliveryNotFound
from delivery.models import Delivery
from delivery.tokens import TOKEN_FORM, hash_of, new_token, token_of
from marketplace.core import limits
from marketplace.core.clock import now

VALID_AFTER_THE_END = timedelta(hours=24)
BUCKET = "tracking_miss"

__all__ = ["find_by_token", "is_shown", "new_token", "token_of"]


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


def is_shown(delivery: Delivery) -> bool:
    """Whether its link still leads to it: until 24 hours after its last state."""
    if delivery.status not in ENDED or delivery.ended_at is None:
        return True
    return now() < delivery.ended_at + VALID_AFTER_THE_END
