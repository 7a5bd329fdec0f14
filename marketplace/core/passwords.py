"""The password rule that Django has no validator for."""

from django.core.exceptions import ValidationError


class MaximumLengthValidator:
    """At most so many characters: a hash over megabytes would cost the server, not the guesser."""

    def __init__(self, max_length: int = 128) -> None:
        self.max_length = max_length

    def validate(self, password: str, user: object = None) -> None:
        """Raise ValidationError for a longer password."""
        if len(password) > self.max_length:
            raise ValidationError(self.get_help_text(), code="password_too_long")

    def get_help_text(self) -> str:
        """The rule as a sentence."""
        return f"This password is too long. It must contain at most {self.max_length} characters."
