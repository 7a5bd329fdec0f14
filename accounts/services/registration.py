"""Make a user: by phone alone, by e-mail and password, or by any mix of them (C1)."""

from dataclasses import dataclass

from django.conf import settings

from accounts import selectors
from accounts.enums import MarketSide, Role
from accounts.errors import EmailTaken, PhoneNumberTaken, RoleNotAllowed, UsernameTaken
from accounts.models import User
from accounts.services import otp
from accounts.services.passwords import check_password_rules
from marketplace.core.clock import now
from marketplace.core.db import IntegrityError, transactional
from marketplace.core.errors import ValidationFailed
from marketplace.events.audit import record_audit
from marketplace.events.record import open_topic

# What a client may call a role (contracts 3.1) → the stored role and the side that is shown.
ROLE_WORDS: dict[str, tuple[Role, MarketSide]] = {
    "user": (Role.USER, MarketSide.NONE),
    "buyer": (Role.USER, MarketSide.BUYER),
    "seller": (Role.USER, MarketSide.SELLER),
    "customer": (Role.USER, MarketSide.NONE),
    "client": (Role.USER, MarketSide.NONE),
    "enterprise": (Role.USER, MarketSide.SELLER),
    "employee": (Role.EMPLOYEE, MarketSide.NONE),
    "agent": (Role.EMPLOYEE, MarketSide.NONE),
    "courier": (Role.COURIER, MarketSide.NONE),
    "driver": (Role.COURIER, MarketSide.NONE),
    "delivery_person": (Role.COURIER, MarketSide.NONE),
    "admin": (Role.ADMIN, MarketSide.NONE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """Who wants to become a user. Every value already has the form in which it is kept."""

    username: str | None = None
    phone_number: str | None = None
    email: str | None = None
    password: str | None = None
    name: str = ""
    role: str = "user"


def register(*, applicant: Applicant, address: str = "") -> User:
    """A new user with his topic; for a phone number the first code is on its way.

    Raises UsernameTaken, PhoneNumberTaken, EmailTaken, RoleNotAllowed, ValidationFailed.
    """
    role, _ = ROLE_WORDS[applicant.role]
    if role != Role.USER and not settings.ALLOW_PRIVILEGED_SIGNUP:
        raise RoleNotAllowed
    if not applicant.phone_number and not (applicant.email and applicant.password):
        missing = "password" if applicant.email else "phone_number"
        raise ValidationFailed.for_fields({missing: ["This field is required."]})
    user = _new_user(applicant)
    if applicant.phone_number:
        otp.line_up_for(phone_number=applicant.phone_number, address=address)
    try:
        return _store(user=user, address=address)
    except IntegrityError:
        # Somebody took the name between the look and the write: the second look tells which.
        refuse_taken(applicant)
        raise


def _new_user(applicant: Applicant) -> User:
    """The user, not stored yet; hashing a password takes long and stays out of transactions."""
    refuse_taken(applicant)
    role, side = ROLE_WORDS[applicant.role]
    user = User(
        username=applicant.username,
        phone_number=applicant.phone_number,
        email=applicant.email,
        name=applicant.name,
        role=role,
        side=side,
    )
    if applicant.password is not None:
        check_password_rules(applicant.password)
    user.set_password(applicant.password)
    return user


def refuse_taken(applicant: Applicant) -> None:
    """Nothing happens where all names are free. Raises the first of EmailTaken, UsernameTaken,
    PhoneNumberTaken that holds.
    """
    if applicant.email and User.objects.filter(email=applicant.email).exists():
        raise EmailTaken
    if applicant.username and selectors.is_username_taken(applicant.username):
        raise UsernameTaken
    if applicant.phone_number and selectors.find_by_phone(applicant.phone_number):
        raise PhoneNumberTaken


@transactional
def _store(*, user: User, address: str) -> User:
    user.save(force_insert=True)
    open_topic(user.topic)
    if user.phone_number:
        otp.send_first_code(user=user, address=address)
    return user


def create_staff(*, role: Role, email: str, phone_number: str | None, password: str) -> User:
    """A user with a role that nobody gives himself; an admin may enter `/admin` and do all there.

    Raises ValidationFailed, EmailTaken, PhoneNumberTaken.
    """
    applicant = Applicant(
        email=email, phone_number=phone_number, password=password, role=role.value
    )
    user = _new_user(applicant)
    user.is_staff = role in (Role.ADMIN, Role.EMPLOYEE)
    user.is_superuser = role == Role.ADMIN
    # Whoever may run commands on the server has looked at the address.
    user.email_verified_at = now()
    try:
        return _store_staff(user=user)
    except IntegrityError:
        refuse_taken(applicant)
        raise


@transactional
def _store_staff(*, user: User) -> User:
    user.save(force_insert=True)
    open_topic(user.topic)
    record_audit(
        actor_id=None,
        action="user.staff_created",
        target=f"user:{user.public_id}",
        details={"role": user.role},
    )
    return user
