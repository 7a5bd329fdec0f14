"""The people of the demonstration: who they are, and how to reach them."""

from dataclasses import dataclass

from accounts.enums import MarketSide, Role
from accounts.models import User

DEMO_PASSWORD = "Password123!"  # noqa: S105  # public on purpose, and never made in production


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """One demo account. `part`: what he is in the market, for people to read."""

    username: str
    name: str
    part: str
    phone_number: str
    role: Role = Role.USER
    side: MarketSide = MarketSide.NONE

    @property
    def email(self) -> str:
        """His address, at a domain that nobody can own."""
        return f"{self.username}@example.com"


ASHA = DemoPerson("asha", "Asha", "buyer", "+15550100001", side=MarketSide.BUYER)
BRUNO = DemoPerson("bruno", "Bruno", "seller", "+15550100002", side=MarketSide.SELLER)
CHIARA = DemoPerson("chiara", "Chiara", "employee", "+15550100003", role=Role.EMPLOYEE)
DMITRI = DemoPerson("dmitri", "Dmitri", "courier", "+15550100004", role=Role.COURIER)
EDITH = DemoPerson("edith", "Edith", "admin", "+15550100005", role=Role.ADMIN)
PEOPLE = (ASHA, BRUNO, CHIARA, DMITRI, EDITH)


def known_people() -> list[dict[str, str | None]]:
    """Every demo person, with the `id` of the account where there is one; one query."""
    found = dict(
        User.objects.filter(phone_number__in=[person.phone_number for person in PEOPLE])
        .order_by("pk")
        .values_list("phone_number", "public_id")
    )
    return [
        {
            "id": found.get(person.phone_number),
            "name": person.name,
            "part": person.part,
            "phone_number": person.phone_number,
            "email": person.email,
        }
        for person in PEOPLE
    ]
