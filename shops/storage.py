"""Public files: what they may be, where they lie, and the address under which anybody reads them.

What a file is, is read from its content; its name decides nothing and is not kept.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage

from marketplace.core.errors import PayloadTooLarge, UnsupportedMediaType, ValidationFailed
from marketplace.core.ids import uuid7
from shops.enums import MediaType

MEGABYTE = 1024 * 1024
MOST_BYTES = {MediaType.IMAGE: 10 * MEGABYTE, MediaType.VIDEO: 25 * MEGABYTE}
LARGEST_FILE = max(MOST_BYTES.values())
PUBLIC_PATH = "media"
CONTENT_TYPES = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "mp4": "video/mp4",
}
BEGINNINGS = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
)


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file that may be shown to everybody."""

    content: bytes
    ending: str

    @property
    def media_type(self) -> str:
        """Image or video."""
        return kind_of(self.ending).value


def kind_of(ending: str) -> MediaType:
    """Image or video, by the ending that the content gave it."""
    return MediaType.VIDEO if ending == "mp4" else MediaType.IMAGE


def checked_file(file: IO[bytes]) -> CheckedFile:
    """The file, if it is a JPEG, PNG, GIF or WebP of 10 MiB or an MP4 of 25 MiB at most.

    Raises ValidationFailed under `file` for an empty one, PayloadTooLarge, UnsupportedMediaType.
    """
    content = file.read(LARGEST_FILE + 1)
    if not content:
        raise ValidationFailed.for_fields({"file": ["The file is empty."]})
    ending = ending_of(content)
    if ending is None:
        raise UnsupportedMediaType("A product shows JPEG, PNG, GIF, WebP and MP4.")
    if len(content) > MOST_BYTES[kind_of(ending)]:
        raise PayloadTooLarge("The file is too large.")
    return CheckedFile(content, ending)


def ending_of(content: bytes) -> str | None:
    """What this content is, or None for what no product shows."""
    for beginning, ending in BEGINNINGS:
        if content.startswith(beginning):
            return ending
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    return "mp4" if content[4:8] == b"ftyp" else None


def files() -> FileSystemStorage:
    """Where public files lie."""
    return FileSystemStorage(location=settings.DATA_DIR / "public")


def save(file: CheckedFile, *, folder: str) -> str:
    """The address of the stored file; nobody can guess it, and what it leads to never changes."""
    name = files().save(f"{folder}/{uuid7().hex}.{file.ending}", ContentFile(file.content))
    return f"{settings.PUBLIC_URL}/{PUBLIC_PATH}/{name}"


def name_of(url: str) -> str | None:
    """The name of a file of ours, or None for a link to elsewhere."""
    head = f"{settings.PUBLIC_URL}/{PUBLIC_PATH}/"
    return url.removeprefix(head) if url.startswith(head) else None


def delete(url: str, *, folder: str = "") -> None:
    """The file behind this address is gone; links to elsewhere and to other folders stay."""
    name = name_of(url)
    if name is not None and _is_inside(name, folder):
        files().delete(name)


def read(name: str) -> tuple[bytes, str] | None:
    """The content and its type, or None where there is no such file."""
    ending = PurePosixPath(name).suffix.removeprefix(".")
    if ending not in CONTENT_TYPES or not _is_inside(name, ""):
        return None
    store = files()
    if not store.exists(name):
        return None
    with store.open(name) as file:
        return file.read(), CONTENT_TYPES[ending]


def _is_inside(name: str, folder: str) -> bool:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/") or "\\" in name:
        return False
    return not folder or name.startswith(f"{folder}/")
