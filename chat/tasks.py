"""Later work of chat, run as jobs."""

from typing import Any
from uuid import UUID

from celery import shared_task

from chat.services import commands


@shared_task(name="run_command")
def run_command(*, message_id: str, **_: Any) -> None:
    """Let the assistant answer this message, and what its sender said before it."""
    commands.answer_upto(message_id=UUID(message_id))
