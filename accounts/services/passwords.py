"""What a password must be."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from accounts.models import User
from marketplace.core.errors import ValidationFailed


def check_password_rules(password: str, *, user: User | None = None) -> None:
    """Nothing happens for a good password. Raises ValidationFailed: 8-128 characters, not common,
    not only digits.
    """
    try:
        validate_password(password, user=user)
    except ValidationError as error:
        raise ValidationFailed.for_fields({"password": list(error.messages)}) from None
