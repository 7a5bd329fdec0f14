"""Links without a sign-in: not to be guessed, with few fields, and with an end."""

import random
import string
from datetime import timedelta
from itertools import pairwise

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import User
from delivery import access
from delivery.errors import DeliveryNotFound
from delivery.models import Delivery
from delivery.services.tracking import find_by_token, renew_link
from delivery.tests.factories import away, bring, fix, send
from delivery.tokens import TOKEN_FORM, hash_of, new_token, token_of
from marketplace.core.clock import now
from marketplace.core.errors import Conflict, IllegalTransition, RateLimited
from marketplace.events.audit import list_audit
from marketplace.tests.cast import assert_events, assert_queries, signed_in

ADDRESS = "192.0.2.7"
LETTERS = string.ascii_letters + string.digits + "-_"


def guessed(chance: random.Random) -> str:
    return "".join(chance.choice(LETTERS) for _ in range(32))


class TestTokens:
    def test_are_192_bits_without_a_shared_beginning(self) -> None:
        tokens = sorted(new_token(Delivery()) for _ in range(1000))

        assert all(TOKEN_FORM.fullmatch(token) for token in tokens)
        assert len(set(tokens)) == 1000
        shared = max(
            next(n for n in range(32) if one[n] != other[n]) for one, other in pairwise(tokens)
        )
        assert shared < 7

    def test_follow_from_the_id_and_the_number(self) -> None:
        one = Delivery()
        other = Delivery(id=one.id, token_number=2)

        assert new_token(one) == new_token(Delivery(id=one.id))
        assert new_token(one) != new_token(other)


@pytest.mark.django_db
class TestFindByToken:
    def test_leads_to_its_delivery(self, delivery: Delivery) -> None:
        token = token_of(delivery)
        assert token is not None

        with assert_queries(1):
            found = find_by_token(token, ADDRESS)

        assert found.id == delivery.id

    def test_is_stored_as_its_hash_alone(self, delivery: Delivery) -> None:
        token = token_of(delivery)

        assert token is not None
        assert delivery.token_hash == hash_of(token)
        assert token not in str(Delivery.objects.values().get())

    def test_cannot_be_shown_under_another_key_and_still_works(
        self, delivery: Delivery, settings: Settings
    ) -> None:
        token = token_of(delivery)
        assert token is not None
        settings.SECRET_KEY = "another"

        assert token_of(delivery) is None
        assert find_by_token(token, ADDRESS).id == delivery.id

    @pytest.mark.parametrize("status", ["delivered", "cancelled"])
    def test_ends_a_day_after_the_last_state(
        self, delivery: Delivery, seller: User, status: str
    ) -> None:
        token = str(token_of(delivery))
        way = ["in_transit", "arrived", "delivered"] if status == "delivered" else ["cancelled"]
        bring(delivery, *way, actor=seller)
        ended = Delivery.objects.filter(id=delivery.id)
        ended.update(ended_at=now() - timedelta(hours=23, minutes=59))
        assert find_by_token(token, ADDRESS).status == status

        ended.update(ended_at=now() - timedelta(hours=24, seconds=1))

        with pytest.raises(DeliveryNotFound):
            find_by_token(token, ADDRESS)

    def test_guesses_find_nothing_and_are_limited(
        self, delivery: Delivery, one_window: None
    ) -> None:
        chance = random.Random(7)
        outcomes = []
        for number in range(400):
            guess = guessed(chance) if number % 10 else "x"
            try:
                find_by_token(guess, ADDRESS)
                outcomes.append("found")
            except DeliveryNotFound:
                outcomes.append("missed")
            except RateLimited:
                outcomes.append("limited")

        assert outcomes == ["missed"] * 30 + ["limited"] * 370
        # Whoever guesses is not let in by luck either; others are.
        token = str(token_of(delivery))
        with pytest.raises(RateLimited):
            find_by_token(token, ADDRESS)
        assert find_by_token(token, "192.0.2.8").id == delivery.id


