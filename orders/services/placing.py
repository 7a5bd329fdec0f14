"""Orders are placed: stock is held and the order stored in one transaction, many buyers at once.

Requests that come while one commit runs are stored together by the next (`gathering.py`). Each is
accepted or refused by itself; where their transaction fails, each is tried alone.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from django.conf import settings
from django.db import DataError

from accounts.models import User
from marketplace.core.clock import now
from marketplace.core.context import request_id
from marketplace.core.counters import numbering
from marketplace.core.db import IntegrityError, has_transactions, in_transaction, run
from marketplace.core.errors import AppError, Unavailable
from marketplace.core.failpoints import reach
from marketplace.core.planned import send_on
from marketplace.core.questions import Question, ask, ask_all
from marketplace.core.rows import insert_rows, inserting_along, new_row
from marketplace.core.vendor import is_postgresql
from marketplace.events.record import NewEvent, insert, taking_seqs
from marketplace.events.record_along import is_undone, record_along
from orders import selectors
from orders.enums import PaymentFlow
from orders.events import ORDER_CREATED
from orders.models import Order, Reservation
from orders.payloads import created_event
from orders.pricing import Totals
from orders.services.announcing import told
from orders.services.drafting import Catalogue, Draft, checked, digest_of, which_offers_of
from orders.services.gathering import Gathering
from orders.services.making import make_order
from orders.wanted import NewOrder, ShippingAddress, WantedLine
from shops.selectors import Offer
from shops.services.inventory import StockLine, changes_to_come, holding, holding_along

ORDER_NUMBERS = "order"
FIRST_NUMBER = 10_001
KEY_KEPT_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True, eq=False)
class PlaceCommand:
    """A checked wish of one buyer; digest: under which it is one order, None = every time a new."""

    actor: User
    wanted: NewOrder
    digest: str | None = None
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read for some commands: answers to `which_offers_of` and `which_keys_are_used`.

    first_number: of numbers for all of them, if `numbers_ahead` was asked, too.
    """

    offers: Sequence[Offer]
    used: Collection[str]
    first_number: int | None = None


Outcome = Order | AppError


class Keeper(Protocol):
    """Stores more in the transaction that stores orders."""

    def prepare(self, commands: Sequence[PlaceCommand], outcomes: Sequence[Outcome]) -> None:
        """This is what comes of the commands, if it can be stored, but for the numbers of orders;
        nothing is locked yet.
        """

    def keep(self) -> None:
        """Store more; now the orders have their numbers."""


def place_order(*, actor: User, wanted: NewOrder, key: str | None = None) -> Order:
    """The actor has ordered this, at the prices of now; stock is held for it.

    key: the same wish again under it, within a day, gives the first order and does nothing.
    Raises ValidationFailed, ProductNotFound, SkuNotFound, OutOfStock with `items`, AddressNotFound,
    CartEmpty, UnsupportedPaymentFlow, CouponInvalid.
    """
    command = PlaceCommand(
        actor=actor,
        wanted=checked(actor=actor, wanted=wanted),
        digest=None if key is None else digest_of(actor_id=actor.public_id, wanted=wanted, key=key),
        request_id=request_id.get(),
    )
    return _gathering.submit(command)


def quote(*, actor: User, wanted: NewOrder) -> Totals:
    """What this would cost now; nothing is held or stored. Raises as `place_order`."""
    ready = checked(actor=actor, wanted=wanted)
    offers = ask(which_offers_of(ready.lines))
    return Catalogue(offers).draft(ready).totals


