"""What an operator watches: codes sent against codes proven, and guesses."""

from prometheus_client import Counter

CODES_REQUESTED = Counter(
    "marketplace_otp_requests",
    "Requests for a one-time code, by outcome: accepted, withheld, refused.",
    ["outcome"],
)
CODES_CHECKED = Counter(
    "marketplace_otp_checks",
    "Checks of one-time codes, by outcome: right, wrong, locked, refused. A rise of `wrong` "
    "without `right` is somebody guessing; few `right` for many requests is somebody pumping SMS.",
    ["outcome"],
)
