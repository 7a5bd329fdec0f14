"""What clients are told of products, as JSON text that is made once for each version of a product.

Every answer reads the database; what is saved is to read, convert and write again the twenty
columns of a product that has not changed since.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from marketplace.core.jsontext import write_json
from shops import selectors
from shops.versions import Version

Form = Callable[[dict[str, Any]], dict[str, Any]]


class ProductTexts:
    """The texts of one form, the least used of which are forgotten beyond `limit_bytes`.

    form: from the canonical Product to what these clients read. limit_bytes 0 keeps none.
    """

    def __init__(self, form: Form, *, limit_bytes: int) -> None:
        self._form = form
        self._limit = limit_bytes
        self._size = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[str, bytes]] = OrderedDict()

    def of(self, versions: Iterable[Version]) -> dict[str, bytes]:
        """The texts of these products; one that is no longer published is not there."""
        texts: dict[str, bytes] = {}
        missing: dict[str, str] = {}
        with self._lock:
            for product_id, mark in versions:
                kept = self._kept.get(product_id)
                if kept is not None and kept[0] == mark:
                    self._kept.move_to_end(product_id)
                    texts[product_id] = kept[1]
                else:
                    missing[product_id] = mark
        if missing:
            # Read after the mark: what is newer than it is found under a newer mark next time.
            products = selectors.describe_published([UUID(one) for one in missing])
            made = [(product["id"], write_json(self._form(product))) for product in products]
            texts.update(made)
            with self._lock:
                for product_id, text in made:
                    self._keep(product_id, missing[product_id], text)
        return texts

    def _keep(self, product_id: str, mark: str, text: bytes) -> None:
        before = self._kept.pop(product_id, None)
        self._size += len(text) - (0 if before is None else len(before[1]))
        self._kept[product_id] = (mark, text)
        while self._size > self._limit:
            _, (_, forgotten) = self._kept.popitem(last=False)
            self._size -= len(forgotten)
