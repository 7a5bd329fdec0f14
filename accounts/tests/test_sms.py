"""Providers of SMS: the sink of a laptop, a webhook."""

import json
from pathlib import Path

import httpx2
import pytest
from pytest_django import Settings

from accounts import sms as providers
from accounts.sms import SinkProvider, SmsNotSent, WebhookProvider

URL = "https://sms.example/send"


class TestSinkProvider:
    def test_appends_a_line_for_each_message(self, tmp_path: Path) -> None:
        sink = tmp_path / "new" / "sms.jsonl"
        provider = SinkProvider(str(sink))
        provider.send(to="+15550100001", body="one")
        provider.send(to="+15550100002", body="two")

        lines = [json.loads(line) for line in sink.read_text().splitlines()]
        assert [(line["to"], line["body"]) for line in lines] == [
            ("+15550100001", "one"),
            ("+15550100002", "two"),
        ]
        assert [sorted(line) for line in lines] == [["at", "body", "to"]] * 2
        assert sink.stat().st_mode & 0o077 == 0


class TestWebhookProvider:
    def test_posts_number_and_text(self) -> None:
        seen = []

        def answer(request: httpx2.Request) -> httpx2.Response:
            seen.append((request.method, str(request.url), json.loads(request.content)))
            return httpx2.Response(202)

        WebhookProvider(URL, transport=httpx2.MockTransport(answer)).send(to="+1555", body="hello")

        assert seen == [("POST", URL, {"to": "+1555", "body": "hello"})]

    @pytest.mark.parametrize("status", [301, 400, 500])
    def test_fails_for_every_other_answer(self, status: int) -> None:
        transport = httpx2.MockTransport(lambda _: httpx2.Response(status))

        with pytest.raises(SmsNotSent, match=str(status)):
            WebhookProvider(URL, transport=transport).send(to="+1555", body="hello")

    def test_tells_nothing_of_number_and_text_when_it_fails(self) -> None:
        def fail(request: httpx2.Request) -> httpx2.Response:
            raise httpx2.ConnectError(f"no way to {request.content!r}", request=request)

        with pytest.raises(SmsNotSent) as failed:
            WebhookProvider(URL, transport=httpx2.MockTransport(fail)).send(
                to="+1555", body="123456"
            )

        assert str(failed.value) == "The SMS provider failed: ConnectError."
        assert failed.value.__cause__ is None
        assert failed.value.__suppress_context__

    def test_is_chosen_by_the_setting(self, settings: Settings) -> None:
        settings.SMS_BACKEND, settings.SMS_WEBHOOK_URL = "webhook", URL

        assert isinstance(providers.get_provider(), WebhookProvider)
