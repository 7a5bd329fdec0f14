"""What a product shows: links that the server never follows, and files in public storage."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import IO, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.validators import URLValidator

from accounts.models import User
from marketplace.core.clock import now
from marketplace.core.db import on_commit, transactional
from marketplace.core.errors import ValidationFailed
from marketplace.core.text import clean_text
from shops import access, storage
from shops.enums import MediaType
from shops.errors import MediaNotFound
from shops.models import Product
from shops.services.announcing import announce

MEDIA = 20
TAG_CHARACTERS = 40
URL_CHARACTERS = 500
VIDEO_ENDINGS = (".mp4", ".webm", ".mov", ".m4v")


def checked_links(media: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """`[{media_type, tag, url}]` as it is kept. Raises ValidationFailed under `media.<n>.…`."""
    if len(media) > MEDIA:
        raise _wrong("media", f"A product shows at most {MEDIA}.")
    return [checked_link(one, where=f"media.{place}.") for place, one in enumerate(media)]


def checked_link(one: Mapping[str, Any], *, where: str = "") -> dict[str, str]:
    """One of them. `media_type` follows from the ending where it is not given.

    Raises ValidationFailed under `<where>url`, `<where>tag`.
    """
    url = _checked_url(one.get("url"), where=f"{where}url")
    return {
        "media_type": str(one.get("media_type") or _kind_of(url)),
        "tag": _checked_tag(one.get("tag"), where=f"{where}tag"),
        "url": url,
    }


def _checked_url(value: Any, *, where: str) -> str:
    url = clean_text(str(value or "").strip(), field=where)
    if len(url) > URL_CHARACTERS:
        raise _wrong(where, f"This has at most {URL_CHARACTERS} characters.")
    if storage.name_of(url) is not None:
        # A file of ours, given back as we gave it out.
        return url
    schemes = ["https"] if settings.PROFILE == "production" else ["https", "http"]
    try:
        URLValidator(schemes=schemes)(url)
    except DjangoValidationError:
        raise _wrong(where, f"This must be a link of {' or '.join(schemes)}.") from None
    return url


def _kind_of(url: str) -> str:
    is_video = urlsplit(url).path.lower().endswith(VIDEO_ENDINGS)
    return (MediaType.VIDEO if is_video else MediaType.IMAGE).value


def _checked_tag(tag: Any, *, where: str) -> str:
    text = " ".join(clean_text(str(tag or ""), field=where).split())
    if len(text) > TAG_CHARACTERS:
        raise _wrong(where, f"This has at most {TAG_CHARACTERS} characters.")
    return text


def add_link(*, actor: User, key: str, link: Mapping[str, Any]) -> Product:
    """The product shows this too. For staff of its shop.

    Raises ProductNotFound, Forbidden, ValidationFailed.
    """
    return _add(actor=actor, key=key, one=checked_link(link))


def add_file(*, actor: User, key: str, file: IO[bytes], tag: str = "") -> Product:
    """The product shows this file, which anybody may read from now on. For staff of its shop.

    Raises ProductNotFound, Forbidden, ValidationFailed under `file`, PayloadTooLarge,
    UnsupportedMediaType.
    """
    product = access.product_to_edit(actor=actor, key=key)
    checked = storage.checked_file(file)
    kept_tag = _checked_tag(tag, where="tag")
    url = storage.save(checked, folder=folder_of(product))
    try:
        one = {"media_type": checked.media_type, "tag": kept_tag, "url": url}
        return _add(actor=actor, key=key, one=one)
    except BaseException:
        storage.delete(url)
        raise


@transactional
def _add(*, actor: User, key: str, one: dict[str, str]) -> Product:
    product = _locked(actor=actor, key=key)
    if len(product.media) >= MEDIA:
        raise _wrong("media", f"A product shows at most {MEDIA}.")
    if any(one["url"] == other["url"] for other in product.media):
        raise _wrong("url", "The product shows this already.")
    product.media = [*product.media, one]
    product.save(update_fields=["media"])
    announce(product, "product.updated", actor=actor)
    return product


@transactional
def remove_media(*, actor: User, key: str, url: str) -> Product:
    """The product shows this no more; a file of ours is gone. For staff of its shop.

    Raises ProductNotFound, Forbidden, MediaNotFound.
    """
    product = _locked(actor=actor, key=key)
    kept = [one for one in product.media if one["url"] != url]
    if len(kept) == len(product.media):
        raise MediaNotFound
    before, product.media = product.media, kept
    product.save(update_fields=["media"])
    announce(product, "product.updated", actor=actor)
    forget_files(product, before)
    return product


def forget_files(product: Product, before: Sequence[Mapping[str, str]]) -> None:
    """After the commit: files of ours that the product shows no more are gone."""
    kept = {one["url"] for one in product.media}
    gone = [one["url"] for one in before if one["url"] not in kept]
    for url in gone:
        on_commit(partial(storage.delete, url, folder=folder_of(product)))


def folder_of(product: Product) -> str:
    """Where the files of this product lie; it deletes in no other."""
    return f"products/{product.id}"


def _locked(*, actor: User, key: str) -> Product:
    """The product as nobody else can change it until the commit."""
    product = access.product_to_edit(actor=actor, key=key)
    Product.objects.filter(id=product.id).update(updated_at=now())
    product.refresh_from_db()
    return product


def _wrong(where: str, text: str) -> ValidationFailed:
    return ValidationFailed.for_fields({where: [text]})
