"""`manage.py create_staff`: the first admin, an employee, a courier; without questions."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import formats
from accounts.enums import Role
from accounts.services import registration
from marketplace.core.errors import AppError


class Command(BaseCommand):
    """Make a user with a role that nobody gives himself, and print him as one line of JSON."""

    help = "Make an admin, employee or courier; prints one line of JSON with the id."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Everything is an argument: no question is asked."""
        roles = [role.value for role in Role if role != Role.USER]
        parser.add_argument("--role", required=True, choices=roles)
        parser.add_argument("--email", required=True)
        parser.add_argument("--phone", default=None, help="with country code, such as +15550100005")
        parser.add_argument("--password", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the user. Exit code 1 with a line that names what is wrong."""
        email = formats.email(options["email"])
        phone_number = formats.phone_number(options["phone"]) if options["phone"] else None
        if email is None:
            raise CommandError("--email is no e-mail address.")
        if options["phone"] and phone_number is None:
            raise CommandError("--phone is no phone number with country code.")
        try:
            user = registration.create_staff(
                role=Role(options["role"]),
                email=email,
                phone_number=phone_number,
                password=options["password"],
            )
        except AppError as error:
            raise CommandError(f"{error.code}: {error.message}") from None
        line = {
            "id": user.public_id,
            "email": user.email,
            "phone_number": user.phone_number,
            "role": user.role,
        }
        self.stdout.write(json.dumps(line))
