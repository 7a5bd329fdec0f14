"""The closed sets of accounts."""

from django.db import models


class Role(models.TextChoices):
    """What a person may be in the market as a whole; shop and room roles are separate."""

    USER = "user"
    EMPLOYEE = "employee"
    COURIER = "courier"
    ADMIN = "admin"


class MarketSide(models.TextChoices):
    """The side that a user chose, shown as the role on the wire; it gives no right."""

    NONE = ""
    BUYER = "buyer"
    SELLER = "seller"


class Issuer(models.TextChoices):
    """Where a sign-in came in: it is the `iss` of its tokens and decides how long they live."""

    MARKETPLACE = "marketplace"
    REALTIME_MARKET = "realtime_market"


class TokenKind(models.TextChoices):
    """What a token is good for: its claims `typ` and `type`."""

    ACCESS = "access"
    REFRESH = "refresh"


class EndReason(models.TextChoices):
    """Why a session ended."""

    LOGOUT = "logout"
    LOGOUT_ALL = "logout_all"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105  # a reason, no secret
    DEACTIVATED = "deactivated"
    ROLE_CHANGED = "role_changed"
    REFRESH_REUSED = "refresh_reused"
    ERASED = "erased"


class CodePurpose(models.TextChoices):
    """What a one-time code may be used for."""

    SIGN_IN = "sign_in"
