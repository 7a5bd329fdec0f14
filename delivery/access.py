"""May this actor see or do this with a delivery? The same answer for REST, sockets and commands.

A delivery exists for those whom it concerns: its customer, its courier of this moment, the staff of
its shop, admins. For everybody else, a former courier too, it does not: 404.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from accounts.access import is_admin
from accounts.models import User
from delivery import selectors
from delivery.errors import DeliveryNotFound
from delivery.models import Delivery
from marketplace.core.errors import Forbidden, Unauthorized
from shops.access import may_serve
from shops.selectors import who_works_where


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody is to a delivery; he may be several at once. Admins are staff everywhere."""

    customer: bool = False
    courier: bool = False
    staff: bool = False

    @property
    def sees(self) -> bool:
        """Whether it exists for him."""
        return self.customer or self.courier or self.staff

    @property
    def sees_token(self) -> bool:
        """Whether he is shown the link: the courier is not."""
        return self.customer or self.staff


def standing_in(
    actor: User, delivery: Delivery, *, staffed: Collection[UUID] | None = None
) -> Standing:
    """What the actor is to this delivery. staffed: the shops he works for, where they are known."""
    if is_admin(actor):
        staff = True
    elif delivery.shop_id is None:
        staff = False
    elif staffed is not None:
        staff = delivery.shop_id in staffed
    else:
        staff = may_serve(actor=actor, shop_id=delivery.shop_id)
    return Standing(
        customer=delivery.customer_id == actor.pk,
        courier=delivery.courier_id == actor.pk,
        staff=staff,
    )


def may_see_delivery(user: User | None, delivery: Delivery) -> bool:
    """Whether the delivery exists for this user."""
    return user is not None and standing_in(user, delivery).sees


def deliveries_to_see(
    asked: Sequence[tuple[User | None, Delivery | None]],
) -> list[Standing | Unauthorized | DeliveryNotFound]:
    """What each is to the delivery that he asks for, or his refusal; in one query.

    None stands for nobody in particular, and for a delivery that there is not.
    """
    works = who_works_where(
        shop_ids={one.shop_id for _, one in asked if one is not None and one.shop_id is not None},
        users={user for user, one in asked if user is not None and one is not None},
    )
    found: list[Standing | Unauthorized | DeliveryNotFound] = []
    for user, delivery in asked:
        if user is None:
            found.append(Unauthorized())
        elif delivery is None:
            found.append(DeliveryNotFound())
        else:
            staffed = {shop_id for shop_id, user_id in works if user_id == user.pk}
            standing = standing_in(user, delivery, staffed=staffed)
            found.append(standing if standing.sees else DeliveryNotFound())
    return found


def delivery_with_standing(*, actor: User | None, key: str | UUID) -> tuple[Delivery, Standing]:
    """The delivery, if it exists for the actor, and what he is to it.

    Raises Unauthorized, DeliveryNotFound.
    """
    if actor is None:
        raise Unauthorized
    delivery = selectors.find_delivery(key)
    if delivery is None:
        raise DeliveryNotFound
    standing = standing_in(actor, delivery)
    if not standing.sees:
        raise DeliveryNotFound
    return delivery, standing


def delivery_to_see(*, actor: User | None, key: str | UUID) -> Delivery:
    """The delivery, if it exists for the actor. Raises Unauthorized, DeliveryNotFound."""
    return delivery_with_standing(actor=actor, key=key)[0]


def delivery_to_run(*, actor: User, key: str | UUID) -> Delivery:
    """The delivery, if the actor is staff of its shop or an admin.

    Raises DeliveryNotFound, Forbidden.
    """
    delivery, standing = delivery_with_standing(actor=actor, key=key)
    if not standing.staff:
        raise Forbidden
    return delivery


def may_see_couriers(user: User) -> bool:
    """Whether this user sends things: staff of any shop, admins."""
    return is_admin(user) or bool(selectors.staffed_shops(user))
