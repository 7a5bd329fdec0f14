"""Serve the test application: `python -m marketplace.tests.serving_run uvicorn 8123 5`."""

import importlib
import os
import socket
import sys

from marketplace.serving.drain import ServeOptions


def say(word: str) -> None:
    """One line that the test waits for."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    """Run one server until a signal."""
    server, port, limit_s = sys.argv[1], int(sys.argv[2]), float((sys.argv[3:] or ["5"])[0])
    name = os.environ.get("SERVING_APP", "marketplace.tests.serving_app")
    application = importlib.import_module(name).application
    listening = socket.create_server(("127.0.0.1", port), backlog=2048)
    options = ServeOptions(
        drain_limit_s=limit_s,
        drain_spread_s=0.2,
        sweep_s=0.1,
        on_ready=lambda: say("ready"),
    )
    importlib.import_module(f"marketplace.serving.{server}_server").run(
        application, listening, options
    )
    say("ended")


if __name__ == "__main__":
    main()
