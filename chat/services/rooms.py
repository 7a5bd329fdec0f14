"""Rooms come into being."""

from uuid import UUID

from accounts.models import User
from chat.enums import RoomKind, RoomRole
from chat.errors import UserNotFound
from chat.models import Member, Room
from chat.payloads import room_event
from marketplace.core.clock import now
from marketplace.core.db import IntegrityError, atomic, run
from marketplace.core.errors import ValidationFailed
from marketplace.core.text import clean_text
from marketplace.events.record import open_topic, record
from shops.access import shop_to_read
from shops.selectors import list_members as list_staff

FIRST_MEMBERS = 10
TITLE_CHARACTERS = 100
SHOP_SUBJECT = "shop"


def create_room(
    *,
    actor: User,
    kind: str,
    member_ids: list[str] | None = None,
    title: str = "",
    is_public: bool = False,
    subject_type: str = "",
    subject_id: str = "",
    shop_id: str = "",
) -> tuple[Room, bool]:
    """The room, and whether it is new: all but groups exist once per pair, person or shop.

    member_ids: public ids; a direct room takes exactly one other person. shop_id: of a shop room,
    an id or `shop_<number>`. Raises UserNotFound, ShopNotFound, ValidationFailed.
    """
    if kind == RoomKind.DIRECT:
        other = _the_other_person(actor=actor, member_ids=member_ids or [])
        return open_direct_room(
            actor=actor, other=other, subject_type=subject_type, subject_id=subject_id
        )
    if kind == RoomKind.ASSISTANT:
        return open_assistant_room(actor=actor, subject_id=subject_id)
    if kind == RoomKind.SHOP:
        return open_shop_room(actor=actor, shop_id=shop_id)
    if kind == RoomKind.GROUP:
        if member_ids:
            raise ValidationFailed.for_fields(
                {"member_ids": ["Members of a group are invited; leave this out."]}
            )
        return create_group(owner=actor, title=title, is_public=is_public), True
    raise ValidationFailed.for_fields({"kind": [f"Rooms of kind {kind} are not made here."]})


def _the_other_person(*, actor: User, member_ids: list[str]) -> User:
    others = sorted(set(member_ids))
    if len(others) != 1:
        raise ValidationFailed.for_fields({"member_ids": ["Name exactly one other person."]})
    if others[0] == actor.public_id:
        raise ValidationFailed.for_fields({"member_ids": ["Name somebody other than yourself."]})
    other = User.objects.filter(public_id=others[0], is_active=True).first()
    if other is None:
        raise UserNotFound
    return other


def open_direct_room(
    *, actor: User, other: User, subject_type: str = "", subject_id: str = ""
) -> tuple[Room, bool]:
    """The one room of these two about this subject, made if there is none; whether it is new."""
    pair = ":".join(sorted([str(actor.id), str(other.id)]))
    # The length keeps ("a:b", "c") and ("a", "b:c") apart.
    room = Room(
        kind=RoomKind.DIRECT,
        natural_key=f"direct:{pair}:{len(subject_type)}:{subject_type}:{subject_id}",
        subject_type=subject_type,
        subject_id=subject_id,
    )
    return _open_once(
        room, actor=actor, people=[(actor, RoomRole.MEMBER), (other, RoomRole.MEMBER)]
    )


def open_assistant_room(*, actor: User, subject_id: str = "") -> tuple[Room, bool]:
    """The person's own room with the assistant, one per subject; and whether it is new."""
    room = Room(
        kind=RoomKind.ASSISTANT,
        natural_key=f"assistant:{actor.id}:{subject_id}",
        subject_id=subject_id,
        owner=actor,
    )
    return _open_once(room, actor=actor, people=[(actor, RoomRole.OWNER)])


def open_shop_room(*, actor: User, shop_id: str) -> tuple[Room, bool]:
    """The one room of this person and the people of this shop; and whether it is new.

    Who begins or ceases to work for the shop follows: `chat/subscribers.py`.
    Raises ShopNotFound; ValidationFailed under `shop_id` for the shop's own people.
    """
    if not shop_id:
        raise ValidationFailed.for_fields({"shop_id": ["Name the shop."]})
    shop = shop_to_read(shop_id)
    staff = [member.user for member in list_staff(shop=shop)]
    if actor in staff:
        raise ValidationFailed.for_fields({"shop_id": ["This is your own shop."]})
    room = Room(
        kind=RoomKind.SHOP,
        title=shop.name,
        natural_key=f"{shop_key(shop.id)}{actor.id}",
        subject_type=SHOP_SUBJECT,
        subject_id=str(shop.id),
        owner=actor,
    )
    people = [(actor, RoomRole.OWNER), *((user, RoomRole.MEMBER) for user in staff)]
    return _open_once(room, actor=actor, people=people)


def shop_key(shop_id: UUID | str) -> str:
    """How the natural keys of all rooms of this shop begin."""
    return f"shop:{shop_id}:"


def create_group(
    *, owner: User, title: str, is_public: bool = False, members: list[User] | None = None
) -> Room:
    """A new group with its owner and these members. Raises ValidationFailed for its title."""
    title = clean_text(title.strip(), field="title")
    if not 1 <= len(title) <= TITLE_CHARACTERS:
        raise ValidationFailed.for_fields(
            {"title": [f"A group's title has 1 to {TITLE_CHARACTERS} characters."]}
        )
    people = [(owner, RoomRole.OWNER), *((user, RoomRole.MEMBER) for user in members or [])]

    def attempt() -> Room:
        with atomic():
            return _make(
                Room(kind=RoomKind.GROUP, title=title, is_public=is_public, owner=owner),
                actor=owner,
                people=people,
            )

    return run(attempt)


def _open_once(
    room: Room, *, actor: User, people: list[tuple[User, RoomRole]]
) -> tuple[Room, bool]:
    def attempt() -> tuple[Room, bool]:
        found = Room.objects.filter(natural_key=room.natural_key).select_related("owner").first()
        if found is not None:
            return found, False
        with atomic():
            return _make(room, actor=actor, people=people), True

    try:
        return run(attempt)
    except IntegrityError:
        # Somebody opened it at the same moment: the unique key decided, and his room is ours.
        return Room.objects.select_related("owner").get(natural_key=room.natural_key), False


def _make(room: Room, *, actor: User, people: list[tuple[User, RoomRole]]) -> Room:
    at = now()
    members = [
        Member(room=room, user=user, role=role, joined_at=at, created_at=at, updated_at=at)
        for user, role in people
    ]
    room.created_at = room.updated_at = room.active_at = at
    room.member_count = len(members)
    room.first_members = [str(member.id) for member in members[:FIRST_MEMBERS]]
    room.save(force_insert=True)
    Member.objects.bulk_create(members)
    open_topic(room.topic)
    record(
        room.topic,
        "room.created",
        room_event(room, members, actor_id=actor.public_id),
        actor_id=actor.public_id,
    )
    return room
