"""What delivery refuses, and in which words."""

from marketplace.core.errors import AppError, Conflict, Forbidden, NotFound


class DeliveryNotFound(NotFound):
    """404, the same for one that does not exist, a foreign one, and a wrong or ended token."""

    code = "delivery_not_found"
    default_message = "There is no such delivery."


class CourierNotFound(NotFound):
    """404: no courier has this id."""

    code = "courier_not_found"
    default_message = "There is no such courier."


class OfferNotFound(NotFound):
    """404: nothing was offered to this courier, or he has answered, or it has passed on."""

    code = "offer_not_found"
    default_message = "This delivery is not offered to you."


class NotCourier(Forbidden):
    """403: only couriers do this."""

    code = "role_not_allowed"
    default_message = "Only couriers do this."


class AlreadyAssigned(Conflict):
    """409: somebody else delivers it already."""

    code = "already_assigned"
    default_message = "This delivery has a courier already."


class ProofRequired(Conflict):
    """409: the shop asks for a photo or the customer's PIN; `details.proof` says which.

    `details.reason` is `pin_wrong` or `pin_locked` where a PIN was given in vain.
    """

    code = "proof_required"
    default_message = "This delivery needs its proof first."


class EtaUnavailable(AppError):
    """409, on sockets alone: `details.reason` says what is missing."""

    code = "eta_unavailable"
    status = 409
    default_message = "The time of arrival is not known."
