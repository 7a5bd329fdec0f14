"""The API document keeps its word: each answer has the fields, types and statuses that it names."""

import copy
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator
from rest_framework.test import APIClient

from accounts.models import OtpChallenge, User
from accounts.services.otp import code_of
from chat.services.messages import send_message
from chat.services.rooms import create_group
from marketplace.core.ids import uuid7
from marketplace.core.models import Job, JobState
from marketplace.events.models import AuditEntry
from marketplace.tests.cast import PASSWORD, signed_in
from marketplace.web.documents import openapi_document

pytestmark = pytest.mark.django_db

Schema = dict[str, Any]
ROOMS = "/api/v1/chat/rooms"
ROOM = ROOMS + "/{room_id}"


@lru_cache(maxsize=1)
def document() -> Schema:
    return copy.deepcopy(openapi_document())


def resolved(node: Any) -> Any:
    """The schema without references; an object has what is named and nothing else."""
    if isinstance(node, list):
        return [resolved(one) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return resolved(document()["components"]["schemas"][node["$ref"].rsplit("/", 1)[1]])
    found = {key: resolved(value) for key, value in node.items()}
    if "properties" in found:
        found.setdefault("additionalProperties", False)
    return found


def faults(path: str, answer: Any) -> Iterator[str]:
    """What the document did not say of this answer."""
    method = answer.wsgi_request.method.lower()
    responses = document()["paths"][path][method]["responses"]
    documented = responses.get(str(answer.status_code))
    if documented is None:
        yield f"{method} {path}: {answer.status_code} is not among {sorted(responses)}"
        return
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if kind not in documented["content"]:
        yield f"{method} {path}: {kind} is not among {sorted(documented['content'])}"
        return
    for fault in OAS30Validator(resolved(documented["content"][kind]["schema"])).iter_errors(
        answer.json()
    ):
        yield f"{method} {path} {answer.status_code}: {list(fault.path)} {fault.message[:300]}"


def hold(path: str, *answers: Any) -> None:
    """All of these answers are as the document says."""
    assert [fault for answer in answers for fault in faults(path, answer)] == []


def post(client: APIClient, path: str, body: Any = None) -> Any:
    return client.post(path, body, format="json")


class TestPeople:
    def test_sign_up_and_sign_in(self, guest: APIClient, buyer: User) -> None:
        phone = {"phone_number": "+15550107777"}
        register, verify = "/api/v1/auth/register", "/api/v1/auth/otp/verify"
        hold(
            register,
            post(guest, register, phone),
            post(guest, register, phone),
            post(guest, register, {"email": "new@example.com", "password": PASSWORD}),
            post(guest, register, {}),
        )
        code = code_of(OtpChallenge.objects.get(phone_number="+15550107777"))
        right = post(guest, verify, phone | {"otp": code})
        hold(verify, post(guest, verify, phone | {"otp": "x"}), right)
        refresh = "/api/v1/auth/refresh"
        token = {"refresh_token": right.json()["refresh_token"]}
        hold(refresh, post(guest, refresh, token), post(guest, refresh, {"refresh_token": "x"}))
        ask = "/api/v1/auth/otp/request"
        hold(ask, post(guest, ask, phone), post(guest, ask, phone))

    def test_realtime_market(self, guest: APIClient, buyer: User) -> None:
        person = {"username": "new", "phone_number": "+15550107778"}
        register, verify = "/api/auth/register", "/api/auth/verify-otp"
        hold(register, post(guest, register, person), post(guest, register, person))
        code = code_of(OtpChallenge.objects.get(phone_number="+15550107778"))
        hold(verify, post(guest, verify, person | {"otp": "x"}))
        hold(verify, post(guest, verify, person | {"otp": code}))
        check = "/api/auth/check-username/{username}"
        answers = [guest.get(check.format(username=name)) for name in ("asha", "free", "a b")]
        hold(check, *answers)
        assert [answer.status_code for answer in answers] == [409, 200, 400]

    def test_profiles(self, buyer: User, seller: User, guest: APIClient) -> None:
        client = signed_in(buyer)
        for path in ("/api/v1/auth/me", "/api/v1/users/me"):
            hold(path, client.get(path), guest.get(path))
        me, other = "/api/v1/users/me", "/api/v1/users/{user_id}"
        hold(me, client.patch(me, {}, format="json"), client.patch(me, {"name": []}, format="json"))
        hold(other, client.get(other.format(user_id=seller.public_id)))
        hold(other, client.get(other.format(user_id="nobody")))
        hold("/api/v1/auth/logout", post(client, "/api/v1/auth/logout"))


class TestChat:
    def test_rooms(self, buyer: User, seller: User) -> None:
        client = signed_in(buyer)
        direct = {"kind": "direct", "member_ids": [seller.public_id]}
        hold(ROOMS, post(client, ROOMS, direct), post(client, ROOMS, direct))
        hold(ROOMS, post(client, ROOMS, {"kind": "assistant"}), post(client, ROOMS, {}))
        room = create_group(owner=buyer, title="Lamps", members=[seller])
        hold(ROOM, client.get(f"{ROOMS}/{room.id}"), client.get(f"{ROOMS}/x"))
        send_message(actor=seller, room_id=room.id, content="Hello", data={"a": [1]})
        hold(ROOM, client.get(f"{ROOMS}/{room.id}"))
        hold(ROOMS, client.get(ROOMS), client.get(ROOMS, {"limit": 1}))
        hold(ROOM + "/members", client.get(f"{ROOMS}/{room.id}/members"))
        hold(ROOM + "/read", post(client, f"{ROOMS}/{room.id}/read"))
        hold("/api/v1/chat/unread", client.get("/api/v1/chat/unread"))
        leave = f"{ROOMS}/{room.id}/leave"
        hold(ROOM + "/leave", post(signed_in(seller), leave), post(client, leave))

    def test_messages(self, buyer: User) -> None:
        room = create_group(owner=buyer, title="Lamps")
        client, path = signed_in(buyer), f"{ROOMS}/{room.id}/messages"
        body = {"content": "Hello", "client_id": "1", "data": {"a": [1]}}
        sent = post(client, path, body)
        hold(ROOM + "/messages", sent, post(client, path, body), post(client, path, {}))
        hold(ROOM + "/messages", client.get(path), client.get(path, {"before_seq": "x"}))
        hold(ROOM + "/messages/{message_id}", client.get(f"{path}/{sent.json()['id']}"))
        feed = f"/api/v1/topics/{room.topic}/events"
        hold("/api/v1/topics/{topic}/events", client.get(feed), client.get(feed, {"after": 99}))


class TestOperations:
    @pytest.mark.parametrize(
        "path",
        [
            "/api/v1/jobs",
            "/api/v1/jobs/dead",
            "/api/v1/audit",
            "/api/v1/ops/topics",
            "/api/v1/ops/overview",
        ],
    )
    def test_lists(self, path: str, admin: User, buyer: User, guest: APIClient) -> None:
        Job.objects.create(key="k", name="cleanup", state=JobState.DEAD)
        AuditEntry.objects.create(action="thing.done", details={"a": 1})

        hold(path, signed_in(admin).get(path), signed_in(buyer).get(path), guest.get(path))

    def test_jobs(self, admin: User) -> None:
        dead = Job.objects.create(key="k", name="cleanup", state=JobState.DEAD)
        client, retry = signed_in(admin), "/api/v1/jobs/dead/{job_id}/retry"
        run = "/api/v1/jobs/{name}/run"
        hold(run, *[post(client, run.format(name=n)) for n in ("cleanup", "send_sms", "nope")])
        hold(retry, *[post(client, retry.format(job_id=key)) for key in (dead.id, uuid7())])

    @pytest.mark.parametrize(
        "path",
        ["/health", "/livez", "/readyz", "/api/health", "/api/auth/health", "/api/v1/health"],
    )
    def test_health(self, path: str, guest: APIClient) -> None:
        hold(path, guest.get(path))
