"""May this actor see or do this in a shop? The same answer for REST, sockets, commands, admin.

An open shop and its published products are there for everybody, so a missing right is 403; what
only its shop may see does not exist for others: 404.
"""

from collections.abc import Sequence
from uuid import UUID

from accounts.access import is_admin
from accounts.models import User
from marketplace.core.errors import Forbidden
from marketplace.core.inputs import read_id
from shops import selectors
from shops.enums import ProductStatus, ShopRole
from shops.errors import ProductNotFound, ShopNotFound, SkuNotFound
from shops.models import Product, Shop, Sku

RANKS = {ShopRole.STAFF: 1, ShopRole.MANAGER: 2, ShopRole.OWNER: 3}
ADMIN_RANK = RANKS[ShopRole.OWNER]


def rank_in(*, actor: User | None, shop_id: UUID) -> int:
    """How much the actor may do for this shop: 0 nothing … 3 what its owner and admins may."""
    if actor is None:
        return 0
    if is_admin(actor):
        return ADMIN_RANK
    member = selectors.find_member(shop_id=shop_id, user=actor)
    return 0 if member is None else RANKS[ShopRole(member.role)]


def may_serve(*, actor: User | None, shop_id: UUID) -> bool:
    """Whether the actor is staff of this shop, or an admin."""
    return rank_in(actor=actor, shop_id=shop_id) > 0


def may_serve_all(asked: Sequence[tuple[User | None, UUID]]) -> list[bool]:
    """`may_serve` for each of these (actor, shop), in one query."""
    works = selectors.who_works_where(
        shop_ids={shop_id for _, shop_id in asked},
        users={actor for actor, _ in asked if actor is not None and not is_admin(actor)},
    )
    return [
        actor is not None and (is_admin(actor) or (shop_id, actor.pk) in works)
        for actor, shop_id in asked
    ]


def shop_to_read(key: str) -> Shop:
    """The open shop with this id or `shop_<number>`. Raises ShopNotFound."""
    shop = selectors.find_shop(key)
    if shop is None:
        raise ShopNotFound
    return shop


def shop_to_serve(*, actor: User, key: str, least: ShopRole = ShopRole.STAFF) -> Shop:
    """The shop, if the actor has at least this role there. Raises ShopNotFound, Forbidden."""
    shop = shop_to_read(key)
    if rank_in(actor=actor, shop_id=shop.id) < RANKS[least]:
        raise Forbidden
    return shop


def product_to_read(*, actor: User | None, key: str) -> Product:
    """The product with its shop, if it is published or the actor's own shop's.

    Raises ProductNotFound.
    """
    product_id = read_id(key)
    product = None if product_id is None else selectors.find_product(product_id)
    if product is None:
        raise ProductNotFound
    if product.status != ProductStatus.PUBLISHED and not may_serve(
        actor=actor, shop_id=product.shop_id
    ):
        raise ProductNotFound
    return product


def product_to_edit(*, actor: User, key: str) -> Product:
    """The product, if the actor is staff of its shop. Raises ProductNotFound, Forbidden."""
    product = product_to_read(actor=actor, key=key)
    if not may_serve(actor=actor, shop_id=product.shop_id):
        raise Forbidden
    return product


def sku_to_edit(*, actor: User, key: str) -> Sku:
    """The sku with its product, if the actor is staff of its shop.

    Raises SkuNotFound, Forbidden.
    """
    sku_id = read_id(key)
    sku = None if sku_id is None else selectors.find_sku(sku_id)
    if sku is None:
        raise SkuNotFound
    if may_serve(actor=actor, shop_id=sku.product.shop_id):
        return sku
    if sku.product.status != ProductStatus.PUBLISHED:
        raise SkuNotFound
    raise Forbidden
