"""The demo in real browsers, against a real server: two people talk, and a crash loses nothing."""

import json
import re
import shutil
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx2 as httpx
import pytest

from marketplace.tests.live import Server, Site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route, WebSocketRoute

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ASHA, BRUNO = ("Asha", "+15550100001"), ("Bruno", "+15550100002")
WAIT_MS = 15_000

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("demo")) as site:
        site.manage("migrate", "--verbosity=0")
        site.manage("demo", "--silent")
        yield site


@pytest.fixture(scope="module")
def server(site: Site) -> Server:
    return site.start("daphne")


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


class Visitor:
    """One person in a browser of his own; faults of the pages are collected."""

    def __init__(self, browser: "Browser", server: Server, *, width: int = 1280) -> None:
        self.server = server
        context = browser.new_context(viewport={"width": width, "height": 760})
        self.page: Page = context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on(
            "console",
            lambda line: self.faults.append(line.text) if "Content Security" in line.text else None,
        )

    def sign_in(self, name: str, phone: str) -> None:
        sent_before = len(codes_for(self.server, phone))
        self.page.goto(self.server.url + "/demo")
        self.page.get_by_role("button", name=name).click()
        self.page.locator("#code").wait_for()
        self.page.fill("#code", newest_code(self.server, phone, after=sent_before))
        self.page.get_by_role("button", name="Sign in").click()
        self.wait_connected()

    def wait_connected(self) -> None:
        self.page.locator("#connection[data-state=good]").wait_for()

    def open_room(self, title: str) -> None:
        self.page.locator(".room", has_text=title).click()
        self.page.locator("#composer").wait_for()

    def write(self, text: str) -> None:
        self.page.fill("#text", text)
        self.page.keyboard.press("Enter")

    def wait_for_message(self, text: str) -> None:
        self.page.locator(".message:not(.waiting) .bubble", has_text=text).wait_for()

    def texts(self) -> list[str]:
        return self.page.locator(".message .bubble").all_inner_texts()


def codes_for(server: Server, phone: str) -> list[str]:
    items = httpx.get(server.url + "/demo/inbox").json()["items"]
    return [re.findall(r"\d{6}", item["body"])[0] for item in items if item["to"] == phone]


def newest_code(server: Server, phone: str, *, after: int) -> str:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        codes = codes_for(server, phone)
        if len(codes) > after:
            return codes[0]
        time.sleep(0.1)
    raise AssertionError(f"no code came to {phone}")


@pytest.fixture
def asha(browser: "Browser", server: Server) -> Iterator[Visitor]:
    visitor = Visitor(browser, server)
    visitor.sign_in(*ASHA)
    yield visitor
    assert visitor.faults == []
    visitor.page.context.close()


@pytest.fixture
def bruno(browser: "Browser", server: Server) -> Iterator[Visitor]:
    visitor = Visitor(browser, server, width=360)
    visitor.sign_in(*BRUNO)
    yield visitor
    assert visitor.faults == []
    visitor.page.context.close()