def place_orders(
    commands: Sequence[PlaceCommand], *, keeper: Keeper | None = None, seen: Seen | None = None
) -> list[Outcome]:
    """Store all of these, each accepted or refused by itself; the outcomes stand in their order.

    keeper: stores more, which is there if and only if the orders are. An IntegrityError that it
    raises comes out once its command stands alone. seen: what the caller has just read for all of
    these; whatever is tried again is read again.
    """
    store = _store_along if _goes_along() else _store
    first = [seen or _look(commands)]
    try:
        return run(lambda: store(commands, first.pop() if first else _look(commands), keeper))
    except AppError as error:
        if len(commands) == 1 or isinstance(error, Unavailable):
            return [error for _ in commands]
    except IntegrityError:
        # The same wish was stored at the same moment, or the very first number: now it is read.
        if in_transaction():
            raise
        if len(commands) == 1:
            return _place_again(commands, keeper)
    except DataError as error:
        if not is_undone(error):
            raise
        if len(commands) == 1:
            return _place_again(commands, keeper)
    return [place_orders([command], keeper=keeper)[0] for command in commands]


def _place_again(commands: Sequence[PlaceCommand], keeper: Keeper | None) -> list[Outcome]:
    """One that was undone, by the way that tells what is missing, if something is."""
    try:
        return run(lambda: _store(commands, _look(commands), keeper))
    except AppError as error:
        return [error]


def _look(commands: Sequence[PlaceCommand]) -> Seen:
    return Seen(
        *ask_all(
            which_offers_of(line for one in commands for line in one.wanted.lines),
            selectors.which_keys_are_used(
                [one.digest for one in commands if one.digest is not None]
            ),
        )
    )


def _store(commands: Sequence[PlaceCommand], seen: Seen, keeper: Keeper | None) -> list[Outcome]:
    """A fixed number of statements, however many they are and whatever is in them."""
    batch = _Batch(commands, seen)
    orders = batch.make_orders()
    outcomes = batch.outcomes(orders)
    if keeper is not None:
        keeper.prepare(commands, outcomes)
    with inserting_along():
        batch.free_old_keys()
        if orders:
            _number(orders, ask_all(ahead=_numbering(len(orders)))[0])
        events = batch.events(orders)
        # Where all is undone together, whatever does not need the stock's rows is written before
        # they are locked: others wait for so much less.
        if has_transactions():
            _insert(orders, keeper, at=batch.at)
        if orders:
            _hold(batch, orders, events)
        if not has_transactions():
            _insert(orders, keeper, at=batch.at)
        reach("before_commit")
    return outcomes


def _store_along(
    commands: Sequence[PlaceCommand], seen: Seen, keeper: Keeper | None
) -> list[Outcome]:
    """`_store` on PostgreSQL, which is kept at work meanwhile.

    Orders are inserted while the keeper writes, and stock is held at the very end, with the commit.
    Refuses without telling why.
    """
    batch = _Batch(commands, seen)
    orders = batch.make_orders()
    outcomes = batch.outcomes(orders)
    if orders:
        first = seen.first_number
        _number(orders, ask_all(ahead=_numbering(len(orders)))[0] if first is None else first)
    with inserting_along():
        batch.free_old_keys()
        if orders:
            _insert(orders, None, at=batch.at)
            change = holding_along(lines=batch.stock_lines(), products=batch.products())
            record_along(change, batch.events(orders), opening=[order.topic for order in orders])
            send_on()
        if keeper is not None:
            keeper.prepare(commands, outcomes)
            keeper.keep()
        reach("before_commit")
    return outcomes


class _Batch:
    """Commands, and what each comes to before the database has been asked for anything more."""

    def __init__(self, commands: Sequence[PlaceCommand], seen: Seen) -> None:
        self.at = now()
        known = selectors.find_by_keys(seen.used)
        # One that has had its day is free again.
        self._old = [
            order for order in known.values() if order.created_at <= self.at - KEY_KEPT_FOR
        ]
        old = {order.key for order in self._old}
        self._results = _results(commands, seen, {key: known[key] for key in known.keys() - old})
        self.drafts = [one for one in self._results if isinstance(one, Drafted)]

    def make_orders(self) -> list[Order]:
        """Those of the drafts, still without numbers."""
        return [
            make_order(
                actor=one.command.actor,
                wanted=one.command.wanted,
                key=one.command.digest,
                draft=one.draft,
                at=self.at,
            )
            for one in self.drafts
        ]

    def outcomes(self, orders: Sequence[Order]) -> list[Outcome]:
        """What comes of the commands, if these orders can be stored."""
        placed = iter(orders)
        return [next(placed) if isinstance(one, Drafted) else one for one in self._results]

    def free_old_keys(self) -> None:
        """Let others use the keys that have had their day."""
        if self._old:
            Order.objects.filter(id__in=[order.id for order in self._old]).update(key=None)

    def events(self, orders: Sequence[Order]) -> list[NewEvent]:
        """What has happened to these orders of the drafts."""
        return [
            event
            for order, one in zip(orders, self.drafts, strict=True)
            for event in _created(order, one.command)
        ]

    def stock_lines(self) -> list[StockLine]:
        """What all drafts take."""
        return [line for one in self.drafts for line in one.draft.stock_lines]

    def products(self) -> dict[UUID, UUID]:
        """The products of the skus."""
        return {offer.sku_id: offer.product_id for one in self.drafts for offer in one.draft.offers}


