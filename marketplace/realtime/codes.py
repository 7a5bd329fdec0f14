"""Close codes and the sizes behind them (docs/realtime.md, "Close codes")."""

DRAINING = 1012
NOT_UNDERSTOOD = 4003
TOO_SLOW = 4008
TOO_LARGE = 4009
FLOODING = 4029
TOKEN = 4401
ACCESS_ENDED = 4403

LARGEST_FRAME = 64 * 1024
FLOOD_STRIKES = 3
