"""Proof of delivery: a photo, the customer's PIN, a signature; five wrong PINs lock it."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from accounts.models import User
from delivery.errors import DeliveryNotFound, ProofRequired
from delivery.models import Delivery
from delivery.services.moves import move_delivery
from delivery.services.proofs import Proof, add_proof
from delivery.tests.factories import bring
from delivery.tokens import pin_of
from marketplace.core.errors import (
    Forbidden,
    IllegalTransition,
    UnsupportedMediaType,
    ValidationFailed,
)
from marketplace.tests.cast import assert_events
from marketplace.tests.threads import together
from shops import storage


@pytest.fixture
def by_pin(moving: Delivery) -> Delivery:
    Delivery.objects.filter(id=moving.id).update(proof_kind="pin")
    return bring(moving, "arrived")


def wrong_pin(delivery: Delivery) -> str:
    return str((int(pin_of(delivery)) + 1) % 10_000).zfill(4)


def photo() -> BytesIO:
    return BytesIO(b"\x89PNG\r\n\x1a\n" + b"\0" * 64)


@pytest.mark.django_db
class TestProof:
    def test_is_a_link_and_a_signature(self, moving: Delivery, courier: User) -> None:
        with assert_events():
            proved = add_proof(
                actor=courier,
                delivery_id=moving.id,
                proof=Proof(photo_url="https://example.com/door.jpg", signed_by="  A.  Sha "),
            )

        assert (proved.photo_url, proved.signed_by) == ("https://example.com/door.jpg", "A. Sha")

    @pytest.mark.parametrize("url", ["javascript:alert(1)", "ftp://example.com/a", "door.jpg"])
    def test_is_no_other_kind_of_link(self, moving: Delivery, courier: User, url: str) -> None:
        with pytest.raises(ValidationFailed) as refusal:
            add_proof(actor=courier, delivery_id=moving.id, proof=Proof(photo_url=url))

        assert list(refusal.value.details["fields"]) == ["photo_url"]

    def test_is_a_photo_in_public_storage(
        self, moving: Delivery, courier: User, settings: Settings, tmp_path: object
    ) -> None:
        settings.DATA_DIR = tmp_path

        proved = add_proof(actor=courier, delivery_id=moving.id, proof=Proof(photo=photo()))

        name = storage.name_of(proved.photo_url)
        assert name is not None
        assert name.startswith(f"deliveries/{moving.id}/")
        assert storage.read(name) is not None

    def test_leaves_no_file_where_the_delivery_has_just_ended(
        self,
        moving: Delivery,
        courier: User,
        seller: User,
        settings: Settings,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        settings.DATA_DIR = tmp_path
        save = storage.save

        def save_and_be_late(*file: Any, **where: Any) -> str:
            bring(moving, "cancelled", actor=seller)
            return save(*file, **where)

        monkeypatch.setattr(storage, "save", save_and_be_late)

        with pytest.raises(IllegalTransition):
            add_proof(actor=courier, delivery_id=moving.id, proof=Proof(photo=photo()))

        assert [file for file in tmp_path.rglob("*") if file.is_file()] == []
        assert Delivery.objects.get(id=moving.id).photo_url == ""

    def test_has_a_name_of_a_length_that_names_have(self, moving: Delivery, courier: User) -> None:
        with pytest.raises(ValidationFailed) as refusal:
            add_proof(actor=courier, delivery_id=moving.id, proof=Proof(signed_by="A" * 151))

        assert list(refusal.value.details["fields"]) == ["signed_by"]

    def test_is_no_film(self, moving: Delivery, courier: User) -> None:
        film = BytesIO(b"\0\0\0\x18ftypmp42" + b"\0" * 32)

        with pytest.raises(UnsupportedMediaType):
            add_proof(actor=courier, delivery_id=moving.id, proof=Proof(photo=film))

    def test_is_something(self, moving: Delivery, courier: User) -> None:
        with pytest.raises(ValidationFailed):
            add_proof(actor=courier, delivery_id=moving.id, proof=Proof())

    def test_is_given_by_courier_and_staff_on_the_way(
        self, delivery: Delivery, buyer: User, stranger: User, courier: User, seller: User
    ) -> None:
        proof = Proof(signed_by="Asha")
        with pytest.raises(IllegalTransition):
            add_proof(actor=courier, delivery_id=delivery.id, proof=proof)
        bring(delivery, "in_transit")
        for who, refusal in [(buyer, Forbidden), (stranger, DeliveryNotFound)]:
            with pytest.raises(refusal):
                add_proof(actor=who, delivery_id=delivery.id, proof=proof)

        assert add_proof(actor=seller, delivery_id=delivery.id, proof=proof).signed_by == "Asha"


@pytest.mark.django_db
class TestPin:
    def test_opens_the_last_move(self, by_pin: Delivery, courier: User) -> None:
        done = move_delivery(
            actor=courier,
            delivery_id=by_pin.id,
            status="delivered",
            proof=Proof(pin=pin_of(by_pin)),
        )

        assert (done.status, done.pin_ok) == ("delivered", True)

    def test_is_counted_when_it_is_wrong(self, by_pin: Delivery, courier: User) -> None:
        reasons = []
        for _ in range(6):
            with assert_events(), pytest.raises(ProofRequired) as refusal:
                move_delivery(
                    actor=courier,
                    delivery_id=by_pin.id,
                    status="delivered",
                    proof=Proof(pin=wrong_pin(by_pin)),
                )
            reasons.append(refusal.value.details["reason"])
        assert reasons == ["pin_wrong"] * 5 + ["pin_locked"]

        # The right one comes too late.
        with pytest.raises(ProofRequired):
            add_proof(actor=courier, delivery_id=by_pin.id, proof=Proof(pin=pin_of(by_pin)))

        by_pin.refresh_from_db()
        assert (by_pin.status, by_pin.pin_ok) == ("arrived", False)

    def test_is_none_where_none_is_asked(self, moving: Delivery, courier: User) -> None:
        with pytest.raises(ValidationFailed):
            add_proof(actor=courier, delivery_id=moving.id, proof=Proof(pin="1234"))

    def test_is_another_for_each_delivery(self) -> None:
        pins = {pin_of(Delivery()) for _ in range(50)}

        assert len(pins) > 40
        assert all(len(pin) == 4 and pin.isdecimal() for pin in pins)


@pytest.mark.django_db(transaction=True)
@pytest.mark.transactions
def test_tries_at_once_are_no_more_than_five(by_pin: Delivery, courier: User) -> None:
    def guess() -> str:
        try:
            add_proof(actor=courier, delivery_id=by_pin.id, proof=Proof(pin=wrong_pin(by_pin)))
        except ProofRequired as refusal:
            return str(refusal.details["reason"])
        return "right"

    outcomes = together(*[guess] * 8)

    assert sorted(outcomes) == ["pin_locked"] * 3 + ["pin_wrong"] * 5
