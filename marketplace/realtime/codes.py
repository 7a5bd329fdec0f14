"""Close codes and the sizes behind them (docs/realtime.md, "Close codes")."""

DRAINING = 1012
NOT_UNDERSTOOD = 4003
TOO_SLOW = 4008
TOO_LARGE = 4009
FLOODING = 4029
TOKEN = 4401
ACCESS_ENDED = 4403

# What a log line says; any other code is the client's own.
REASONS = {
    DRAINING: "draining",
    NOT_UNDERSTOOD: "not_understood",
    TOO_SLOW: "too_slow",
    TOO_LARGE: "too_large",
    FLOODING: "flooding",
    TOKEN: "token",
    ACCESS_ENDED: "access_ended",
}
# The connection is gone without a close frame.
LOST = 1006

LARGEST_FRAME = 64 * 1024
FLOOD_STRIKES = 3