@pytest.mark.django_db
class TestRenewLink:
    def test_ends_the_one_before(self, delivery: Delivery, seller: User) -> None:
        old = str(token_of(delivery))

        with assert_events():
            answer = signed_in(seller).post(f"/api/v1/deliveries/{delivery.id}/tracking-link")

        new = answer.json()["tracking_token"]
        assert answer.status_code == 200
        assert new != old
        assert find_by_token(new, ADDRESS).id == delivery.id
        with pytest.raises(DeliveryNotFound):
            find_by_token(old, ADDRESS)
        [entry] = list_audit(action="delivery.link_renewed")
        assert (entry.actor_id, entry.target) == (seller.public_id, f"delivery:{delivery.id}")
        assert new not in str(entry.details)

    def test_gives_a_link_again_after_a_change_of_the_key(
        self, delivery: Delivery, admin: User, settings: Settings
    ) -> None:
        old = str(token_of(delivery))
        settings.SECRET_KEY = "another"

        renewed = renew_link(actor=admin, delivery_id=delivery.id)

        assert find_by_token(str(token_of(renewed)), ADDRESS).id == delivery.id
        with pytest.raises(DeliveryNotFound):
            find_by_token(old, ADDRESS)

    def test_is_refused_where_the_link_has_ended(self, delivery: Delivery, seller: User) -> None:
        bring(delivery, "cancelled", actor=seller)
        Delivery.objects.update(ended_at=now() - timedelta(hours=25))

        with pytest.raises(IllegalTransition):
            renew_link(actor=seller, delivery_id=delivery.id)

        assert Delivery.objects.get().token_number == 1
        assert not list_audit(action="delivery.link_renewed").exists()

    def test_of_two_at_once_the_second_is_refused(
        self, delivery: Delivery, seller: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = [Delivery.objects.get(id=delivery.id) for _ in range(2)]
        monkeypatch.setattr(access, "delivery_to_run", lambda **_asked: seen.pop())

        renew_link(actor=seller, delivery_id=delivery.id)
        with pytest.raises(Conflict):
            renew_link(actor=seller, delivery_id=delivery.id)

        assert Delivery.objects.get().token_number == 2
        assert list_audit(action="delivery.link_renewed").count() == 1


@pytest.mark.django_db
class TestTrackRoute:
    def test_tells_these_keys_and_no_other(
        self, moving: Delivery, guest: APIClient, no_limit: None
    ) -> None:
        token = token_of(moving)
        send(moving, fix(away(612.34), now(), speed_mps=10.0))

        answer = guest.get(f"/api/v1/track/{token}")

        body = answer.json()
        assert answer.status_code == 200
        assert set(body) == {
            "status", "courier_name", "location", "eta", "delivered_at", "created_at",
            "updated_at",
        }  # fmt: skip
        assert set(body["location"]) == {"latitude", "longitude", "recorded_at"}
        assert set(body["eta"]) == {
            "eta_seconds", "eta_at", "low_seconds", "high_seconds", "distance_m", "reason",
        }  # fmt: skip
        assert (body["status"], body["courier_name"]) == ("in_transit", "Dmitri")
        assert body["location"]["latitude"] == round(away(612.34)[0], 4)
        assert (body["eta"]["eta_seconds"], body["eta"]["distance_m"]) == (80, 610)
        text = answer.content.decode()
        for secret in (
            moving.customer.public_id,
            moving.customer.phone_number,
            "5 Lamp Street",
            "+1555",
            str(moving.shop_id),
            str(moving.courier and moving.courier.public_id),
        ):
            assert str(secret) not in text

    def test_answers_wrong_and_ended_links_alike(
        self, delivery: Delivery, guest: APIClient, seller: User
    ) -> None:
        token = token_of(delivery)
        bring(delivery, "cancelled", actor=seller)
        Delivery.objects.update(ended_at=now() - timedelta(hours=25))

        answers = [guest.get(f"/api/v1/track/{key}") for key in (token, "A" * 32, "x", delivery.id)]

        assert {answer.status_code for answer in answers} == {404}
        bodies = [answer.json() for answer in answers]
        assert {body["code"] for body in bodies} == {"delivery_not_found"}
        assert len({body["detail"] for body in bodies}) == 1

    def test_limits_guesses_by_address(self, guest: APIClient, db: None, one_window: None) -> None:
        chance = random.Random(8)

        statuses = [guest.get(f"/api/v1/track/{guessed(chance)}").status_code for _ in range(35)]

        assert statuses == [404] * 30 + [429] * 5

    def test_needs_no_sign_in_and_changes_nothing(
        self, delivery: Delivery, guest: APIClient
    ) -> None:
        token = token_of(delivery)

        assert guest.get(f"/api/v1/track/{token}").status_code == 200
        assert guest.post(f"/api/v1/track/{token}", {}).status_code == 405
