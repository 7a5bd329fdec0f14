"""What the texts name is there: settings, commands, files, routes, codes; so are their figures."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import get_commands
from django.urls import Resolver404, resolve

from accounts.services import otp
from chat import selectors as rooms
from chat.commands import dialogue
from chat.services import commands as answering
from chat.services import messages
from delivery import geo, selectors, trail
from delivery.services import announcing, assigning, fixes, proofs, tracking
from marketplace.core import db_info, job_rows
from marketplace.core.errors import AppError
from marketplace.events import positions, replay
from marketplace.management.commands import stack
from marketplace.realtime import bridge, checks, codes, outlet, plain, session, sse
from marketplace.settings.rates import DEFAULT_LIMITS, LIMIT_BURSTS
from orders.services import drafting
from shops import payloads, storage
from shops.enums import MediaType
from shops.services import shops

ROOT = settings.BASE_DIR
PAGES = [
    ROOT / name
    for name in (
        "README.md", "CONTRIBUTING.md", "benchmarks/README.md", "docker/README.md",
        "marketplace/events/README.md", "marketplace/realtime/README.md",
        *(f"{app}/README.md" for app in ("accounts", "shops", "chat", "delivery", "orders")),
    )
] + sorted((ROOT / "docs").glob("*.md"))  # fmt: skip
# Settings of the kit of benchmarks and of the containers, which have files of their own.
ELSEWHERE = re.compile(r"BENCH_\w+|PG_BIN|REDIS_UI_PORT|NODE_ENV|MIX_ENV")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Only the log of a job says it.
NEVER_ANSWERED = {"gateway_unavailable"}
MISSING = re.compile(r"\w+_not_found")
"""`<noun>_not_found` stands for all of them."""


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=named)


@each_page
class TestEachPage:
    def test_names_settings_that_there_are(self, page: Path) -> None:
        known = set(re.findall(r"^([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.M))
        words = re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=[^`]*)?`", page.read_text())

        assert [word for word in words if word not in known and not ELSEWHERE.match(word)] == []

    def test_names_commands_that_there_are(self, page: Path) -> None:
        text = page.read_text()
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))

        assert set(re.findall(r"manage\.py ([a-z_]+)", text)) <= set(get_commands())
        assert set(re.findall(r"(?:`|^|\s{2,})make ([a-z-]+)", text, re.M)) <= targets

    def test_leads_to_files_and_headings_that_there_are(self, page: Path) -> None:
        for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
            if "://" in link:
                continue
            name, _, heading = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), link
            if heading:
                headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
                assert heading in [one.lower().replace(" ", "-") for one in headings], link

    def test_names_routes_that_there_are(self, page: Path) -> None:
        lost = [f"{method} {path}" for method, path in routes_in(page.read_text())
                if not answers(method, path)]  # fmt: skip

        assert lost == []


def routes_in(text: str) -> Iterator[tuple[str, str]]:
    """`GET, POST /shops/{id}/members` and the like, and what a curl asks."""
    method = "|".join(METHODS)
    for methods, path in re.findall(rf"`((?:{method})(?:, (?:{method}))*) (/[^\s`?]+)", text):
        for one in methods.split(", "):
            yield one, path
    for options, path in re.findall(r"^curl -s (-X \w+ )?\"?\$API(/[^\s\"?]+)", text, re.M):
        yield options[3:].strip() or "", path


def class_of(view: Any) -> Any:
    return getattr(view, "cls", None) or getattr(view, "view_class", view)


def answers(method: str, path: str) -> bool:
    """Whether this path has a route, which takes the method where one is given."""
    filled = re.sub(r"\{\w+\}|<\w+>|\$\w+", "01890000-0000-7000-8000-000000000000", path)
    for prefix in ("/api/v1", ""):
        try:
            view = resolve(prefix + filled.replace("…", "")).func
        except Resolver404:
            continue
        actions = getattr(view, "actions", None) or {}
        allowed = set(actions) or {
            name for name in map(str.lower, METHODS) if hasattr(class_of(view), name)
        }
        return not method or not allowed or method.lower() in allowed
    return False


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.parent.name in ("accounts", "shops", "chat", "delivery",
                                                            "orders", "events", "realtime")],
    ids=named,
)  # fmt: skip
def test_the_guide_of_an_app_names_files_that_there_are(page: Path) -> None:
    for name in re.findall(r"`((?:\w+/)*\w+\.py)(?:`|:)", page.read_text()):
        # A bare name may be that of a room which every app can have.
        places = [page.parent / name, ROOT / name, *ROOT.glob(f"*/{name}")]
        assert any(place.exists() for place in places), name


def told_defaults() -> list[tuple[str, str]]:
    """Each setting of `.env.example` whose default is told as a number, a flag or rates."""
    entry = r"^#[^\n]*Default: ([\d.,/]*\d|true|false)(?:\.|;.*)?\n([A-Z][A-Z0-9_]+)=$"
    found = re.findall(entry, (ROOT / ".env.example").read_text(), re.M)
    return [(name, told) for told, name in found if name.startswith("LIMIT_")
            or hasattr(settings, name)]  # fmt: skip


class TestTheExampleOfSettings:
    @pytest.mark.parametrize(("name", "told"), told_defaults())
    def test_tells_the_default(self, name: str, told: str) -> None:
        if name.startswith("LIMIT_"):
            rates = DEFAULT_LIMITS[name.removeprefix("LIMIT_").lower()]
            assert told == ",".join(f"{count}/{seconds}" for count, seconds in rates)
            return
        value = getattr(settings, name)
        if isinstance(value, bool):
            assert told == str(value).lower()
        elif isinstance(value, list | tuple):
            assert told == ",".join(map(str, value))
        else:
            assert float(told) == float(value)

    def test_tells_many_of_them(self) -> None:
        assert len(told_defaults()) > 60


class TestLayers:
    def test_are_those_that_are_checked(self) -> None:
        text = (ROOT / "CONTRIBUTING.md").read_text()
        contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
        [layers] = [one["layers"] for one in contracts["contracts"] if one["id"] == "across"]
        [told] = re.findall(r"^wiring   marketplace\.\{(.*)\} -> (\w+)$", text, re.M)

        names = [re.findall(r"marketplace\.(\w+)", layer) for layer in layers]
        assert (set(told[0].split(", ")), [told[1]]) == (set(names[0]), names[1])
        apps = re.findall(r"^apps     (.*)$", text, re.M)[0].split(" -> ")
        shared = re.findall(r"^shared   (.*)$", text, re.M)[0].split(" -> ")
        assert layers[2:] == apps + shared


class TestTheListOfTexts:
    def test_has_every_page(self) -> None:
        listed = set(re.findall(r"^\| \[(\w+\.md)\]", (ROOT / "docs/README.md").read_text(), re.M))

        assert listed == {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}


def errors_below(error: type[AppError]) -> Iterator[type[AppError]]:
    for one in error.__subclasses__():
        yield one
        yield from errors_below(one)


class TestErrors:
    TEXT = (ROOT / "docs/errors.md").read_text()

    def test_every_refusal_stands_under_its_status(self) -> None:
        rows = re.findall(r"^\| ([\d, ]+) \| (.*) \|$", self.TEXT, re.M)
        told = {
            (int(status), code)
            for statuses, words in rows
            for status in statuses.split(",")
            for code in re.findall(r"`([a-z_ ]+)`", words)
        }
        raised = {
            (error.status, error.code)
            for error in errors_below(AppError)
            if error.__module__.split(".")[-2] != "tests"
            and not MISSING.fullmatch(error.code)
            and error.code not in NEVER_ANSWERED
        }

        assert raised - told == set()

    @pytest.mark.parametrize("page", ["errors.md", "realtime.md"])
    def test_every_close_code_is_told(self, page: str) -> None:
        text = (ROOT / "docs" / page).read_text()

        assert {int(code) for code in re.findall(r"^\| ([14]\d{3}) \|", text, re.M)} == set(
            codes.REASONS
        )


def rate(bucket: str) -> int:
    return DEFAULT_LIMITS[bucket][0][0]


def burst(bucket: str) -> int:
    return rate(bucket) * LIMIT_BURSTS[bucket]


FIGURES = {
    "commands.md": [
        f"or {dialogue.PATIENCE.seconds // 60} minutes after its last question",
        f"after {job_rows.FIRST_DELAY_S:.0f} and {job_rows.FIRST_DELAY_S * 2:.0f} seconds, then",
    ],
    "delivery.md": [
        f"is offered it for {assigning.OFFER_FOR.seconds} s",
        f"up to {fixes.POINTS} of them",
        f"worse than {trail.WORST_ACCURACY_M:.0f} m",
        f"more than {trail.FUTURE_S:.0f} s ahead",
        f"more than {trail.BEFORE_START_S:.0f} s before it first set off",
        f"faster than {trail.FASTEST_MPS:.0f} m/s",
        f"`nearby` ({trail.NEARBY_M:.0f} m)",
        f"`arrived` ({trail.ARRIVED_M:.0f} m)",
        f"at least {trail.DWELL_S:.0f} s later",
        f"within {trail.DOOR_M:.0f} m",
        f"the distance × {geo.DETOUR} ÷ the median speed",  # noqa: RUF001  # as the page has it
        f"between {geo.SLOWEST_MPS} and {geo.FASTEST_MPS:.0f} m/s; {geo.USUAL_MPS:.0f} m/s",
        f"until {tracking.VALID_AFTER_THE_END.days * 24} hours after the last state",
    ],
    "events.md": [f"at most {replay.PAGE} at a time"],
    "operations.md": [
        f"non-zero after {stack.READY_WITHIN_S:.0f} s",
        f"Above {db_info.COUNTED_ROWS:,} rows",
    ],
    "orders.md": [
        f"1 to {drafting.LINES} of `{{product_id or sku_id, quantity}}`",
        f"quantity 1 to {drafting.QUANTITY:,}",
    ],
    "realtime.md": [
        f"`messages_history` (the last {rooms.HISTORY_LENGTH}, only without",
        f"After {session.PAGING_S:.0f} s",
        f"comes {checks.EXPIRY_NOTICE_S} s before the end",
        f"{outlet.WAITING_EVENTS} events or {outlet.WAITING_BYTES // 2**20} MiB waiting",
        f"frame over {codes.LARGEST_FRAME // 1024} KiB",
        f"{rate('socket_frames')} frames a second ({burst('socket_frames')} at once)",
        f"{rate('signals')} signals a second",
        f"{rate('joins')} joins a second ({burst('joins')} at once)",
        f"{settings.MAX_TOPICS} topics a connection",
        f"{settings.MAX_SOCKETS_PER_USER} sockets and streams a user",
        f"{settings.MAX_GUESTS_PER_ADDRESS} anonymous connections an address",
        f"messages of 1-{settings.MESSAGE_MAX_CHARS:,} characters",
        f"`MESSAGE_RATE_LIMIT` ({settings.MESSAGE_RATE_LIMIT}) messages a minute",
        f'"heartbeat":{plain.HEARTBEAT_S}',
        f"A comment line comes every {sse.COMMENT_S} s",
        f"every {sse.HEARTBEAT_S} s.",
        f"`client_id` (1-{messages.CLIENT_ID_CHARACTERS} characters)",
    ],
    "shops.md": [
        f"{shops.NAME_LEAST} to 80 characters",
        f"fewer than {payloads.LOW_STOCK}",
        f"up to {storage.MOST_BYTES[MediaType.IMAGE] // storage.MEGABYTE} MiB, MP4",
        f"up to {storage.MOST_BYTES[MediaType.VIDEO] // storage.MEGABYTE} MiB.",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("page", "sentence"), [(page, one) for page, all_of in FIGURES.items() for one in all_of]
)
def test_the_figure_is_the_code_s(page: str, sentence: str) -> None:
    text = " ".join((ROOT / "docs" / page).read_text().split())

    assert sentence in text


def test_words_for_small_numbers_are_the_code_s() -> None:
    delivery, events = ((ROOT / "docs" / name).read_text() for name in ("delivery.md", "events.md"))

    assert DEFAULT_LIMITS["location"] == [(2, 1)]
    assert "Two\nrequests a second" in delivery
    assert DEFAULT_LIMITS["tracking_miss"] == [(30, 60)]
    assert "thirty of them a minute" in delivery
    assert proofs.PIN_TRIES == 5
    assert "five wrong PINs lock it" in delivery
    assert trail.DOOR_DWELL_S == 120
    assert "after two minutes within" in delivery
    assert (announcing.POSITIONS_EVERY_S, announcing.ETA_EVERY_S) == (1, 10)
    assert "at most every ten seconds" in (ROOT / "docs/realtime.md").read_text()
    assert (positions.MAX_FAILURES, positions.FIRST_REST_S) == (5, 1)
    assert "after 1, 2, 4 and 8 seconds. After the fifth failure" in events
    assert bridge.SURVEY_S == 0.5
    assert "within half a second" in (ROOT / "docs/operations.md").read_text()
    assert selectors.HISTORY_LENGTH == 50
    assert otp.CHECKS_PER_CODE == 5
    assert "five attempts" in (ROOT / "accounts/README.md").read_text()
    assert answering.RUNS == 3
