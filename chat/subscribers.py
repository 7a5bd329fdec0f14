"""What happens elsewhere and concerns rooms, or people who are to be told."""

from accounts.selectors import find_users
from chat.enums import RoomKind
from chat.models import Room
from chat.services.members import add_member, remove_member
from chat.services.notices import notices_of_delivery, notices_of_order
from chat.services.notifications import notify_all
from chat.services.rooms import shop_key
from marketplace.core.inputs import read_id
from marketplace.events.models import Event
from marketplace.events.subscribe import subscribes
from shops.selectors import who_works_where


@subscribes(
    subscriber="shop_rooms",
    names=("shop.member_added", "shop.member_removed"),
    topics="shop:",
    from_now=True,
    alone=True,
)
def keep_staff_in_rooms(events: list[Event]) -> None:
    """Who works for a shop is in its rooms, who does no more is not; as it stands now."""
    changed = {(read_id(one.payload["shop_id"]), one.payload["user_id"]) for one in events}
    [shop_id] = {key for key, _ in changed}
    if shop_id is None:
        return
    users = find_users({user_id for _, user_id in changed})
    works = who_works_where(shop_ids=[shop_id], users=users.values())
    rooms = Room.objects.filter(kind=RoomKind.SHOP, natural_key__startswith=shop_key(shop_id))
    for room in rooms.order_by("id"):
        for _, user in sorted(users.items()):
            # In the room that he opened himself he stays, whatever he becomes.
            if user.pk == room.owner_id:
                continue
            if (shop_id, user.pk) in works:
                add_member(room=room, user=user)
            else:
                remove_member(room=room, user=user)


@subscribes(
    subscriber="delivery_notices",
    names=("delivery.status_changed", "delivery.milestone"),
    topics="delivery:",
    from_now=True,
)
def tell_of_delivery(events: list[Event]) -> None:
    """Customer and courier are told how it goes."""
    notify_all(notices_of_delivery(events))


@subscribes(
    subscriber="order_notices",
    names=("order.created", "order.status_changed"),
    topics="order:",
    from_now=True,
)
def tell_of_order(events: list[Event]) -> None:
    """The shop's people are told of a new order, its buyer of what becomes of it."""
    notify_all(notices_of_order(events))
