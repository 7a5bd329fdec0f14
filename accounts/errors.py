"""The refusals of accounts."""

from marketplace.core.errors import (
    Conflict,
    Forbidden,
    NotFound,
    RateLimited,
    Unauthorized,
)


class RefreshReused(Unauthorized):
    """401: this refresh token was used before; its session has been ended."""

    code = "refresh_reused"
    default_message = "This refresh token was used before. Sign in again."


class OtpInvalid(Unauthorized):
    """401: one answer for a wrong, expired, replaced, used or unknown code."""

    code = "otp_invalid"
    default_message = "Invalid OTP"


class OtpTooSoon(RateLimited):
    """429: the wait before the next code is not over."""

    code = "otp_too_soon"
    default_message = "Please wait before asking for another code."


class OtpSendLimit(RateLimited):
    """429: too many codes for this phone, or from this address."""

    code = "otp_send_limit"
    default_message = "Too many codes were asked for. Please try again later."


class OtpLocked(RateLimited):
    """429: too many wrong codes; also the right one is refused for now."""

    code = "otp_locked"
    default_message = "Too many wrong codes. Please try again later."


class LoginLocked(RateLimited):
    """429: too many wrong passwords; also the right one is refused for now."""

    code = "login_locked"
    default_message = "Too many wrong passwords. Please try again later."


class UsernameTaken(Conflict):
    """409: somebody has this username, in whatever case."""

    code = "username_taken"
    default_message = "This username is taken."

    def __init__(self, message: str | None = None, **details: object) -> None:
        super().__init__(message, **{"field": "username", **details})


class PhoneNumberTaken(Conflict):
    """409: somebody has this phone number."""

    code = "phone_number_taken"
    default_message = "This phone number is taken."

    def __init__(self, message: str | None = None, **details: object) -> None:
        super().__init__(message, **{"field": "phone_number", **details})


class EmailTaken(Conflict):
    """409: somebody has this e-mail address."""

    code = "email_taken"
    default_message = "This e-mail address is taken."

    def __init__(self, message: str | None = None, **details: object) -> None:
        super().__init__(message, **{"field": "email", **details})


class RoleNotAllowed(Forbidden):
    """403: nobody gives himself this role."""

    code = "role_not_allowed"
    default_message = "This role cannot be chosen."


class UserNotFound(NotFound):
    """404: no such user, or one who has left."""

    code = "user_not_found"
    default_message = "There is no such user."


class AddressNotFound(NotFound):
    """404: no such address, or another user's."""

    code = "address_not_found"
    default_message = "There is no such address."


class TooManyAddresses(Conflict):
    """409: the address book is full."""

    code = "too_many_addresses"
    default_message = "There is no room for another address. Delete one first."
