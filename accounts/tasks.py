"""Later work of accounts, run as jobs."""

from typing import Any
from uuid import UUID

from celery import shared_task

from accounts.services import otp


@shared_task(name="send_sms")
def send_sms(*, challenge_id: str, **_: Any) -> None:
    """Send the code of one challenge; the same code however often it runs."""
    otp.send_code(challenge_id=UUID(challenge_id))
