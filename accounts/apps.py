"""Django's entry for this app."""

from datetime import datetime, timedelta

from django.apps import AppConfig

# The longest window of any limit is a day; what is older is looked at by nobody.
CODES_KEPT = timedelta(days=2)


class AccountsConfig(AppConfig):
    """The accounts app."""

    name = "accounts"

    def ready(self) -> None:
        """Enter this app's part of the daily cleanup."""
        from marketplace.core.jobs import register_cleanup

        register_cleanup("accounts", purge_expired)


def purge_expired(instant: datetime) -> int:
    """Remove sessions, codes and tries that have had their day; gives the number of rows."""
    from accounts.services import otp, password_tries, sessions

    removed = otp.purge_expired(before=instant - CODES_KEPT)
    removed += password_tries.purge_expired(before=instant - CODES_KEPT)
    return removed + sessions.purge_expired(before=instant)
