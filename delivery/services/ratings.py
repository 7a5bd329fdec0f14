"""How a delivery went, in the words of the one who got it."""

from accounts.models import User
from delivery import access
from delivery.enums import DeliveryStatus
from delivery.models import TEXT_CHARACTERS, Delivery
from marketplace.core.clock import now
from marketplace.core.db import transactional
from marketplace.core.errors import Forbidden, IllegalTransition, ValidationFailed
from marketplace.core.text import clean_text


@transactional
def rate_delivery(
    *, actor: User, delivery_id: str, score: int, comment: str | None = None
) -> Delivery:
    """The customer's word on it, once, after it was delivered. score: 1-5.

    Raises DeliveryNotFound, Forbidden, IllegalTransition, ValidationFailed.
    """
    text = clean_text((comment or "").strip(), field="comment")
    if len(text) > TEXT_CHARACTERS:
        raise ValidationFailed.for_fields(
            {"comment": [f"This has at most {TEXT_CHARACTERS} characters."]}
        )
    delivery, standing = access.delivery_with_standing(actor=actor, key=delivery_id)
    if not standing.customer:
        raise Forbidden
    at = now()
    unrated = Delivery.objects.filter(
        id=delivery.id, status=DeliveryStatus.DELIVERED, rating__isnull=True
    )
    if not unrated.update(rating=score, rating_comment=text, rated_at=at, updated_at=at):
        raise IllegalTransition("It is rated once, after it was delivered.")
    delivery.rating, delivery.rating_comment = score, text
    delivery.rated_at = delivery.updated_at = at
    return delivery
