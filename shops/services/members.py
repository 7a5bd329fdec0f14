"""People begin and cease to work for a shop."""

from accounts.access import user_to_read
from accounts.models import User
from marketplace.core.db import IntegrityError, on_commit, transactional
from marketplace.core.errors import Forbidden, IllegalTransition, ValidationFailed
from marketplace.events import live
from marketplace.events.audit import record_audit
from marketplace.events.record import record
from shops import access, selectors
from shops.enums import ShopRole
from shops.errors import AlreadyMember, ShopMemberNotFound
from shops.models import Shop, ShopMember
from shops.payloads import member_event

GIVEN_ROLES = (ShopRole.MANAGER, ShopRole.STAFF)


def add_member(*, actor: User, key: str, user_id: str, role: str) -> ShopMember:
    """The user works for the shop. An owner takes managers and staff in, a manager staff.

    Raises ShopNotFound, Forbidden, UserNotFound, AlreadyMember, ValidationFailed for `role`.
    """
    try:
        return _add(actor=actor, key=key, user_id=user_id, role=role)
    except IntegrityError as error:
        raise AlreadyMember from error


@transactional
def _add(*, actor: User, key: str, user_id: str, role: str) -> ShopMember:
    shop = access.shop_to_serve(actor=actor, key=key, least=ShopRole.MANAGER)
    wanted = _role_to_give(actor=actor, shop=shop, role=role)
    user = user_to_read(actor=actor, public_id=user_id)
    if selectors.find_member(shop_id=shop.id, user=user) is not None:
        raise AlreadyMember
    member = ShopMember.objects.create(shop=shop, user=user, role=wanted)
    _tell(shop, "shop.member_added", member, actor=actor)
    return member


@transactional
def change_role(*, actor: User, key: str, user_id: str, role: str) -> ShopMember:
    """The person has this role in the shop from now on. For the owner.

    Raises ShopNotFound, Forbidden, ShopMemberNotFound, IllegalTransition for the owner himself.
    """
    shop = access.shop_to_serve(actor=actor, key=key, least=ShopRole.OWNER)
    wanted = _role_to_give(actor=actor, shop=shop, role=role)
    member = _member_of(shop=shop, user_id=user_id)
    if member.role == ShopRole.OWNER:
        raise IllegalTransition("A shop keeps its owner.")
    before, member.role = member.role, wanted
    if before != wanted:
        member.save(update_fields=["role"])
        _tell(shop, "shop.role_changed", member, actor=actor, previous_role=before)
    return member


@transactional
def remove_member(*, actor: User, key: str, user_id: str) -> None:
    """The person works for the shop no more, and his connections leave what he heard as its staff:
    its topic, its orders, their deliveries.

    Anybody may go himself; else one needs a higher role than his.
    Raises ShopNotFound, Forbidden, ShopMemberNotFound, IllegalTransition for the owner.
    """
    shop = access.shop_to_serve(actor=actor, key=key)
    own = user_id in ("me", actor.public_id)
    member = _member_of(shop=shop, user_id=actor.public_id if own else user_id)
    if member.role == ShopRole.OWNER:
        raise IllegalTransition("A shop keeps its owner.")
    rank = access.rank_in(actor=actor, shop_id=shop.id)
    if not own and rank <= access.RANKS[ShopRole(member.role)]:
        raise Forbidden
    gone, _ = ShopMember.objects.filter(id=member.id).delete()
    if not gone:
        raise ShopMemberNotFound
    _tell(shop, "shop.member_removed", member, actor=actor)
    public_id = member.user.public_id
    on_commit(lambda: live.publish_recheck(user_id=public_id))


def _role_to_give(*, actor: User, shop: Shop, role: str) -> ShopRole:
    if role not in GIVEN_ROLES:
        raise ValidationFailed.for_fields(
            {"role": [f"This must be one of {', '.join(GIVEN_ROLES)}."]}
        )
    wanted = ShopRole(role)
    if access.rank_in(actor=actor, shop_id=shop.id) <= access.RANKS[wanted]:
        raise Forbidden
    return wanted


def _member_of(*, shop: Shop, user_id: str) -> ShopMember:
    member = selectors.list_members(shop=shop).filter(user__public_id=user_id).first()
    if member is None:
        raise ShopMemberNotFound
    return member


def _tell(
    shop: Shop, event: str, member: ShopMember, *, actor: User, previous_role: str | None = None
) -> None:
    payload = member_event(member, actor_id=actor.public_id, previous_role=previous_role)
    record_audit(
        actor_id=actor.public_id,
        action=event,
        target=shop.topic,
        details={"user_id": member.user.public_id, "role": member.role},
    )
    record(shop.topic, event, payload, actor_id=actor.public_id)
