"""The topics `order:` and `admins`: who hears of orders on sockets."""

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from accounts.access import is_admin
from accounts.models import User
from marketplace.core.errors import AppError, Forbidden, Unauthorized
from marketplace.core.inputs import read_id
from marketplace.realtime.topic import (
    JOINS_TOGETHER,
    EventRow,
    Joined,
    Joiner,
    Spelling,
    Spoken,
    TopicConsumer,
    TopicRef,
)
from orders import access, selectors
from orders.access import Shown
from orders.errors import OrderNotFound
from orders.models import Order

CREATED = EventRow("order.created", Spoken(("order_created",)), "Somebody has ordered.")
UPDATED = EventRow("order.status_changed", Spoken(("order_updated",)), "An order stands elsewhere.")
PAID = EventRow("payment.succeeded", Spoken(("payment_succeeded",)), "An order has been paid.")
REFUNDED = EventRow("payment.refunded", Spoken(("payment_refunded",)), "Money went back.")
# What delivery copies here; the words are those of its own topic.
CARRIED = EventRow(
    "delivery.status_changed", Spoken(("status_changed",)), "A delivery of it stands elsewhere."
)
ON_THE_WAY = EventRow(
    "delivery.milestone", Spoken(("delivery_event",)), "Its courier is near, or an attempt failed."
)


def market_order(order: dict[str, Any]) -> dict[str, Any]:
    """Order of Realtime Market, Phoenix and plain."""
    return order | {"_id": order["id"]}


class OrderConsumer(TopicConsumer):
    """One order, for its buyer, the staff of its shops, admins."""

    kind: ClassVar[str] = "order"
    summary: ClassVar[str] = "One order, for its buyer and its shops: status, payments."
    joins_together: ClassVar[int] = JOINS_TOGETHER
    spellings = (
        Spelling("plain", "order:"),
        Spelling("phoenix", "order:"),
        Spelling("feed", "order:"),
    )
    events = (CREATED, UPDATED, PAID, REFUNDED, CARRIED, ON_THE_WAY)

    @classmethod
    def normal_id(cls, text: str, *, own: str | None) -> str | None:
        """A UUID in lower case with hyphens."""
        found = read_id(text)
        return None if found is None else str(found)

    @classmethod
    def authorise(cls, actor: User | None, topic_id: str, action: str) -> None:
        """Who may see the order. Raises Unauthorized, OrderNotFound."""
        cls._order(actor, topic_id)

    @classmethod
    def join_all(cls, joiners: Sequence[Joiner]) -> list[Joined | AppError]:
        """The order as it stands; staff see their shops' part."""
        asked = [UUID(one.ref.id) if one.ref.id else None for one in joiners]
        orders = selectors.find_orders(list({key for key in asked if key is not None}))
        found = {order.id: order for order in orders}
        outcomes = access.orders_to_see(
            [
                (one.actor, None if key is None else found.get(key))
                for one, key in zip(joiners, asked, strict=True)
            ]
        )
        return [cls._told(one) if isinstance(one, Shown) else one for one in outcomes]

    @classmethod
    def _told(cls, shown: Shown) -> Joined:
        order = selectors.order_snapshot(shown.order, shop_ids=shown.shop_ids)
        return Joined(state={"order": market_order(order)}, snapshot="order")

    @classmethod
    def _order(cls, actor: User | None, topic_id: str) -> Order:
        """A topic that exists and one that does not give the same refusal."""
        if actor is None:
            raise Unauthorized
        if not topic_id:
            raise OrderNotFound
        return access.order_to_see(actor, UUID(topic_id))


class AdminsConsumer(TopicConsumer):
    """What administrators hear of the whole market."""

    kind: ClassVar[str] = "admins"
    summary: ClassVar[str] = "Every order and payment, for administrators."
    is_single: ClassVar[bool] = True
    joins_together: ClassVar[int] = JOINS_TOGETHER
    spellings = (
        Spelling("plain", "admins"),
        Spelling("phoenix", "admins"),
        Spelling("feed", "admins"),
    )
    events = (CREATED, UPDATED, PAID)

    @classmethod
    def normal_id(cls, text: str, *, own: str | None) -> str | None:
        """It has none."""
        return None

    @classmethod
    def authorise(cls, actor: User | None, topic_id: str, action: str) -> None:
        """Administrators. Raises Unauthorized, Forbidden."""
        if actor is None:
            raise Unauthorized
        if not is_admin(actor):
            raise Forbidden

    @classmethod
    def join(cls, actor: User | None, ref: TopicRef, *, with_history: bool) -> Joined:
        """There is nothing but the log."""
        cls.authorise(actor, ref.id, "join")
        return Joined(state={})