class TestDemo:
    def test_lets_two_people_talk_live(self, asha: Visitor, bruno: Visitor) -> None:
        asha.open_room("Bruno")
        asha.write("Is it <b>packed</b>?")

        bruno.page.locator(".room", has_text="Is it <b>packed</b>?").wait_for()
        bruno.page.locator(".room .badge", has_text="1").first.wait_for()
        bruno.open_room("Asha")
        bruno.wait_for_message("Is it <b>packed</b>?")
        asha.page.locator(".message.own .state", has_text="seen").wait_for()
        asha.page.locator("#room-people", has_text="online").wait_for()

        bruno.page.locator("#text").press_sequentially("Ye")
        asha.page.locator("#typing", has_text="Bruno is typing").wait_for()
        bruno.write("Yes, since noon.")
        asha.wait_for_message("Yes, since noon.")
        assert asha.texts()[-2:] == ["Is it <b>packed</b>?", "Yes, since noon."]
        assert bruno.texts()[-2:] == asha.texts()[-2:]

    def test_sends_what_was_written_while_the_server_was_away(
        self, asha: Visitor, bruno: Visitor, server: Server
    ) -> None:
        asha.open_room("Bruno")
        bruno.open_room("Asha")
        asha.write("before")
        bruno.wait_for_message("before")

        server.kill()
        asha.page.locator("#connection[data-state=bad], #connection[data-state=warn]").wait_for()
        asha.write("while it was away, 1")
        asha.write("while it was away, 2")
        asha.page.locator(".message.waiting .bubble").first.wait_for()
        server.start()

        asha.wait_for_message("while it was away, 2")
        bruno.wait_for_message("while it was away, 2")
        expected = ["before", "while it was away, 1", "while it was away, 2"]
        assert asha.texts()[-3:] == expected
        assert bruno.texts()[-3:] == expected

    def test_stays_signed_in_over_a_reload(self, asha: Visitor) -> None:
        asha.open_room("Bruno")
        asha.write("before the reload")
        asha.wait_for_message("before the reload")

        asha.page.reload()

        asha.wait_connected()
        asha.wait_for_message("before the reload")
        assert asha.texts().count("before the reload") == 1

    def test_keeps_its_rooms_while_the_list_loads_again(
        self, asha: Visitor, bruno: Visitor
    ) -> None:
        bruno.open_room("Asha")
        held: list[Route] = []
        asked: list[Route] = []

        def hold(route: "Route") -> None:
            asked.append(route)
            if len(asked) == 1:
                route.continue_()
            else:
                held.append(route)

        asha.page.route("**/api/v1/chat/rooms?*", hold)
        asha.page.reload()
        asha.wait_connected()
        for _ in range(100):
            if held:
                break
            asha.page.wait_for_timeout(50)
        assert len(held) == 1
        asha.open_room("Bruno")
        bruno.write("while the list loads")

        asha.wait_for_message("while the list loads")
        asha.write("and back")
        asha.wait_for_message("and back")
        for route in held:
            route.continue_()
        bruno.wait_for_message("and back")
        asha.page.locator(".room", has_text="and back").wait_for()
        assert asha.texts()[-2:] == ["while the list loads", "and back"]

    def test_keeps_room_and_text_when_a_join_is_refused_for_the_moment(
        self, asha: Visitor, bruno: Visitor
    ) -> None:
        bruno.open_room("Asha")
        refused: list[str] = []

        def refuse_first_join(socket: "WebSocketRoute") -> None:
            server = socket.connect_to_server()

            def answer(text: str | bytes) -> None:
                frame = json.loads(text)
                if frame["type"] != "join" or not frame["topic"].startswith("room:") or refused:
                    server.send(text)
                    return
                refused.append(frame["topic"])
                reply = {
                    "type": "reply", "topic": frame["topic"], "ref": frame["ref"],
                    "status": "error", "response": {"code": "unavailable", "message": "Later."},
                }  # fmt: skip
                socket.send(json.dumps(reply))

            socket.on_message(answer)

        asha.page.route_web_socket("**/ws/*", refuse_first_join)
        asha.page.reload()
        asha.wait_connected()
        asha.open_room("Bruno")
        asha.write("sent at the second try")

        bruno.wait_for_message("sent at the second try")
        asha.wait_for_message("sent at the second try")
        assert len(refused) == 1

    def test_can_be_used_with_the_keyboard_alone(self, asha: Visitor) -> None:
        room = asha.page.locator(".room", has_text="Assistant")
        room.focus()
        asha.page.keyboard.press("Enter")
        asha.page.locator("#composer").wait_for()
        assert asha.page.evaluate("document.activeElement.id") == "text"

        asha.page.keyboard.type("by keyboard")
        asha.page.keyboard.press("Enter")

        asha.wait_for_message("by keyboard")

    def test_fits_a_small_phone(self, bruno: Visitor) -> None:
        assert wider_than_screen(bruno.page) == 0
        bruno.open_room("Corner Lamp team")
        assert wider_than_screen(bruno.page) == 0
        assert bruno.page.locator(".rooms").is_hidden()

        bruno.page.get_by_role("button", name="Rooms").click()

        assert bruno.page.locator(".rooms").is_visible()

    def test_lets_a_new_person_in(self, browser: "Browser", server: Server) -> None:
        visitor = Visitor(browser, server)
        visitor.page.goto(server.url + "/demo")
        visitor.page.get_by_label("I am new here").check()
        visitor.page.fill("#phone", "+15550199001")
        visitor.page.fill("#name", "Gita")
        visitor.page.get_by_role("button", name="Send me a code").click()
        visitor.page.locator("#code").wait_for()
        visitor.page.fill("#code", newest_code(server, "+15550199001", after=0))
        visitor.page.get_by_role("button", name="Sign in").click()
        visitor.wait_connected()

        visitor.page.get_by_text("Start a new talk").click()
        visitor.page.locator("#new-talk").get_by_role("button", name="Dmitri").click()
        visitor.page.locator("#composer").wait_for()
        visitor.write("Hello, I am new")

        visitor.wait_for_message("Hello, I am new")
        assert visitor.faults == []

    def test_says_what_is_wrong_with_a_code(self, browser: "Browser", server: Server) -> None:
        visitor = Visitor(browser, server)
        visitor.page.goto(server.url + "/demo")
        visitor.page.get_by_role("button", name="Chiara").click()
        visitor.page.locator("#code").wait_for()
        visitor.page.fill("#code", "000000")
        visitor.page.get_by_role("button", name="Sign in").click()

        visitor.page.get_by_role("alert").wait_for()
        assert visitor.page.locator("#problem").inner_text() == "Invalid OTP"

    def test_signs_out_for_good(self, browser: "Browser", server: Server) -> None:
        visitor = Visitor(browser, server)
        visitor.sign_in("Dmitri", "+15550100004")

        visitor.page.get_by_role("button", name="Sign out").click()
        visitor.page.locator("#sign-in").wait_for()
        visitor.page.reload()

        visitor.page.locator("#phone-form").wait_for()
        assert visitor.page.evaluate("sessionStorage.getItem('marketplace.sign-in')") is None


class TestPages:
    @pytest.mark.parametrize("width", [360, 1280])
    @pytest.mark.parametrize("path", ["/", "/demo", "/demo/inbox", "/docs", "/redoc", "/admin/"])
    def test_fit_the_screen_and_break_no_policy(
        self, browser: "Browser", server: Server, path: str, width: int
    ) -> None:
        visitor = Visitor(browser, server, width=width)
        refused: list[str] = []
        visitor.page.on(
            "response",
            lambda answer: refused.append(answer.url) if answer.status >= 400 else None,
        )

        visitor.page.goto(server.url + path)
        visitor.page.wait_for_load_state("networkidle")

        assert wider_than_screen(visitor.page) == 0
        assert refused == []
        # ReDoc asks a foreign host for its logo, and the policy keeps that in.
        assert [fault for fault in visitor.faults if "redoc.ly" not in fault] == []
        visitor.page.context.close()

    def test_show_the_health_of_the_server(self, browser: "Browser", server: Server) -> None:
        visitor = Visitor(browser, server)
        visitor.page.goto(server.url + "/")

        visitor.page.locator("#health", has_text="all well").wait_for()
        assert "Database" in visitor.page.locator("#checks").inner_text()


def wider_than_screen(page: "Page") -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))
