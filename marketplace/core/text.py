"""Text as it may enter: NFC, no NUL, no lone surrogate."""

import unicodedata

from marketplace.core.errors import ValidationFailed


def clean_text(text: str, *, field: str) -> str:
    """The text in NFC. Raises ValidationFailed for NUL and lone surrogates: no store takes them."""
    if text.isascii():
        if "\x00" in text:
            raise ValidationFailed.for_fields({field: ["Null characters are not allowed."]})
        return text
    if "\x00" in text:
        raise ValidationFailed.for_fields({field: ["Null characters are not allowed."]})
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValidationFailed.for_fields({field: ["This is not valid Unicode text."]})
    return unicodedata.normalize("NFC", text)
