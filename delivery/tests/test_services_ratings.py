"""The customer's word on a delivery: once, after it was delivered, of a bounded length."""

import pytest

from accounts.models import User
from delivery.models import Delivery
from delivery.services.ratings import rate_delivery
from delivery.tests.factories import bring
from marketplace.core.errors import IllegalTransition, ValidationFailed


@pytest.mark.django_db
class TestRateDelivery:
    def test_refuses_a_comment_that_is_too_long(self, moving: Delivery, buyer: User) -> None:
        bring(moving, "arrived", "delivered")

        with pytest.raises(ValidationFailed) as refusal:
            rate_delivery(actor=buyer, delivery_id=str(moving.id), score=5, comment="x" * 501)

        assert list(refusal.value.details["fields"]) == ["comment"]
        assert Delivery.objects.get().rating is None

    def test_takes_none_before_it_is_there(self, moving: Delivery, buyer: User) -> None:
        with pytest.raises(IllegalTransition):
            rate_delivery(actor=buyer, delivery_id=str(moving.id), score=5)

        assert Delivery.objects.get().rating is None
