"""The same evening over plain JSON frames: sign up, talk, lose the server, lose nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx2 as httpx

from marketplace.tests.clients.talkers import Follower, Plain
from marketplace.tests.live import Server, Site

# Who lost his connection comes back on his own time; the servers find each other again in 5 s.
RETURN_S, FAN_OUT_S = 40.0, 5.0


async def plain_story(
    site: Site, server: Server, friends: Server, outage: Callable[[], Awaitable[bool]]
) -> None:
    """Asserts every step. `outage` gives whether the connections are lost in it."""
    asha = await asyncio.to_thread(site.sign_up, server, "asha")
    bruno = await asyncio.to_thread(site.sign_up, friends, "bruno")
    room_id = await asyncio.to_thread(site.open_room, server, asha, bruno)

    mine = await Plain.open(server.socket_url, asha.token)
    joined = await mine.join(room_id)
    assert (joined["latest_seq"], joined["recovered"], joined["missed"]) == (1, False, [])
    assert joined["online"] == [asha.id]
    assert mine.frames[0] == {
        "type": "ready", "heartbeat": 30, "user_id": asha.id, "epoch": mine.frames[0]["epoch"],
    }  # fmt: skip
    his = await Plain.open(friends.socket_url, bruno.token)
    assert sorted((await his.join(room_id))["online"]) == sorted([asha.id, bruno.id])
    arrivals = await mine.until(lambda: mine.named("user_joined")[1:])
    assert arrivals[0]["user_id"] == bruno.id

    ack = await mine.push(room_id, "message", {"content": "Hello world!", "client_id": "first"})
    for one in (mine, his):
        [heard] = await one.until(partial(one.named, "new_message"))
        assert (heard["id"], heard["event_seq"]) == (ack["id"], ack["seq"])
    again = await mine.push(room_id, "message", {"content": "Hello world!", "client_id": "first"})
    assert (again["id"], again["duplicate"]) == (ack["id"], True)

    assert await mine.push(room_id, "typing", {"is_typing": True}) == {}
    [typing] = await his.until(lambda: his.named("user_typing"))
    assert (typing["user_id"], typing["is_typing"]) == (asha.id, True)
    read = await his.push(room_id, "mark_read", {})
    assert read == {"last_read_seq": ack["seq"], "unread_count": 0}
    for one in (mine, his):
        [receipt] = await one.until(partial(one.named, "message_read"))
        assert receipt["user_id"] == bruno.id
    assert mine.named("user_typing") == []
    await mine.close()
    await his.close()

    await _through_the_outage(server, friends, (asha.token, bruno.token), room_id, outage)


async def _through_the_outage(
    server: Server,
    friends: Server,
    tokens: tuple[str, str],
    room_id: str,
    outage: Callable[[], Awaitable[bool]],
) -> None:
    mine = Follower("plain", lambda: server.socket_url, tokens[0], room_id).start()
    his = Follower("plain", lambda: friends.socket_url, tokens[1], room_id).start()
    try:
        await mine.joined.wait()
        await his.joined.wait()
        joins = (mine.joins, his.joins)
        lost = asyncio.ensure_future(outage())
        acks = []
        for number in range(20):
            content = f"through {number}"
            acks.append(await mine.send({"content": content, "client_id": content}))
            await asyncio.sleep(0.025)
        within_s = FAN_OUT_S
        if await lost:
            within_s = RETURN_S
            await his.joined.wait()
            assert mine.joins > joins[0]
            assert his.joins > joins[1]
        kept = await _history(server, tokens[0], room_id)
        for follower in (mine, his):
            await follower.reach(kept[-1]["seq"], within_s=within_s)
    finally:
        await mine.stop()
        await his.stop()
    assert mine.faults + his.faults == []
    assert mine.events == his.events
    assert mine.contents == [one["content"] for one in kept]
    assert [one["id"] for one in kept[1:]] == [ack["id"] for ack in acks]
    assert [one["number"] for one in kept] == list(range(1, 22))


async def _history(server: Server, token: str, room_id: str) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=20) as client:
        answer = await client.get(f"/api/v1/chat/rooms/{room_id}/messages?limit=100")
    items: list[dict[str, Any]] = answer.json()["items"]
    return items
