"""May this actor see or run this order? The same answer for REST, sockets, commands, admin.

Whether an order exists is private: who may not see it is told that there is none.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from accounts.access import is_admin
from accounts.models import User
from marketplace.core.errors import Forbidden, Unauthorized
from orders import selectors
from orders.errors import OrderNotFound
from orders.models import Order
from shops.selectors import who_works_where


@dataclass(frozen=True, slots=True)
class Shown:
    """An order for one who may see it. shop_ids: whose parts; None = all."""

    order: Order
    shop_ids: Collection[UUID] | None


def shops_served(
    user: User, order: Order, *, works: Collection[tuple[UUID, UUID]] | None = None
) -> set[UUID]:
    """The shops of the order that this user works for.

    works: what `who_works_where` says of him and them, where that is known.
    """
    shop_ids = selectors.shop_ids_of(order)
    if works is None:
        works = who_works_where(shop_ids=shop_ids, users=[user])
    return {shop_id for shop_id in shop_ids if (shop_id, user.pk) in works}


def may_see_order(user: User, order: Order) -> bool:
    """Whether the user has ordered it, works for one of its shops, or is an admin."""
    return _sees_all(user, order) or bool(shops_served(user, order))


def orders_to_see(
    asked: Sequence[tuple[User | None, Order | None]],
) -> list[Shown | Unauthorized | OrderNotFound]:
    """What each is shown of the order that he asks for, or his refusal; in one query.

    None stands for nobody in particular, and for an order that there is not.
    """
    pairs = [(user, order) for user, order in asked if user is not None and order is not None]
    by_shop = [(user, order) for user, order in pairs if not _sees_all(user, order)]
    works = who_works_where(
        shop_ids={shop_id for _, order in by_shop for shop_id in selectors.shop_ids_of(order)},
        users={user for user, _ in by_shop},
    )
    found: list[Shown | Unauthorized | OrderNotFound] = []
    for user, order in asked:
        if user is None:
            found.append(Unauthorized())
        elif order is None:
            found.append(OrderNotFound())
        elif _sees_all(user, order):
            found.append(Shown(order, None))
        else:
            served = shops_served(user, order, works=works)
            found.append(Shown(order, served) if served else OrderNotFound())
    return found


def _sees_all(user: User, order: Order) -> bool:
    return order.user_id == user.pk or is_admin(user)


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
    return None if _sees_all(actor, order) else shops_served(actor, order)
