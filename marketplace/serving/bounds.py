"""What one HTTP connection may cost; the same under both servers."""

BACKLOG = 2048
KEEP_ALIVE_S = 65  # longer than the 60 s of common proxies, which would meet a closed connection
STALLED_TICKS = 15  # of the watch, 2 s each

# Both Daphne and Django store a body before anybody is asked; routes have smaller limits of their
# own (1 MiB of JSON), this one keeps the disk.
MAX_BODY_BYTES = 64 * 1024 * 1024
TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
