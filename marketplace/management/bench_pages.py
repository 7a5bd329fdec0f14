"""Every list that the project has, as the benchmark of lists asks for it.

A test compares this with the routes and the admin: a list that is not named here is found there.
"""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore

from accounts.enums import Role
from accounts.models import User
from accounts.services import tokens
from marketplace.core.clock import now
from marketplace.management.bench_history import Market
from marketplace.management.commands.bench_clients import ensure_people, ensure_sessions

ADMIN_SET = "bench_admin"
SESSION_DAYS = 1

# How pages follow each other: by `next_cursor`, by `before_seq`, by `after`, by `page`, by `p`;
# `whole` is one answer.
CURSOR, SEQ, EVENTS, PAGE, ADMIN, WHOLE = "cursor", "seq", "events", "page", "admin", "whole"

# What is typed into the search of each admin page: the dearest form that it has.
SEARCHES = {
    "accounts.authsession": "bench_reader_1@example.com",
    "accounts.user": "bench_reader_1",
    "chat.member": "bench_reader_1",
    "chat.message": "lamp chair",
    "chat.notification": "bench_seller_0",
    "chat.room": "bench_reader",
    "core.idempotencykey": "bench_lists:7",
    "core.job": "offer",
    "delivery.courier": "bench_courier_1",
    "delivery.delivery": "bench_reader_1",
    "delivery.offer": "bench_courier_1@example.com",
    "delivery.shoprules": "benchmark 1",
    "events.auditentry": "user.changed",
    "events.event": "message.sent",
    "events.position": "order_copies",
    "events.topichead": "room:",
    "orders.order": "bench_reader_0",
    "orders.payment": "bench_reader_0@example.com",
    "shops.product": "red",
    "shops.shop": "benchmark 1",
    "shops.shopmember": "benchmark 1",
}
# One filter of each, which most of the rows pass.
FILTERS = {
    "accounts.authsession": "state=alive",
    "accounts.user": "role__exact=user",
    "chat.member": "room__kind__exact=group",
    "chat.message": "room__kind__exact=group",
    "chat.notification": "type__exact=order_created",
    "chat.room": "kind__exact=group",
    "core.idempotencykey": "answered=yes",
    "core.job": "state__exact=done",
    "delivery.courier": "duty=off",
    "delivery.delivery": "status=delivered",
    "delivery.offer": "status=accepted",
    "delivery.shoprules": "proof_kind=photo",
    "events.auditentry": "action=user.changed",
    "events.event": "name=message.sent",
    "events.position": "parked=no",
    "events.topichead": "subscribers_pending__exact=0",
    "orders.order": "status__exact=pending",
    "orders.payment": "status__exact=pending",
    "shops.product": "status__exact=published",
    "shops.shop": "state=open",
    "shops.shopmember": "role__exact=staff",
}


@dataclass(frozen=True, slots=True)
class Listing:
    """One list: how its pages follow, its name, its address, who asks as one header line."""

    kind: str
    name: str
    path: str
    header: str = "-"


def every_list(market: Market) -> list[Listing]:
    """The lists of the REST API, of Storefront, and of the admin."""
    boss = _administrator()
    return [*_rest(market, boss), *_storefront(market), *_admin(boss)]


def _administrator() -> User:
    [user] = ensure_people(set_name=ADMIN_SET, count=1)
    # With an e-mail address, as everybody has who signs in to the admin.
    User.objects.filter(pk=user.pk).update(
        role=Role.ADMIN, is_staff=True, is_superuser=True, email=f"{user.username}@example.com"
    )
    return User.objects.get(pk=user.pk)


def _bearer(user: User) -> str:
    session = ensure_sessions(people=[user])[user.pk]
    # As the sign-in itself signed it: no token outlives its session.
    return f"Authorization: Bearer {tokens.issue(user, session, issued_at=session.created_at)}"


def _cookie(user: User) -> str:
    """What a sign-in to the admin leaves in the browser."""
    store = SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.set_expiry(now() + timedelta(days=SESSION_DAYS))
    store.save()
    return f"Cookie: {settings.SESSION_COOKIE_NAME}={store.session_key}"


def _rest(market: Market, boss: User) -> list[Listing]:
    reader, seller, admin_ = _bearer(market.reader), _bearer(market.seller), _bearer(boss)
    [room] = market.reader.memberships.order_by("joined_at", "id").values_list("room_id")[0]
    asked = [
        (CURSOR, "users/me/addresses", reader),
        (WHOLE, "jobs", admin_),
        (CURSOR, "jobs/dead", admin_),
        (CURSOR, "ops/topics", admin_),
        (CURSOR, "audit", admin_),
        (EVENTS, f"topics/room:{room}/events", reader),
        (WHOLE, "chat/unread", reader),
        (CURSOR, "chat/rooms", reader),
        (CURSOR, f"chat/rooms/{room}/members", reader),
        (SEQ, f"chat/rooms/{room}/messages", reader),
        (CURSOR, "shops", "-"),
        (CURSOR, "shops?mine=true", seller),
        (CURSOR, f"shops/{market.shop.id}/members", seller),
        (CURSOR, f"shops/{market.shop.id}/products", "-"),
        (CURSOR, f"shops/{market.shop.id}/orders", seller),
        (CURSOR, "products", "-"),
        (CURSOR, "products?sort=price", "-"),
        (CURSOR, "products?in_stock=true&sort=name", "-"),
        (CURSOR, "products/search?q=red%20lamp", "-"),
        (WHOLE, f"products/{market.product.id}/skus", "-"),
        (CURSOR, "orders", reader),
        (CURSOR, f"orders/{market.order.id}/timeline", reader),
        (CURSOR, "deliveries", reader),
        (CURSOR, "deliveries?status=delivered", seller),
        (CURSOR, f"deliveries/{market.delivery.id}/locations", reader),
        (CURSOR, "couriers", seller),
    ]
    ids = {
        str(room): "{room}", str(market.shop.id): "{shop}", str(market.product.id): "{product}",
        str(market.order.id): "{order}", str(market.delivery.id): "{delivery}",
    }  # fmt: skip
    found = []
    for kind, path, header in asked:
        name = path
        for key, word in ids.items():
            name = name.replace(key, word)
        found.append(Listing(kind, f"/api/v1/{name}", f"/api/v1/{path}", header))
    return found


def _storefront(market: Market) -> list[Listing]:
    asked = [
        ("/api/products", "-"),
        ("/api/products?category=cat1&sort=price", "-"),
        ("/api/products/search?q=red%20lamp", "-"),
        ("/api/orders", _bearer(market.reader)),
    ]
    return [Listing(PAGE, path, path, header) for path, header in asked]


def _admin(boss: User) -> list[Listing]:
    header = _cookie(boss)
    found = []
    registered = admin.site._registry  # noqa: SLF001  # there is no other way to ask for all
    for model, page in sorted(registered.items(), key=lambda item: item[0]._meta.label):
        label = model._meta.label_lower
        path = f"/admin/{label.replace('.', '/')}/"
        found.append(Listing(ADMIN, path, path, header))
        if page.search_fields:
            query = urlencode({"q": SEARCHES[label]})
            found.append(Listing(ADMIN, f"{path}?q=", f"{path}?{query}", header))
        if page.list_filter:
            name = FILTERS[label].partition("=")[0]
            found.append(Listing(ADMIN, f"{path}?{name}=", f"{path}?{FILTERS[label]}", header))
    return found
