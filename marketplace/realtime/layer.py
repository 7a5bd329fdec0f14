"""channels_redis' publish/subscribe layer, watched: it says when Redis is lost and when it is back.

The package's own receiver reconnects by itself, now and then without a word: what was published in
between is gone and nobody knows. Here no reconnect is silent. A connection that fails or falls dumb
is given up as a whole, and "back" is said only after Redis has confirmed every subscription, so
that whoever reads the log then misses nothing. While Redis is away nothing waits and nothing piles
up: a message that cannot leave fails at once.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import structlog
from channels_redis.pubsub import RedisPubSubChannelLayer, RedisSingleShardConnection
from channels_redis.utils import create_pool
from redis import asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

logger = structlog.get_logger(__name__)

FAULTS = (RedisError, OSError, TimeoutError)
ANSWER_S = 2.0
RETRY_S = 0.2
QUIET_S = 1.0
CANCEL_AGAIN_S = 0.1
DUMB_S = 3.0
LARGEST_BATCH = 500
WAITING_LIMIT = 10_000


def loss_behind(error: BaseException | None) -> Exception | None:
    """The loss of Redis that this error comes of; None where there is none.

    The driver may stumble over its own attempt to connect again, which another task has ended.
    """
    while error is not None:
        if isinstance(error, FAULTS):
            return error
        error = error.__cause__ or error.__context__
    return None


class WatchedLayer(RedisPubSubChannelLayer):
    """The channel layer of several processes; `watch` before anything is subscribed."""

    def watch(self, *, lost: Callable[[], None], back: Callable[[], None]) -> None:
        """Call `lost` when Redis is gone for the loop that runs, `back` when it is there again."""
        layer = self._get_layer()
        layer.on_disconnect, layer.on_reconnect = lost, back

    def _get_layer(self) -> Any:
        layer = super()._get_layer()
        shards = layer._shards  # noqa: SLF001  # the one place where the package's parts meet ours
        shards[:] = [one if isinstance(one, Shard) else Shard(one.host, layer) for one in shards]
        return layer


class Shard(RedisSingleShardConnection):
    """One Redis: a connection that listens, and one that publishes in batches."""

    _pubsub: Any
    _redis: Any

    def __init__(self, host: dict[str, Any], channel_layer: Any) -> None:
        super().__init__(host, channel_layer)
        self._wanted: set[str] = set()
        # A future for each subscription that Redis has not confirmed on this connection yet.
        self._unconfirmed: dict[str, asyncio.Future[None]] = {}
        self._changed = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None
        self._is_up = False
        self._was_lost = False
        self._waiting: list[tuple[str, bytes, asyncio.Future[None]]] = []
        self._sender: asyncio.Task[None] | None = None

    # -- out -------------------------------------------------------------------------------------

    async def publish(self, channel: str, message: bytes) -> None:
        """Send it, in order, together with what else leaves now. Raises one of FAULTS."""
        if len(self._waiting) >= WAITING_LIMIT:
            raise ConnectionError("too much waits for Redis")
        loop = asyncio.get_running_loop()
        sent = loop.create_future()
        self._waiting.append((channel, message, sent))
        if self._sender is None:
            self._sender = loop.create_task(self._send())
        await sent

    async def _send(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[:LARGEST_BATCH]
                del self._waiting[:LARGEST_BATCH]
                fault: Exception | None = None
                try:
                    async with asyncio.timeout(ANSWER_S):
                        pipe = self._client().pipeline(transaction=False)
                        for channel, message, _ in batch:
                            pipe.publish(channel, message)
                        await pipe.execute()
                except FAULTS as error:
                    fault = error
                for _, _, sent in batch:
                    if sent.done():
                        continue
                    if fault is None:
                        sent.set_result(None)
                    else:
                        sent.set_exception(fault)
        finally:
            self._sender = None

    # -- in --------------------------------------------------------------------------------------

    async def subscribe(self, channel: str) -> None:
        """Return once Redis has confirmed it: what is published from now on is heard."""
        if channel not in self._wanted:
            self._wanted.add(channel)
            self._unconfirmed[channel] = asyncio.get_running_loop().create_future()
            self._changed.set()
            if self._listener is None:
                self._listener = asyncio.get_running_loop().create_task(self._listen())
            if self._pubsub is not None:
                # A failure here is the listener's to find; the subscription follows with the rest.
                with contextlib.suppress(*FAULTS):
                    await self._pubsub.subscribe(channel)
        confirmed = self._unconfirmed.get(channel)
        if confirmed is not None:
            await asyncio.shield(confirmed)

    async def unsubscribe(self, channel: str) -> None:
        """Hear this no more."""
        if channel in self._wanted:
            self._wanted.discard(channel)
            self._confirm(channel)
            if self._pubsub is not None:
                with contextlib.suppress(*FAULTS):
                    await self._pubsub.unsubscribe(channel)

    async def flush(self) -> None:
        """End everything, and forget it."""
        await end(self._listener, self._sender)
        self._listener = None
        self._wanted.clear()
        for channel in list(self._unconfirmed):
            self._confirm(channel)
        if self._redis is not None:
            client, self._redis = self._redis, None
            with contextlib.suppress(*FAULTS):
                await client.aclose(close_connection_pool=True)

    async def _listen(self) -> None:
        while True:
            pubsub = self._client().pubsub()
            try:
                while not self._wanted:
                    self._changed.clear()
                    await self._changed.wait()
                await self._begin(pubsub)
                await self._hear(pubsub)
            except FAULTS as error:
                self._lose(error)
                await asyncio.sleep(RETRY_S)
            except Exception as error:  # a fault of ours must not leave the process deaf
                loss = loss_behind(error)
                if loss is None:
                    logger.exception("channel_layer_fault")
                self._lose(loss)
                await asyncio.sleep(RETRY_S)
            finally:
                self._pubsub = None
                with contextlib.suppress(*FAULTS):
                    await pubsub.aclose()
                    # What publishes has the same server behind it: no stale connection is used.
                    await self._client().connection_pool.disconnect(inuse_connections=False)

    async def _begin(self, pubsub: Any) -> None:
        """Subscribe to everything on a new connection; confirmations follow as messages."""
        loop = asyncio.get_running_loop()
        for channel in self._wanted:
            self._unconfirmed.setdefault(channel, loop.create_future())
        asked = list(self._wanted)
        async with asyncio.timeout(ANSWER_S):
            await pubsub.subscribe(*asked)
        self._pubsub = pubsub
        later = self._wanted.difference(asked)
        if later:
            await pubsub.subscribe(*later)

    async def _hear(self, pubsub: Any) -> None:
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while self._wanted:
            message = await pubsub.get_message(timeout=QUIET_S)
            if message is None:
                if loop.time() - heard > DUMB_S:
                    raise TimeoutError("Redis has fallen dumb")
                await pubsub.ping()
                continue
            heard = loop.time()
            kind = message["type"]
            if kind == "message":
                self._receive_message(message)
            elif kind == "subscribe":
                self._confirm(_text(message["channel"]))
                if not self._is_up and not self._unconfirmed:
                    self._rise()

    def _confirm(self, channel: str) -> None:
        confirmed = self._unconfirmed.pop(channel, None)
        if confirmed is not None and not confirmed.done():
            confirmed.set_result(None)

    def _rise(self) -> None:
        self._is_up = True
        if self._was_lost:
            self._was_lost = False
            logger.info("channel_layer_back", topics=len(self._wanted))
            if self.channel_layer.on_reconnect is not None:
                self.channel_layer.on_reconnect()

    def _lose(self, error: Exception | None) -> None:
        self._is_up = False
        if not self._was_lost:
            self._was_lost = True
            logger.warning("channel_layer_lost", reason=type(error).__name__)
            if self.channel_layer.on_disconnect is not None:
                self.channel_layer.on_disconnect()

    def _client(self) -> Any:
        if self._redis is None:
            # No retry by the client: it would reconnect in silence, and sleep while others wait.
            pool = create_pool(
                {
                    "socket_connect_timeout": ANSWER_S,
                    "retry": Retry(NoBackoff(), 0),
                    **self.host,
                }
            )
            self._redis = aioredis.Redis(connection_pool=pool)
        return self._redis


async def end(*tasks: "asyncio.Task[Any] | None") -> None:
    """Cancel these tasks until they are done.

    Once is not enough: the Redis client writes through `asyncio.wait_for`, which before Python 3.12
    loses a cancellation that comes just as the write is done.
    """
    ended = {task for task in tasks if task is not None}
    alive = ended
    while alive:
        for task in alive:
            task.cancel()
        _, alive = await asyncio.wait(alive, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*ended, return_exceptions=True)


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
