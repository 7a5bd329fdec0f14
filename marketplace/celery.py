"""The Celery application: `celery -A marketplace worker`, `celery -A marketplace beat`.

Used where there is a broker; Celery carries ids of job rows, the rows are the truth.
"""

import os

from celery import Celery

from marketplace.core.schedule import beat_schedule

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")

app = Celery("marketplace")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# Beat and the runner of core read the same schedule.
app.conf.beat_schedule = beat_schedule()
