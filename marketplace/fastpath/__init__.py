"""The fast path: a few busy routes, answered without Django's request cycle.

An answer of the fast path is the answer that Django would have given, byte for byte: the same
services, the same errors, the same headers (tests compare the two). What it is not sure of, it
leaves to Django: anything that a route does not know, and every request that a browser sends from
another site.

Requests that come while others are served gather, as messages do (`realtime/batch.py`): one thread
serves all of them with a few statements. So a request costs neither a thread nor a middleware chain
of its own.
"""
