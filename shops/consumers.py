"""The topic `shop:`: what a shop's own people hear of it."""

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from accounts.models import User
from marketplace.core.errors import AppError, Unauthorized
from marketplace.core.inputs import read_id
from marketplace.realtime.topic import (
    JOINS_TOGETHER,
    EventRow,
    Joined,
    Joiner,
    Spelling,
    Spoken,
    TopicConsumer,
)
from shops import access, selectors
from shops.errors import ShopNotFound
from shops.models import Shop
from shops.payloads import shop_payload


def market_product(product: dict[str, Any]) -> dict[str, Any]:
    """Product of Realtime Market, Phoenix and plain."""
    return product | {"_id": product["id"]}


def market_shop(shop: dict[str, Any]) -> dict[str, Any]:
    """Shop of Realtime Market, Phoenix and plain."""
    return shop | {"_id": shop["id"]}


class ShopConsumer(TopicConsumer):
    """One shop, for its staff: its products, its stock, its people, its orders."""

    kind: ClassVar[str] = "shop"
    summary: ClassVar[str] = "One shop, for its staff: products, stock, people, orders."
    joins_together: ClassVar[int] = JOINS_TOGETHER
    spellings = (
        Spelling("plain", "shop:"),
        Spelling("phoenix", "shop:"),
        Spelling("feed", "shop:"),
    )
    events = (
        EventRow("shop.created", Spoken(("shop_created",), market_shop), "The shop has opened."),
        EventRow("shop.updated", Spoken(("shop_updated",), market_shop), "The shop has changed."),
        EventRow("shop.deleted", Spoken(("shop_deleted",)), "The shop has closed."),
        EventRow("shop.member_added", Spoken(("shop_member_added",)), "Somebody works for it."),
        EventRow("shop.member_removed", Spoken(("shop_member_removed",)), "Somebody has gone."),
        EventRow("shop.role_changed", Spoken(("shop_role_changed",)), "Somebody's role changed."),
        EventRow("product.created", Spoken(("product_created",), market_product), "A new product."),
        EventRow(
            "product.updated", Spoken(("product_updated",), market_product), "A product changed."
        ),
        EventRow(
            "product.archived", Spoken(("product_archived",), market_product), "Sold no more."
        ),
        EventRow(
            "stock.changed", Spoken(("inventory_updated",)), "There is more or less of a sku."
        ),
        EventRow("order.created", Spoken(("order_created",)), "Somebody has ordered of it."),
        EventRow(
            "order.status_changed", Spoken(("order_updated",)), "An order of its stands elsewhere."
        ),
    )

    @classmethod
    def normal_id(cls, text: str, *, own: str | None) -> str | None:
        """A UUID in lower case with hyphens."""
        found = read_id(text)
        return None if found is None else str(found)

    @classmethod
    def authorise(cls, actor: User | None, topic_id: str, action: str) -> None:
        """Staff of the shop and admins. Raises Unauthorized, ShopNotFound."""
        cls._shop(actor, topic_id)

    @classmethod
    def join_all(cls, joiners: Sequence[Joiner]) -> list[Joined | AppError]:
        """The shop as it stands."""
        asked = [(one.actor, UUID(one.ref.id)) for one in joiners if one.actor and one.ref.id]
        serve = iter(access.may_serve_all(asked))
        found = selectors.find_shops({shop_id for _, shop_id in asked})
        outcomes: list[Joined | AppError] = []
        for one in joiners:
            if one.actor is None:
                outcomes.append(Unauthorized())
                continue
            shop = found.get(UUID(one.ref.id)) if one.ref.id and next(serve) else None
            outcomes.append(ShopNotFound() if shop is None else cls._told(shop))
        return outcomes

    @classmethod
    def _told(cls, shop: Shop) -> Joined:
        return Joined(state={"shop": market_shop(shop_payload(shop))}, snapshot="shop")

    @classmethod
    def _shop(cls, actor: User | None, topic_id: str) -> Shop:
        """A topic that exists and one that does not give the same refusal."""
        if actor is None:
            raise Unauthorized
        if not topic_id or not access.may_serve(actor=actor, shop_id=UUID(topic_id)):
            raise ShopNotFound
        return access.shop_to_read(topic_id)
