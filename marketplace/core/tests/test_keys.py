"""One set of keys per database."""

import threading

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django import Settings

from marketplace.core.keys import KeyMismatch, accept_keys, check_keys
from marketplace.core.models import KeyFingerprint


@pytest.mark.django_db
class TestCheckKeys:
    @pytest.fixture(autouse=True)
    def first_process(self, settings: Settings) -> None:
        settings.JWT_KEYS = ["signing-key", "older-key"]
        settings.SECRET_KEY = "secret-key"
        settings.OTP_KEY = "otp-key"
        check_keys()

    def test_takes_the_same_keys_again(self) -> None:
        check_keys()

        assert KeyFingerprint.objects.count() == 4

    @pytest.mark.parametrize(
        ("setting", "value", "named"),
        [
            ("JWT_KEYS", ["other", "older-key"], "JWT_SECRET"),
            ("JWT_KEYS", ["signing-key"], "JWT_PREVIOUS_KEYS"),
            ("SECRET_KEY", "other", "SECRET_KEY_BASE"),
            ("OTP_KEY", "other", "OTP_KEY"),
        ],
    )
    def test_ends_a_process_with_another_key_in_one_line(
        self, settings: Settings, setting: str, value: object, named: str
    ) -> None:
        setattr(settings, setting, value)

        with pytest.raises(KeyMismatch) as caught:
            check_keys()

        line = str(caught.value)
        assert line.startswith(named)
        assert "\n" not in line
        assert isinstance(caught.value, SystemExit)
        assert "other" not in line

    def test_a_planned_change_is_accepted_by_a_command(
        self, settings: Settings, capsys: pytest.CaptureFixture[str]
    ) -> None:
        settings.OTP_KEY = "new"

        call_command("accept_keys")

        assert capsys.readouterr().out == "Accepted: OTP_KEY.\n"
        check_keys()
        assert accept_keys() == []

    def test_keeps_no_key(self) -> None:
        kept = "".join(KeyFingerprint.objects.values_list("fingerprint", flat=True))

        assert len(kept) == 256
        assert "signing" not in kept


@pytest.mark.django_db(transaction=True)
class TestTogether:
    def test_processes_may_start_together(self) -> None:
        barrier = threading.Barrier(4)
        failures: list[BaseException] = []

        def start() -> None:
            barrier.wait()
            try:
                check_keys()
            except BaseException as error:  # noqa: BLE001  # the test looks at all of them
                failures.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=start) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert failures == []
        assert KeyFingerprint.objects.count() == 4