@dataclass(frozen=True, slots=True)
class Drafted:
    """A command that can become an order."""

    command: PlaceCommand
    draft: Draft


def _results(
    commands: Sequence[PlaceCommand], seen: Seen, known: Mapping[str, Order]
) -> list[Order | AppError | Drafted]:
    """What each comes to before the database has been asked for anything."""
    outcomes: list[Order | AppError | Drafted] = []
    catalogue = Catalogue(seen.offers)
    for command in commands:
        if command.digest is not None and command.digest in known:
            outcomes.append(known[command.digest])
            continue
        try:
            outcomes.append(Drafted(command, catalogue.draft(command.wanted)))
        except AppError as error:
            outcomes.append(error)
    return outcomes


def numbers_ahead(count: int) -> Question[int] | None:
    """Numbers for so many orders, to be asked ahead of what is read for them: a journey less.

    None where they come with the orders: there what is refused gives its number back.
    """
    return _numbering(count) if _goes_along() else None


def _goes_along() -> bool:
    return is_postgresql() and not in_transaction()


def _numbering(count: int) -> Question[int]:
    """On PostgreSQL nobody waits for the end of the transaction that takes these."""
    return numbering(ORDER_NUMBERS, count=count, first=FIRST_NUMBER)


def _number(orders: Sequence[Order], first: int) -> None:
    for place, order in enumerate(orders):
        order.number = first + place


def _insert(orders: Sequence[Order], keeper: Keeper | None, *, at: datetime) -> None:
    """Store the orders with all that is theirs, and what the caller keeps with them."""
    insert_rows(
        orders,
        [line for order in orders for line in order.all_lines],
        [part for order in orders for part in order.all_shop_orders],
        [
            new_row(
                Reservation,
                order_id=order.id,
                expires_at=_held_until(order),
                created_at=at,
                updated_at=at,
            )
            for order in orders
        ],
    )
    if keeper is not None:
        keeper.keep()


def _hold(batch: _Batch, orders: Sequence[Order], events: Sequence[NewEvent]) -> None:
    """Hold the stock and record what has happened. From here to the commit others wait."""
    held, seqs = ask_all(
        holding(lines=batch.stock_lines()),
        taking_seqs(
            [*changes_to_come(batch.products().values()), *events],
            opening=[order.topic for order in orders],
        ),
    )
    insert([*held, *events], seqs)


def _held_until(order: Order) -> datetime:
    on_delivery = order.payment_flow == PaymentFlow.ON_DELIVERY
    seconds = settings.REQUEST_TTL_S if on_delivery else settings.RESERVATION_TTL_S
    return order.created_at + timedelta(seconds=seconds)


def _created(order: Order, command: PlaceCommand) -> list[NewEvent]:
    return told(
        order,
        ORDER_CREATED,
        created_event(order),
        actor_id=command.actor.public_id,
        request_id=command.request_id,
    )


_gathering: Gathering[PlaceCommand, Order] = Gathering(place_orders)

__all__ = [
    "NewOrder",
    "PlaceCommand",
    "Seen",
    "ShippingAddress",
    "WantedLine",
    "numbers_ahead",
    "place_order",
    "place_orders",
    "quote",
]
