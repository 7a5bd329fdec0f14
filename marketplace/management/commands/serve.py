"""`manage.py serve`: HTTP and WebSockets on one port, by Daphne or uvicorn."""

import asyncio
import gc
import sys
from argparse import ArgumentParser
from importlib import import_module
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections
from django.utils.module_loading import import_string

from marketplace.core import observe
from marketplace.core.jobs import JobRunner
from marketplace.core.keys import check_keys
from marketplace.core.startup import start_fields
from marketplace.serving.drain import Part, ServeOptions
from marketplace.serving.listening import PortTaken, listen
from marketplace.web.people import DEMO_PASSWORD, PEOPLE

logger = structlog.get_logger(__name__)

SERVERS = {
    "daphne": "marketplace.serving.daphne_server",
    "uvicorn": "marketplace.serving.uvicorn_server",
}
GARBAGE_THRESHOLDS = (20_000, 20, 50)
TURN_S = 0.0005
"""So long a thread keeps the interpreter from one that waits for it, a tenth of what Python would:
the loop, the threads that store batches, and those of later work need it in turns.
"""
PAGES = (
    ("/", "what runs, and where"),
    ("/demo", "sign in and talk in a room"),
    ("/demo/inbox", "the codes that were sent"),
    ("/api/swagger", "the API, to read and to try"),
    ("/admin", "for staff"),
)


class Command(BaseCommand):
    """One process: the server and, where there is no broker, the threads that run jobs."""

    help = "Serve HTTP and WebSockets until SIGTERM or Ctrl-C; a second signal ends at once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to listen, and by which server."""
        parser.add_argument("--host", default=settings.BIND_HOST)
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument("--server", choices=sorted(SERVERS), default="daphne")
        parser.add_argument(
            "--banner", action="store_true", help="print the URLs and the demo accounts when ready"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until told to stop."""
        observe.configure_logging("server")
        host, port = options["host"], options["port"]
        try:
            listening = listen(host, port)
            check_keys()
            connections.close_all()
        except PortTaken as problem:
            raise CommandError(str(problem)) from problem
        except OSError as problem:
            raise CommandError(f"Cannot listen on {host}:{port}: {problem.strerror}.") from problem
        except DatabaseError as problem:
            raise CommandError(
                f"The database is not ready: {str(problem).splitlines()[0]} "
                "Is it running, and has `manage.py migrate` been run?"
            ) from problem
        run = import_module(SERVERS[options["server"]]).run
        application = import_string(settings.ASGI_APPLICATION)
        logger.info("starting", server=options["server"], host=host, port=port, **start_fields())
        keep_garbage_collection_short()
        sys.setswitchinterval(TURN_S)
        url = settings.PUBLIC_URL if port == settings.PORT else f"http://localhost:{port}"
        run(application, listening, self._options(url, banner=options["banner"]))
        logger.info("stopped")

    def _options(self, url: str, *, banner: bool) -> ServeOptions:
        from marketplace.realtime import runtime

        parts: list[Part] = [] if settings.CELERY_BROKER_URL else [JobRunner()]

        def ready() -> None:
            runtime.start_background(asyncio.get_running_loop())
            logger.info("ready", url=url)
            if banner:
                self.stdout.write(banner_text(url))
                self.stdout.flush()

        return ServeOptions(
            drain_spread_s=float(settings.DRAIN_SPREAD),
            drain_limit_s=float(settings.DRAIN_LIMIT),
            parts=parts,
            drain_application=runtime.drain,
            set_draining=set_draining,
            on_ready=ready,
            threads=settings.ASGI_THREADS,
        )


def set_draining() -> None:
    """`/readyz` answers 503 from now on."""
    observe.draining = True


def keep_garbage_collection_short() -> None:
    """Leave what lives for ever out of every later collection: it is most of the memory."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


def banner_text(public_url: str) -> str:
    """The URLs, and the people to sign in as."""
    pages = [f"  {public_url + path:<40} {purpose}" for path, purpose in PAGES]
    people = [
        f"  {one.username:<8} {one.part:<10} {one.phone_number:<14} {one.email}" for one in PEOPLE
    ]
    accounts = [f"Demo accounts, password {DEMO_PASSWORD}, codes in /demo/inbox:", *people, ""]
    if settings.PROFILE == "production":
        accounts = []
    return "\n".join(["", "Marketplace is running. Ctrl-C ends it.", *pages, "", *accounts])
