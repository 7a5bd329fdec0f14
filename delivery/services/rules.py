"""What a shop asks of its deliveries from now on."""

from accounts.models import User
from delivery.enums import ProofKind
from delivery.models import ShopRules
from marketplace.core.clock import now
from marketplace.core.db import IntegrityError, in_transaction, transactional
from marketplace.events.audit import record_audit
from shops.access import shop_to_serve
from shops.enums import ShopRole


def set_proof(*, actor: User, shop_id: str, proof_kind: str) -> ProofKind:
    """The shop asks for this proof at the door; deliveries that there are keep what they have.

    For its owner and managers, and admins. Raises ShopNotFound, Forbidden.
    """
    try:
        return _set(actor=actor, shop_id=shop_id, wanted=ProofKind(proof_kind))
    except IntegrityError:
        if in_transaction():
            raise
        # Somebody else has just made the shop's row: now there is one to change.
        return _set(actor=actor, shop_id=shop_id, wanted=ProofKind(proof_kind))


@transactional
def _set(*, actor: User, shop_id: str, wanted: ProofKind) -> ProofKind:
    shop = shop_to_serve(actor=actor, key=shop_id, least=ShopRole.MANAGER)
    rules = ShopRules.objects.filter(shop=shop)
    if not rules.update(proof_kind=wanted.value, updated_at=now()):
        ShopRules.objects.create(shop=shop, proof_kind=wanted.value)
    record_audit(
        actor_id=actor.public_id,
        action="shop.proof_changed",
        target=shop.topic,
        details={"proof_kind": wanted.value},
    )
    return wanted
