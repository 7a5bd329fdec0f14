"""What follows from a delivery's id and the key of this installation: its link's token, its PIN.

Neither is stored, so neither can be read off the database; of the token there is a hash to find
the delivery by.
"""

import base64
import hashlib
import hmac
import re

from django.utils.crypto import salted_hmac

from delivery.models import Delivery

TOKEN_BYTES = 24
TOKEN_FORM = re.compile(r"[A-Za-z0-9_-]{32}")
PIN_DIGITS = 4


def new_token(delivery: Delivery) -> str:
    """The token of this delivery under the present key: 192 bits as 32 URL-safe characters."""
    text = f"{delivery.id}:{delivery.token_number}"
    digest = salted_hmac("delivery.tracking", text, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(digest[:TOKEN_BYTES]).decode()


def hash_of(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def token_of(delivery: Delivery) -> str | None:
    """The token as it was given out; None for one that was made under a key that is no more.

    Such a link goes on leading here, it only cannot be shown again.
    """
    token = new_token(delivery)
    return token if hmac.compare_digest(hash_of(token), delivery.token_hash) else None


def pin_of(delivery: Delivery) -> str:
    """The four digits that the customer tells the courier at the door."""
    digest = salted_hmac("delivery.pin", str(delivery.id), algorithm="sha256").digest()
    return str(int.from_bytes(digest[:8], "big") % 10**PIN_DIGITS).zfill(PIN_DIGITS)
