"""What shops refuse, and in which words."""

from marketplace.core.errors import Conflict, NotFound


class ShopNotFound(NotFound):
    """404: no such shop, or one that has closed."""

    code = "shop_not_found"
    default_message = "There is no such shop."


class ProductNotFound(NotFound):
    """404, the same for a product that does not exist and one that only its shop may see."""

    code = "product_not_found"
    default_message = "There is no such product."


class SkuNotFound(NotFound):
    """404."""

    code = "sku_not_found"
    default_message = "There is no such sku."


class ShopMemberNotFound(NotFound):
    """404: the person is not of this shop."""

    code = "member_not_found"
    default_message = "This person does not work for the shop."


class MediaNotFound(NotFound):
    """404."""

    code = "media_not_found"
    default_message = "The product does not show this."


class ShopNameTaken(Conflict):
    """409: a shop has this name, in whatever case."""

    code = "shop_name_taken"
    default_message = "This shop name is taken."

    def __init__(self, message: str | None = None, **details: object) -> None:
        super().__init__(message, **{"field": "shop_name", **details})


class AlreadyMember(Conflict):
    """409: the person works for the shop already."""

    code = "already_member"
    default_message = "This person works for the shop already."


class OutOfStock(Conflict):
    """409: `details.items` names each sku that is short, with what was asked and what is there."""

    code = "out_of_stock"
    default_message = "There is not enough in stock."
