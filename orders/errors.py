"""What orders refuse, and in which words."""

from marketplace.core.errors import Conflict, Invalid, NotFound, Unprocessable


class OrderNotFound(NotFound):
    """404, the same for an order that does not exist and one that is not the caller's."""

    code = "order_not_found"
    default_message = "There is no such order."


class CartEmpty(Conflict):
    """409: nothing to order in the cart that was named."""

    code = "cart_empty"
    default_message = "The cart is empty or not found. Name what is ordered in `items`."


class UnsupportedPaymentFlow(Invalid):
    """400: orders are not paid in this way."""

    code = "unsupported_payment_flow"
    default_message = "Orders are not paid in this way."


class CouponInvalid(Unprocessable):
    """422: `details.reason` tells why."""

    code = "coupon_invalid"
    default_message = "There is no such coupon, or it is over."
