"""The market in real browsers: order, accept, drive, and follow it all by the link alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx2 as httpx
import pytest

from marketplace.tests.live import Server, Site, eventually
from marketplace.tests.test_web_demo import (
    ASHA,
    BRUNO,
    CHROMIUM,
    Visitor,
    browser,
    newest_code,
    server,
    site,
)

if TYPE_CHECKING:
    from playwright.sync_api import APIResponse, Browser, Page, Route

__all__ = ["browser", "server", "site"]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]

DMITRI = ("Dmitri", "+15550100004")
HOME = (40.74844, -73.98566)


class Api:
    """A demo person who calls REST, signed in by the code of the inbox."""

    def __init__(self, server: Server, phone: str) -> None:
        self.client = httpx.Client(base_url=server.url, timeout=20)
        sent_before = len(codes(server, phone))
        self.client.post("/api/v1/auth/otp/request", json={"phone_number": phone})
        code = newest_code(server, phone, after=sent_before)
        answer = self.client.post(
            "/api/v1/auth/otp/verify", json={"phone_number": phone, "code": code}
        )
        self.client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.client.request(method, f"/api/v1{path}", json=body)
        assert answer.status_code < 300, f"{method} {path}: {answer.text}"
        return answer.json() if answer.content else None


def codes(server: Server, phone: str) -> list[str]:
    items = httpx.get(server.url + "/demo/inbox").json()["items"]
    return [item["body"] for item in items if item["to"] == phone]


@pytest.fixture(scope="module")
def dmitri(server: Server) -> Api:
    return Api(server, DMITRI[1])


@pytest.fixture(scope="module")
def waiting(server: Server, dmitri: Api) -> dict[str, Any]:
    """The delivery of the demo data that waits for its courier, with its link."""
    [delivery] = [
        one for one in dmitri("GET", "/deliveries")["items"] if one["status"] == "assigned"
    ]
    asha = Api(server, ASHA[1])
    tracking = asha("GET", f"/orders/{delivery['order_id']}/tracking")
    return {**delivery, "token": tracking["tracking_token"]}


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    context = browser.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.set_default_timeout(15_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    assert faults == []
    context.close()


def fixes(start_m: float, count: int, *, ends: datetime) -> list[dict[str, Any]]:
    """A straight way from so far in the north to the door, a fix a second."""
    return [
        {
            "latitude": HOME[0] + start_m * (1 - place / (count - 1)) / 111_195,
            "longitude": HOME[1],
            "accuracy": 8,
            "recorded_at": (ends - timedelta(seconds=count - 1 - place)).isoformat(),
        }
        for place in range(count)
    ]


class TestTracking:
    def test_follows_a_delivery_to_its_end_without_a_sign_in(
        self, page: "Page", server: Server, waiting: dict[str, Any], dmitri: Api
    ) -> None:
        path = f"/deliveries/{waiting['id']}"
        page.goto(f"{server.url}/track/{waiting['token']}")
        page.locator("#connection[data-state=good]").wait_for()
        assert page.locator("#status").inner_text() == "Waiting for pick-up"
        assert "Dmitri" in page.locator("#lead").inner_text()
        assert page.locator("#map-box").is_hidden()

        # The page asks for the view of now, and the answer comes later than the next event.
        held: list[tuple[Route, APIResponse]] = []
        page.route("**/api/v1/track/*", lambda route: held.append((route, route.fetch())))
        dmitri("POST", f"{path}/status", {"status": "in_transit"})
        page.locator("#status", has_text="On the way").wait_for()
        while not held:
            page.wait_for_timeout(20)
        points = fixes(900, 20, ends=datetime.now(UTC) - timedelta(seconds=30))
        dmitri("POST", f"{path}/locations", {"points": points})
        page.locator("#map-box").wait_for()
        [(route, answer)] = held
        assert answer.json()["location"] is None
        with page.expect_response("**/api/v1/track/*"):
            route.fulfill(response=answer)
        page.unroute("**/api/v1/track/*")
        page.wait_for_timeout(200)
        assert page.locator("#map-box").is_visible()
        page.locator("#eta", has_text=":").wait_for()
        assert page.locator("#fix").inner_text().startswith("Last position")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        # The map is moved by keys, and goes back to the courier.
        page.locator("#map").focus()
        for key in ("ArrowLeft", "+", "+", "-", "0"):
            page.keyboard.press(key)

        # What happens while nobody listens is there after the page has come back by itself.
        server.kill()
        page.locator("#connection[data-state=bad]").wait_for()
        server.start()
        page.locator("#connection[data-state=good]").wait_for(timeout=40_000)
        points = fixes(40, 20, ends=datetime.now(UTC))
        dmitri("POST", f"{path}/locations", {"points": points})
        page.locator("#status", has_text="The courier is here").wait_for()
        dmitri("POST", f"{path}/status", {"status": "delivered"})
        page.locator("#status", has_text="Delivered").wait_for()
        assert page.locator("#connection").is_hidden()

    def test_says_that_a_wrong_link_opens_nothing(self, page: "Page", server: Server) -> None:
        page.goto(f"{server.url}/track/{'x' * 32}")

        page.get_by_role("heading", name="This link does not work any more").wait_for()
        assert page.locator("#tracking").is_hidden()


class TestMarket:
    def test_sells_orders_accepts_and_sends_a_courier(
        self, browser: "Browser", server: Server
    ) -> None:
        asha, bruno = Visitor(browser, server, width=390), Visitor(browser, server)
        asha.sign_in(*ASHA)
        bruno.sign_in(*BRUNO)

        asha.page.get_by_role("button", name="Market").click()
        offer = asha.page.locator(".offer", has_text="Paper globe")
        offer.get_by_role("button", name="Order").click()
        mine = asha.page.locator("#my-orders .card", has_text="waiting for the shop")
        mine.wait_for()
        assert "Paper globe" in mine.inner_text()

        bruno.page.get_by_role("button", name="Market").click()
        sold = bruno.page.locator("#sold .card", has_text="waiting for the shop")
        sold.get_by_role("button", name="Accept").click()
        # Live: the buyer's page needs no reload.
        asha.page.locator("#my-orders .card", has_text="accepted").wait_for()
        accepted = bruno.page.locator("#sold .card", has_text="accepted")
        accepted.get_by_role("button", name="Send a courier").click()
        asha.page.get_by_role("link", name="Follow it live").first.wait_for()

        for visitor in (asha, bruno):
            assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert visitor.faults == []
            visitor.page.context.close()

    def test_the_assistant_makes_a_shop_in_the_talk(
        self, browser: "Browser", server: Server
    ) -> None:
        bruno = Visitor(browser, server)
        bruno.sign_in(*BRUNO)
        bruno.open_room("Assistant")
        for said, answer in (
            ("@createshop", "What should we name it?"),
            ("Second Lamp", "Where is the shop located?"),
            ("Boston", "What category is your shop?"),
            ("lamps", "Shop created successfully! ID: shop_"),
        ):
            bruno.write(said)
            bruno.wait_for_message(answer)

        assert bruno.faults == []
        bruno.page.context.close()


def test_a_courier_drives_by_the_demo_itself(
    browser: "Browser", server: Server, site: Site, dmitri: Api
) -> None:
    courier = Visitor(browser, server)
    courier.sign_in(*DMITRI)
    courier.page.get_by_role("button", name="Market").click()
    courier.page.locator("#drives .card").first.wait_for()

    def next_one() -> Any:
        items = dmitri("GET", "/deliveries")["items"]
        return next((one for one in items if one["status"] == "assigned"), None)

    delivery = next_one()
    assert delivery is not None, "the order that the test before has sent a courier for"
    courier.page.get_by_role("button", name="Set off").first.click()
    courier.page.get_by_role("button", name="Drive there").first.click()
    eventually(
        lambda: dmitri("GET", f"/deliveries/{delivery['id']}/locations")["items"][2:],
        what="positions from the page",
    )

    assert courier.faults == []
    courier.page.context.close()
