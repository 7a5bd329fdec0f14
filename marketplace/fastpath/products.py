"""Storefront's list of products and one product (SF6, SF9), many requests at a time."""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from uuid import UUID

from django.conf import settings
from django.http import QueryDict

from marketplace.compat.storefront import Slice, storefront_product
from marketplace.core.errors import AppError
from marketplace.core.inputs import read_id
from marketplace.core.jsontext import write_json
from marketplace.fastpath.requests import FastAnswer, FastRequest, LeaveToDjango, Outcome
from marketplace.fastpath.routes import FastRoute
from shops import selectors
from shops.errors import ProductNotFound
from shops.search import ProductQuery
from shops.serializers import ProductQueryInput, product_query
from shops.texts import ProductTexts
from shops.versions import Page, find_versions, has_versions, page_versions

texts = ProductTexts(storefront_product, limit_bytes=settings.PRODUCT_TEXTS_MB * 1024 * 1024)

# --- lists ----------------------------------------------------------------------------------


def list_products(requests: Sequence[FastRequest]) -> list[Outcome]:
    """A page for each; those that could be slow are left to Django."""
    outcomes: dict[FastRequest, Outcome] = {}
    pages: dict[FastRequest, Page] = {}
    for request in requests:
        try:
            page = read_page(request.query_string)
            if not is_narrow(page.asked):
                outcomes[request] = LeaveToDjango()
                continue
            LIST.count(request)
            pages[request] = page
        except AppError as error:
            outcomes[request] = error
    for (request, page), (total, body) in zip(pages.items(), _told(pages.values()), strict=True):
        url = request.origin + request.path
        headers = page_headers(request.query_string, page.limit, page.offset, url, total)
        outcomes[request] = FastAnswer(200, body, headers)
    return [outcomes[request] for request in requests]


def _told(pages: Collection[Page]) -> list[tuple[int, bytes]]:
    """The total and the array of each page."""
    if not has_versions():
        return [(selectors.count_products(page.asked), _array(page)) for page in pages]
    found = page_versions(list(pages))
    told = texts.of({version for _, versions in found for version in versions})
    return [
        (total, b"[" + b",".join([told[one] for one, _ in versions if one in told]) + b"]")
        for total, versions in found
    ]


def _array(page: Page) -> bytes:
    rows = selectors.list_products(page.asked)[page.offset : page.offset + page.limit]
    return write_json([storefront_product(one) for one in selectors.describe_products(rows)])


@lru_cache(maxsize=1024)
def read_page(query_string: str) -> Page:
    """What a query asks for; the same is asked again and again. Raises ValidationFailed."""
    query = QueryDict(query_string)
    asked, wanted = product_query(ProductQueryInput.read(query)), Slice.of(query)
    return Page(asked, offset=wanted.offset, limit=wanted.limit)


@lru_cache(maxsize=1024)
def page_headers(query: str, limit: int, offset: int, url: str, total: int) -> Mapping[str, str]:
    """The headers of a page."""
    return Slice(limit, offset).headers(QueryDict(query), url=url, total=total)


def is_narrow(asked: ProductQuery) -> bool:
    """Whether an index leads to all of it: what can be slow must not keep others waiting."""
    is_plain = not asked.q.strip() and asked.in_stock is None
    return is_plain and bool(asked.category or asked.brand or asked.shop_id)


# --- one product ----------------------------------------------------------------------------


def find_products(requests: Sequence[FastRequest]) -> list[Outcome]:
    """One product for each, all read together."""
    keys = [read_id(request.argument) for request in requests]
    found = find_texts({key for key in keys if key is not None})
    outcomes: list[Outcome] = []
    for request, key in zip(requests, keys, strict=True):
        text = found.get(str(key))
        try:
            DETAIL.count(request)
            outcomes.append(ProductNotFound() if text is None else FastAnswer(200, text))
        except AppError as error:
            outcomes.append(error)
    return outcomes


def find_texts(product_ids: Collection[UUID]) -> dict[str, bytes]:
    """The texts of those of these products that are published, by id."""
    if has_versions():
        return texts.of(find_versions(product_ids).items())
    products = selectors.describe_published(product_ids)
    return {product["id"]: write_json(storefront_product(product)) for product in products}


LIST = FastRoute("GET", "/api/products", list_products)
DETAIL = FastRoute(
    "GET", "/api/products/{product_id}", find_products, reserved=frozenset({"search"})
)
