"""Storefront's way to order (SF18), many orders by one transaction.

The answer under an `Idempotency-Key` is stored by the transaction that stores its order. Whatever
is not a first, well-formed request of somebody who is signed in goes Django's way, which knows all
about repeated and refused ones.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from accounts.authentication import bearer_token
from accounts.models import User
from accounts.services import sessions, tokens
from accounts.services.tokens import Claims
from marketplace.compat.storefront_orders import names_of, storefront_orders
from marketplace.core.db import IntegrityError
from marketplace.core.errors import AppError, Unavailable
from marketplace.core.idempotency import (
    KeptAnswer,
    checked_key,
    is_kept,
    keep_all,
    scope_of,
    which_are_claimed,
)
from marketplace.core.inputs import read_id
from marketplace.core.jsontext import read_json, write_json
from marketplace.core.questions import ask_all
from marketplace.fastpath.requests import FastAnswer, FastRequest, LeaveToDjango, Outcome
from marketplace.fastpath.routes import FastRoute
from orders.models import Order
from orders.selectors import which_keys_are_used
from orders.serializers import CreateOrderInput, wanted_order
from orders.services.drafting import LINES, QUANTITY, checked, digest_of, which_offers_of
from orders.services.placing import PlaceCommand, Seen, numbers_ahead, place_orders
from orders.wanted import NewOrder, WantedLine

CREATED = 201


@dataclass(slots=True, eq=False)
class Asked:
    """A well-formed request of somebody whose token is good, before the database has been asked."""

    request: FastRequest
    claims: Claims
    wanted: NewOrder
    digest: str | None
    scope: str | None


@dataclass(slots=True, eq=False)
class Wish:
    """A request that may become an order; outcome and answer: of the last try to store it."""

    request: FastRequest
    command: PlaceCommand
    scope: str | None
    outcome: Order | AppError | None = None
    answer: FastAnswer | None = None


def place(requests: Sequence[FastRequest]) -> list[Outcome]:
    """An order for each; none of them is counted or stored that is left to Django."""
    answers: dict[FastRequest, Outcome] = {request: LeaveToDjango() for request in requests}
    wishes: dict[PlaceCommand, Wish] = {}
    asked = [one for request in requests if (one := _read(request)) is not None]
    if not asked:
        return list(answers.values())
    try:
        speakers, claimed, seen = _look(asked)
        for wish in _wishes(asked, speakers, claimed):
            try:
                PLACE.count(wish.request)
                wishes[wish.command] = wish
            except AppError as error:
                answers[wish.request] = error
        outcomes = place_orders(list(wishes), keeper=_Answers(wishes), seen=seen) if wishes else []
    except IntegrityError:
        if len(requests) > 1:
            raise
        # The same request came twice at the same moment: Django finds what the first one got. Or
        # it was the very first number, which comes with the next try.
        return [LeaveToDjango()]
    for wish, outcome in zip(wishes.values(), outcomes, strict=True):
        if isinstance(outcome, Unavailable):
            answers[wish.request] = outcome
        elif outcome is wish.outcome and wish.answer is not None:
            answers[wish.request] = wish.answer
    return [answers[request] for request in requests]


# --- before -------------------------------------------------------------------------------------


def _read(request: FastRequest) -> Asked | None:
    """What a request says by itself; None where something is wrong with it, which Django tells."""
    claims = _claims(request)
    if claims is None:
        return None
    try:
        key = checked_key(request.headers.get("idempotency-key"))
        wanted = read_order(request.body)
    except AppError:
        return None
    if key is None:
        return Asked(request, claims, wanted, digest=None, scope=None)
    caller = request.caller_of(claims.user_id)
    return Asked(
        request,
        claims,
        wanted,
        digest=digest_of(actor_id=claims.user_id, wanted=wanted, key=key),
        scope=scope_of(caller=caller, method="POST", path=request.path, key=key),
    )


def _look(asked: Sequence[Asked]) -> tuple[Mapping[UUID, User], set[str], Seen]:
    """Everything that is to be read for all of these: who they are, used keys, offers, numbers."""
    numbers = numbers_ahead(len(asked))
    found = ask_all(
        sessions.who_speak({one.claims.session_id for one in asked if one.claims.session_id}),
        which_are_claimed([one.scope for one in asked if one.scope is not None]),
        which_offers_of(line for one in asked for line in one.wanted.lines),
        which_keys_are_used([one.digest for one in asked if one.digest is not None]),
        ahead=numbers,
    )
    first_number = None if numbers is None else found.pop(0)
    speakers, claimed, offers, used = found
    return speakers, claimed, Seen(offers, used, first_number)


def _wishes(
    asked: Sequence[Asked], speakers: Mapping[UUID, User], claimed: set[str]
) -> Iterator[Wish]:
    """Those of a living session, under a key that nobody has used."""
    for one in asked:
        user = sessions.speaker(one.claims, speakers)
        if not isinstance(user, User):
            continue
        one.request.user = user
        if one.scope is not None:
            if one.scope in claimed:
                continue
            claimed.add(one.scope)
        try:
            wanted = checked(actor=user, wanted=one.wanted)
        except AppError:
            continue
        command = PlaceCommand(user, wanted, digest=one.digest, request_id=one.request.id)
        yield Wish(one.request, command, one.scope)


def _claims(request: FastRequest) -> Claims | None:
    token = bearer_token(request.headers.get("authorization", ""))
    try:
        return tokens.read_access(token) if token else None
    except AppError:
        return None


def read_order(body: bytes) -> NewOrder:
    """The order that a body wants. Raises MalformedRequest, ValidationFailed."""
    values = read_json(body)
    lines = plain_lines(values)
    return wanted_order(CreateOrderInput.read(values)) if lines is None else NewOrder(lines=lines)


def plain_lines(values: object) -> list[WantedLine] | None:
    """The lines of a body that says nothing but ids and quantities, as most do.

    None for any other, which `CreateOrderInput` reads, or refuses in words; this is only quicker.
    """
    if not isinstance(values, dict) or values.keys() != {"items"}:
        return None
    items = values["items"]
    if not isinstance(items, list) or not 0 < len(items) <= LINES:
        return None
    lines = []
    for item in items:
        if not isinstance(item, dict):
            return None
        quantity = item.get("quantity")
        if type(quantity) is not int or not 0 < quantity <= QUANTITY:
            return None
        product_id, sku_id = read_id(item.get("product_id")), read_id(item.get("sku_id"))
        # Nothing else is said, and nothing that is no id.
        if len(item) != 1 + (product_id is not None) + (sku_id is not None):
            return None
        lines.append(WantedLine(quantity, product_id, sku_id))
    return lines


# --- after --------------------------------------------------------------------------------------


class _Answers:
    """Writes the answers and stores those of requests with a key. wishes: by their commands."""

    def __init__(self, wishes: Mapping[PlaceCommand, Wish]) -> None:
        self._wishes = wishes
        self._placed: list[tuple[Wish, Order, dict[str, Any]]] = []
        self._tried: list[Wish] = []

    def prepare(
        self, commands: Sequence[PlaceCommand], outcomes: Sequence[Order | AppError]
    ) -> None:
        """Write the answers of these, as far as they are known."""
        self._placed, self._tried = [], [self._wishes[command] for command in commands]
        bodies = iter(storefront_orders([one for one in outcomes if isinstance(one, Order)]))
        for wish, outcome in zip(self._tried, outcomes, strict=True):
            wish.outcome = outcome
            if isinstance(outcome, Order):
                self._placed.append((wish, outcome, next(bodies)))
            else:
                wish.answer = PLACE.refusal(wish.request, outcome)

    def keep(self) -> None:
        """Write the numbers, too, and store the answers."""
        for wish, order, body in self._placed:
            wish.answer = FastAnswer(CREATED, write_json(body | names_of(order.number)))
        keep_all(list(_to_keep(self._tried)))


def _to_keep(wishes: Sequence[Wish]) -> Iterator[KeptAnswer]:
    """The final answers of those who sent a key."""
    for wish in wishes:
        answer, scope = wish.answer, wish.scope
        error = wish.outcome if isinstance(wish.outcome, AppError) else None
        if answer is not None and scope is not None and is_kept(answer.status, error):
            yield KeptAnswer(
                scope=scope,
                body_hash=hashlib.sha256(wish.request.body).hexdigest(),
                status=answer.status,
                content_type=answer.content_type,
                body=answer.body,
            )


PLACE = FastRoute("POST", "/api/orders", place, longest_gather_s=0.02)
