"""The Celery application: `celery -A marketplace worker`, `celery -A marketplace beat`.

Used where there is a broker; Celery carries ids of job rows, the rows are the truth.
"""

import logging
import os
import sys
from typing import Any

import django
from celery import Celery, signals

from marketplace.core.schedule import beat_schedule

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")

# They write three lines a second about the ticks alone; the jobs write their own.
CHATTY_LOGGERS = ("celery.beat", "celery.worker.strategy", "celery.app.trace")

app = Celery("marketplace")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# Beat and the runner of core read the same schedule.
app.conf.beat_schedule = beat_schedule()


@signals.setup_logging.connect
def configure_logs(**_: Any) -> None:
    """Log as the server does; a receiver here keeps Celery's own set-up away."""
    from marketplace.core.observe import configure_logging

    configure_logging("beat" if "beat" in sys.argv else "worker")
    for name in CHATTY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


@signals.worker_init.connect
@signals.beat_init.connect
def hold_keys_together(**_: Any) -> None:
    """A worker or beat with other keys than this database's ends with one line."""
    django.setup()
    from marketplace.core.keys import check_keys

    check_keys()
