"""May this actor see or run this order? The same answer for REST, sockets, commands, admin.

Whether an order exists is private: who may not see it is told that there is none.
"""

from collections.abc import Collection
from uuid import UUID

from accounts.access import is_admin
from accounts.models import User
from marketplace.core.errors import Forbidden
from orders import selectors
from orders.errors import OrderNotFound
from orders.models import Order
from shops.selectors import staff_ids


def shops_served(user: User, order: Order) -> set[UUID]:
    """The shops of the order that this user works for."""
    people = staff_ids(shop_ids=selectors.shop_ids_of(order))
    return {shop_id for shop_id, ids in people.items() if user.public_id in ids}


def may_see_order(user: User, order: Order) -> bool:
    """Whether the user has ordered it, works for one of its shops, or is an admin."""
    return order.user_id == user.pk or is_admin(user) or bool(shops_served(user, order))


def order_to_see(actor: User, key: str | UUID) -> Order:
    """The order with this id or number, if the actor may see it. Raises OrderNotFound."""
    order = selectors.find_order(key=key)
    if order is None or not may_see_order(actor, order):
        raise OrderNotFound
    return order


def order_to_run(actor: User, key: str | UUID) -> Order:
    """The order, if the actor is staff of one of its shops or an admin.

    Raises OrderNotFound, and Forbidden for its buyer.
    """
    order = selectors.find_order(key=key)
    if order is None:
        raise OrderNotFound
    if is_admin(actor) or shops_served(actor, order):
        return order
    raise Forbidden if order.user_id == actor.pk else OrderNotFound


def shops_to_run(actor: User, order: Order) -> set[UUID]:
    """The shops of the order for which the actor may act: an admin for all."""
    if is_admin(actor):
        return set(selectors.shop_ids_of(order))
    return shops_served(actor, order)


def check_runs_all(actor: User, order: Order) -> None:
    """Raises Forbidden for one who works for some of its shops only: the rest is not his."""
    if not is_admin(actor) and shops_served(actor, order) != set(selectors.shop_ids_of(order)):
        raise Forbidden("This order is also of another shop.")


def shops_shown(actor: User, order: Order) -> Collection[UUID] | None:
    """Which parts the actor sees: None = all, for its buyer and admins; staff their shops'."""
    if order.user_id == actor.pk or is_admin(actor):
        return None
    return shops_served(actor, order)
